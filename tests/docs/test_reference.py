"""The reference is whole: what the provider offers has an entry, and each argument and field of it is explained."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from airflow_provider_orvideo.get_provider_info import get_provider_info

DOCS = Path(__file__).parents[2] / "docs"
INFO = get_provider_info()

#: What the pages show by autodoc, as dotted paths.
ENTRIES = sorted(
    {
        path
        for page in DOCS.glob("*.md")
        for path in re.findall(r"^\.\. auto(?:class|function):: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
)
#: Its fields describe themselves, and the command line lists them.
DESCRIBED_ELSEWHERE = "airflow_provider_orvideo.simulator.SimulatorSettings"


def found(path: str) -> Any:  # noqa: ANN401 - a class or a function
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def offered() -> list[str]:
    modules = [
        module
        for part in ("operators", "sensors", "hooks", "triggers")
        for group in INFO[part]
        for module in group["python-modules"]
    ]
    return [
        f"{module}.{name}"
        for module in modules
        for name, value in vars(importlib.import_module(module)).items()
        if name.startswith("OrVideo") and value.__module__ == module
    ]


def test_what_the_provider_offers_to_dags_has_an_entry() -> None:
    names = {*offered(), *(decorator["class-name"] for decorator in INFO["task-decorators"])}
    assert len(names) >= 6
    assert names - {*ENTRIES} == set()


@pytest.mark.parametrize("path", [path for path in ENTRIES if path != DESCRIBED_ELSEWHERE])
def test_each_argument_or_field_is_explained(path: str) -> None:
    subject = found(path)
    if inspect.isclass(subject) and issubclass(subject, BaseModel):
        # Of manifests, those of the base class are explained there.
        names = {*inspect.get_annotations(subject)} - {"model_config"}
    elif inspect.isclass(subject) and "_member_map_" in vars(subject):
        names = set()  # an enumeration
    else:
        parameters = inspect.signature(subject).parameters.values()
        names = {each.name for each in parameters if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}}
    text = inspect.getdoc(subject) or ""
    sections = re.findall(r"^(?:Args|Attributes):\n((?:    .*\n|\n)*)", f"{text}\n", re.MULTILINE)
    explained = {*re.findall(r"^    \**([a-z_0-9]+): \S", "".join(sections), re.MULTILINE)}
    assert names - explained == set()
