"""A budget that tasks share, kept in a folder and in a bucket: what it allows, what it remembers, what it refuses."""

from __future__ import annotations

import errno
import json
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.exceptions import BudgetExceededError, ConfigurationError, LedgerUnavailableError
from airflow_provider_orvideo.landing.reading import whole
from airflow_provider_orvideo.ledger import budget_log, exclusive
from airflow_provider_orvideo.ledger.budget import Reservation, RunBudget
from airflow_provider_orvideo.ledger.budget_log import BudgetLog

if TYPE_CHECKING:
    from collections.abc import Callable

PRICE = Decimal("0.40")
TWO = Decimal("0.80")


@pytest.fixture(params=["local", "s3"])
def state_path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder for budgets: on this machine, and on S3."""
    if request.param == "local":
        return (tmp_path / "state").as_uri()
    bucket: str = request.getfixturevalue("bucket")
    return f"{bucket}/orvideo-state"


@pytest.fixture
def local(tmp_path: Path) -> str:
    return (tmp_path / "state").as_uri()


def instance(**changes: Any) -> SimpleNamespace:  # noqa: ANN401 - what identifies a task instance
    return SimpleNamespace(**{"dag_id": "films", "run_id": "r1", "task_id": "submit", "map_index": 0, **changes})


def budget_of(state_path: str, name: str | None = None, **changes: Any) -> RunBudget:  # noqa: ANN401
    return RunBudget.of(state_path, instance(**changes), name)


def entries(budget: RunBudget) -> list[dict[str, Any]]:
    """Return the log, oldest entry first, without what differs from test to test."""
    folder = ObjectStoragePath(budget.where)
    folder.fs.invalidate_cache()
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    assert all(re.fullmatch(r"\d{6}\.json", name) for name in names), "and no litter"
    return [json.loads((folder / name).read_text()) for name in names if name != "000000.json"]


def path_of(budget: RunBudget, number: int) -> Path:
    return Path(ObjectStoragePath(f"{budget.where}/{number:06d}.json").path)


# ── What it allows ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_buys_what_it_buys_and_then_says_who_has_the_money(state_path: str) -> None:
    first, second, third = (budget_of(state_path, map_index=index) for index in range(3))
    assert first.reserve("0", PRICE, TWO) == Reservation(PRICE, PRICE)
    assert second.reserve("0", PRICE, TWO) == Reservation(PRICE, Decimal(0))
    first.settle(Decimal("0.41"))
    with pytest.raises(BudgetExceededError) as caught:
        third.reserve("0", PRICE, TWO)
    text = str(caught.value)
    for words in ("'submit' is $0.80", "$0.41 is spent", "$0.40 reserved", "may cost $0.40", "nothing is left"):
        assert words in text
    assert "was not sent, nothing was spent" in text
    assert third.where in text
    assert [(entry["event"], entry["holder"]) for entry in entries(third)] == [
        ("reserved", "submit.0"),
        ("reserved", "submit.1"),
        ("settled", "submit.0"),
    ]


def test_what_a_video_did_not_cost_others_may_spend(state_path: str) -> None:
    first, second, third = (budget_of(state_path, map_index=index) for index in range(3))
    first.reserve("0", PRICE, TWO)
    second.reserve("0", PRICE, TWO)
    with pytest.raises(BudgetExceededError, match="nothing is left"):
        third.reserve("0", PRICE, TWO)
    assert first.settle(Decimal("0.10"))
    with pytest.raises(BudgetExceededError, match=r"\$0\.30 is left"):
        third.reserve("0", PRICE, TWO)
    second.release("0")
    assert third.reserve("0", PRICE, TWO).left == Decimal("0.30")


def test_each_entry_says_what_happened_to_how_much_and_how_things_stand_then(local: str) -> None:
    budget, other = budget_of(local), budget_of(local, map_index=1)
    other.reserve("0", Decimal("0.25"), TWO)
    budget.reserve("0", PRICE, TWO)
    assert budget.settle(Decimal("0.10")) is True
    assert budget.settle(Decimal("0.10")) is False
    budget.reserve("1", PRICE, TWO)
    budget.release("1")
    assert [
        (each["number"], each["event"], each["holder"], each["amount_usd"], each.get("budget_usd"), each["spent_usd"])
        for each in entries(budget)
    ] == [
        (1, "reserved", "submit.1", "0.25", "0.80", "0"),
        (2, "reserved", "submit.0", "0.40", "0.80", "0"),
        (3, "settled", "submit.0", "0.10", None, "0.10"),
        (4, "reserved", "submit.0", "0.40", "0.80", "0.10"),
        (5, "released", "submit.0", "0.40", None, "0.10"),
    ]
    assert [each["reserved_usd"] for each in entries(budget)] == ["0.25", "0.65", "0.25", "0.65", "0.25"]


def test_each_entry_says_when_it_was_written(local: str) -> None:
    budget = RunBudget("films", BudgetLog(budget_of(local).where), "submit.0", clock=lambda: 1_790_000_000.0)
    budget.reserve("0", PRICE, TWO)
    (entry,) = entries(budget)
    assert entry["at"] == "2026-09-21T14:13:20+00:00"


def test_another_attempt_finds_its_reservation_and_writes_nothing(state_path: str) -> None:
    budget_of(state_path).reserve("0", PRICE, PRICE)
    again = budget_of(state_path, try_number=2, id="uuid-2")
    assert again.reserve("0", PRICE, PRICE).left == 0
    assert len(entries(again)) == 1


def test_an_attempt_that_estimates_otherwise_adjusts_its_reservation(state_path: str) -> None:
    budget_of(state_path).reserve("0", PRICE, TWO)
    assert budget_of(state_path).reserve("0", Decimal("0.55"), TWO).left == Decimal("0.25")
    with pytest.raises(BudgetExceededError, match=r"\$0\.80 is left"):
        budget_of(state_path).reserve("0", Decimal("0.81"), TWO)


def test_settling_and_releasing_twice_or_without_a_reservation_changes_nothing(state_path: str) -> None:
    budget, other = budget_of(state_path), budget_of(state_path, map_index=1)
    budget.reserve("0", PRICE, TWO)
    assert budget.settle(None)
    before = entries(budget)
    assert not budget.settle(Decimal(9))
    assert not other.settle(Decimal(9))
    budget.release("0")
    other.release("0")
    assert entries(budget) == before
    assert before[-1] | {"at": ""} == {
        "schema_version": 1,
        "number": 2,
        "at": "",
        "event": "settled",
        "holder": "submit.0",
        "amount_usd": "0.40",
        "spent_usd": "0.40",
        "reserved_usd": "0",
        "lines": {"submit.0": {"spent": "0.40", "reserved": "0"}},
    }


def test_budgets_of_other_names_runs_and_dags_are_other_budgets(state_path: str) -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"name": "films"},
        {"name": "a/b"},
        {"name": ".."},
        {"name": "x" * 300},
        {"name": "x" * 299 + "y"},
        {"task_id": "other"},
        {"run_id": "r2"},
        {"run_id": "r/1"},
        {"dag_id": "movies"},
    ]
    for each in odd:
        assert budget_of(state_path, **each).reserve("0", PRICE, PRICE).left == 0
    with pytest.raises(BudgetExceededError):
        budget_of(state_path, map_index=7).reserve("0", PRICE, PRICE)


def test_tasks_that_name_the_same_budget_share_it_and_keep_their_own_lines(state_path: str) -> None:
    budget_of(state_path, "the run", task_id="teaser").reserve("0", PRICE, TWO)
    budget_of(state_path, "the run", task_id="trailer").reserve("0", PRICE, TWO)
    with pytest.raises(BudgetExceededError, match="'the run'"):
        budget_of(state_path, "the run", task_id="film").reserve("0", PRICE, TWO)


def test_a_slash_at_the_end_of_the_setting_changes_nothing() -> None:
    assert budget_of("s3://c@b/stateX/").where == budget_of("s3://c@b/stateX").where
    assert budget_of("s3://c@b/stateX").where.startswith("s3://c@b/stateX/films/")


def test_no_budget_lies_where_a_task_instance_has_its_record(local: str) -> None:
    where = budget_of(local, task_id="orvideo.budgets").where
    assert where == f"{local}/films/r1/orvideo.budgets/orvideo%2Ebudgets"


# ── At the same time ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the S3 double look and write in one step, as S3 does; it would let others in between."""
    from moto.s3.responses import S3Response  # noqa: PLC0415 - heavy

    put, lock = S3Response.put_object, threading.Lock()

    def alone(self: S3Response) -> Any:  # noqa: ANN401 - moto's
        with lock:
            return put(self)

    monkeypatch.setattr(S3Response, "put_object", alone)


