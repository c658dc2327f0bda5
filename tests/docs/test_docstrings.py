"""What the reference says about a name is whole: arguments, units, defaults, errors, and where a fact comes from.

What can be decided without a person is decided here; whether a sentence is true, a person must read.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import textwrap
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import BaseModel

import airflow_provider_orvideo
from airflow_provider_orvideo import exceptions
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.cli.definition import COMMANDS
from airflow_provider_orvideo.get_provider_info import get_provider_info
from airflow_provider_orvideo.simulator import SimulatorSettings
from airflow_provider_orvideo.testing import plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(airflow_provider_orvideo.__path__[0])
PAGES: Final = {page.name: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
INFO: Final = get_provider_info()
OPTIONS: Final[dict[str, dict[str, Any]]] = INFO["config"]["orvideo"]["options"]
FORM: Final[dict[str, Any]] = INFO["connection-types"][0]

#: Modules whose public names are there for users, besides those that provider info lists.
FOR_USERS: Final = (
    "airflow_provider_orvideo.chains",
    "airflow_provider_orvideo.decorators",
    "airflow_provider_orvideo.exceptions",
    "airflow_provider_orvideo.links",
    "airflow_provider_orvideo.manifests",
    "airflow_provider_orvideo.prices",
    "airflow_provider_orvideo.simulator",
    "airflow_provider_orvideo.testing.faults",
    "airflow_provider_orvideo.testing.running",
    "airflow_provider_orvideo.webhooks",
)
#: Public by their spelling only: the provider's own rooms use them.
INTERNAL: Final = {
    "airflow_provider_orvideo.operators.download.job_manifest",
    "airflow_provider_orvideo.manifests.iso",
    "airflow_provider_orvideo.testing.running.make_database",
}
#: Airflow's own ``task`` with a type; the page of the decorator tells what it is.
AIRFLOWS: Final = {"airflow_provider_orvideo.decorators.task"}

DIRECTIVE: Final = re.compile(r"^\.\. auto(class|function|module):: (\S+)\n((?:   \S.*\n)*)", re.MULTILINE)
SECTION: Final = re.compile(r"^(?:Args|Attributes|Raises|Returns|Yields):\n(?:(?:    .*)?\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """What has an entry in the reference.

    Attributes:
        path: how the page names it; for members, with the name of the class.
        subject: the class, function, property or method.
        owner: of a member, its class.
    """

    path: str
    subject: Any
    owner: type | None = None

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.subject) or ""

    @property
    def is_model(self) -> bool:
        return inspect.isclass(self.subject) and issubclass(self.subject, BaseModel)


def found(path: str) -> Any:  # noqa: ANN401 - a module, a class or a function
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def own(module: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a module
    """Yield what a module offers: what it declares in ``__all__``, or else the public classes and functions it has."""
    declared = getattr(module, "__all__", None)
    for name in declared or vars(module):
        value = getattr(module, name)
        here = declared is not None or getattr(value, "__module__", None) == module.__name__
        if here and not name.startswith("_") and callable(value):
            yield name, value


def members(kind: type, options: str) -> Iterator[tuple[str, Any]]:
    """Yield the members that autodoc shows for these options."""
    names: list[str] = []
    for option, value in re.findall(r"^   :((?:special-)?members): *(.*)$", options, re.MULTILINE):
        wanted = [name.strip() for name in value.split(",") if name.strip()]
        names += wanted or [name for name in vars(kind) if not name.startswith("_") and option == "members"]
    for name in names:
        value = inspect.getattr_static(kind, name)
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if inspect.isfunction(value) or isinstance(value, property):
            yield name, value


def entries() -> Iterator[Entry]:
    for text in PAGES.values():
        for what, path, options in DIRECTIVE.findall(text):
            subject = found(path)
            if what == "module":
                yield from (Entry(f"{path}.{name}", value) for name, value in own(subject))
                continue
            yield Entry(path, subject)
            if inspect.isclass(subject):
                yield from (Entry(f"{path}.{name}", value, subject) for name, value in members(subject, options))


ENTRIES: Final = sorted(entries(), key=lambda entry: entry.path)


def of_each(*given: Entry) -> pytest.MarkDecorator:
    assert given
    prefix = f"{airflow_provider_orvideo.__name__}."
    return pytest.mark.parametrize("entry", given, ids=[entry.path.removeprefix(prefix) for entry in given])


def sections(doc: str, *names: str) -> dict[str, str]:
    """Return what sections explain, by name: ``Args:`` is ``name: text`` and so on."""
    explained = {}
    for section in SECTION.finditer(f"{doc}\n"):
        head, _, body = section[0].partition(":\n")
        if head in names:
            for name, text in re.findall(r"^    \**(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE):
                explained[name] = " ".join(text.split())
    return explained


# ── Nothing is missing ───────────────────────────────────────────────────────────────────────────────────────────────


def offered() -> set[str]:
    """Return what users may import."""
    modules = {
        *FOR_USERS,
        *(
            module
            for part in ("operators", "sensors", "hooks", "triggers")
            for group in INFO[part]
            for module in group["python-modules"]
        ),
    }
    names = {f"{module}.{name}" for module in modules for name, _ in own(found(module))}
    return {*names, *INFO["extra-links"], FORM["hook-class-name"]} - INTERNAL - AIRFLOWS


def shown_imports() -> set[str]:
    """Return what code in the documentation and the examples imports."""
    sources = [*PAGES.values(), (ROOT / "README.md").read_text(encoding="utf-8")]
    sources += [path.read_text(encoding="utf-8") for path in (ROOT / "example_dags").rglob("*.py")]
    sources += [path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "example_project").rglob("*.py")]
    lines = [
        match
        for text in sources
        for match in re.findall(r"^\s*from (airflow_provider_orvideo[\w.]*) import ([\w, ]+)$", text, re.MULTILINE)
    ]
    return {f"{module}.{name.strip()}" for module, names in lines for name in names.split(",")} - AIRFLOWS


@pytest.mark.parametrize("names", [offered(), shown_imports()], ids=["offered", "shown"])
def test_what_users_may_import_has_an_entry(names: set[str]) -> None:
    assert len(names) > 10
    assert names - {entry.path for entry in ENTRIES} == set()


def test_what_an_entry_takes_or_returns_has_an_entry() -> None:
    """A type of ours in a signature is explained, too."""
    kinds = {entry.subject.__name__ for entry in ENTRIES if inspect.isclass(entry.subject)}
    public = re.compile(r"\b[A-Z]\w+\b")
    missing = {
        (name, entry.path)
        for entry in ENTRIES
        for hint in hints_of(entry).values()
        for name in public.findall(hint)
        if name in OURS and name not in kinds
    }
    assert missing == set()


def hints_of(entry: Entry) -> dict[str, str]:
    """Return the annotations of an entry as they are written: of fields, of arguments, and what it returns."""
    subject = entry.subject
    if isinstance(subject, property):
        subject = subject.fget
    elif inspect.isclass(subject) and has_constructor(subject):
        subject = subject.__init__ if not is_dataclass(subject) else subject
    return {name: str(hint) for name, hint in inspect.get_annotations(subject).items()}


def has_constructor(kind: type) -> bool:
    return "__init__" in vars(kind)


#: Names of the classes of this package, but for those that only type checkers see: their fields are arguments.
OURS: Final = {
    node.name
    for path in PACKAGE.rglob("*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and path.name != "typed.py"
}


# ── Each entry is explained ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_entry_has_a_docstring() -> None:
    undocumented = {entry.path for entry in ENTRIES if not (getattr(entry.subject, "__doc__", "") or "").strip()}
    assert undocumented == set()


def takes(entry: Entry) -> dict[str, Any]:
    """Return what must be explained: arguments or fields, each with its default."""
    if isinstance(entry.subject, property) or (inspect.isclass(entry.subject) and issubclass(entry.subject, Enum)):
        return {}
    if entry.is_model:
        of_its_own = {*inspect.get_annotations(entry.subject)}
        return {
            name: inspect.Parameter.empty if field.is_required() else field.default
            for name, field in entry.subject.model_fields.items()
            if name in of_its_own
        }
    if (
        inspect.isclass(entry.subject)
        and issubclass(entry.subject, BaseException)
        and not has_constructor(entry.subject)
    ):
        return {}
    parameters = inspect.signature(entry.subject).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in {"self", "cls"}}


def explained(entry: Entry) -> dict[str, str]:
    """Return the explanations of arguments and fields; those of the simulator's settings stand at the fields."""
    if entry.subject is SimulatorSettings:
        return {name: field.description or "" for name, field in SimulatorSettings.model_fields.items()}
    return sections(entry.doc, "Args", "Attributes")


