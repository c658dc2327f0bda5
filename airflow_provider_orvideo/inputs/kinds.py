"""What a medium is, by its first bytes; what it is called does not matter. Pure.

Sources: the formats' own specifications (PNG, RFC 9649 for WebP, ISO/IEC 14496-12 for ``ftyp`` with the brands that
mp4ra.org registers, RFC 8794 for EBML, ISO/IEC 11172-3 and 14496-3 for the headers of MP3 and AAC, RFC 3533, RFC 9639).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["image", "audio", "video"]

#: Bytes that `recognise` wants to see; fewer where the file has fewer.
HEAD: Final = 4096


@dataclass(frozen=True)
class Kind:
    """A format.

    Attributes:
        family: how a request refers to it.
        media_type: as in a ``data:`` URL.
    """

    family: Family
    media_type: str

    def __str__(self) -> str:
        """Return words for a message."""
        return f"{_ARTICLES[self.family]} ({self.media_type})"


_ARTICLES: Final[dict[Family, str]] = {"image": "an image", "audio": "audio", "video": "a video"}

PNG: Final = Kind("image", "image/png")
JPEG: Final = Kind("image", "image/jpeg")
GIF: Final = Kind("image", "image/gif")
WEBP: Final = Kind("image", "image/webp")
AVIF: Final = Kind("image", "image/avif")
HEIC: Final = Kind("image", "image/heic")
HEIF: Final = Kind("image", "image/heif")
MP4: Final = Kind("video", "video/mp4")
QUICKTIME: Final = Kind("video", "video/quicktime")
WEBM: Final = Kind("video", "video/webm")
MATROSKA: Final = Kind("video", "video/matroska")
OGG_VIDEO: Final = Kind("video", "video/ogg")
MP3: Final = Kind("audio", "audio/mpeg")
WAV: Final = Kind("audio", "audio/wav")
OGG: Final = Kind("audio", "audio/ogg")
FLAC: Final = Kind("audio", "audio/flac")
M4A: Final = Kind("audio", "audio/mp4")
AAC: Final = Kind("audio", "audio/aac")

#: What can be recognised, for messages.
KNOWN: Final = {
    "image": "PNG, JPEG, WebP, GIF, AVIF or HEIC",
    "audio": "MP3, WAV, M4A, AAC, OGG or FLAC",
    "video": "MP4, QuickTime, WebM or Matroska",
}

_STARTS: Final = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"ID3", MP3),
    (b"fLaC", FLAC),
)
_RIFF: Final = {(b"RIFF", b"WEBP"): WEBP, (b"RIFF", b"WAVE"): WAV, (b"RF64", b"WAVE"): WAV}
#: Brands in the order in which they win; the first of a file says what it is, unless that is as general as ``mif1``.
_BRANDS: Final = (
    (frozenset({b"avif", b"avis"}), AVIF),
    (frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}), HEIC),
    (frozenset({b"mif1", b"msf1"}), HEIF),
    (frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}), M4A),
    (frozenset({b"qt  "}), QUICKTIME),
)
_GENERAL_IMAGE: Final = frozenset({b"mif1", b"msf1"})
#: Boxes that an old QuickTime file, which has no ``ftyp``, may begin with.
_QUICKTIME_STARTS: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})
_EBML: Final = b"\x1a\x45\xdf\xa3"
_EBML_KINDS: Final = {b"webm": WEBM, b"matroska": MATROSKA}
#: The element DocType: its id, a length of up to eight bytes, and its text, all within the first few dozen bytes.
_DOC_TYPE: Final = re.compile(rb"\x42\x82.{1,8}?(webm|matroska)", re.DOTALL)
_EBML_HEADER: Final = 96
#: First pages of a stream in Ogg that is a video.
_THEORA: Final = b"\x80theora"
#: What lies there instead where an address is wrong, in lower case.
_NOT_MEDIA: Final = (
    ((b"<!doctype html", b"<html", b"<head", b"<body"), "an HTML page"),
    ((b"<svg",), "an SVG drawing"),
    ((b"<?xml",), "XML"),
    ((b"%pdf-",), "a PDF"),
    ((b"data:", b"http:", b"https:"), "text that is a URL"),
    ((b"{", b"["), "JSON or other text"),
)


def recognise(head: bytes) -> Kind | None:
    """Say what a file is that begins like this, None for nothing that is known.

    Files of the MP4 and WebM families count as videos unless their brand says otherwise: whether they hold pictures
    stands further in.

    Args:
        head: its first `HEAD` bytes.
    """
    asked = (_by_start, _by_riff, _by_box, _by_ebml, _by_ogg, _by_frame)
    return next(filter(None, (ask(head) for ask in asked)), None)


def describe(head: bytes) -> str:
    """Say in words how a file begins that is nothing known, without its content."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for starts, words in _NOT_MEDIA:
        if text.startswith(starts):
            return words
    return "text" if _is_text(head) else f"bytes that begin with {head[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    try:
        # A head may end within a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def _by_start(head: bytes) -> Kind | None:
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)


def _by_riff(head: bytes) -> Kind | None:
    return _RIFF.get((head[:4], head[8:12]))


def _by_box(head: bytes) -> Kind | None:
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    return QUICKTIME if head[4:8] in _QUICKTIME_STARTS else None


def _by_ebml(head: bytes) -> Kind | None:
    named = _DOC_TYPE.search(head[:_EBML_HEADER]) if head.startswith(_EBML) else None
    return _EBML_KINDS[named[1]] if named else None


def _by_ogg(head: bytes) -> Kind | None:
    if not head.startswith(b"OggS"):
        return None
    return OGG_VIDEO if _THEORA in head else OGG


def _by_brand(head: bytes) -> Kind:
    """Read ``ftyp``: its length, then the major brand, a version, and compatible brands."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    asked = brands if brands[0] in _GENERAL_IMAGE else brands[:1]
    for names, kind in _BRANDS:
        if names.intersection(asked):
            return kind
    return MP4


def _by_frame(head: bytes) -> Kind | None:
    """Recognise MPEG audio that begins with a frame: 11 or 12 bits that are set, and then a header that is possible.

    UTF-16 text begins with such bits, too, but with a layer that no file of today has.
    """
    if len(head) < 4 or head[0] != 0xFF:  # noqa: PLR2004 - a frame's header, and its first byte
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, bits = head[2] >> 2 & 3, head[2] >> 4
    if head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13:  # noqa: PLR2004 - ADTS knows 13 sampling rates
        return AAC
    possible = version != 1 and layer in {1, 2} and rate != 3 and bits not in {0, 15}  # noqa: PLR2004 - reserved
    return MP3 if head[1] & 0xE0 == 0xE0 and possible else None  # noqa: PLR2004 - the sync's last three bits
