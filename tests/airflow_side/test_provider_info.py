"""What Airflow reads at discovery: valid by Airflow's own schemas, light to import, and found."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import airflow
import jsonschema  # type: ignore[import-untyped]  # its stubs are a distribution of their own
import pytest
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.get_provider_info import get_provider_info
from airflow_provider_orvideo.hooks.connection import config_from_connection
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook

NAME = "airflow-provider-orvideo"
INFO = get_provider_info()
FORM: dict[str, Any] = INFO["connection-types"][0]
AIRFLOW = Path(airflow.__path__[0])


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((AIRFLOW / name).read_text())
    return loaded


# ── Valid ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_description_satisfies_the_schema_that_airflow_checks_at_run_time() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


@pytest.mark.parametrize("part", ["connection-types", "config"])
def test_a_part_satisfies_the_stricter_schema_of_provider_yaml(part: str) -> None:
    strict = schema("provider.yaml.schema.json")
    own = {"$schema": strict["$schema"], "definitions": strict["definitions"], **strict["properties"][part]}
    jsonschema.validate(INFO[part], own)


def test_every_module_and_class_that_is_named_exists() -> None:
    modules = [
        module
        for part in ("operators", "sensors", "hooks", "triggers")
        for group in INFO[part]
        for module in group["python-modules"]
    ]
    assert len(modules) == len(set(modules)) >= 5
    for module in modules:
        importlib.import_module(module)
    for path in [FORM["hook-class-name"], *INFO["extra-links"], *INFO["cli"]]:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


# ── Light ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_discovery_imports_nothing_but_this_package() -> None:
    program = (
        "import sys, importlib, __future__\n"
        "before = set(sys.modules)\n"
        "info = importlib.import_module('airflow_provider_orvideo.get_provider_info').get_provider_info()\n"
        "assert info['package-name']\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["airflow_provider_orvideo", "airflow_provider_orvideo.get_provider_info"]


# ── Found ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_entry_point_leads_to_the_description() -> None:
    (point,) = [
        point for point in entry_points(group="apache_airflow_provider") if point.dist and point.dist.name == NAME
    ]
    assert point.load()() == INFO


def test_airflow_discovers_the_provider() -> None:
    found = ProvidersManager().providers[NAME]
    assert found.version == __version__
    assert found.data["connection-types"][0]["connection-type"] == "orvideo"


def test_airflow_discovers_the_hook() -> None:
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime  # noqa: PLC0415
    except ImportError:  # Airflow 3.1 finds hooks by the manager that finds the rest
        ProvidersManagerTaskRuntime = ProvidersManager  # type: ignore[misc,assignment]  # noqa: N806
    found = ProvidersManagerTaskRuntime().hooks["orvideo"]
    assert found is not None
    assert found.hook_class_name == "airflow_provider_orvideo.hooks.orvideo.OrVideoHook"
    assert found.connection_id_attribute_name == OrVideoHook.conn_name_attr == "orvideo_conn_id"
    assert (found.hook_name, found.connection_type) == ("OpenRouter Video", OrVideoHook.conn_type)
    assert found.connection_testable


def test_airflow_discovers_the_links() -> None:
    links = set(INFO["extra-links"])
    assert links <= set(ProvidersManager().extra_links_class_names)


@pytest.mark.skipif(
    not hasattr(ProvidersManager, "cli_command_functions"), reason="Airflow 3.1 has no commands of providers"
)
def test_airflow_discovers_the_commands() -> None:
    groups = [group.name for function in ProvidersManager().cli_command_functions for group in function()]
    assert groups.count("orvideo") == 1


#: What it would ask is checked below, in `test_the_older_behaviour_agrees_with_the_description` and its neighbour.
reads_the_form = pytest.mark.skipif(
    airflow.__version__.startswith("3.1.") and find_spec("flask_appbuilder") is None,
    reason="Airflow 3.1 shows the connection's own fields only where Flask AppBuilder is installed",
)


@reads_the_form
def test_the_form_labels_what_it_shows_and_hides_what_is_not_used() -> None:
    behaviour = ProvidersManager().field_behaviours["orvideo"]
    assert set(behaviour["hidden_fields"]) == {"login", "port", "schema"}
    assert behaviour["relabeling"] == {"password": "API key", "host": "Base URL"}
    assert behaviour["placeholders"]["host"] == "https://openrouter.ai/api/v1"


@reads_the_form
def test_the_form_has_a_field_for_each_extra_that_the_hook_reads() -> None:
    read: set[str] = set()

    class Extras(dict[str, Any]):
        def get(self, name: str, default: object = None) -> object:
            read.add(name)
            return default

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_orvideo.hooks.connection._extras", lambda _: Extras())
        config_from_connection(Connection(conn_id="orvideo_default", password="sk-or-test-1"))
    widgets = ProvidersManager().connection_form_widgets
    shown = {name.removeprefix("extra__orvideo__") for name in widgets if name.startswith("extra__orvideo__")}
    assert shown == read == set(FORM["conn-fields"])


@reads_the_form
def test_the_form_treats_a_proxy_with_its_credentials_as_a_secret() -> None:
    widgets = ProvidersManager().connection_form_widgets
    sensitive = {info.field_name for info in widgets.values() if info.package_name == NAME and info.is_sensitive}
    assert sensitive == {"proxy"}


CONFIG_DEFAULTS = {
    "spool_dir": "",
    "state_path": "",
    "webhook_url": "",
    "webhook_secret": "",
    "resume_grace": "10",
    "cache_dir": "",
    "cache_ttl": "3600",
    "input_image_max_bytes": "10485760",
    "input_url_ttl": "14400",
    "preview_allowed_prefixes": "",
    "preview_redirect": "False",
    "preview_max_streams": "32",
    "preview_stall_timeout": "30",
}


@pytest.mark.parametrize(("option", "default"), CONFIG_DEFAULTS.items())
def test_a_config_option_has_its_documented_default(option: str, default: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW__ORVIDEO__{option.upper()}", raising=False)
    declared = INFO["config"]["orvideo"]["options"]
    assert set(declared) == set(CONFIG_DEFAULTS)
    assert declared[option]["default"] == default
    ProvidersManager().initialize_providers_configuration()  # Airflow 3.1 does so in its own processes
    assert conf.get("orvideo", option) == default


# ── Airflow 3.1, which asks the hook ─────────────────────────────────────────────────────────────────────────────────


class _Field:
    def __init__(self, label: str, description: str = "") -> None:
        self.label = label
        self.description = description


@pytest.fixture
def _wtforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the library that comes with Airflow 3.1's server only."""
    module = ModuleType("wtforms")
    for name in ("BooleanField", "PasswordField", "StringField"):
        setattr(module, name, type(name, (_Field,), {}))
    monkeypatch.setitem(sys.modules, "wtforms", module)


def test_the_older_behaviour_agrees_with_the_description() -> None:
    older = OrVideoHook.get_ui_field_behaviour()
    assert {name.replace("_", "-"): value for name, value in older.items()} == FORM["ui-field-behaviour"]
    jsonschema.validate(older, schema("customized_form_field_behaviours.schema.json"))


@pytest.mark.usefixtures("_wtforms")
def test_the_older_widgets_agree_with_the_description() -> None:
    widgets = OrVideoHook.get_connection_form_widgets()
    declared = FORM["conn-fields"]
    assert {name: (widget.label, widget.description) for name, widget in widgets.items()} == {
        name: (field["label"], field["description"]) for name, field in declared.items()
    }
    kinds = {name: type(widget).__name__ for name, widget in widgets.items()}
    assert {name for name, kind in kinds.items() if kind == "PasswordField"} == {"proxy"}
    assert {name for name, kind in kinds.items() if kind == "BooleanField"} == {"allow_insecure_http"}
