"""The one decision that the record exists for: may this attempt send a POST? Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.ledger.fallback import after_end, next_model
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES, Policies
from airflow_provider_orvideo.ledger.reasons import is_refusal
from airflow_provider_orvideo.ledger.record import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orvideo.ledger.record import PastJob, Record


@dataclass(frozen=True)
class Submit:
    """Send the POST, after writing an intent.

    Attributes:
        past: jobs that the new record must remember.
        lost: times of POSTs with an unknown outcome that it must remember.
        reason: why, where it is not the first order.
        model: of several models, the one to begin with; None for the first.
    """

    past: tuple[PastJob, ...] = ()
    lost: tuple[float, ...] = ()
    reason: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Adopt:
    """Follow a job that was not ordered here; send nothing."""

    job_id: str
    past: tuple[PastJob, ...] = ()
    lost: tuple[float, ...] = ()


@dataclass(frozen=True)
class Attach:
    """A job is already paid for: follow it, send nothing."""

    record: Record


@dataclass(frozen=True)
class Reuse:
    """The job already ended with its video: hand it on, send nothing."""

    record: Record


@dataclass(frozen=True)
class EndedWithoutVideo:
    """The job already ended without a video, and is not bought again by itself."""

    record: Record


@dataclass(frozen=True)
class Ambiguous:
    """An earlier POST may have been accepted: a person must decide."""

    record: Record


@dataclass(frozen=True)
class Changed:
    """The job that exists was ordered with another request, and the author wants no second one."""

    record: Record


Decision = Submit | Adopt | Attach | Reuse | EndedWithoutVideo | Ambiguous | Changed


def was_cleared(record: Record, max_tries: int | None) -> bool:
    """Whether a person cleared the task since the record was written; no, where Airflow does not tell."""
    return None not in {max_tries, record.max_tries} and max_tries != record.max_tries


def decide(  # noqa: PLR0911 - the rules in their order, one each
    record: Record | None,
    *,
    order: str,
    policies: Policies = DEFAULT_POLICIES,
    max_tries: int | None = None,
    adopt: str | None = None,
    models: Sequence[str] = (),
) -> Decision:
    """Say what an attempt may do.

    Args:
        record: what the store holds, None for nothing.
        order: fingerprint of what the attempt wants.
        policies: what the author wants where that leaves a choice.
        max_tries: Airflow's ``max_tries`` of this attempt; another one than the record's means that a person cleared
            the task since.
        adopt: id of an existing job to follow instead of ordering.
        models: where the author named several, all of them in their order.
    """
    if adopt is not None and (record is None or record.job_id != adopt):
        if record is None:
            return Adopt(adopt)
        return Adopt(adopt, past=record.history(), lost=record.all_lost())
    if record is None:
        return Submit()
    if record.phase == Phase.INTENT:
        if policies.on_ambiguous_submit == "fail":
            return Ambiguous(record)
        return _submit_after(
            record,
            "the outcome of the last submit is unknown and on_ambiguous_submit is 'resubmit'",
            model=next_model(models, record.model),
        )
    if adopt is None and record.fingerprint != order:
        if policies.on_changed_request == "fail":
            return Changed(record)
        return _submit_after(record, f"the request changed since job {record.job_id} was ordered")
    if record.phase == Phase.SUBMITTED:
        return Attach(record)
    return _after_the_end(record, policies, max_tries, adopt, models)


def _after_the_end(
    record: Record, policies: Policies, max_tries: int | None, adopt: str | None, models: Sequence[str]
) -> Decision:
    if adopt is None and was_cleared(record, max_tries) and policies.on_clear == "submit":
        return _submit_after(record, f"the task was cleared after job {record.job_id} had ended")
    if record.status == JobStatus.COMPLETED:
        return Reuse(record)
    following = next_model(models, record.model)
    if adopt is None and following and after_end(record.status, record.error, policies.fallback_on):
        return _submit_after(
            record, f"job {record.job_id} of {record.model} ended as '{record.status}' without a video", model=following
        )
    if adopt is None and policies.on_job_failure == "resubmit" and not is_refusal(record.error):
        return _submit_after(record, f"job {record.job_id} ended as '{record.status}' without a video")
    return EndedWithoutVideo(record)


def _submit_after(record: Record, reason: str, *, model: str | None = None) -> Submit:
    return Submit(past=record.history(), lost=record.all_lost(), reason=reason, model=model)
