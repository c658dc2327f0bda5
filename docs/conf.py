"""Sphinx configuration."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# autodoc imports the operators, and Airflow makes its home at import: not in the reader's home folder.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="orvideo-docs-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from airflow_provider_orvideo import __version__  # noqa: E402 - after the environment is set

project = "airflow-provider-orvideo"
author = "The airflow-provider-orvideo developers"
copyright = "2026, The airflow-provider-orvideo developers"  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "example_project"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signatures of operators are long; types stand in the source and in editors
autoclass_content = "class"
default_role = "any"
suppress_warnings = ["ref.any"]  # single backticks name things of the code, not all of which have an entry here

html_theme = "furo"
html_title = "airflow-provider-orvideo"
