"""``airflow orvideo spend``: what landed videos cost, added up from the manifests beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.cli.answer import Answer, as_dollars, known, say
from airflow_provider_orvideo.cli.running import command
from airflow_provider_orvideo.cli.storage import absolute, manifests_below

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from airflow_provider_orvideo.manifests import LandedManifest

#: What tells groups apart, for each ``--by``.
_FIELDS: Final = {"model": ("model",), "dag": ("dag_id",), "day": ("day",), "run": ("dag_id", "run_id")}
#: Characters of a date at the beginning of ISO 8601.
_DATE: Final = 10


@dataclass(frozen=True)
class _Job:
    """One paid job, however many files and copies of it landed."""

    model: str | None
    dag_id: str | None
    run_id: str | None
    day: str | None
    cost: Decimal | None


@command
def spend(args: Namespace) -> Answer:
    """Add up what the jobs cost whose videos lie below a folder."""
    path = absolute(args.path)
    found = manifests_below(path)
    jobs = _jobs(found.manifests)
    names = _FIELDS[args.by]
    groups: dict[tuple[str | None, ...], list[_Job]] = defaultdict(list)
    for job in jobs:
        groups[tuple(getattr(job, name) for name in names)].append(job)
    ordered = sorted(groups.items(), key=lambda group: tuple(text or "" for text in group[0]))
    sums = [dict(zip(names, key, strict=True)) | _sum(group) for key, group in ordered]
    total = _sum(jobs)
    if found.skipped:
        say(f"Skipped {found.skipped} JSON file(s) that are no manifest of a landed video, or cannot be read.")
    return Answer(
        value={"path": path, "by": args.by, "groups": sums, "total": total, "skipped_files": found.skipped},
        rows=[_row(names, each) for each in [*sums, dict.fromkeys(names[:1], "total") | total]],
    )


def _jobs(manifests: Iterable[LandedManifest]) -> list[_Job]:
    """Return each job once: every output has a manifest beside it, and a job may have landed in several places."""
    copies: dict[str, list[LandedManifest]] = defaultdict(list)
    for manifest in sorted(manifests, key=lambda each: each.landed_at or ""):
        copies[manifest.job_id].append(manifest)
    return [_job(group) for group in copies.values()]


def _job(copies: Sequence[LandedManifest]) -> _Job:
    """Read one job from the manifests of its files, oldest first: who landed it first, and what is known of it last."""
    first = copies[0]
    costs = [cost for each in copies if (cost := _cost(each)) is not None]
    when = next((each.completed_at for each in copies if each.completed_at), None) or first.landed_at
    return _Job(
        model=next((each.model for each in copies if each.model), None),
        dag_id=first.dag_id,
        run_id=first.run_id,
        day=when[:_DATE] if when else None,
        cost=costs[-1] if costs else None,
    )


def _cost(manifest: LandedManifest) -> Decimal | None:
    cost = manifest.cost_usd
    return Decimal(str(cost)) if cost is not None and math.isfinite(cost) and cost >= 0 else None


def _sum(jobs: Sequence[_Job]) -> dict[str, Any]:
    """Add up what is known; where nothing is, the sum is unknown too and not 0."""
    costs = [job.cost for job in jobs if job.cost is not None]
    return {
        "jobs": len(jobs),
        "cost_usd": float(sum(costs)) if costs else None,
        "jobs_of_unknown_cost": len(jobs) - len(costs),
    }


def _row(names: Sequence[str], group: dict[str, Any]) -> dict[str, object]:
    return {
        **{name: known(group[name]) if name in group else "" for name in names},
        "jobs": group["jobs"],
        "cost": as_dollars(group["cost_usd"]) if group["jobs"] else "-",
        "jobs_of_unknown_cost": group["jobs_of_unknown_cost"],
    }