WITH_ARGUMENTS: Final = [entry for entry in ENTRIES if takes(entry)]


@of_each(*WITH_ARGUMENTS)
def test_every_argument_and_field_is_explained(entry: Entry) -> None:
    assert {*takes(entry)} - {name for name, text in explained(entry).items() if text} == set()


@of_each(*WITH_ARGUMENTS)
def test_no_explanation_is_of_an_argument_that_does_not_exist(entry: Entry) -> None:
    assert {*explained(entry)} - {*takes(entry)} == set()


# ── Units ────────────────────────────────────────────────────────────────────────────────────────────────────────────

UNIT: Final = re.compile(
    r"second|minute|hour|US dollars|bytes?\b|pixels|frames a second|factor|fraction|ISO 8601", re.IGNORECASE
)


def needs_unit(name: str, hint: str) -> bool:
    """Whether a value is an amount of something, and not a count, a flag or a text."""
    is_amount = bool(re.search(r"\b(float|timedelta|Decimal|Money|Seconds)\b", hint))
    return is_amount or bool(re.search(r"(_usd|_s|_at|_seconds|_bytes|_timeout|_interval|_ttl)$", name))


@of_each(*WITH_ARGUMENTS)
def test_an_amount_has_a_unit(entry: Entry) -> None:
    hints = hints_of(entry)
    without = {
        name: text
        for name, text in explained(entry).items()
        if needs_unit(name, hints.get(name, ""))
        and not UNIT.search(text)
        and not re.search(r"as (above|at|`|the) ?", text)
    }
    assert without == {}


