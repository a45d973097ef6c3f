"""Commands around the project: infer-schema, report, setup-clone."""
