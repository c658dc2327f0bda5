"""Which addresses in object storage the preview may read. Pure: no I/O, no Airflow.

The address comes from a manifest in XCom, which DAG authors and whoever may edit XComs can write, while the API server
reads with its own credentials. So an address counts only if it is written plainly and lies under a prefix that the
administrator listed; whatever could be read in two ways is refused rather than normalised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Longest address that is looked at, in characters; S3 keys have at most 1024 bytes.
MAX_LENGTH: Final = 4096

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/]*)(/.*)?", re.DOTALL)
#: What `ObjectStoragePath` understands as a connection id before the bucket. Airflow allows some more (``/ \ #``),
#: which a URL cannot carry there.
_CONN_ID: Final = re.compile(r"[A-Za-z0-9_.!():\-]+")
_BUCKET: Final = re.compile(r"[A-Za-z0-9_.\-]+(?:@[A-Za-z0-9.\-]+)?")
#: Read in two ways by some parser or store: escapes, queries, fragments, backslashes, chained file systems, controls.
_AMBIGUOUS: Final = re.compile(r"[%\\?#\x00-\x1f\x7f-\x9f\u2028\u2029]|::")
#: Several names of one file system.
_ALIASES: Final = {"local": "file", "s3a": "s3", "s3n": "s3", "gcs": "gs"}
#: Not object storage: an address there would send the API server anywhere.
_WEB: Final = frozenset({"http", "https", "ftp", "ftps", "data"})


class NotAllowedError(ValueError):
    """An address that the preview does not read; the message says why, and holds nothing of the address."""


@dataclass(frozen=True)
class Place:
    """An address that can be read in one way only.

    Attributes:
        scheme: file system, lower case, aliases resolved (``s3a`` is ``s3``).
        conn_id: Airflow connection, None for the default credentials.
        bucket: bucket or container, empty for a local file.
        segments: of the key, none of them empty, ``.`` or ``..``.
    """

    scheme: str
    conn_id: str | None
    bucket: str
    segments: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The address as `ObjectStoragePath` takes it."""
        user = f"{self.conn_id}@" if self.conn_id else ""
        return f"{self.scheme}://{user}{self.bucket}/{self.key}"

    @property
    def key(self) -> str:
        """The path within the bucket, without a slash at its start."""
        return "/".join(self.segments)

    @property
    def is_local(self) -> bool:
        """Whether it lies in a file system of this machine."""
        return self.scheme == "file"

    def is_under(self, prefix: Place) -> bool:
        """Whether it lies below a prefix: same file system, connection and bucket, and whole segments in common."""
        return (
            (self.scheme, self.conn_id, self.bucket) == (prefix.scheme, prefix.conn_id, prefix.bucket)
            and len(self.segments) > len(prefix.segments)
            and self.segments[: len(prefix.segments)] == prefix.segments
        )

    def beside(self, suffix: str) -> Place:
        """Return the address whose name has this at its end."""
        return Place(self.scheme, self.conn_id, self.bucket, (*self.segments[:-1], self.segments[-1] + suffix))


@dataclass(frozen=True)
class Allowed:
    """A place, and the prefix that allows it."""

    place: Place
    prefix: Place


@dataclass(frozen=True)
class Prefixes:
    """What ``[orvideo] preview_allowed_prefixes`` says.

    Attributes:
        places: the prefixes that can be used; empty switches the preview off.
        problems: one sentence for each entry that cannot be used, for the log.
    """

    places: tuple[Place, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Prefixes:
        """Read the option: object storage URLs or absolute paths, separated by commas or line ends.

        An entry that cannot be used is left out and told; it never widens what is allowed.
        """
        places, problems = [], []
        for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
            try:
                places.append(_prefix(entry))
            except NotAllowedError as error:
                problems.append(
                    f"'[orvideo] preview_allowed_prefixes' has the entry {entry!r}, which {error}. It is ignored. "
                    "Write entries such as s3://aws_default@my-bucket/videos/ or file:///srv/videos/."
                )
        return cls(tuple(places), tuple(problems))

    def find(self, uri: str) -> Allowed:
        """Return a manifest's address with the prefix that allows it.

        Raises:
            NotAllowedError: none does, or it can be read in two ways.
        """
        place = parse_place(uri)
        for prefix in self.places:
            if place.is_under(prefix):
                return Allowed(place, prefix)
        raise NotAllowedError("lies under none of the prefixes that '[orvideo] preview_allowed_prefixes' lists")


def parse_place(uri: str) -> Place:
    """Read the address of a file.

    Args:
        uri: object storage URL, ``file://`` URL or absolute local path.

    Raises:
        NotAllowedError: it is not absolute, names no file, or can be read in two ways.
    """
    place = _parse(uri)
    if not place.segments:
        raise NotAllowedError("names no file")
    return place


def _prefix(text: str) -> Place:
    place = _parse(text.removesuffix("/") if not text.endswith("//") else text)
    if place.is_local and not place.segments:
        raise NotAllowedError("would allow every file of the API server")
    return place


def _parse(uri: str) -> Place:
    if len(uri) > MAX_LENGTH:
        raise NotAllowedError(f"is longer than {MAX_LENGTH} characters")
    if found := _AMBIGUOUS.search(uri):
        raise NotAllowedError(f"holds {found.group()!r}, which not everybody reads in the same way")
    match = _URL.fullmatch(f"file://{uri}" if uri.startswith("/") else uri)
    if match is None:
        raise NotAllowedError("is not an absolute URL")
    scheme, netloc, path = match.group(1).lower(), match.group(2), match.group(3) or ""
    scheme = _ALIASES.get(scheme, scheme)
    if scheme in _WEB:
        raise NotAllowedError(f"has the scheme {scheme!r}, which is no object storage")
    conn_id, bucket = _split(scheme, netloc)
    segments = tuple(path[1:].split("/")) if path[1:] else ()
    if any(segment in {"", ".", ".."} for segment in segments):
        raise NotAllowedError("has an empty path segment, or one that is '.' or '..'")
    return Place(scheme, conn_id, bucket, segments)


def _split(scheme: str, netloc: str) -> tuple[str | None, str]:
    """Return connection id and bucket, as `ObjectStoragePath` tells them apart."""
    conn_id, at, bucket = netloc.rpartition("@")
    if at and not _CONN_ID.fullmatch(conn_id):
        raise NotAllowedError("has a connection id with characters that a URL cannot carry")
    if scheme == "file":
        if bucket:
            raise NotAllowedError("names a machine, or is a path that does not begin with '/'")
    elif not _BUCKET.fullmatch(bucket):
        raise NotAllowedError("names no bucket")
    return conn_id or None, bucket
