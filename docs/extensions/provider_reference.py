"""Reference pages out of what the provider tells Airflow, pytest and the simulator's users.

In a page::

    .. orvideo-options::
    .. orvideo-connection-fields::
    .. orvideo-commands::
    .. orvideo-fixtures::
    .. orvideo-simulator-options::
    .. orvideo-simulator-settings::
    .. orvideo-simulator-endpoints::

It also lets autodoc read annotations whose names are imported for type checkers only.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from docutils.statemachine import StringList
from fastapi import FastAPI
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import airflow_provider_orvideo
from airflow_provider_orvideo.cli.definition import COMMANDS
from airflow_provider_orvideo.get_provider_info import get_provider_info
from airflow_provider_orvideo.simulator import SimulatorSettings
from airflow_provider_orvideo.simulator import __main__ as simulator_command
from airflow_provider_orvideo.simulator.control import add_control
from airflow_provider_orvideo.simulator.state import State
from airflow_provider_orvideo.testing import plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils.nodes import Node
    from sphinx.application import Sphinx

#: Modules that need the extra ``openlineage``.
_NOT_HERE = "airflow_provider_orvideo.operators.facets"


class _Generated(SphinxDirective):
    """Parses the lines that a subclass makes."""

    def lines(self) -> Iterator[str]:
        """Yield reStructuredText."""
        raise NotImplementedError

    def run(self) -> list[Node]:
        """Return what the lines say."""
        return self.parse_text_to_nodes(StringList(list(self.lines()), source="get_provider_info.py"))


class Options(_Generated):
    """Every option of ``[orvideo]``, as ``get_provider_info()`` declares it."""

    def lines(self) -> Iterator[str]:
        """Yield one entry for each."""
        options: dict[str, dict[str, Any]] = get_provider_info()["config"]["orvideo"]["options"]
        for name, option in options.items():
            variable = f"AIRFLOW__ORVIDEO__{name.upper()}"
            yield f".. confval:: {name}"
            yield f"   :type: {option['type']}"
            yield f"   :default: {_literal(option['default']) if option['default'] else 'empty'}"
            yield ""
            yield f"   {_prose(option['description'], tuple(options))}"
            yield ""
            if option.get("sensitive"):
                yield (
                    f"   **Secret.** Airflow hides it where it shows its configuration. It may also come from a "
                    f"command (``{variable}_CMD``) or from the secrets backend (``{variable}_SECRET``)."
                )
                yield ""
            example = f", for example {_literal(option['example'])}" if option.get("example") else ""
            yield f"   Environment variable ``{variable}``{example}. Since {option['version_added']}."
            yield ""


class ConnectionFields(_Generated):
    """Every field of the connection form, as ``get_provider_info()`` declares it."""

    def lines(self) -> Iterator[str]:
        """Yield one table."""
        form: dict[str, Any] = get_provider_info()["connection-types"][0]
        behaviour = form["ui-field-behaviour"]
        yield ".. list-table::"
        yield "   :header-rows: 1"
        yield ""
        yield from _row("field", "in the form", "type", "meaning")
        for name, meaning in (
            ("password", "The API key, sent as a bearer token to the base URL's origin and nowhere else."),
            ("host", f"Base URL of the API. Default: {_literal(behaviour['placeholders']['host'])}."),
        ):
            yield from _row(_literal(name), behaviour["relabeling"][name], "string", meaning)
        for name, field in form["conn-fields"].items():
            schema = field["schema"]
            (kind,) = {*schema["type"]} - {"null"}
            if "minimum" in schema:
                kind += f", at least {schema['minimum']}"
            if schema.get("format") == "password":
                kind += ", hidden"
            yield from _row(_literal(name), field["label"], kind, _prose(field["description"]))
        yield ""


class Commands(_Generated):
    """Every command of ``airflow orvideo`` with its arguments, as Airflow parses them."""

    def lines(self) -> Iterator[str]:
        """Yield one table for each."""
        for command in COMMANDS:
            yield f".. rubric:: airflow orvideo {command.name}"
            yield ""
            yield f"{_prose(command.help)}."
            yield ""
            yield ".. list-table::"
            yield "   :widths: 35 65"
            yield ""
            for argument in command.args:
                shown = argument.kwargs.get("metavar") or "|".join(argument.kwargs.get("choices") or ())
                names = ", ".join(map(_literal, argument.flags))
                takes = argument.flags[0].startswith("-") and argument.kwargs.get("action") != "store_true"
                yield from _row(
                    f"{names} {_literal(shown)}" if takes and shown else names,
                    _prose(" ".join(str(argument.kwargs.get("help", "")).split()))
                    + (". **Required**" if argument.kwargs.get("required") else ""),
                )
            yield ""


class Fixtures(_Generated):
    """Every fixture of the pytest plugin, by its docstring."""

    def lines(self) -> Iterator[str]:
        """Yield one entry for each."""
        for name, fixture in vars(plugin).items():
            if name.startswith("orvideo_"):
                yield f".. py:data:: {name}"
                yield ""
                doc = GoogleDocstring(inspect.getdoc(inspect.unwrap(fixture)) or "", self.config, what="function")
                yield from (f"   {line}" for line in doc.lines())
                yield ""


class SimulatorOptions(_Generated):
    """Every option of the simulator's command line, as it is parsed."""

    def lines(self) -> Iterator[str]:
        """Yield one table."""
        parser = simulator_command._parser()  # noqa: SLF001 - what is documented is what is parsed
        yield from _table("option", "meaning")
        for action in parser._actions:  # noqa: SLF001 - argparse has no other way
            shown = action.metavar or {int: "PORT", None: ""}.get(action.type, "") if action.nargs != 0 else ""
            names = ", ".join(map(_literal, action.option_strings))
            meaning = (action.help or "").replace("%(default)s", str(action.default))
            yield from _row(f"{names} {_literal(str(shown))}" if shown else names, _prose(meaning))
        yield ""


