"""The identity of an order: the same for each attempt at the same video. Pure."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode, urlsplit

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.schema import VideoRequest

#: Fields that describe the call, not the video: a value that changes with each attempt must not buy a second one.
NOT_THE_VIDEO: Final = frozenset({"callback_url", "session_id", "trace", "user"})

#: Query parameters by which S3, Google Cloud Storage, Azure and CloudFront sign a URL: they change with each signing.
_SIGNING_PREFIXES: Final = ("x-amz-", "x-goog-")
#: The parameter that is the signature, and those that belong to it; without it, they are words like any other.
_SIGNING: Final = {
    "signature": frozenset({"expires", "awsaccesskeyid", "googleaccessid", "policy", "key-pair-id"}),
    "sig": frozenset({"se", "st", "sp", "sv", "sr", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv"}),
}


def fingerprint(request: VideoRequest, *, conn_id: str, base_url: str) -> str:
    """Return the identity of an order, in hex.

    Covers every field that shapes the video, and who pays where. Media count by content: a ``data:`` URL by its bytes,
    a signed URL without its signature, which is another one at each rendering. Fields that only describe the call
    (``trace``, ``session_id``, ``user``, ``callback_url``) are left out.
    """
    video = {name: _stable(value) for name, value in request.to_wire().items() if name not in NOT_THE_VIDEO}
    order = {"request": video, "conn_id": conn_id, "base_url": base_url}
    return hashlib.sha256(json.dumps(order, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _stable(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Replace each medium by its content."""
    if isinstance(value, list):
        return [_stable(item) for item in value]
    if isinstance(value, dict):
        return {name: _content(item) if name == "url" else _stable(item) for name, item in value.items()}
    return value


def _content(url: Any) -> Any:  # noqa: ANN401
    if not isinstance(url, str):
        return _stable(url)
    if url[:5].lower() == "data:":
        return _data(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in query}
    signing = {each for name, others in _SIGNING.items() if name in names for each in (name, *others)}
    query = [
        (name, value)
        for name, value in query
        if name.lower() not in signing and not name.lower().startswith(_SIGNING_PREFIXES)
    ]
    return parts._replace(query=urlencode(query), fragment="").geturl()


def _data(url: str) -> str:
    head, _, payload = url.partition(",")
    content = unquote_to_bytes(payload)
    if head.lower().endswith(";base64"):
        # Line breaks and missing padding are allowed in a URL.
        packed = b"".join(content.split()).rstrip(b"=")
        with contextlib.suppress(binascii.Error):
            content = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    return "sha256:" + hashlib.sha256(content).hexdigest()
