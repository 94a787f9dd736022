"""How the documentation is built: `bin/test docs`, or `sphinx-build docs docs/_build`."""

from __future__ import annotations

import dockerpty

project = "dockerpty"
author = "the dockerpty authors"
version = release = dockerpty.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

# Headings can be linked to as in any Markdown viewer.
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Docstrings mark code with single backquotes, as Markdown does.
default_role = "code"

html_theme = "alabaster"
