"""Commands around the project: infer-schema, report, drift, setup-clone, checks."""
