"""The site of the notebooks and docs; docs/workflow.md says how it is built."""

from importlib.metadata import metadata
from shutil import copyfile

import {{ cookiecutter.project_slug }} as package

CONTENTS = """
```{toctree}
:hidden:
:glob:
:caption: Notebooks
notebooks/*
```
```{toctree}
:hidden:
:glob:
:caption: Docs
docs/*
SECURITY
```
"""

about = metadata(package.__name__)
project = html_title = about["Name"]
author = about["Author"]
extensions = ["myst_nb"]
include_patterns = ["README.md", "SECURITY.md", "docs/*.md", "notebooks/*.ipynb"]
myst_heading_anchors = 3  # links to headings, as GitHub has them
root_doc = "README"
html_theme = "sphinx_book_theme"
html_theme_options = {"navbar_persistent": []}  # one search field, not two

# Git holds no outputs: each build runs the notebooks with this environment's kernel.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = -1
nb_kernel_rgx_aliases = {".*": "python3"}
# Without these, a page with widgets loads scripts from the network.
nb_ipywidgets_js = {}


def add_contents(app, page, text):
    """List the other pages at the end of the first one, unseen in the README itself."""
    if page == root_doc:
        text[0] += CONTENTS


def add_index(app, error):
    """Give the first page the name that browsers and servers look for."""
    if error is None:
        copyfile(app.outdir / "README.html", app.outdir / "index.html")


def setup(app):
    """Have Sphinx call the functions above."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
