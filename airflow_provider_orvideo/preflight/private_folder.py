"""A folder of one user's own inside a place that others may share, with files that only that user reads and writes.

What lies in a shared temporary folder may have been put there by anyone. So nothing is read or written before the
folder is known to be a real one, of this user, closed to all others; and from then on it is reached through its
descriptor, so that it cannot be exchanged in between.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_CLOSED: Final = 0o700
_OTHERS: Final = 0o077


class PrivateFolder:
    """An open private folder; use it in a ``with`` block.

    Args:
        parent: where it lies; made if it is missing. May be shared with others, such as ``/tmp``.
        name: name of the folder; the user's number is appended, so that users do not meet.

    Raises:
        OSError: it cannot be made or opened.
        PermissionError: it is not this user's own, or cannot be closed to others.
    """

    def __init__(self, parent: Path, name: str) -> None:
        user = os.geteuid()
        path = parent / f"{name}-{user}"
        with suppress(FileExistsError):
            parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=_CLOSED)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self._check(path, user)
        except OSError:
            os.close(self._descriptor)
            raise

    def _check(self, path: Path, user: int) -> None:
        found = os.fstat(self._descriptor)
        if found.st_uid == user and found.st_mode & _OTHERS:
            # Opened by a volume's manager, say. What others put into it meanwhile is theirs, and so not read.
            os.fchmod(self._descriptor, _CLOSED)
            found = os.fstat(self._descriptor)
        if found.st_uid != user or found.st_mode & _OTHERS:
            raise PermissionError(
                f"{path} belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):o}, and is only trusted "
                f"as user {user}'s own with mode {_CLOSED:o}"
            )

    def __enter__(self) -> Self:
        """Enter a block that closes the folder at its end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the folder."""
        os.close(self._descriptor)

    def read(self, name: str, *, limit: int) -> bytes | None:
        """Return a file's content; None where there is none that is this user's own and at most ``limit`` bytes long.

        Raises:
            OSError: it is there and cannot be read.
        """
        try:
            # Not blocking: whatever lies under the name, opening it must not wait.
            descriptor = self._open(name, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS
            return file.read() if own and found.st_size <= limit else None

    def replace(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all. Only while holding a lock: its temporary name is always the same.

        Raises:
            OSError: it cannot be written; what was there before is still there.
        """
        temporary = f"{name}.part"
        with suppress(FileNotFoundError):  # left by a process that died
            os.unlink(temporary, dir_fd=self._descriptor)
        try:
            with os.fdopen(self._open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                file.write(content)
            os.replace(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self._descriptor)
            raise

    @contextmanager
    def lock_file(self, name: str) -> Iterator[int]:
        """Open the file that is locked, and close it at the end, which lets the lock go; so does a process that dies.

        Raises:
            OSError: it cannot be opened.
        """
        descriptor = self._open(name, os.O_RDWR | os.O_CREAT)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, mode=0o600, dir_fd=self._descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process alone, and say whether that worked. Never waits.

    Raises:
        OSError: this file system knows no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