@pytest.mark.usefixtures("one_step")
def test_tasks_that_reserve_at_once_never_share_a_dollar(state_path: str) -> None:
    tasks = 16
    budgets = [
        RunBudget(f"b{index}", BudgetLog(budget_of(state_path).where), f"submit.{index}", sleep=lambda _: None)
        for index in range(tasks)
    ]
    ready = threading.Barrier(tasks)

    def order(budget: RunBudget) -> bool:
        ready.wait(60)
        try:
            budget.reserve("0", PRICE, 10 * PRICE)
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(tasks) as pool:
        accepted = list(pool.map(order, budgets))
    log = entries(budgets[0])
    assert sum(accepted) == 10
    assert [entry["number"] for entry in log] == list(range(1, 11))
    assert {entry["holder"] for entry in log} == {f"submit.{index}" for index in range(tasks) if accepted[index]}
    assert Decimal(log[-1]["reserved_usd"]) == 10 * PRICE


def between(budget: RunBudget, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], times: int = 1) -> None:
    """Let others act after each of the next reads of the newest entry, before it is acted upon."""
    read = budget._log.last
    left = [act] * times

    def last() -> Any:  # noqa: ANN401 - an entry
        found = read()
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(budget._log, "last", last)


def test_who_comes_second_reads_again_and_decides_anew(state_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = budget_of(state_path), budget_of(state_path, map_index=1)
    between(mine, monkeypatch, lambda: other.reserve("0", PRICE, PRICE))
    with pytest.raises(BudgetExceededError):
        mine.reserve("0", PRICE, PRICE)
    assert [entry["holder"] for entry in entries(mine)] == ["submit.1"]


def test_who_never_has_a_turn_gives_up_with_nothing_reserved(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += 20

    mine = RunBudget("b", BudgetLog(budget_of(local).where), "submit.0", monotonic=lambda: now, sleep=sleep)
    numbers = iter(range(1, 1000))
    crowd = lambda: budget_of(local, map_index=(index := next(numbers))).reserve(str(index), PRICE, 1000 * PRICE)  # noqa: E731
    between(mine, monkeypatch, crowd, times=1000)
    with pytest.raises(LedgerUnavailableError, match="found no turn within 300 s"):
        mine.reserve("0", PRICE, 1000 * PRICE)
    assert len(pauses) == 16
    assert all(0 <= pause <= 2 for pause in pauses)
    assert "submit.0" not in entries(mine)[-1]["lines"]


def test_an_answer_that_got_lost_is_found_in_the_log(state_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = budget_of(state_path)
    create = budget._log._create

    def twice(number: int, data: bytes) -> bool:
        return create(number, data) and create(number, data)

    monkeypatch.setattr(budget._log, "_create", twice)
    assert budget.reserve("0", PRICE, PRICE).left == 0
    assert budget.settle(Decimal("0.10"))
    assert [entry["event"] for entry in entries(budget)] == ["reserved", "settled"]


# ── What cannot be read is never nothing ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe", b'{"number": 1}'])
def test_an_entry_that_cannot_be_read_stops_every_order(state_path: str, content: bytes) -> None:
    budget = budget_of(state_path)
    budget.reserve("0", PRICE, TWO)
    ObjectStoragePath(f"{budget.where}/000001.json").write_bytes(content)
    for act in (lambda: budget.reserve("1", PRICE, TWO), lambda: budget.settle(None), lambda: budget.release("0")):
        with pytest.raises(LedgerUnavailableError, match=r"000001\.json .* cannot be read"):
            act()


@pytest.mark.parametrize("changes", [{"schema_version": 2}, {"number": 5}])
def test_an_entry_of_another_version_or_place_stops_every_order(local: str, changes: dict[str, int]) -> None:
    budget = budget_of(local)
    budget.reserve("0", PRICE, TWO)
    file = path_of(budget, 1)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(LedgerUnavailableError, match="cannot be used by this provider"):
        budget.reserve("1", PRICE, TWO)


def test_an_entry_that_cannot_be_read_is_told_with_its_fields(local: str) -> None:
    budget = budget_of(local)
    budget.reserve("0", PRICE, TWO)
    (entry,) = entries(budget)
    wrong = {**entry, "spent_usd": "a lot", "lines": {"submit": {"spent": "-1"}}}
    for content, fields in ((json.dumps(wrong), r"spent_usd, lines\.submit\.spent"), ("{", "the whole")):
        path_of(budget, 1).write_text(content)
        with pytest.raises(
            LedgerUnavailableError, match=rf"000001\.json of the run budget cannot be read \({fields}\)"
        ):
            budget.reserve("1", PRICE, TWO)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_entry_stops_every_order_and_a_deleted_budget_begins_anew(local: str, missing: int) -> None:
    budget = budget_of(local)
    for number in range(3):
        budget.reserve(str(number), PRICE, 9 * PRICE)
    path_of(budget, missing).unlink()
    with pytest.raises(LedgerUnavailableError, match=f"no entry 00000{missing} but later ones"):
        budget.reserve("9", PRICE, 9 * PRICE)
    for file in path_of(budget, 3).parent.iterdir():
        file.unlink()
    assert budget.reserve("9", PRICE, PRICE).left == 0


def test_an_entry_that_goes_between_listing_and_reading_is_no_empty_budget(local: str) -> None:
    budget = budget_of(local)
    budget.reserve("0", PRICE, TWO)
    path_of(budget, 2).symlink_to("nowhere")
    with pytest.raises(LedgerUnavailableError, match="000002"):
        budget.reserve("1", PRICE, TWO)


def test_an_entry_that_a_listing_overlooked_is_not_missing(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = budget_of(local)
    for number in range(3):
        budget.reserve(str(number), PRICE, 9 * PRICE)
    everything = Path.iterdir

    def hasty(folder: Path) -> Any:  # noqa: ANN401 - an iterator
        return (file for file in everything(folder) if file.name != "000002.json")

    monkeypatch.setattr(Path, "iterdir", hasty)
    assert budget.reserve("3", PRICE, 9 * PRICE).left == 5 * PRICE


def test_an_entry_is_found_however_late_somebody_elses_listing_comes_in(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = budget_of(f"{bucket}/state")
    budget.reserve("0", PRICE, 9 * PRICE)
    folder = ObjectStoragePath(budget.where)
    late = [name for name in folder.fs.ls(folder.path, detail=True) if not name["name"].endswith("000002.json")]
    budget.reserve("1", PRICE, 9 * PRICE)
    everything = folder.fs.ls

    def beaten(path: str, *, detail: bool) -> Any:  # noqa: ANN401 - fsspec's
        found = everything(path, detail=detail)
        # Another thread asked before entry 2 was there, and is answered now: both use one file system.
        folder.fs.dircache[path] = late
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(folder.fs, "ls", beaten)
        assert budget.reserve("2", PRICE, 9 * PRICE).left == 6 * PRICE
    assert [entry["number"] for entry in entries(budget)] == [1, 2, 3]


def flickers(monkeypatch: pytest.MonkeyPatch, before: Callable[[ObjectStoragePath], object], times: int) -> list[str]:
    """Let some reads of the newest of three entries find nothing, after something was done; note which."""
    missed: list[str] = []

    def look(path: ObjectStoragePath) -> bytes:
        if path.name == "000003.json" and len(missed) < times:
            missed.append(path.name)
            before(path)
            raise FileNotFoundError(path.path)
        return whole(path)

    monkeypatch.setattr(budget_log, "whole", look)
    return missed


def three(state_path: str) -> RunBudget:
    budget = budget_of(state_path)
    for number in range(3):
        budget.reserve(str(number), PRICE, 9 * PRICE)
    return budget


@pytest.mark.parametrize("times", [1, 2])
def test_an_entry_that_is_listed_before_it_can_be_read_is_waited_for(
    state_path: str, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    budget = three(state_path)
    missed = flickers(monkeypatch, lambda _: None, times)
    assert budget.reserve("3", PRICE, 9 * PRICE).left == 5 * PRICE
    assert len(missed) == times


def test_an_entry_that_is_listed_and_never_there_stops_every_order(
    state_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = three(state_path)
    missed = flickers(monkeypatch, lambda _: None, 99)
    with pytest.raises(LedgerUnavailableError, match=r"entry 000003, and then it was gone.* Nothing was sent"):
        budget.reserve("3", PRICE, 9 * PRICE)
    assert len(missed) == 3
    assert len(entries(budget)) == 3


@pytest.mark.parametrize("names", [["000003.json"], [f"00000{number}.json" for number in range(4)]], ids=["one", "all"])
def test_entries_that_go_while_they_are_read_are_no_smaller_account(
    state_path: str, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    budget = three(state_path)

    def delete(path: ObjectStoragePath) -> None:
        for name in names:
            path.with_name(name).unlink()

    with monkeypatch.context() as meanwhile:
        flickers(meanwhile, delete, 99)
        with pytest.raises(LedgerUnavailableError, match="entry 000003, and then it was gone"):
            budget.reserve("3", PRICE, 9 * PRICE)
    assert len(entries(budget)) == 3 - len([name for name in names if name != "000000.json"])


def test_a_store_that_refuses_is_unavailable_and_keeps_its_secrets(bucket: str, local: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailableError, match="cannot be used"):
        budget_of(f"{bucket}-elsewhere").reserve("0", PRICE, TWO)
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(LedgerUnavailableError, match="cannot be used"):
        budget_of(local).reserve("0", PRICE, TWO)


# ── Stores that give a number twice ──────────────────────────────────────────────────────────────────────────────────


def test_a_store_of_which_nothing_is_known_is_refused_with_another_way() -> None:
    with pytest.raises(ConfigurationError) as caught:
        budget_of("memory://x/state").reserve("0", PRICE, TWO)
    assert "'memory'" in str(caught.value)
    assert "pool" in str(caught.value)


def test_a_store_that_writes_over_what_exists_is_found_out_before_anything_is_reserved(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.s3.responses import S3Response  # noqa: PLC0415 - heavy

    put = S3Response.put_object

    def careless(self: S3Response) -> Any:  # noqa: ANN401 - moto's
        self.headers = {name: value for name, value in self.headers.items() if name.lower() != "if-none-match"}
        return put(self)

    monkeypatch.setattr(S3Response, "put_object", careless)
    budget = budget_of(f"{bucket}/state")
    with pytest.raises(ConfigurationError, match=r"writes over a file .* pool"):
        budget.reserve("0", PRICE, TWO)
    assert entries(budget) == []


def test_a_library_that_writes_over_what_exists_is_found_out_before_anything_is_reserved(
    local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "create", lambda *_: True)
    with pytest.raises(ConfigurationError, match=r"writes over a file .* pool"):
        budget_of(local).reserve("0", PRICE, TWO)
    assert entries(budget_of(local)) == []


def test_a_store_is_tried_out_once_for_each_attempt(local: str) -> None:
    budget = budget_of(local)
    budget.reserve("0", PRICE, TWO)
    path_of(budget, 0).unlink()
    budget.reserve("1", PRICE, TWO)
    assert not path_of(budget, 0).exists()


@pytest.mark.parametrize(
    "code", ["PreconditionFailed", "ConditionalRequestConflict"], ids=["no word of the condition", "two at once"]
)
def test_other_words_for_taken_are_understood(bucket: str, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    from moto.s3.responses import S3Response  # noqa: PLC0415 - heavy

    put, times = S3Response.put_object, [0]

    def busy(self: S3Response) -> Any:  # noqa: ANN401 - moto's
        times[0] += 1
        # The marker comes first, and is created twice where it is new.
        if times[0] in {2, 3}:
            status = 412 if code == "PreconditionFailed" else 409
            return status, {}, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        return put(self)

    monkeypatch.setattr(S3Response, "put_object", busy)
    shared = budget_of(f"{bucket}/state")
    patient = RunBudget("b", BudgetLog(shared.where), "submit.0", sleep=lambda _: None)
    assert patient.reserve("0", PRICE, PRICE).left == 0
    assert len(entries(shared)) == 1
    assert times == [4]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def test_a_file_system_without_hard_links_is_refused_with_another_way(
    local: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    budget = budget_of(local)
    with pytest.raises(ConfigurationError, match=r"no hard links.* pool"):
        budget.reserve("0", PRICE, TWO)
    assert entries(budget) == []


def test_a_full_disk_reserves_nothing_and_leaves_no_litter(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = budget_of(local)
    budget.reserve("0", PRICE, TWO)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device.")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(LedgerUnavailableError, match=r": OSError: \[Errno 28\] no space left on device\.$"):
        budget.reserve("1", PRICE, TWO)
    assert len(entries(budget)) == 1
    assert not [path for path in path_of(budget, 1).parent.iterdir() if path.suffix == ".part"]


def test_it_is_loaded_only_where_there_is_a_budget() -> None:
    import subprocess  # noqa: PLC0415 - only here

    code = (
        "import sys, airflow_provider_orvideo.operators.budgeting;"
        "print('airflow_provider_orvideo.ledger.budget' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert done.stdout.split() == ["False"]