# ── Defaults ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MARKED: Final = re.compile(r"(?:``([^`]+)``|(\w+)) \(default\)")
NAMED: Final = re.compile(
    r"\b[Dd]efault:? (?:``([^`]+)``|(True|False|-?\d+(?:\.\d+)?))(?: (s|seconds|minutes|hours)\b)?"
)
SECONDS: Final = {"s": 1, "seconds": 1, "minutes": 60, "hours": 3600}


@of_each(*WITH_ARGUMENTS)
def test_a_default_that_is_told_is_the_default(entry: Entry) -> None:
    wrong = {}
    for name, text in explained(entry).items():
        default = takes(entry).get(name)
        for match in (*MARKED.finditer(text), *NAMED.finditer(text)):
            told, unit = match[1] or match[2], match[3] if match.re is NAMED else None
            if default is inspect.Parameter.empty:
                continue
            if isinstance(default, timedelta):
                default = default.total_seconds()
            same = (
                float(told) * SECONDS.get(unit or "", 1) == default
                if isinstance(default, float)
                else told == str(default)
            )
            if not same:
                wrong[name] = (told, default)
    assert wrong == {}


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Errors about arguments: a constructor passes its own on, a function may give some that cannot be wrong.
OF_ARGUMENTS: Final = (ValueError, TypeError)
#: Promised by what an entry calls, and not possible as it calls it: no limit is given, and no budget asked for.
IMPOSSIBLE: Final = {
    "airflow_provider_orvideo.prices.estimate": {exceptions.CostLimitError, exceptions.BudgetExceededError}
}
#: What turns errors into others, or swallows them: what is called inside is no promise of who calls.
TURNS: Final = {"airflow_failures", "suppress"}


def error_named(name: str) -> type[BaseException] | None:
    kind = getattr(exceptions, name, None) or getattr(builtins, name, None)
    return kind if inspect.isclass(kind) and issubclass(kind, BaseException) else None


def bodies(entry: Entry) -> Iterator[Any]:
    """Yield the functions that run when an entry is called."""
    if not inspect.isclass(entry.subject):
        yield entry.subject.fget if isinstance(entry.subject, property) else entry.subject
        return
    for name in ("__init__", "__post_init__"):
        function = vars(entry.subject).get(name)
        if inspect.isfunction(function) and function.__module__ == entry.subject.__module__ and source(function):
            yield function


