"""Which URLs the API can and will fetch. Pure: nothing is resolved, nothing is asked.

Source: answers of the live API recorded in September and October 2026: images may be ``data:image/…`` URLs, audio and
video may not, only HTTPS is taken, and localhost is refused. That other private addresses cannot work either follows
from where they lead.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from airflow_provider_orvideo.api.schema import AudioReference, ImageReference
from airflow_provider_orvideo.preflight.violation import REMOVE, Violation, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.preflight.violation import Path

#: Endings of names that never lead out of a private network (RFC 6761, 6762, 8375; ICANN on ``internal``).
_PRIVATE_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".localdomain")
#: What inet_aton and every browser take for an IPv4 address: ``127.1``, ``2130706433``, ``0x7f.0.0.1``.
_NUMERIC_HOST = re.compile(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", re.ASCII)
#: Of a longer URL, only the beginning is parsed; a host name ends long before.
_PARSED: Final = 4096


def media_violations(request: VideoRequest) -> Iterator[Violation]:
    """Yield what is wrong with the URLs of a request, whatever the model."""
    for position, frame in enumerate(request.frame_images or ()):
        yield from _media(("frame_images", position, "image_url", "url"), frame.image_url.url, image=True)
    for position, reference in enumerate(request.input_references or ()):
        if isinstance(reference, ImageReference):
            holder, media, image = "image_url", reference.image_url, True
        elif isinstance(reference, AudioReference):
            holder, media, image = "audio_url", reference.audio_url, False
        else:
            holder, media, image = "video_url", reference.video_url, False
        yield from _media(("input_references", position, holder, "url"), media.url, image=image)
    if request.callback_url is not None and not is_public(_parsed(request.callback_url)[1]):
        yield Violation(
            "callback_url",
            shown(request.callback_url),
            "the API could not reach it, so no webhook would ever arrive; only a public HTTPS URL is allowed",
            REMOVE,
        )


def _media(path: Path, url: str, *, image: bool) -> Iterator[Violation]:
    if image and url.startswith("data:image/"):
        return
    field = f"{path[0]}[{path[1]}].{path[2]}.{path[3]}"
    scheme, host = _parsed(url)
    instead = " or a data:image/…;base64,… URL" if image else ""
    if host and not is_public(host):
        yield Violation(
            field,
            shown(url),
            f"the API cannot reach this machine or a private network; use a public HTTPS URL{instead}",
            path=path,
        )
    elif scheme != "https" or not host:
        none = "" if image else ", and no data: URL,"
        nearest = f"https{url[4:]}" if host and url[:5].lower() == "http:" else None
        advice = "" if nearest else "; put it where the API can fetch it"
        yield Violation(field, shown(url), f"only an HTTPS URL{instead}{none} is allowed{advice}", nearest, path)


def _parsed(url: str) -> tuple[str, str]:
    """Return scheme and host, both empty where this is no URL."""
    try:
        parts = urlsplit(url[:_PARSED])
        return parts.scheme, (parts.hostname or "").lower()
    except ValueError:
        return "", ""


def is_public(host: str) -> bool:
    """Whether a host name may lead out of this machine and its network, as far as the name tells."""
    name = host.removesuffix(".")
    try:
        address = _address(name)
    except OSError:
        return False
    if address is not None:
        return address.is_global and not address.is_multicast
    # A name without a dot is one of a local resolver: a container's, a service's, localhost.
    return "." in name and not name.endswith(_PRIVATE_NAMES)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host name is; None for a real name. Raises OSError for numbers that are no address."""
    try:
        address = ip_address(name)
    except ValueError:
        return IPv4Address(socket.inet_aton(name)) if _NUMERIC_HOST.fullmatch(name) else None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
