"""What the API is known to refuse, or to ignore silently, whatever the model. Pure.

Source: answers of the live API recorded in September and October 2026, and OpenRouter's guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.schema import AudioReference, ImageReference
from airflow_provider_orvideo.exceptions import RequestUnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.api.schema import VideoRequest

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1"})  # noqa: S104 - refused, not bound


@dataclass(frozen=True)
class Violation:
    """One thing that the API would not do.

    Attributes:
        field: path of the field, for example ``frame_images[0].image_url.url``.
        value: what was given, secrets removed.
        allowed: what is allowed, and so what to do.
    """

    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """Return a whole sentence."""
        return f"'{self.field}' is {self.value}: {self.allowed}."


def violations(request: VideoRequest) -> tuple[Violation, ...]:
    """Return everything that makes this request impossible or pointless; empty where nothing is known against it."""
    return tuple(_media(request))


def require_possible(request: VideoRequest) -> None:
    """Refuse a request that cannot work.

    Raises:
        RequestUnsupportedError: one sentence for each violation; nothing was sent.
    """
    found = violations(request)
    if found:
        raise RequestUnsupportedError(tuple(map(str, found)))


def _media(request: VideoRequest) -> Iterator[Violation]:
    if request.frame_images and request.input_references:
        yield Violation(
            "input_references",
            f"given together with {len(request.frame_images)} frame_images",
            "the API uses frame_images alone and ignores the references; give one of the two",
        )
    for position, frame in enumerate(request.frame_images or ()):
        yield from _url(f"frame_images[{position}].image_url.url", frame.image_url.url, image=True)
    for position, reference in enumerate(request.input_references or ()):
        field = f"input_references[{position}]"
        if isinstance(reference, ImageReference):
            yield from _url(f"{field}.image_url.url", reference.image_url.url, image=True)
        elif isinstance(reference, AudioReference):
            yield from _url(f"{field}.audio_url.url", reference.audio_url.url, image=False)
        else:
            yield from _url(f"{field}.video_url.url", reference.video_url.url, image=False)


def _url(field: str, url: str, *, image: bool) -> Iterator[Violation]:
    if image and url.startswith("data:image/"):
        return
    allowed = "an HTTPS URL" + (" or data:image/…;base64,… is allowed" if image else ", and no data: URL, is allowed")
    try:
        parts = urlsplit(url[:4096])
        host = (parts.hostname or "").lower()
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme != "https" or not host:
        yield Violation(field, repr(redact(url, limit=80)), allowed)
    elif host in _LOCAL_HOSTS or host.endswith(".localhost"):
        yield Violation(field, repr(redact(url, limit=80)), "the API cannot reach this machine; use a public HTTPS URL")