def source(function: Any) -> ast.Module | None:  # noqa: ANN401 - a function
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError):  # a dataclass has made it
        return None


def runs(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what certainly runs as part of a function: nothing that is only defined, nothing that is caught."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.Try) and child.handlers:
            for handler in child.handlers:
                yield from runs(handler)
            continue
        if isinstance(child, ast.With) and any(
            isinstance(item.context_expr, ast.Call)
            and isinstance(item.context_expr.func, ast.Name)
            and item.context_expr.func.id in TURNS
            for item in child.items
        ):
            continue
        yield child
        yield from runs(child)


def promised(doc: str) -> set[type[BaseException]]:
    """Return the errors that a docstring tells; of an operator's, those that do not wait until its task runs."""
    told = sections(doc, "Raises")
    now = {name for name, text in told.items() if text.startswith("at parse time")}
    return {kind for name in now or told if (kind := error_named(name))}


def raised(entry: Entry) -> set[type[BaseException]]:
    """Return what an entry raises itself, and what the functions of ours promise to raise that it calls."""
    errors: set[type[BaseException]] = set()
    for function in bodies(entry):
        tree = source(function)
        assert tree is not None
        names = dict(inspect.unwrap(function).__globals__)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(airflow_provider_orvideo.__name__):
                module = importlib.import_module(node.module or "")
                names |= {alias.asname or alias.name: getattr(module, alias.name, None) for alias in node.names}
        owner = entry.subject if inspect.isclass(entry.subject) else entry.owner
        for node in runs(tree.body[0]):
            if isinstance(node, ast.Raise) and node.exc is not None:
                what = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                kind = error_named(what.id) if isinstance(what, ast.Name) else None
                errors |= {kind} if kind else set()
            elif isinstance(node, ast.Call):
                callee = called(node.func, names, owner)
                if getattr(callee, "__module__", "").startswith(airflow_provider_orvideo.__name__):
                    errors |= {
                        kind
                        for kind in promised(inspect.getdoc(callee) or "")
                        if inspect.isclass(entry.subject) or not issubclass(kind, OF_ARGUMENTS)
                    }
    return errors - IMPOSSIBLE.get(entry.path, set())


def called(node: ast.expr, names: Mapping[str, Any], owner: type | None) -> Any:  # noqa: ANN401 - whatever it is
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        holder = owner if node.value.id in {"self", "cls"} else names.get(node.value.id)
        return inspect.getattr_static(holder, node.attr, None) if holder is not None else None
    return None


@of_each(*[entry for entry in ENTRIES if raised(entry)])
def test_an_error_that_is_raised_is_told(entry: Entry) -> None:
    told = {kind for name in sections(entry.doc, "Raises") if (kind := error_named(name))}
    assert {kind.__name__ for kind in raised(entry) if not any(issubclass(kind, base) for base in told)} == set()


@of_each(*[entry for entry in ENTRIES if sections(entry.doc, "Raises")])
def test_an_error_that_is_told_exists(entry: Entry) -> None:
    airflows = {"AirflowFailException", "AirflowNotFoundException", "AirflowSensorTimeout", "AirflowSkipException"}
    assert {name for name in sections(entry.doc, "Raises") if not error_named(name)} - airflows == set()


# ── Where a fact comes from ──────────────────────────────────────────────────────────────────────────────────────────

SOURCE: Final = re.compile(r"^Sources?(?: of [\w ]+)?: \S", re.MULTILINE)
ABOUT_THE_API: Final = re.compile(r"\b(?:GET|POST) /|\blive API\b|X-OpenRouter|``createVideos``")
#: Their entries are the API's own fields, statuses and headers.
OF_THE_API: Final = ("airflow_provider_orvideo.api.schema", "airflow_provider_orvideo.webhooks")


def tells_of_the_api(entry: Entry) -> bool:
    module = getattr(entry.owner or entry.subject, "__module__", "")
    return module in OF_THE_API or bool(ABOUT_THE_API.search(entry.doc))


@of_each(*[entry for entry in ENTRIES if tells_of_the_api(entry)])
def test_a_fact_about_the_api_has_a_source(entry: Entry) -> None:
    # What a class says of its source holds for its members.
    assert SOURCE.search(f"{entry.doc}\n{inspect.getdoc(entry.owner) if entry.owner else ''}")


# ── What Airflow shows of it ─────────────────────────────────────────────────────────────────────────────────────────


#: How a value of each type is read from text.
READ: Final[dict[str, Callable[[str], object]]] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": {"True": True, "False": False}.__getitem__,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_explained(name: str) -> None:
    option = OPTIONS[name]
    assert {"description", "type", "default", "example", "version_added"} <= {*option}
    assert option["description"].endswith(".")
    assert re.fullmatch(r"\d+\.\d+\.\d+", option["version_added"])
    for value in (option["default"], option["example"]):
        if value is not None:
            READ[option["type"]](value)
    assert (option["example"] is None) == bool(option.get("sensitive"))
    if option["default"] == "":
        assert option["type"] == "string"
        assert "Empty:" in option["description"]
    elif option["type"] in {"integer", "float"}:
        assert UNIT.search(option["description"]) or option["description"].startswith("Videos ")


#: What reads numbers of the section: their name first, then their default.
NUMBERS: Final = {"number", "whole_number", "number_or_default"}


def fallbacks() -> Iterator[tuple[str, str, object]]:
    """Yield what code takes where an option is not set: where, which option, and what."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called, arguments = ast.unparse(node.func), {each.arg: each.value for each in node.keywords}
            if called.startswith("conf.") and ast.unparse(node.args[0]) == "'orvideo'":
                name, fallback = node.args[1], arguments["fallback"]
            elif called in NUMBERS and isinstance(node.args[0], ast.Constant):
                name, fallback = node.args[:2]
            elif called == "switch_or_default" and "section" not in arguments:
                name, fallback = node.args[0], arguments.get("default", ast.Constant(value=False))
            else:
                continue
            module = importlib.import_module(
                ".".join([airflow_provider_orvideo.__name__, *path.relative_to(PACKAGE).with_suffix("").parts])
            )
            value = (
                ast.literal_eval(fallback)
                if isinstance(fallback, ast.Constant)
                else getattr(module, ast.unparse(fallback))
            )
            yield path.name, ast.literal_eval(name), value


def test_code_falls_back_to_the_defaults_that_are_declared() -> None:
    taken = [*fallbacks()]
    assert {name for _, name, _ in taken} == {*OPTIONS}
    for where, name, value in taken:
        assert value == READ[OPTIONS[name]["type"]](OPTIONS[name]["default"]), (where, name)


@pytest.mark.parametrize("name", FORM["conn-fields"])
def test_a_field_of_the_connection_is_explained(name: str) -> None:
    field = FORM["conn-fields"][name]
    default = {each.name: each.default for each in fields(ClientConfig)}[name]
    assert field["label"]
    told = re.search(r"Default:? (\S+?)\.(?: |$)|Default: \S", field["description"])
    assert told or "Optional." in field["description"]
    if isinstance(default, float):
        assert told is not None
        assert float(told[1]) == default
        assert UNIT.search(field["description"])


def test_each_command_and_each_of_its_arguments_is_explained() -> None:
    for command in COMMANDS:
        assert command.help
        for argument in command.args:
            assert argument.kwargs.get("help"), (command.name, argument.flags)
            default, choices = argument.kwargs.get("default"), argument.kwargs.get("choices")
            if choices and isinstance(default, str):
                assert f"(default: {default})" in argument.kwargs["help"]


def test_each_setting_of_the_simulator_is_explained_with_its_unit() -> None:
    for name, field in SimulatorSettings.model_fields.items():
        assert field.description, name
        if needs_unit(name, str(field.annotation)):
            assert UNIT.search(field.description), name


def test_each_fixture_has_a_docstring_and_is_in_the_list_of_fixtures() -> None:
    fixtures = [name for name in vars(plugin) if name.startswith("orvideo_")]
    assert len(fixtures) >= 5
    for name in fixtures:
        assert inspect.getdoc(inspect.unwrap(getattr(plugin, name))), name
        assert f"\n| `{name}` |" in PAGES["testing.md"], name
