"""A budget's log in a store that is no folder of this machine: how it is listed, read and written there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_orvideo.exceptions import BudgetExceededError, LedgerUnavailableError
from airflow_provider_orvideo.ledger import budget_log
from airflow_provider_orvideo.ledger.budget import RunBudget
from airflow_provider_orvideo.ledger.budget_log import BudgetLog

FOLDER = "bucket/orvideo-state/films/run_1/orvideo.budgets/submit"
PRICE = Decimal("0.40")


@dataclass
class Bucket:
    """As s3fs shows one: names in full, a listing that is remembered until it is told to forget it."""

    files: dict[str, bytes] = field(default_factory=dict)
    listed: list[str] | None = None

    def invalidate_cache(self) -> None:
        self.listed = None

    def ls(self, path: str, detail: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as fsspec's
        if self.listed is None:
            self.listed = [name for name in self.files if name.startswith(f"{path}/")]
        if not self.listed:
            raise FileNotFoundError(path)
        return [{"name": name} for name in self.listed] if detail else self.listed

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
        if mode == "create" and path in self.files:
            raise FileExistsError(path)
        self.files[path] = value

    def cat_file(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]


@dataclass
class Place:
    uri: str
    fs: Bucket
    protocol: str = "s3"

    @property
    def path(self) -> str:
        return self.uri.removeprefix("s3://")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    store = Bucket()
    monkeypatch.setattr(budget_log, "ObjectStoragePath", lambda uri: Place(uri, store))
    return store


def budget(holder: str) -> RunBudget:
    """One task instance's access, that gives up at the third look at its watch."""
    watch = itertools.count(step=200)
    log = BudgetLog(f"s3://{FOLDER}")
    return RunBudget("submit", log, holder, monotonic=lambda: next(watch), sleep=lambda _: None)


def test_what_one_task_reserved_another_finds(bucket: Bucket) -> None:
    first, second = budget("submit.0"), budget("submit.1")
    assert first.reserve("0", PRICE, PRICE).left == 0
    with pytest.raises(BudgetExceededError):
        second.reserve("0", PRICE, PRICE)
    first.release("0")
    assert second.reserve("0", PRICE, PRICE).left == 0
    assert sorted(bucket.files) == [f"{FOLDER}/{number:06d}.json" for number in range(4)]


def test_what_else_lies_in_the_folder_is_passed_over(bucket: Bucket) -> None:
    bucket.files |= {f"{FOLDER}/notes.txt": b"", f"{FOLDER}/9.json": b"{}", f"{FOLDER}/.000009.json.part": b""}
    assert budget("submit.0").reserve("0", PRICE, PRICE).left == 0
    assert f"{FOLDER}/000001.json" in bucket.files


def test_an_entry_that_is_listed_and_gone_is_no_empty_budget(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    budget("submit.0").reserve("0", PRICE, PRICE)
    monkeypatch.setattr(bucket, "ls", lambda *_, **__: [f"{FOLDER}/000001.json", f"{FOLDER}/000002.json"])
    with pytest.raises(LedgerUnavailableError, match="000002"):
        budget("submit.1").reserve("0", PRICE, PRICE)
