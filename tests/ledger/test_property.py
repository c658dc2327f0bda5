"""Whatever happens, in whatever order: no second POST without a policy that says so, and no job id is ever lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import AmbiguousSubmitError, JobError, LedgerUnavailableError, OrVideoError
from airflow_provider_orvideo.ledger.policies import Policies
from airflow_provider_orvideo.ledger.purchase import Attempt, obtain
from airflow_provider_orvideo.ledger.record import Phase, Record, read_record
from airflow_provider_orvideo.operators.conclusion import conclude, settle
from airflow_provider_orvideo.polling.event import Outcome, WaitEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.manifests import JobManifest


class Died(BaseException):
    """The worker process is gone: nothing after this line of it runs."""


# ── What may happen ──────────────────────────────────────────────────────────────────────────────────────────────────

SUBMITS = {
    # name: (job made, what the client sees)
    "accepted": (True, 202),
    "accepted, 503": (True, 503),
    "accepted, 499": (True, 499),
    "accepted, unreadable": (True, "garbage"),
    "accepted, dropped": (True, httpx.RemoteProtocolError("dropped")),
    "accepted, too slow": (True, httpx.ReadTimeout("slow")),
    "accepted, died waiting": (True, Died()),
    "not accepted, 503": (False, 503),
    "refused": (False, 400),
    "refused by moderation": (False, 403),
    "too many": (False, 429),
    "no connection": (False, httpx.ConnectError("no route")),
    "died before": (False, Died()),
}
ENDS = ("completed", "failed", "failed by moderation", "cancelled", "expired", "timed out", "unreachable", "died")
#: After these, no video comes of the job; moderation is not among them, since it is never bought again by itself.
MAY_BE_BOUGHT_AGAIN = {"failed", "cancelled", "expired"}


@dataclass(frozen=True)
class Act:
    """One attempt of the task, and what goes wrong in it."""

    kind: str  # retry or clear
    request: int  # which of several requests the templates render to
    submit: str
    end: str
    load_fails: bool
    saves_fail: int  # how many writes in a row fail
    save_from: int  # from which write of the attempt on
    dies_at_save: int | None  # dies before this write of the attempt
    dies_after_save: int | None
    adopt: str | None = None  # "known": the latest job there is; "unknown": one that there is not


CALM = Act(
    kind="retry",
    request=0,
    submit="accepted",
    end="completed",
    load_fails=False,
    saves_fail=0,
    save_from=0,
    dies_at_save=None,
    dies_after_save=None,
)
#: Mostly nothing breaks, so that a story gets far enough for the next accident to matter.
dies = st.sampled_from([None, None, None, None, None, None, 0, 1, 2, 3])
acts = st.builds(
    Act,
    kind=st.sampled_from(["retry", "retry", "clear"]),
    request=st.sampled_from([0, 0, 0, 1]),
    submit=st.sampled_from([*["accepted"] * len(SUBMITS), *sorted(SUBMITS)]),
    end=st.sampled_from(ENDS),
    load_fails=st.sampled_from([False] * 9 + [True]),
    saves_fail=st.sampled_from([0, 0, 0, 0, 1, 9]),
    save_from=st.integers(0, 2),
    dies_at_save=dies,
    dies_after_save=dies,
)
adopting_acts = st.builds(replace, acts, adopt=st.sampled_from([None, None, None, "known", "unknown"]))
policies = st.builds(
    Policies,
    on_ambiguous_submit=st.sampled_from(["fail", "resubmit"]),
    on_changed_request=st.sampled_from(["submit", "fail"]),
    on_job_failure=st.sampled_from(["fail", "resubmit"]),
    on_clear=st.sampled_from(["reuse", "submit"]),
)


# ── The world ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class World:
    """One task instance's store and the API, as they really are: the client sees less of either."""

    policies: Policies
    kept: dict[str, Any] | None = None
    jobs: list[str] = field(default_factory=list)
    #: Requests whose POST left with an outcome that was not a clear refusal.
    spent_on: list[int] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    #: Times of POSTs that left and whose outcome no attempt was told.
    unknown: set[float] = field(default_factory=set)
    #: How each job that was seen to end did, and how often the task had been cleared by then.
    ends: dict[str, tuple[str, int]] = field(default_factory=dict)
    clears: int = 0
    adopt: str | None = None
    max_tries: int = 2
    tries: int = 0
    objections: list[str] = field(default_factory=list)
    before: Record | None = None
    act: Act | None = None
    writes: int = 0
    failures: int = 0

    where = "'orvideo_job' in a test"

    # the store

    def load(self) -> Record | None:
        assert self.act
        if self.act.load_fails:
            raise LedgerUnavailableError("no answer")
        return self.record

    @property
    def record(self) -> Record | None:
        return read_record(self.kept)

    def save(self, record: Record) -> None:
        self._write(record.to_json())

    def delete(self) -> None:
        self._write(None)

    def _write(self, value: dict[str, Any] | None) -> None:
        assert self.act
        number, self.writes = self.writes, self.writes + 1
        if number == self.act.dies_at_save:
            raise Died
        if number >= self.act.save_from and self.failures < self.act.saves_fail:
            self.failures += 1
            raise LedgerUnavailableError("no answer")
        self.kept = value
        if number == self.act.dies_after_save:
            raise Died

    # the API

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert self.act
        if request.method == "GET":
            job_id = request.url.path.rpartition("/")[2]
            known = job_id in self.jobs
            return httpx.Response(200 if known else 404, json={"id": job_id, "status": "pending"} if known else {})
        # Kept for the test to see: the client would take an exception in here for an accident of the network.
        if objection := self._objection():
            self.objections.append(objection)
        made, seen = SUBMITS[self.act.submit]
        job_id = f"job-{len(self.jobs)}"
        if made:
            self.jobs.append(job_id)
        if (
            seen not in {400, 403, 429}
            and not isinstance(seen, httpx.ConnectError)
            and self.act.submit != "died before"
        ):
            self.spent_on.append(self.act.request)
            if seen != 202:
                self.unknown.add(float(self.tries))
        if isinstance(seen, BaseException):
            raise seen
        if seen == 202:
            self.returned.append(job_id)
            return httpx.Response(202, json={"id": job_id, "status": "pending"})
        if seen == "garbage":
            return httpx.Response(202, text="<html>")
        assert isinstance(seen, int)
        return httpx.Response(seen, json={"error": {"message": "no", "code": seen}})

    def _objection(self) -> str | None:
        """A POST leaves: the true record says intent by now; what it said before must have allowed this."""
        now, before, chosen = self.record, self.before, self.policies
        if now is None or now.phase != Phase.INTENT or now.intent_at != self.tries or self.adopt:
            return "a POST left without an intent on record, or although a job was to be adopted"
        if before is None:
            return "nothing was on record although a POST may have been accepted" if self.spent_on else None
        if before.phase == Phase.INTENT:
            return None if chosen.on_ambiguous_submit == "resubmit" else "an ambiguous order was repeated"
        if before.fingerprint != now.fingerprint:
            return None if chosen.on_changed_request == "submit" else "a changed request was ordered"
        if before.phase != Phase.TERMINAL:
            return "a job in flight was ordered again"
        # What really happened, not what the record made of it.
        end, clears_then = self.ends[str(before.job_id)]
        cleared = self.clears > clears_then and chosen.on_clear == "submit"
        failed = end in MAY_BE_BOUGHT_AGAIN and chosen.on_job_failure == "resubmit"
        return None if cleared or failed else "a job that had ended was ordered again"

    # the task

    def run(self, act: Act) -> JobManifest | BaseException:
        """One attempt, as the submit operator makes it."""
        self.act, self.writes, self.failures = act, 0, 0
        self.tries += 1
        if act.kind == "clear":
            self.clears += 1
            self.max_tries = self.tries + 2
        self.before = self.record
        jobs = {None: None, "known": self.jobs[-1] if self.jobs else None, "unknown": "job-of-nobody"}
        self.adopt = jobs[act.adopt]
        request = VideoRequest.build(model="m", prompt=f"prompt {act.request}")
        config = ClientConfig(api_key="sk-or-test-1", base_url="http://127.0.0.1:1/api/v1", submit_retry=NO_RETRY)
        attempt = Attempt(
            conn_id="c",
            policies=self.policies,
            try_number=self.tries,
            max_tries=self.max_tries,
            adopt=self.adopt,
        )
        with VideoClient(config, transport=httpx.MockTransport(self.answer)) as client:
            try:
                record = obtain(client, request, self, attempt, clock=lambda: float(self.tries), sleep=lambda _: None)
                assert record.job_id is not None
                if record.phase == Phase.SUBMITTED:
                    record = settle(self._event(record.job_id, act.end), self, max_tries=self.max_tries)
                return conclude(record, self, self.policies)
            except (OrVideoError, Died) as error:
                return error

    def _event(self, job_id: str, end: str) -> WaitEvent:
        if end == "died":
            raise Died
        outcome = {"timed out": Outcome.TIMED_OUT, "unreachable": Outcome.GAVE_UP}.get(end, Outcome.ENDED)
        if outcome == Outcome.ENDED:  # a job ends once
            end, _ = self.ends.get(job_id, (end, 0))
            self.ends[job_id] = (end, self.clears)
        return WaitEvent(
            outcome=outcome,
            job_id=job_id,
            conn_id="c",
            model="m",
            submitted_at=0.0,
            observed_at=1.0,
            status=end.partition(" ")[0] if outcome == Outcome.ENDED else "pending",
            error="Content policy violation" if end == "failed by moderation" else "The provider gave up",
            outputs=1 if end == "completed" else 0,
        )

    def known_jobs(self) -> set[str]:
        """Every job id that the record still names."""
        record = self.record
        if record is None:
            return set()
        return {*(job.job_id for job in record.past), *({record.job_id} if record.job_id else ())}


