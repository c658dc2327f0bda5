"""Sphinx configuration."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

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

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "provider_reference"]
exclude_patterns = ["_build", "example_project"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [
    # Other libraries have no page here, and nothing is fetched to find theirs.
    ("py:(class|exc)", r"(airflow|collections|contextlib|datetime|decimal|httpx|pathlib|pydantic)\..+"),
    ("py:(class|exc)", r"AirflowFailException|AirflowNotFoundException|AirflowSensorTimeout|AirflowSkipException"),
    ("py:class", r"(~|airflow_provider_orvideo\.decorators\.)[PR]"),
    # For type checkers; their fields are arguments of the operators.
    ("py:class", r"airflow_provider_orvideo\.operators\.typed\..+"),
]

autodoc_member_order = "bysource"
# The signatures of operators are long: defaults stand there, types with each argument.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autoclass_content = "class"
default_role = "any"

html_theme = "furo"
html_title = "airflow-provider-orvideo"
