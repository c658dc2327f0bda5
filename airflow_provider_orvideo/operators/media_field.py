"""Keeps media that authors hand over as ``data:`` URLs out of what Airflow shows and stores of a task's arguments."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, overload

if TYPE_CHECKING:
    from collections.abc import Callable

#: A medium in a text, which may be the URL itself or JSON that holds it; short ones are shown as they are.
_DATA: Final = re.compile(r"data:[^,\s\"']*,[^\s\"'\\]{200,}", re.IGNORECASE)
_WHOLE: Final = re.compile(r"\s*data:[^,\s\"']*;base64,[A-Za-z0-9+/_\-\s]{200,}={0,2}\s*\Z", re.IGNORECASE)
_NAME: Final = re.compile(r"data:sha256,[0-9a-f]{64}")
_KEPT: Final = "_orvideo_media"


class MediaField:
    """An operator's argument in which each ``data:`` URL reads as its sha256; `media_of` tells the real one.

    Airflow reads the attribute when it serializes a DAG and when it keeps a task's rendered templates, and both would
    hold megabytes of base64. What is assigned may be what was read: rendering does that.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember under which name the value is kept."""
        self._name = f"_{name}"

    @overload
    def __get__(self, operator: None, owner: type) -> MediaField: ...

    @overload
    def __get__(self, operator: object, owner: type) -> Any: ...  # noqa: ANN401 - whatever the author gave

    def __get__(self, operator: object | None, owner: type) -> Any:
        """Return the value with short names for its media."""
        return self if operator is None else getattr(operator, self._name)

    def __set__(self, operator: object, value: Any) -> None:  # noqa: ANN401
        """Keep the value, and its media aside."""
        kept: dict[str, str] = operator.__dict__.setdefault(_KEPT, {})
        object.__setattr__(operator, self._name, _each_text(value, lambda text: _aside(text, kept)))


def media_of(operator: object, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return what was read from a `MediaField`, with its media again."""
    kept: dict[str, str] = operator.__dict__.get(_KEPT, {})
    if not kept:
        return value
    return _each_text(value, lambda text: _NAME.sub(lambda name: kept.get(name[0], name[0]), text))


def _aside(text: str, kept: dict[str, str]) -> str:
    def name(found: re.Match[str]) -> str:
        name = "data:sha256," + hashlib.sha256(found[0].encode()).hexdigest()
        kept[name] = found[0]
        return name

    if _WHOLE.match(text):  # line breaks are allowed in it
        return _WHOLE.sub(name, text)
    return _DATA.sub(name, text)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401
    """Apply ``change`` to each text in lists and dicts; anything else, such as an XComArg, stays what it is."""
    if isinstance(value, str):
        return change(value)
    if type(value) in {list, tuple}:
        return type(value)(_each_text(item, change) for item in value)
    if type(value) is dict:
        return {name: _each_text(item, change) for name, item in value.items()}
    return value