class LogLines(logging.Handler):
    """Everything that was logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def names(self, job_id: str, *, level: int) -> bool:
        """Whether a line of at least this level names the job."""
        return any(job_id in record.getMessage() for record in self.records if record.levelno >= level)


@pytest.fixture(scope="module")
def log_lines() -> Iterator[LogLines]:
    logger = logging.getLogger("airflow_provider_orvideo.ledger")
    handler, level = LogLines(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


lasting = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])


# ── What must hold ───────────────────────────────────────────────────────────────────────────────────────────────────


@lasting
@given(policies=policies, story=st.lists(adopting_acts, min_size=1, max_size=7))
def test_every_post_is_allowed_and_no_job_id_is_lost(log_lines: LogLines, policies: Policies, story: list[Act]) -> None:
    world = World(policies)
    for act in story:
        log_lines.records.clear()
        named_before, returned_before, posts_before = world.known_jobs(), len(world.returned), len(world.spent_on)
        end = world.run(act)
        assert world.objections == []
        assert named_before <= world.known_jobs(), "the record forgot a job that it had named"
        for job_id in world.returned[returned_before:]:
            # Where the store fails, a person must be told; where the worker dies, the log has it already.
            level = logging.INFO if isinstance(end, Died) else logging.ERROR
            assert job_id in world.known_jobs() or log_lines.names(job_id, level=level), "a returned job id is nowhere"
        record = world.record
        assert world.unknown <= set(record.all_lost() if record else ()), "the record forgot a POST with no outcome"
        if not isinstance(end, BaseException):
            assert world.ends[end.job_id][0] == end.status == "completed"
            assert len(world.spent_on) - posts_before <= 1


@lasting
@given(policies=policies, story=st.lists(adopting_acts, max_size=6))
def test_when_all_is_well_again_the_video_comes_or_a_person_is_asked(policies: Policies, story: list[Act]) -> None:
    world = World(policies)
    for act in story:
        world.run(act)
    before, posts = world.record, len(world.spent_on)
    end = world.run(replace(CALM, request=story[-1].request if story else 0))
    assert world.objections == []
    assert not isinstance(end, LedgerUnavailableError | Died)
    if before is None or (before.phase == Phase.INTENT and policies.on_ambiguous_submit == "resubmit"):
        assert not isinstance(end, BaseException)
        assert len(world.spent_on) == posts + 1
    if before is not None and before.phase == Phase.INTENT and policies.on_ambiguous_submit == "fail":
        assert isinstance(end, AmbiguousSubmitError)
    if isinstance(end, AmbiguousSubmitError | JobError):
        assert len(world.spent_on) == posts
    # Whatever it was, the same once more costs nothing.
    posts = len(world.spent_on)
    again = world.run(replace(CALM, request=story[-1].request if story else 0))
    if not isinstance(end, BaseException):
        assert not isinstance(again, BaseException)
        assert (again.job_id, len(world.spent_on)) == (end.job_id, posts)


@lasting
@given(story=st.lists(adopting_acts, min_size=1, max_size=7))
def test_by_default_each_request_is_paid_for_at_most_once(story: list[Act]) -> None:
    world = World(Policies(on_changed_request="fail"))
    for act in story:
        world.run(act)
    assert len(world.spent_on) <= 1
    assert len(world.jobs) <= 1


@lasting
@given(story=st.lists(acts, min_size=1, max_size=7))
def test_by_default_a_new_request_is_the_only_reason_to_pay_again(story: list[Act]) -> None:
    world = World(Policies())
    requests: list[int] = []
    for act in story:
        spent = len(world.spent_on)
        world.run(act)
        if len(world.spent_on) > spent:
            requests.append(act.request)
    assert all(first != second for first, second in pairwise(requests))


# ── The judge itself ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_world_can_tell_a_second_payment() -> None:
    world = World(Policies())
    world.run(CALM)
    world.kept = None  # what no client may do
    world.run(CALM)
    assert world.objections == ["nothing was on record although a POST may have been accepted"]


@pytest.mark.parametrize("end", ["completed", "failed by moderation"])
def test_the_world_can_tell_an_end_that_was_bought_again_without_reason(end: str) -> None:
    world = World(Policies(on_job_failure="resubmit", on_clear="submit"))
    world.run(replace(CALM, end=end))
    assert world.kept is not None
    world.kept |= {"status": "failed", "error": None, "max_tries": 99}  # what no client may write
    world.run(CALM)
    assert world.objections == ["a job that had ended was ordered again"]
