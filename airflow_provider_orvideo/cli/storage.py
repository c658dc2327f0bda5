"""Paths as people write them in a shell, and the manifests that lie below one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import ObjectStoragePath
from pydantic import ValidationError

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Largest file that is taken for a manifest, in bytes; the prompt is the only part of one that can be long.
_LARGEST: Final = 1024 * 1024
#: Files that are read at a time: stores that can, read them all at once.
_BATCH: Final = 100


def absolute(path: str) -> str:
    """Return a local path as an absolute one, with the slash at its end if it has one; a URL stays as it is."""
    if "://" in path:
        return path
    text = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - pathlib drops the last slash
    return f"{text}/" if path.endswith("/") and text != "/" else text


@dataclass(frozen=True)
class Found:
    """What lies below a path.

    Attributes:
        manifests: of landed files, one for each sidecar.
        skipped: how many ``*.json`` files are no such manifest, or cannot be read.
    """

    manifests: tuple[LandedManifest, ...]
    skipped: int


def manifests_below(path: str) -> Found:
    """Read every manifest of a landed file below a folder.

    Args:
        path: absolute path, or URL as ``ObjectStoragePath`` takes it.

    Raises:
        ConfigurationError: there is no such folder, or the store cannot be listed.
    """
    read = [_manifest(content) for content in _contents(path)]
    manifests = tuple(manifest for manifest in read if manifest is not None)
    return Found(manifests, len(read) - len(manifests))


def _contents(path: str) -> Iterator[object]:
    """Yield what each ``*.json`` file holds; anything but bytes for one that cannot be read."""
    try:
        root = ObjectStoragePath(path)
        listed: dict[str, dict[str, Any]] = root.fs.find(root.path, detail=True)
        exists = bool(listed) or root.fs.exists(root.path)
    except Exception as error:
        # Each store has its own exceptions, and no common base.
        raise ConfigurationError(
            f"{redact(path)} cannot be listed: {type(error).__name__}: {redact(str(error))}. Check the address, the "
            "connection's credentials and the installed file system."
        ) from error
    if not exists:
        raise ConfigurationError(f"Nothing lies at {redact(path)}; give the folder that the videos landed in.")
    names = sorted(name for name in listed if name.endswith(".json"))
    small = [name for name in names if (listed[name].get("size") or 0) <= _LARGEST]
    yield from [None] * (len(names) - len(small))
    for start in range(0, len(small), _BATCH):
        yield from root.fs.cat(small[start : start + _BATCH], on_error="return").values()


def _manifest(content: object) -> LandedManifest | None:
    if not isinstance(content, bytes):
        return None
    try:
        manifest = LandedManifest.model_validate_json(content)
    except ValidationError:
        return None
    return manifest if manifest.files else None
