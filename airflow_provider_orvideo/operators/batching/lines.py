"""The manifest of a batch: one line of JSON for each item, written anew after each pass."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.landing.naming import safe
from airflow_provider_orvideo.ledger.record import PastJob
from airflow_provider_orvideo.manifests import LandedFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_orvideo.landing.naming import Destination

SCHEMA_VERSION: Final = 1

#: Characters of each part of the default name.
_PART: Final = 40


class LineStatus(StrEnum):
    """What became of an item; what to do about each is told in the documentation."""

    LANDED = "landed"
    FAILED = "failed"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    TIMED_OUT = "timed_out"
    NOT_ORDERED = "not_ordered"
    IN_FLIGHT = "in_flight"
    LANDING_FAILED = "landing_failed"
    DROPPED = "dropped"


class Line(BaseModel):
    """One item in the manifest. Holds no secret: media are their sha256, URLs have no query.

    Attributes:
        schema_version: version of this schema.
        item: key of the item: its id, or a hash of its own fields.
        status: what became of it.
        error: why it has no landed video, None where it has, or where nothing went wrong yet.
        retryable: whether a retry of the task may mend that, None where there is nothing to mend.
        request: what is wanted, or was sent, as the API takes it.
        fingerprint: identity of the request that this line is about.
        job_id: of its job, None where none was ordered.
        job_status: of the job, as last seen.
        model: model id.
        generation_id: id of the job's accounting record.
        cost_usd: US dollars that the API reports, None for unknown.
        estimated_cost_usd: US dollars estimated before the order, the high end; None for unknown.
        total_cost_usd: US dollars with the jobs before it, None where one of them is unknown.
        outputs: how many videos the job has.
        submitted_at: when the job was accepted, ISO 8601 in UTC.
        completed_at: when its end was seen, ISO 8601 in UTC.
        conn_id: Airflow connection that the job belongs to.
        files: what landed, as in a `LandedManifest`.
        landed_at: when, or when it was found to have landed; ISO 8601 in UTC.
        past: jobs that were bought for this item before.
        lost: when orders left whose outcome was never learned, ISO 8601 in UTC.
        dag_id: of the task instance whose item this is.
        run_id: of the task instance whose item this is.
        task_id: of the task instance whose item this is.
        map_index: of the task instance whose item this is, as text; ``-1`` for a task that is not mapped.
        try_number: the attempt that found this out.
        max_tries: Airflow's ``max_tries`` of that attempt, by which a person's clear is told from a retry.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    item: str
    status: LineStatus
    error: str | None = None
    retryable: bool | None = None
    request: dict[str, Any] | None = None
    fingerprint: str | None = None
    job_id: str | None = None
    job_status: str | None = None
    model: str | None = None
    generation_id: str | None = None
    cost_usd: float | None = None
    estimated_cost_usd: float | None = None
    total_cost_usd: float | None = None
    outputs: int = 0
    submitted_at: str | None = None
    completed_at: str | None = None
    conn_id: str | None = None
    files: tuple[LandedFile, ...] = ()
    landed_at: str | None = None
    past: tuple[PastJob, ...] = ()
    lost: tuple[str, ...] = ()
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: str | None = None
    try_number: int | None = None
    max_tries: int | None = None

    @property
    def is_worth_keeping(self) -> bool:
        """Whether money was or may have been spent on it, so that it is never forgotten."""
        return bool(self.job_id or self.past or self.lost) or self.status == LineStatus.AMBIGUOUS

    @property
    def is_open(self) -> bool:
        """Whether the item has no landed video, though one is wanted."""
        return self.status not in {LineStatus.LANDED, LineStatus.DROPPED}


@dataclass(frozen=True)
class Owner:
    """The task instance whose batch it is."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: str

    def owns(self, line: Line) -> bool:
        """Whether a line is about this task instance."""
        return (line.dag_id, line.run_id, line.task_id, line.map_index) == (
            self.dag_id,
            self.run_id,
            self.task_id,
            self.map_index,
        )


def default_uri(where: Destination, owner: Owner) -> str:
    """Return where a batch's manifest lies unless its author says otherwise: beside the videos."""
    parts = (owner.dag_id, owner.run_id, owner.task_id, owner.map_index)
    # Names are cut and made safe, so that two could become alike but for this.
    mark = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    return f"{where.folder}{'-'.join(safe(part)[:_PART] for part in parts)}-{mark}.jsonl"


def read_lines(uri: str, owner: Owner) -> dict[str, Line]:
    """Return what an earlier pass or attempt of this task instance wrote, by item; of another run's nothing.

    Raises:
        ConfigurationError: something else lies there, which must not be written over.
        DestinationError: the store cannot tell.
    """
    from airflow_provider_orvideo.landing.publish import read_bytes  # noqa: PLC0415 - object storage is heavy

    data = read_bytes(uri)
    lines: dict[str, Line] = {}
    for number, text in enumerate((data or b"").split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            line = Line.model_validate_json(text)
        except ValidationError:
            raise ConfigurationError(
                f"'manifest' is {uri}, and what lies there is no manifest of a batch (line {number}). Nothing was "
                "ordered or overwritten. Move that file away, or give 'manifest' another address."
            ) from None
        if owner.owns(line):
            lines[line.item] = line
        elif (line.dag_id, line.run_id, line.task_id) == (owner.dag_id, owner.run_id, owner.task_id):
            raise ConfigurationError(
                f"'manifest' is {uri}, where map index {line.map_index} of this task keeps its own. Nothing was "
                "ordered. Leave 'manifest' out, or put {{ ti.map_index }} into it."
            )
    return lines


def write_lines(uri: str, lines: Iterable[Line]) -> None:
    """Write the whole manifest in one step.

    Raises:
        DestinationError: the store refused.
    """
    from airflow_provider_orvideo.landing.publish import publish_bytes  # noqa: PLC0415 - object storage is heavy

    text = "".join(f"{line.model_dump_json(exclude_none=True)}\n" for line in lines)
    publish_bytes(text.encode(), uri, content_type="application/jsonl")
