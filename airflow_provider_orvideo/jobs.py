"""What operators and the sensor share about a job that exists: which one is meant, and how its end is told.

Imported when a DAG is parsed, so what it needs to run is imported when it runs.
"""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_orvideo.exceptions import JobError
    from airflow_provider_orvideo.manifests import JobManifest


def job_manifest(job: Any, argument: str = "job") -> JobManifest:  # noqa: ANN401 - whatever a template rendered to
    """Read an argument that names a job: a manifest, a manifest that a template rendered to text, or a job id.

    Raises:
        RequestInvalidError: it is none of these.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from airflow_provider_orvideo.exceptions import RequestInvalidError  # noqa: PLC0415
    from airflow_provider_orvideo.manifests import JobManifest  # noqa: PLC0415

    value = job.strip() if isinstance(job, str) else job
    if isinstance(value, str) and value.startswith("{"):
        value = literal(value)
    if isinstance(value, str) and value and value != "None":
        return JobManifest(job_id=value, status="unknown")
    try:
        return JobManifest.model_validate(value)
    except ValidationError:
        raise RequestInvalidError(
            (f"'{argument}' is a {type(job).__name__}; give the output of an OrVideoSubmitOperator or a job id.",)
        ) from None


def literal(text: str) -> Any:  # noqa: ANN401
    """Read a dict or a list that a template rendered, as JSON or as Python prints it; None for neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None


def kind_of_end(status: str | None, error: str | None) -> type[JobError]:
    """Return the error for a job that ended without a video.

    As the ledger has it: what was refused is not bought again, under whatever name it ended.
    """
    from airflow_provider_orvideo.exceptions import (  # noqa: PLC0415
        JobCancelledError,
        JobExpiredError,
        JobFailedError,
        JobRefusedError,
    )
    from airflow_provider_orvideo.ledger.reasons import is_refusal  # noqa: PLC0415

    if is_refusal(error):
        return JobRefusedError
    kinds: dict[str | None, type[JobError]] = {"cancelled": JobCancelledError, "expired": JobExpiredError}
    return kinds.get(status, JobFailedError)


def end_in_words(
    job_id: str | None, *, model: str | None, status: str | None, error: str | None, cost_usd: float | None
) -> str:
    """Say how a job ended without a video, and what is known about its bill."""
    billed = (
        "Whether it was billed is not documented; see https://openrouter.ai/activity"
        if cost_usd is None
        else f"The API reports a cost of ${cost_usd:.4f}"
    )
    return (
        f"Job {job_id}{f' ({model})' if model else ''} ended as '{status}' without a video"
        f"{f': {error.rstrip(chr(46))}' if error else ''}. {billed}."
    )


def completed_in_words(job_id: str | None, *, outputs: int, cost_usd: float | None) -> str:
    """Say that a job has its video, and what it cost."""
    cost = "an unknown amount" if cost_usd is None else f"${cost_usd:.4f}"
    return f"Job {job_id} completed with {outputs} video(s) for {cost}."
