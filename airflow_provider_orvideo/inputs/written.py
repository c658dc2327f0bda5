"""From the arguments of a request as an author writes them to those that the API has. Pure: nothing is read.

Source of the long form: ``VideoGenerationRequest`` in OpenRouter's OpenAPI document of 2026-08-22.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping, Sequence
from posixpath import splitext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow_provider_orvideo.api.schema import AudioReference, ImageReference, MediaUrl, VideoReference
from airflow_provider_orvideo.exceptions import RequestInvalidError
from airflow_provider_orvideo.inputs.address import place_of

if TYPE_CHECKING:
    from airflow_provider_orvideo.inputs.kinds import Family

FRAMES: Final = ("first_frame", "last_frame")

#: What a name or a media type suggests; everything else is taken for an image.
_SUGGESTED: Final[dict[str, Family]] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".webm", ".mkv", ".ogv"), "video"),
    **dict.fromkeys((".mp3", ".wav", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".flac"), "audio"),
}
#: Beginnings of text that a template made of a list, a dict or a quoted string.
_LITERAL: Final = ("[", "{", '"', "'")
#: Longest key in a message, in characters.
_LONGEST_NAME: Final = 30
_FRAMES_ALLOWED: Final = (
    "it must be one address (the first frame), a list of two (first, last), {'first_frame': …, 'last_frame': …}, or a "
    "list of entries as the API writes them"
)
_REFERENCES_ALLOWED: Final = "it must be an address, an entry as the API writes it, or a list of such"


class _WrongError(Exception):
    """The message is a whole sentence, but for its end."""


def written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Spell out the short forms of ``frame_images`` and ``input_references``; leave everything else as it is.

    An address is an HTTPS or ``data:`` URL, an object storage URL, an absolute path, a ``file:///`` URL, or a path
    object of one of these. ``frame_images`` may be one address (the first frame), a list of at most two (first, last),
    or ``{"first_frame": …, "last_frame": …}``, where None leaves one out. ``input_references`` may be one address or a
    list. Both may also be what the API takes, and text that a template made of any of these, as JSON or as Python
    prints it.

    Args:
        values: names of a request's fields, with values as they are after rendering.

    Returns:
        What `VideoRequest.build` takes. A reference that was only an address is an entry whose ``type`` is unset, with
        a value that its name suggests: what it really is, `resolve` sees when it reads it.

    Raises:
        RequestInvalidError: one sentence for each of the two that cannot be read; addresses are shown without secrets.
    """
    spelt, problems = dict(values), []
    for name, spell in (("frame_images", _frames), ("input_references", _references)):
        if spelt.get(name) is None:
            continue
        try:
            spelt[name] = spell(name, _read(name, spelt[name]))
        except _WrongError as wrong:
            problems.append(f"{wrong}.")
    if problems:
        raise RequestInvalidError(tuple(problems))
    return spelt


def _frames(name: str, value: Any) -> Any:  # noqa: ANN401 - an author's argument in, JSON out
    if _is_address(value):
        return [_frame(name, FRAMES[0], value)]
    if isinstance(value, Mapping) and "image_url" in value:
        return [_entry(name, value)]
    if isinstance(value, Mapping):
        if not value or set(value) - set(FRAMES):
            keys = ", ".join(f"'{key}'" if _is_name(key) else "…" for key in list(value)[:5])
            raise _WrongError(f"'{name}' has {f'the keys {keys}' if keys else 'no key'}: {_FRAMES_ALLOWED}")
        given = {frame: _read(f"{name}.{frame}", value[frame]) for frame in FRAMES if value.get(frame) is not None}
        return [_frame(f"{name}.{frame}", frame, address) for frame, address in given.items()] or None
    if not _is_list(value):
        raise _WrongError(f"'{name}' is a {type(value).__name__}: {_FRAMES_ALLOWED}")
    items = [_read(f"{name}[{at}]", item) for at, item in enumerate(value)]
    if items and all(map(_is_address, items)):
        if len(items) > len(FRAMES):
            raise _WrongError(f"'{name}' has {len(items)} addresses: {_FRAMES_ALLOWED}")
        return [_frame(f"{name}[{at}]", FRAMES[at], address) for at, address in enumerate(items)]
    # None first: it is what makes entries of the addresses beside it.
    for at, item in sorted(enumerate(items), key=lambda each: each[1] is not None):
        if _is_address(item) or item is None:
            what = "None" if item is None else "an address among entries"
            raise _WrongError(f"'{name}[{at}]' is {what}: {_FRAMES_ALLOWED}")
    return [_entry(f"{name}[{at}]", item) for at, item in enumerate(items)]


