"""How far one item is: its record, its line in the manifest, and what is to be done next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from airflow_provider_orvideo.exceptions import JobError, JobRefusedError
from airflow_provider_orvideo.ledger.fingerprint import outline
from airflow_provider_orvideo.ledger.record import Phase
from airflow_provider_orvideo.manifests import iso
from airflow_provider_orvideo.operators.batching.lines import Line, LineStatus
from airflow_provider_orvideo.operators.conclusion import conclude, manifest_of
from airflow_provider_orvideo.operators.failures import is_final
from airflow_provider_orvideo.operators.orders import falls_back
from airflow_provider_orvideo.polling.decision import Wait

if TYPE_CHECKING:
    from airflow_provider_orvideo.exceptions import LedgerUnavailableError
    from airflow_provider_orvideo.ledger.policies import Policies
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store
    from airflow_provider_orvideo.manifests import JobManifest, LandedManifest
    from airflow_provider_orvideo.operators.batching.items import Item
    from airflow_provider_orvideo.operators.batching.lines import Owner
    from airflow_provider_orvideo.operators.batching.wishes import Wishes


class Todo(Enum):
    """What is to be done next with an item."""

    #: Order it, once there is a place.
    ORDER = auto()
    #: Wait for its job.
    FOLLOW = auto()
    #: Bring its video home.
    LAND = auto()
    #: Bring its video home, which failed in an earlier pass of this attempt: once more, when all else is done.
    LAND_AGAIN = auto()
    #: Nothing more in this attempt.
    NOTHING = auto()


@dataclass
class State:
    """One item on its way. At each time it is in the hands of one thread.

    Attributes:
        item: what is wanted.
        store: keeps its record.
        owner: the task instance.
        record: what the store holds.
        is_read: whether that is known.
        unreadable: why it is not.
        todo: what is to be done next.
        line: what the manifest says.
    """

    item: Item
    store: Store
    owner: Owner
    record: Record | None = None
    is_read: bool = False
    unreadable: LedgerUnavailableError | None = None
    todo: Todo = Todo.NOTHING

    def __post_init__(self) -> None:
        """Begin with an empty line."""
        self.line = Line(item=self.item.key, status=LineStatus.NOT_ORDERED)

    # ── The line ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def blank(self, fingerprint: str, wishes: Wishes, earlier: Line | None) -> Line:
        """Return the line of an item of which nothing is known but what an earlier line said of its job."""
        job: dict[str, Any] = {}
        if earlier is not None and not self.is_read:
            job = {
                name: getattr(earlier, name) for name in ("job_id", "cost_usd", "estimated_cost_usd", "past", "lost")
            }
        return Line(
            item=self.item.key,
            status=LineStatus.NOT_ORDERED,
            request=outline(self.item.request),
            fingerprint=fingerprint,
            model=self.item.request.model,
            conn_id=wishes.conn_id,
            try_number=wishes.try_number,
            max_tries=wishes.max_tries,
            **{**vars(self.owner), **job, **self._history()},
        )

    def describe_job(self) -> None:
        """Write what the record says of the job into the line."""
        if self.record is None:
            return
        job = self.manifest()
        shared = ("generation_id", "cost_usd", "estimated_cost_usd", "total_cost_usd", "outputs")
        values: dict[str, Any] = {name: getattr(job, name) for name in (*shared, "submitted_at", "completed_at")}
        values |= {"job_id": job.job_id, "job_status": job.status, "model": job.model, "conn_id": job.conn_id}
        values |= {"status": LineStatus.IN_FLIGHT, "request": job.request, "error": None, "retryable": None}
        self._change(**values, **self._history())

    def keep(self, line: Line) -> None:
        """Let stand what was found out before, and do nothing more."""
        self.line = line
        self.todo = Todo.NOTHING

    def give_up(self, status: LineStatus, error: str, *, retryable: bool) -> None:
        """End the item's way in this attempt."""
        self._change(status=status, error=error, retryable=retryable)
        self.todo = Todo.NOTHING

    def say_not_ordered(self, error: str, *, retryable: bool) -> None:
        """Say why it was not ordered so far; it may be yet."""
        self._change(status=LineStatus.NOT_ORDERED, error=error, retryable=retryable)

    def say_ambiguous(self, wishes: Wishes) -> None:
        """Say that a job may exist and nobody knows its id, what that may have cost, and what a person can do."""
        record = self.record
        if record is None:
            return
        seen = record.evidence.rstrip(".") if record.evidence else "the worker died before an answer came"
        error = (
            f"The paid request for {record.model} left at {iso(record.intent_at)}, and its outcome was never learned "
            f"({seen}): a job may exist, and one video may have been billed. Nothing was sent again. Look at "
            "https://openrouter.ai/activity around that time. If the job is there, give this item its id as 'job_id' "
            f"and clear this task; if it is not, delete the record {self.store.where} and clear this task."
        )
        if self.calls_in(wishes):
            error += " If it was accepted, the job calls this Airflow at its end, and a retry after that follows it."
        self._change(**self._history(), estimated_cost_usd=record.estimated_cost_usd)
        retryable = self.calls_in(wishes) or wishes.policies.on_ambiguous_submit == "resubmit"
        self.give_up(LineStatus.AMBIGUOUS, error, retryable=retryable)

    def landed(self, manifest: LandedManifest) -> None:
        """Note that the video is at its destination, whole."""
        cost = {"cost_usd": manifest.cost_usd, "total_cost_usd": manifest.total_cost_usd, "outputs": manifest.outputs}
        self._change(
            status=LineStatus.LANDED,
            files=manifest.files,
            landed_at=manifest.landed_at,
            error=None,
            retryable=None,
            **cost,
        )
        self.todo = Todo.NOTHING

    def landing_failed(self, error: Exception, *, retryable: bool) -> None:
        """Note that the video is paid for, and not at its destination."""
        self._change(status=LineStatus.LANDING_FAILED, error=str(error), retryable=retryable)
        self.todo = Todo.LAND_AGAIN if retryable else Todo.NOTHING

    def _change(self, **values: Any) -> None:  # noqa: ANN401 - fields of the line
        self.line = self.line.model_copy(update=values)

    def _history(self) -> dict[str, Any]:
        if self.record is None:
            return {}
        return {"past": self.record.past, "lost": tuple(iso(moment) for moment in self.record.all_lost())}

    # ── The job ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def manifest(self) -> JobManifest:
        """Return the job's manifest, with what was ordered where it was this task that ordered it."""
        record = self._job
        request = None if record.adopted else outline(self.item.request) | {"model": record.model} | record.adjusted
        return manifest_of(record).model_copy(update={"request": request})

    def falls_back(self, wishes: Wishes) -> bool:
        """Whether the job ended so that another of the item's models is asked."""
        record = self.record
        # Whoever names a job wants its end, not another order.
        if record is None or record.phase != Phase.TERMINAL or self.item.adopt is not None:
            return False
        return falls_back(record, wishes.policies, lambda: self.item.models)

    def calls_in(self, wishes: Wishes) -> bool:
        """Whether an order with an unknown outcome, if it was accepted, tells its job's id by webhook."""
        return self.record is not None and self.record.nonce is not None and wishes.callbacks is not None

    def wait(self, wishes: Wishes) -> Wait:
        """Return how long to wait for the job, by the rules of the polling room."""
        record = self._job
        submitted_at = record.intent_at if record.submitted_at is None else record.submitted_at
        return Wait(
            job_id=str(record.job_id),
            submitted_at=submitted_at,
            deadline=submitted_at + wishes.timeout,
            poll_interval=wishes.poll_interval,
        )

    @property
    def _job(self) -> Record:
        if self.record is None:
            raise RuntimeError(f"Item {self.item.key!r} has no job; this is a mistake of the provider.")
        return self.record


def without_video(record: Record, store: Store, policies: Policies) -> tuple[LineStatus, str, bool]:
    """Say how a job ended without a video, and whether a retry of the task orders another."""
    try:
        conclude(record, store, policies)
    except JobError as error:
        status = LineStatus.REFUSED if isinstance(error, JobRefusedError) else LineStatus.FAILED
        return status, str(error), not is_final(error, policies)
    raise RuntimeError(f"Job {record.job_id} has a video; this is a mistake of the provider.")
