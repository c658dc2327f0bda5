"""How a batch ends: a small summary, or an error that says what was spent, what is open, and what a retry would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import BatchIncompleteError
from airflow_provider_orvideo.operators.batching.engine import in_words
from airflow_provider_orvideo.operators.batching.lines import LineStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orvideo.operators.batching.lines import Line

SCHEMA_VERSION: Final = 1

_EXAMPLES: Final = 5
_LONGEST: Final = 300


def summary(lines: Sequence[Line], manifest: str) -> dict[str, Any]:
    """Return what goes into XCom: counts, money, and where the rest lies. The documentation lists the fields."""
    wanted = [line for line in lines if line.status != LineStatus.DROPPED]
    landed = sum(line.status == LineStatus.LANDED for line in wanted)
    not_ordered = sum(line.status == LineStatus.NOT_ORDERED for line in wanted)
    estimates = [line.estimated_cost_usd for line in lines if line.estimated_cost_usd is not None]
    cost, unknown = _spent(lines)
    return {
        "schema_version": SCHEMA_VERSION,
        "total": len(wanted),
        "landed": landed,
        "failed": len(wanted) - landed - not_ordered,
        "not_ordered": not_ordered,
        "dropped": len(lines) - len(wanted),
        "cost_usd": cost,
        "cost_unknown": unknown,
        "estimated_cost_usd": round(sum(estimates), 6) if estimates else None,
        "manifest": manifest,
    }


def is_failure(lines: Sequence[Line], *, fail_on_partial_error: bool) -> bool:
    """Whether the task must fail: an item is open that must not be, or every one is."""
    open_ = sum(line.is_open for line in lines)
    landed = sum(line.status == LineStatus.LANDED for line in lines)
    return open_ > 0 and (fail_on_partial_error or landed == 0)


def failure(lines: Sequence[Line], manifest: str) -> tuple[BatchIncompleteError, bool]:
    """Return the error of a batch with open items, and whether a retry of the task may mend any of them."""
    wanted = [line for line in lines if line.status != LineStatus.DROPPED]
    open_ = [line for line in wanted if line.is_open]
    retryable = [line for line in open_ if line.retryable]
    landed = len(wanted) - len(open_)
    cost, unknown = _spent(lines)
    more = f", and what {unknown} more job(s) cost is not known" if unknown else ""
    if retryable:
        then = f"A retry of this task takes up {len(retryable)} of them again ({in_words(retryable)})"
    else:
        then = "A retry of this task would mend none of them; see what each line says, then clear it"
    text = (
        f"{landed} of {len(wanted)} items landed; not so {len(open_)}: {in_words(open_)}. {' '.join(_examples(open_))} "
        f"All of them are in {manifest}. Spent so far: ${cost:.4f}{more}. {then}; nothing is paid for twice."
    )
    return BatchIncompleteError(text), bool(retryable)


def _spent(lines: Sequence[Line]) -> tuple[float, int]:
    """Add up what the API reported for all jobs, earlier ones included; and count the jobs whose cost it did not."""
    costs: list[float | None] = []
    for line in lines:
        costs += [past.cost_usd for past in line.past]
        costs += [None] * len(line.lost)
        if line.job_id:
            costs.append(line.cost_usd)
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 6), len(costs) - len(known)


def _examples(lines: Sequence[Line]) -> list[str]:
    """Show a few items, of different kinds first."""
    first = {line.status: line for line in reversed(lines)}
    shown = [line for line in lines if first[line.status] is line]
    shown += [line for line in lines if first[line.status] is not line]
    return [
        f"'{line.item}' ({line.status}): {redact(line.error or 'no reason is known.', limit=_LONGEST)}"
        for line in shown[:_EXAMPLES]
    ]