class SimulatorSettingsTable(_Generated):
    """Every setting of the simulator, as it is checked."""

    def lines(self) -> Iterator[str]:
        """Yield one table."""
        yield from _table("setting", "type", "default", "meaning", widths="20 20 15 45")
        for name, field in SimulatorSettings.model_fields.items():
            bounds = ", ".join(
                f"{words} {getattr(limit, key)}"
                for limit in field.metadata
                for key, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"))
                if hasattr(limit, key)
            )
            hint = get_type_hints(SimulatorSettings)[name]
            kind = hint.__name__ if isinstance(hint, type) else str(hint).removeprefix("typing.")
            yield from _row(
                _literal(name),
                _prose(f"{kind}, {bounds}" if bounds else kind),
                _literal(str(field.default)),
                _prose(field.description or ""),
            )
        yield ""


class SimulatorEndpoints(_Generated):
    """Every control endpoint of the simulator, by its docstring."""

    def lines(self) -> Iterator[str]:
        """Yield one table."""
        app, state = FastAPI(openapi_url=None), State.build(SimulatorSettings())
        add_control(app, state)
        state.close()
        yield from _table("request", "what it does")
        for route in app.routes:
            doc = " ".join((inspect.getdoc(route.endpoint) or "").split())
            (method,) = route.methods - {"HEAD"}
            yield from _row(_literal(f"{method} {route.path}"), doc)
        yield ""


def _table(*heads: str, widths: str = "35 65") -> Iterator[str]:
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield f"   :widths: {widths}"
    yield ""
    yield from _row(*heads)


def _row(first: str, *others: str) -> Iterator[str]:
    yield f"   * - {first}"
    for cell in others:
        yield f"     - {cell}"


def _literal(text: str) -> str:
    return f"``{text}``"


def _prose(text: str, names: tuple[str, ...] = ()) -> str:
    """Escape plain text for reStructuredText, and show names of options as code."""
    code = r"\b(" + "|".join(map(re.escape, names)) + r")\b" if names else r"(?!)()"
    parts = re.split(code, text)
    # Every other part is a name.
    return "".join(
        _literal(part) if number % 2 else re.sub(r"([\\*`|_])", r"\\\1", part) for number, part in enumerate(parts)
    )


def resolve_annotations(_app: Sphinx) -> None:
    """Import what our modules import for type checkers only, so that autodoc can tell the types of arguments."""
    for module in pkgutil.walk_packages(airflow_provider_orvideo.__path__, "airflow_provider_orvideo."):
        if module.name == _NOT_HERE or module.name.endswith("__main__"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is imported, not of the documentation
            namespace = vars(importlib.import_module(module.name))
            for statement in _for_type_checkers(namespace):
                with suppress(ImportError):  # of an extra: the annotation stays a text
                    exec(compile(statement, module.name, "exec"), namespace)  # noqa: S102 - an import of our own
            for kind in [value for value in namespace.values() if inspect.isclass(value)]:
                if kind.__module__ == module.name and "__init__" in vars(kind):
                    _resolve(inspect.unwrap(kind.__init__))


def _resolve(function: Any) -> None:  # noqa: ANN401 - anything with annotations
    """Write types in the place of their names: autodoc does that for functions and methods, not for constructors."""
    with suppress(NameError, TypeError):  # of an extra, or of what only type checkers may subscript
        hints = get_type_hints(function, include_extras=True)
        # A constructor returns nothing; what its class tells under "Returns" is what the task does.
        function.__annotations__ = {name: hint for name, hint in hints.items() if name != "return"}


def _for_type_checkers(namespace: dict[str, Any]) -> Iterator[ast.Module]:
    tree = ast.parse(Path(namespace["__file__"]).read_text(encoding="utf-8"))
    for block in tree.body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assign):
                    yield ast.Module([statement], [])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what is here with Sphinx."""
    app.add_directive("orvideo-options", Options)
    app.add_directive("orvideo-connection-fields", ConnectionFields)
    app.add_directive("orvideo-commands", Commands)
    app.add_directive("orvideo-fixtures", Fixtures)
    app.add_directive("orvideo-simulator-options", SimulatorOptions)
    app.add_directive("orvideo-simulator-settings", SimulatorSettingsTable)
    app.add_directive("orvideo-simulator-endpoints", SimulatorEndpoints)
    app.connect("builder-inited", resolve_annotations)
    return {"parallel_read_safe": True}
