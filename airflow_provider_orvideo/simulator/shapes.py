"""The shape of a submit request: what the API's schema library (Zod) refuses, in its own words and structure.

Unknown keys pass, as they do live.
"""

import re
from typing import Any

JOB_ID = re.compile(r"gen-vid-\d+-[0-9A-Za-z]{20}")
ASPECT_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21")
RESOLUTIONS = ("360p", "480p", "720p", "768p", "1080p", "1K", "2K", "4K")
FRAME_TYPES = ("first_frame", "last_frame")
REFERENCE_TYPES = ("image_url", "audio_url", "video_url")
MAX_SESSION_ID = 256

Issue = dict[str, Any]
Path = tuple[str | int, ...]
_MISSING = object()


def find_issues(body: object) -> list[Issue]:
    """Everything that is wrong with the structure of a request body; empty if nothing is."""
    issues: list[Issue] = []
    if not isinstance(body, dict):
        return [_wrong_type("object", body, ())]
    _check_type(issues, body, "model", "string", required=True)
    for key in ("prompt", "callback_url", "size", "session_id", "user", "previous_job_id"):
        _check_type(issues, body, key, "string")
    for key in ("duration", "seed", "creativity"):
        _check_type(issues, body, key, "int")
    _check_type(issues, body, "generate_audio", "boolean")
    _check_type(issues, body, "upscale_factor", "number")
    for key in ("provider", "trace"):
        _check_type(issues, body, key, "object")
    _check_enum(issues, body, "aspect_ratio", ASPECT_RATIOS)
    _check_enum(issues, body, "resolution", RESOLUTIONS)
    _check_media(issues, body)
    if not issues:
        _check_values(issues, body)
    return issues


def _check_values(issues: list[Issue], body: dict[str, Any]) -> None:
    """What is wrong with values of the right type."""
    for key, minimum, inclusive in (("duration", 1, True), ("upscale_factor", 0, False)):
        value = body.get(key)
        if value is not None and (value < minimum or (value == minimum and not inclusive)):
            issues.append(_bound("too_small", key, minimum, inclusive=inclusive))
    if len(body.get("session_id") or "") > MAX_SESSION_ID:
        issues.append(_bound("too_big", "session_id", MAX_SESSION_ID, inclusive=True))
    previous = body.get("previous_job_id")
    if previous is not None and not JOB_ID.fullmatch(previous):
        issues.append(_bad_format("regex", "previous_job_id", f"must match pattern /^{JOB_ID.pattern}$/"))
    callback = body.get("callback_url")
    if callback is not None and not re.fullmatch(r"https://[^\s/?#]+\S*", callback):
        issues.append(_bad_format("url", "callback_url", "must be an HTTPS URL"))
    size = body.get("size")
    if size is not None and not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", size):
        issues.append(_bad_format("regex", "size", "must be WIDTHxHEIGHT"))
    options = (body.get("provider") or {}).get("options")
    if options is not None and not isinstance(options, dict):
        issues.append(_wrong_type("record", options, ("provider", "options")))


def _check_media(issues: list[Issue], body: dict[str, Any]) -> None:
    """The two lists of input media: every item needs a type and the matching object with a URL."""
    for key in ("frame_images", "input_references"):
        items = body.get(key)
        if items is None:
            continue
        if not isinstance(items, list):
            issues.append(_wrong_type("array", items, (key,)))
            continue
        types = ("image_url",) if key == "frame_images" else REFERENCE_TYPES
        for position, item in enumerate(items):
            _check_item(issues, item, (key, position), types, needs_frame=key == "frame_images")


def _check_item(issues: list[Issue], item: object, path: Path, types: tuple[str, ...], *, needs_frame: bool) -> None:
    if not isinstance(item, dict):
        issues.append(_wrong_type("object", item, path))
        return
    kind = item.get("type", _MISSING)
    if kind not in types:
        issues.append(_bad_value(types, (*path, "type")))
        return
    holder = item.get(kind, _MISSING)
    if not isinstance(holder, dict):
        issues.append(_wrong_type("object", holder, (*path, kind)))
    elif not isinstance(holder.get("url", _MISSING), str):
        issues.append(_wrong_type("string", holder.get("url", _MISSING), (*path, kind, "url")))
    if needs_frame and item.get("frame_type") not in FRAME_TYPES:
        issues.append(_bad_value(FRAME_TYPES, (*path, "frame_type")))


def _type_name(value: object) -> str:
    """JavaScript's name for the type of a JSON value."""
    if value is _MISSING:
        return "undefined"
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _matches(value: object, expected: str) -> bool:
    if expected == "int":
        return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    return _type_name(value) == expected


def _check_type(issues: list[Issue], body: dict[str, Any], key: str, expected: str, *, required: bool = False) -> None:
    value = body.get(key, _MISSING)
    # The API takes null for an optional field as its absence.
    if value is _MISSING or value is None:
        if required:
            issues.append(_wrong_type(expected, value, (key,)))
    elif not _matches(value, expected):
        issues.append(_wrong_type(expected, value, (key,)))


def _check_enum(issues: list[Issue], body: dict[str, Any], key: str, allowed: tuple[str, ...]) -> None:
    value = body.get(key)
    if value is not None and value not in allowed:
        issues.append(_bad_value(allowed, (key,)))


def _wrong_type(expected: str, value: object, path: Path) -> Issue:
    message = f"Invalid input: expected {expected}, received {_type_name(value)}"
    return {"expected": expected, "code": "invalid_type", "path": list(path), "message": message}


def _bad_value(allowed: tuple[str, ...], path: Path) -> Issue:
    choices = "|".join(f'"{value}"' for value in allowed)
    message = f"Invalid option: expected one of {choices}"
    return {"code": "invalid_value", "values": list(allowed), "path": list(path), "message": message}


def _bad_format(kind: str, key: str, requirement: str) -> Issue:
    return {"code": "invalid_format", "format": kind, "path": [key], "message": f"Invalid string: {requirement}"}


def _bound(code: str, key: str, limit: int, *, inclusive: bool) -> Issue:
    small = code == "too_small"
    sign = (">" if small else "<") + ("=" if inclusive else "")
    words = f"Too {'small' if small else 'big'}: expected value to be {sign}{limit}"
    bound = {"minimum" if small else "maximum": limit, "inclusive": inclusive}
    return {"code": code, **bound, "path": [key], "message": words}
