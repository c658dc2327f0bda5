"""A budget's log in object storage: numbered entries, of which each number is given once.

Who writes entry 8 has read entry 7, and nobody else wrote an entry 8 in between: that is all the safety there is, and
it rests on the store creating a file only where there is none, in one step. Airflow has no such place: XCom, Variables
and the task state store write over whatever another task wrote meanwhile.

What creates a file so, read in the sources of s3fs 2026.9, adlfs 2026.8 and gcsfs 2026.10: S3 by ``If-None-Match``,
Azure Blob by the same, Cloud Storage by ``ifGenerationMatch=0`` (but not in zonal buckets, where gcsfs writes over),
and a hard link on a local file system. fsspec's own ``mode="create"`` looks first and writes then, which is a race.
"""

from __future__ import annotations

import errno
import json
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow.sdk import ObjectStoragePath
from pydantic import ValidationError

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_orvideo.landing.protocols import AZURE, GCS, LOCAL, S3
from airflow_provider_orvideo.ledger.budget_account import SCHEMA_VERSION, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

#: What to do where a budget cannot be kept; the end of a message.
INSTEAD: Final = (
    "Or do without: 'max_cost_usd' on the task, a mapped list of no more items than the budget buys at that price, and "
    "an Airflow pool (with deferred tasks included) that bounds how many videos are under way at a time."
)

_NAME: Final = re.compile(r"\d{6,}\.json")
#: Entry 0 tells nothing. It is there to be refused.
_MARKER: Final = 0
#: How a file system says that it has no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
#: S3's words for "there is one already" and "another one is being written"; s3fs knows only the first, and not always.
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


