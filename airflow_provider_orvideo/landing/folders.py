"""Folders for downloads on the worker: locked while in use, and swept by the next landing when their user died."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from airflow_provider_orvideo.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_PREFIX: Final = "orvideo-spool-"
#: With what `tempfile.mkdtemp` appends. Only such folders are swept: others beside them are not ours.
_NAME: Final = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")
_LOCK: Final = ".lock"
#: Seconds after which a folder without a lock is taken for one whose maker died before locking it.
_UNLOCKED: Final = 3600.0
#: Bytes that must be free: less than any video needs.
_LEAST_FREE: Final = 16 * 1024 * 1024


@contextmanager
def spool_folder(spool_dir: str | None) -> Iterator[Path]:
    """Make a folder for downloads, removed at the end; sweep those of landings that were killed.

    Args:
        spool_dir: where to make it; default the system's folder for temporary files.

    Raises:
        DestinationError: it cannot be made there, or the disk is full.
    """
    try:
        home = Path(spool_dir or tempfile.gettempdir())
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        if (free := shutil.disk_usage(home).free) < _LEAST_FREE:
            raise OSError(f"only {free} bytes are free in {home}")  # noqa: TRY301 - told like the others, below
        folder, lock = _locked_folder(home)
    except OSError as error:
        raise DestinationError(
            f"'[orvideo] spool_dir' is {spool_dir!r} and cannot be used for downloads: {error}. Set it to a folder "
            "that the worker may write, with room for the videos of one task. The video is paid for and stays with the "
            "API for a while; run this task again then."
        ) from error
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(home: Path) -> tuple[Path, BinaryIO]:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    with ExitStack() as failure:
        failure.callback(shutil.rmtree, folder, ignore_errors=True)
        lock = failure.enter_context((folder / _LOCK).open("wb", buffering=0))
        with suppress(OSError):  # a file system without locks: then nobody sweeps it, either
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now: a lock file without content is one that is not held yet, and its folder no abandoned one.
        lock.write(str(os.getpid()).encode())
        failure.pop_all()
    return folder, lock


def _sweep(home: Path) -> None:
    """Remove what landings left that were killed: their locks ended with them."""
    for folder in home.glob(f"{_PREFIX}*"):
        try:
            ours = _NAME.fullmatch(folder.name) and folder.is_dir() and folder.stat().st_uid == os.getuid()
            if ours and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                log.info("Removed %s, which a landing left that was killed.", folder)
        except OSError:  # somebody else was faster
            continue


def _is_abandoned(folder: Path) -> bool:
    try:
        lock = (folder / _LOCK).open("rb")
    except FileNotFoundError:
        return _is_old(folder)
    with lock:
        if not lock.read(1):
            return _is_old(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # in use, or a file system that knows no locks
            return False
        return True


def _is_old(folder: Path) -> bool:
    return time.time() - folder.stat().st_mtime > _UNLOCKED