def _frame(field: str, frame_type: str, address: Any) -> dict[str, Any]:  # noqa: ANN401
    if not _is_address(address):
        raise _WrongError(f"'{field}' is a {type(address).__name__}: it must be an address, as text or a path")
    return {"type": "image_url", "image_url": {"url": _checked(field, address)}, "frame_type": frame_type}


def _references(name: str, value: Any) -> Any:  # noqa: ANN401 - an author's argument in, entries out
    if _is_address(value):
        return [_reference(name, value)]
    if isinstance(value, Mapping):
        return [_entry(name, value)]
    if not _is_list(value):
        raise _WrongError(f"'{name}' is a {type(value).__name__}: {_REFERENCES_ALLOWED}")
    found = []
    for at, item in enumerate(value):
        field = f"{name}[{at}]"
        item = _read(field, item)  # noqa: PLW2901 - the same, as a template may have made text of it
        if item is None:
            raise _WrongError(f"'{field}' is None: {_REFERENCES_ALLOWED}")
        found.append(_reference(field, item) if _is_address(item) else _entry(field, item))
    return found


def _reference(field: str, address: Any) -> ImageReference | AudioReference | VideoReference:  # noqa: ANN401
    url = _checked(field, address)
    family = suggested(url)
    if family == "video":
        return VideoReference(video_url=MediaUrl(url=url))
    return (
        AudioReference(audio_url=MediaUrl(url=url))
        if family == "audio"
        else ImageReference(image_url=MediaUrl(url=url))
    )


def suggested(address: str) -> Family:
    """Say what an address is likely to lead to, by its media type (``data:``) or its extension."""
    if address[:5].lower() == "data:":
        family = address[5:11].partition("/")[0].lower()
        return family if family in {"audio", "video"} else "image"  # type: ignore[return-value]
    try:
        path = urlsplit(address[:4096]).path
    except ValueError:
        return "image"
    return _SUGGESTED.get(splitext(path)[1].lower(), "image")


def _entry(field: str, entry: Any) -> Any:  # noqa: ANN401 - what is wrong with it, the request's schema says
    """Look at the addresses of an entry as the API writes it."""
    if not isinstance(entry, Mapping):
        return entry
    spelt = dict(entry)
    for holder in ("image_url", "audio_url", "video_url"):
        medium = spelt.get(holder)
        if isinstance(medium, Mapping) and _is_address(medium.get("url")):
            spelt[holder] = {**medium, "url": _checked(f"{field}.{holder}.url", medium["url"])}
    return spelt


def _checked(field: str, address: Any) -> str:  # noqa: ANN401 - text or a path
    text = str(address).strip()
    try:
        place_of(text)
    except ValueError as wrong:
        raise _WrongError(f"'{field}' {wrong}") from None
    return text


def _read(field: str, value: Any) -> Any:  # noqa: ANN401 - whatever a template rendered to
    """Read what a template made text of; an address stays what it is."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith(_LITERAL):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    raise _WrongError(
        f"'{field}' is text that begins like a list, an object or a quotation, and is neither JSON nor Python; mend "
        "its template, for example with the filter 'tojson'"
    )


def _is_name(key: object) -> bool:
    """Whether a key is one that somebody wrote by hand."""
    return isinstance(key, str) and key.isidentifier() and len(key) <= _LONGEST_NAME


def _is_address(value: Any) -> bool:  # noqa: ANN401
    # Not each of the path classes behind ObjectStoragePath is an os.PathLike.
    return isinstance(value, str | os.PathLike) or (hasattr(value, "protocol") and hasattr(value, "path"))


def _is_list(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview)
