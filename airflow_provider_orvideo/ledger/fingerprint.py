"""The identity of an order: the same for each attempt at the same video. Pure."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode, urlsplit

from airflow_provider_orvideo.api.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orvideo.api.schema import VideoRequest

#: Fields that describe the call, not the video: a value that changes with each attempt must not buy a second one.
NOT_THE_VIDEO: Final = frozenset({"callback_url", "session_id", "trace", "user"})

#: Characters of a text that are kept in an outline: more than a prompt has, less than an upload.
_LONGEST_TEXT: Final = 20_000
#: Characters without a blank from which a text in the base64 alphabet is a medium rather than words.
_LONGEST_WORD: Final = 1_000
_PACKED: Final = re.compile(r"[A-Za-z0-9+/_\-\r\n]+={0,2}\s*")

#: Query parameters by which S3, Google Cloud Storage, Azure and CloudFront sign a URL: they change with each signing.
_SIGNING_PREFIXES: Final = ("x-amz-", "x-goog-")
#: The parameter that is the signature, and those that belong to it; without it, they are words like any other.
_SIGNING: Final = {
    "signature": frozenset({"expires", "awsaccesskeyid", "googleaccessid", "policy", "key-pair-id"}),
    "sig": frozenset({"se", "st", "sp", "sv", "sr", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv"}),
}


def fingerprint(request: VideoRequest, *, conn_id: str, base_url: str, models: Sequence[str] = ()) -> str:
    """Return the identity of an order, in hex.

    Args:
        request: what is wanted.
        conn_id: Airflow connection that pays.
        base_url: of the API.
        models: where several models may serve, all of them: whichever does, the order is the same.

    Covers every field that shapes the video, and who pays where. Media count by content: a ``data:`` URL by its bytes,
    a signed URL without its signature, which is another one at each rendering. Fields that only describe the call
    (``trace``, ``session_id``, ``user``, ``callback_url``) are left out.
    """
    video = {name: _stable(value) for name, value in request.to_wire().items() if name not in NOT_THE_VIDEO}
    order = {"request": video, "conn_id": conn_id, "base_url": base_url}
    if len(models) > 1:
        order["models"] = [*models]
    return hashlib.sha256(json.dumps(order, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def outline(request: VideoRequest) -> dict[str, Any]:
    """Return what was ordered as JSON to be kept: media by their sha256, URLs without their queries, no secret.

    Fields that only describe the call are left out: they may be others when a task looks at its job again.
    """
    video = {name: value for name, value in request.to_wire().items() if name not in NOT_THE_VIDEO}
    shown: dict[str, Any] = _outlined(video)
    return shown


def differences(written: VideoRequest, sent: VideoRequest) -> dict[str, Any]:
    """Return the fields that were sent otherwise than they were written, as `outline` shows them, but for media."""
    if sent is written:
        return {}
    before, after = outline(written), outline(sent)
    names = (before.keys() | after.keys()) - {"frame_images", "input_references"}
    changed = {name: after.get(name) for name in sorted(names) if before.get(name) != after.get(name)}
    if sent.trace != written.trace:  # no part of the video, but by it two systems' traces are joined
        changed["trace"] = _outlined(sent.to_wire().get("trace"))
    return changed


def _outlined(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    if isinstance(value, list):
        return [_outlined(item) for item in value]
    if isinstance(value, dict):
        return {redact(name): _outlined(item) for name, item in value.items()}
    return _outlined_text(value) if isinstance(value, str) else value


def _outlined_text(text: str) -> str:
    if text[:5].lower() == "data:":
        return _data(text)
    if len(text) >= _LONGEST_WORD and _PACKED.fullmatch(text):
        return _data(f"data:,{text}")
    if re.match(r"https?://", text, re.IGNORECASE):
        with contextlib.suppress(ValueError):
            parts = urlsplit(text)
            text = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return redact(text, limit=_LONGEST_TEXT)


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
