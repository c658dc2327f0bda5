"""Where an input lies, by its address alone. Pure."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from airflow_provider_orvideo.api.redaction import redact

#: Longest address in a message, in characters.
_SHOWN: Final = 160

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL: Final = re.compile(r"(?:file|local)://", re.IGNORECASE)
_WEB: Final = re.compile(r"(?:data:|https?://)", re.IGNORECASE)
_CONN_ID: Final = re.compile(r"[\w.-]{1,200}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
#: How PNG, JPEG, GIF, RIFF and MP4 files begin in base64. A JPEG then looks like an absolute path.
_BASE64_STARTS: Final = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "AAAA")
#: Shortest base64 of a file that begins like one of these, and of any; in characters.
_SHORTEST_MEDIUM: Final = 64
_SHORTEST_BASE64: Final = 1000

_ALLOWED: Final = (
    "it must be an HTTPS URL, an object storage URL such as s3://conn_id@bucket/key.png, an absolute path or a "
    "data:image/…;base64,… URL"
)


class Place(Enum):
    """Who can read an input.

    Attributes:
        WEB: the API itself, or nobody: HTTPS, plain HTTP (which preflight refuses) and ``data:``.
        LOCAL: this machine.
        STORE: an object storage that ``ObjectStoragePath`` may know.
    """

    WEB = "web"
    LOCAL = "local"
    STORE = "store"


def place_of(address: str) -> Place:
    """Say where an input lies.

    Raises:
        ValueError: the address is none; the message says what it is and what is allowed, without secrets.
    """
    if not address.strip():
        raise ValueError(f"is empty: {_ALLOWED}")
    if address == "None":
        raise ValueError("is the word None: its template found nothing; mend it, or pass None")
    if _WEB.match(address):
        return Place.WEB
    if _is_base64(address):
        raise ValueError(f"is base64 of {len(address)} characters without a beginning that says so: {_ALLOWED}")
    if address.startswith("/") or (_LOCAL.match(address) and local_path(address).startswith("/")):
        return Place.LOCAL
    if _SCHEME.match(address) and not _LOCAL.match(address):
        return Place.STORE
    raise ValueError(f"is {shown(address)!r}, which names no place for sure: {_ALLOWED}")


def local_path(address: str) -> str:
    """Return the path of a local address. Percent signs stand for themselves, as in the manifests of landed files."""
    return _LOCAL.sub("", address, count=1)


def shown(address: str) -> str:
    """Return an address as messages show it: without signature, credentials or content, but with its connection."""
    text = redact(address, limit=_SHOWN)
    found = _SCHEME.match(address)
    if not found or _WEB.match(address):
        return text
    conn_id, at, _ = address[found.end() :].partition("/")[0].rpartition("@")
    return f"{text} (connection '{conn_id}')" if at and _CONN_ID.fullmatch(conn_id) else text


def _is_base64(text: str) -> bool:
    shortest = _SHORTEST_MEDIUM if text.startswith(_BASE64_STARTS) else _SHORTEST_BASE64
    return len(text) >= shortest and _BASE64.fullmatch(text) is not None
