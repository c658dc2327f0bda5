"""A budget's log in object storage: numbered entries, of which each number is given once.

Who writes entry 8 has read entry 7, and nobody else wrote an entry 8 in between: that is all the safety there is, and
it rests on the store creating a file only where there is none, in one step (``exclusive.py``). Airflow has no such
place: XCom, Variables and the task state store write over whatever another task wrote meanwhile.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from airflow.sdk import ObjectStoragePath
from pydantic import ValidationError

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_orvideo.landing.protocols import LOCAL
from airflow_provider_orvideo.landing.reading import current, whole
from airflow_provider_orvideo.ledger import exclusive
from airflow_provider_orvideo.ledger.budget_account import SCHEMA_VERSION, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: What to do where a budget cannot be kept; the end of a message.
INSTEAD: Final = (
    "Or do without: 'max_cost_usd' on the task, a mapped list of no more items than the budget buys at that price, and "
    "an Airflow pool (with deferred tasks included) that bounds how many videos are under way at a time."
)

_NAME: Final = re.compile(r"\d{6,}\.json")
#: Entry 0 tells nothing. It is there to be refused.
_MARKER: Final = 0
#: How often the folder is listed where the newest entry of the list is not there when it is read.
_LOOKS: Final = 3


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
        seen = _MARKER
        for _ in range(_LOOKS):
            numbers = set(self._at(self.uri, _numbers))
            newest = max(numbers, default=_MARKER)
            if newest < seen:
                break
            if newest == _MARKER:
                return None
            self._require_all(newest, numbers)
            entry = self._read(newest)
            if entry is not None:
                return entry
            seen = newest
        raise LedgerUnavailableError(
            f"The log of the run budget in {self.uri} was seen to have an entry {seen:06d}, and then it was gone, so "
            "what is left of the budget is not known. Nothing was sent. See that nobody, and no lifecycle rule of the "
            "store, deletes entries of a run that goes on, then run this task again."
        )

    def _require_all(self, newest: int, numbers: set[int]) -> None:
        # A folder that is written to while it is listed may leave out what is there; looking for it settles that.
        overlooked = sorted(set(range(1, newest)) - numbers)
        missing = next((number for number in overlooked if self._read(number) is None), None)
        if missing is not None:
            raise LedgerUnavailableError(
                f"The log of the run budget in {self.uri} has no entry {missing:06d} but later ones, so what is left "
                "of the budget is not known. Nothing was sent. Restore the entry, or delete the whole folder to begin "
                "with an empty budget."
            )

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
        return self._at(self._uri_of(number), lambda path: exclusive.create(path, data))

    def _read(self, number: int) -> Entry | None:
        def read(path: ObjectStoragePath) -> bytes | None:
            try:
                return whole(path)
            except FileNotFoundError:
                return None

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
            exclusive.require_exclusive(path)
            return act(path)
        except exclusive.NotExclusiveError as error:
            raise ConfigurationError(
                f"A run budget cannot be kept at {uri}: {error}, so two tasks could spend the same money. Set "
                "[orvideo] state_path to a folder with hard links or a bucket of S3, Azure Blob or Cloud Storage. "
                f"{INSTEAD}"
            ) from error
        except Exception as error:
            # Each store has its own exceptions, and no common base.
            why = redact(f"{type(error).__name__}: {error}").rstrip(".")
            raise LedgerUnavailableError(f"The log of the run budget at {uri} cannot be used: {why}.") from error


def _numbers(folder: ObjectStoragePath) -> list[int]:
    try:
        if folder.protocol in LOCAL:
            names = [file.name for file in Path(folder.path).iterdir()]
        else:
            names = [name.rsplit("/", 1)[-1] for name in current(folder).ls(folder.path, detail=False)]
    except FileNotFoundError:
        return []
    return [int(name.partition(".")[0]) for name in names if _NAME.fullmatch(name)]
