"""Makes text from elsewhere fit for a log: no key, no signed URL, no media bytes, and not endless."""

from __future__ import annotations

import re
from typing import Any, Final

#: Longest piece of foreign text that goes into a message, in characters.
MAX_TEXT: Final = 500
#: Levels of foreign JSON that are kept; no documented answer comes near.
MAX_DEPTH: Final = 20

_API_KEY = re.compile(r"sk-or-[A-Za-z0-9_\-]+")
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s\"',;]+")
# An apostrophe may end a quotation or be part of a URL. It ends one where nothing but the end of a sentence or a list
# follows; in case of doubt, too much is taken out rather than too little.
_APOSTROPHE: Final = r"'(?![)\]}'.,;:!?]{0,4}(?:[\s\"<>]|\Z))"


def _run(but: str) -> str:
    """Return a pattern of what a URL may hold, ``but`` some characters."""
    # One class as long as it goes: a choice at each character would keep a note of each.
    some = rf"[^\s\"'<>{but}]*"
    return rf"{some}(?:{_APOSTROPHE}{some})*"


_DATA_URL = re.compile(
    rf"data:(?:[\w.+-]+/[\w.+-]+)?(?:;(?:[\w.+%-]+=)?(?:[\w.+%-]+|\"[^\"]*\"))*,{_run(')')}", re.IGNORECASE
)
# A signature may stand in the query or the fragment, and credentials before the host: what is left of a URL in a
# message is where it points, which is all that a reader needs. JSON inside of text may write a slash as "\/".
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{1,20}:\\?/\\?/)(?:[^/\s\"<>?#]*@)?"
    rf"(?P<rest>{_run('?#')})(?P<secret>[?#]{_run('')})?",
    re.IGNORECASE,
)


def redact(text: str, *, limit: int = MAX_TEXT) -> str:
    """Return ``text`` on one line, without secrets, at most ``limit`` characters long.

    Args:
        text: any text, for example a server's error message or a body that is not JSON.
        limit: longest result in characters; a longer one ends in an ellipsis.
    """
    # Cut first, generously: a data URL of megabytes must not run through four patterns. What is cut off is secret-free
    # by absence, and a pattern that began before the cut still matches up to it.
    clean = text[: limit * 20]
    clean = _DATA_URL.sub("data:…", clean)
    clean = _BEARER.sub(r"\1***", clean)
    clean = _API_KEY.sub("sk-or-***", clean)
    clean = _URL.sub(lambda url: url["scheme"] + url["rest"] + ("?***" if url["secret"] else ""), clean)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def is_clean(text: str) -> bool:
    """Whether `redact` finds nothing to take out of ``text``."""
    return redact(text, limit=len(text) + 1) == " ".join(text.split())


def redact_tree(value: Any, *, depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return a copy of a JSON value with every string redacted (error metadata carries raw provider text).

    Args:
        value: decoded JSON.
        depth: levels of nesting to keep; what lies deeper is left out.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict | list | tuple) and not depth:
        return "…"
    if isinstance(value, dict):
        return {redact(str(key)): redact_tree(item, depth=depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_tree(item, depth=depth - 1) for item in value]
    return value