def _create_local(path: ObjectStoragePath, data: bytes) -> None:
    """Show a file whole or not at all: who opened it under its own name could die before the first byte."""
    final = Path(path.path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            _link(part, final)
            # Only now, so that who comes second does not wait for the disk.
            os.fsync(file.fileno())
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _link(part: Path, final: Path) -> None:
    try:
        final.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise ConfigurationError(
            f"A run budget cannot be kept in {final.parent}: its file system has no hard links, without which two "
            f"tasks could write the same entry. Set [orvideo] state_path to another place. {INSTEAD}"
        ) from error


def _create_by_mode(path: ObjectStoragePath, data: bytes) -> None:
    path.fs.pipe_file(path.path, data, mode="create")


def _create_azure(path: ObjectStoragePath, data: bytes) -> None:
    path.fs.pipe_file(path.path, data, overwrite=False)


_CREATE: Final[Mapping[str, Callable[[ObjectStoragePath, bytes], None]]] = {
    **dict.fromkeys(LOCAL, _create_local),
    **dict.fromkeys(S3 | GCS, _create_by_mode),
    **dict.fromkeys(AZURE, _create_azure),
}


class BudgetLog:
    """The log of one budget.

    Args:
        uri: folder of its entries, as ``ObjectStoragePath`` takes it.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._trusted = False

    def last(self) -> Entry | None:
        """Return the newest entry, None where there is none.

        Raises:
            LedgerUnavailableError: it cannot be read, or entries are missing; never taken for "none".
        """
        numbers = set(self._at(self.uri, _numbers))
        newest = max(numbers, default=_MARKER)
        if newest == _MARKER:
            return None
        # A folder that is written to while it is listed may leave out what is there; looking for it settles that.
        overlooked = sorted(set(range(1, newest)) - numbers)
        missing = next((number for number in overlooked if self._read(number, absent_is_fine=True) is None), None)
        if missing is not None:
            raise LedgerUnavailableError(
                f"The log of the run budget in {self.uri} has no entry {missing:06d} but later ones, so what is left "
                "of the budget is not known. Nothing was sent. Restore the entry, or delete the whole folder to begin "
                "with an empty budget."
            )
        return self._read(newest)

    def append(self, entry: Entry) -> bool:
        """Write an entry, unless another one has its number.

        Returns:
            Whether it is in the log. If not, read `last` and decide anew.

        Raises:
            ConfigurationError: this store does not promise that a number is given once.
            LedgerUnavailableError: the store refused.
        """
        self._require_exclusive()
        data = json.dumps(entry.model_dump(mode="json", exclude_none=True), indent=2).encode()
        # A file system that repeats a request, since its answer was lost, is refused by its own first one. Who reads
        # the log then finds that all is done.
        return self._create(entry.number, data)

    def _require_exclusive(self) -> None:
        """Have the store refuse to create what exists: an old library or a look-alike of S3 may just write over it."""
        if self._trusted:
            return
        data = json.dumps({"schema_version": SCHEMA_VERSION, "about": "the log of a run budget begins here"}).encode()
        if self._create(_MARKER, data) and self._create(_MARKER, data):
            raise ConfigurationError(
                f"A run budget cannot be kept in {self.uri}: this store, or the library that reaches it, writes over a "
                "file that it was told to create only where there is none, so two tasks could spend the same money. "
                f"Set [orvideo] state_path to another store, or update the library. {INSTEAD}"
            )
        self._trusted = True

    def _create(self, number: int, data: bytes) -> bool:
        def create(path: ObjectStoragePath) -> bool:
            try:
                _CREATE[path.protocol](path, data)
            except FileExistsError:
                return False
            except OSError as error:
                if not _is_taken(error):
                    raise
                return False
            return True

        return self._at(self._uri_of(number), create)

    def _read(self, number: int, *, absent_is_fine: bool = False) -> Entry | None:
        def read(path: ObjectStoragePath) -> bytes | None:
            try:
                local = path.protocol in LOCAL
                data: bytes = Path(path.path).read_bytes() if local else path.fs.cat_file(path.path)
            except FileNotFoundError:
                if absent_is_fine:
                    return None
                raise
            return data

        uri = self._uri_of(number)
        data = self._at(uri, read)
        if data is None:
            return None
        try:
            entry = Entry.model_validate_json(data)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors())
            raise LedgerUnavailableError(
                f"The entry {uri} of the run budget cannot be read ({fields}), so what is left of the budget is not "
                "known. Nothing was sent. Mend it."
            ) from None
        if entry.schema_version > SCHEMA_VERSION or entry.number != number:
            raise LedgerUnavailableError(
                f"The entry {uri} of the run budget is of version {entry.schema_version} and calls itself "
                f"{entry.number}, and cannot be used by this provider. Nothing was sent. Upgrade the provider on this "
                "worker, or mend the entry."
            )
        return entry

    def _uri_of(self, number: int) -> str:
        return f"{self.uri}/{number:06d}.json"

    def _at(self, uri: str, act: Callable[[ObjectStoragePath], T]) -> T:
        try:
            path = ObjectStoragePath(uri)
            _require_known(path)
            return act(path)
        except ConfigurationError:
            raise
        except Exception as error:
            # Each store has its own exceptions, and no common base.
            why = redact(f"{type(error).__name__}: {error}").rstrip(".")
            raise LedgerUnavailableError(f"The log of the run budget at {uri} cannot be used: {why}.") from error


def _require_known(path: ObjectStoragePath) -> None:
    if path.protocol not in _CREATE:
        raise ConfigurationError(
            f"A run budget cannot be kept at {path}: it is not known that '{path.protocol}' creates a file only where "
            "there is none, so two tasks could spend the same money. Set [orvideo] state_path to a local folder or a "
            f"bucket of S3, Azure Blob or Cloud Storage. {INSTEAD}"
        )


def _numbers(folder: ObjectStoragePath) -> list[int]:
    try:
        if folder.protocol in LOCAL:
            names = [file.name for file in Path(folder.path).iterdir()]
        else:
            folder.fs.invalidate_cache()  # others write too
            names = [name.rsplit("/", 1)[-1] for name in folder.fs.ls(folder.path, detail=False)]
    except FileNotFoundError:
        return []
    return [int(name.partition(".")[0]) for name in names if _NAME.fullmatch(name)]


def _is_taken(error: OSError) -> bool:
    response: Any = getattr(error.__cause__, "response", None)
    said = response.get("Error", {}) if isinstance(response, dict) else {}
    return str(said.get("Code")) in _TAKEN
