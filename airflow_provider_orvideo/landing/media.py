"""What a file really is, and whether it is whole. Needs nothing; `probe` and `poster` need the ``media`` extra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.exceptions import MediaInvalidError
from airflow_provider_orvideo.landing import mp4, webm
from airflow_provider_orvideo.landing.probe import Probe, poster, probe

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CONTAINERS",
    "MATROSKA",
    "MP4",
    "QUICKTIME",
    "WEBM",
    "Container",
    "Probe",
    "check",
    "has_c2pa",
    "identify",
    "poster",
    "probe",
]

#: Boxes that an old QuickTime file, which has no ``ftyp``, may begin with.
_QUICKTIME_STARTS: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})


@dataclass(frozen=True)
class Container:
    """What a file really is, by its first bytes.

    Attributes:
        extension: usual file name extension, without the dot.
        content_type: media type.
    """

    extension: str
    content_type: str


MP4: Final = Container("mp4", "video/mp4")
QUICKTIME: Final = Container("mov", "video/quicktime")
WEBM: Final = Container("webm", "video/webm")
MATROSKA: Final = Container("mkv", "video/matroska")
CONTAINERS: Final = (MP4, QUICKTIME, WEBM, MATROSKA)
_EBML_CONTAINERS: Final = {"webm": WEBM, "matroska": MATROSKA}


def identify(path: Path) -> Container:
    """Say what the file is, by its first bytes; what a server called it does not matter.

    Raises:
        MediaInvalidError: it is no video container that is known here; the message shows how it begins.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head.startswith(webm.MAGIC):
            kind = webm.doc_type(file, path.stat().st_size)
            if kind in _EBML_CONTAINERS:
                return _EBML_CONTAINERS[kind]
            raise MediaInvalidError(
                f"What arrived is not a video: it is an EBML file of the type {kind!r}; known are "
                f"{', '.join(_EBML_CONTAINERS)}."
            )
    if head[4:8] == b"ftyp":
        return QUICKTIME if head[8:12] == b"qt  " else MP4
    if head[4:8] in _QUICKTIME_STARTS:
        return QUICKTIME
    raise MediaInvalidError(f"What arrived is not a video: it begins with {head!r}.")


def check(path: Path) -> Container:
    """Check that the file is whole and holds a video track with pictures; say what it is.

    What exactly is checked, and what cannot be known without decoding, say `mp4.check` and `webm.check`. Whatever the
    file claims, little memory is used and the walk ends.

    Raises:
        MediaInvalidError: the message says what is missing.
    """
    container = identify(path)
    judge = webm.check if container in _EBML_CONTAINERS.values() else mp4.check
    with path.open("rb") as file:
        judge(file, path.stat().st_size)
    return container


def has_c2pa(path: Path) -> bool:
    """Whether the file carries content credentials: a C2PA manifest of where it comes from.

    Only their presence is seen, they are not verified. Landing stores the file as it came, so they stay valid. The C2PA
    specification embeds manifests into MP4 and QuickTime; for WebM and Matroska, and for a damaged file, the answer is
    False.
    """
    try:
        if identify(path) in _EBML_CONTAINERS.values():
            return False
        with path.open("rb") as file:
            return mp4.has_c2pa(file, path.stat().st_size)
    except MediaInvalidError:
        return False
