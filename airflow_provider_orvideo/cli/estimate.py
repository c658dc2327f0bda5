"""``airflow orvideo estimate``: is it possible, and what will it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_orvideo.cli.access import read_catalogue
from airflow_provider_orvideo.cli.answer import Answer
from airflow_provider_orvideo.cli.request import request_of
from airflow_provider_orvideo.cli.running import command
from airflow_provider_orvideo.preflight import pricing
from airflow_provider_orvideo.preflight.capabilities import find_model, unknown_model, violations

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
    from airflow_provider_orvideo.preflight.pricing import Estimate
    from airflow_provider_orvideo.preflight.violation import Violation


@command
def estimate(args: Namespace) -> Answer:
    """Judge a request and estimate its cost; no price depends on the prompt, so it may be left out here."""
    request = request_of(args)
    catalogue = read_catalogue(args.conn_id)
    model = find_model(request.model, catalogue)
    found = _violations(request, model)
    if model is None:
        found.insert(0, unknown_model(request, catalogue))
        cost = pricing.Estimate(reason=f"the catalogue does not list {request.model}")
    else:
        cost = pricing.estimate(request, model)
    return Answer(
        value={
            "model": request.model,
            "possible": not found,
            "violations": [_violation_as_json(violation) for violation in found],
            "estimate": _estimate_as_json(cost),
        },
        rows=_rows(request, found, cost),
        problem=f"This video is not possible. {' '.join(map(str, found))}" if found else None,
    )


def _violations(request: VideoRequest, model: VideoModel | None) -> list[Violation]:
    found = violations(request, model)
    return [violation for violation in found if request.prompt is not None or violation.field != "prompt"]


def _violation_as_json(violation: Violation) -> dict[str, Any]:
    return {
        "field": violation.field,
        "value": violation.value,
        "allowed": violation.allowed,
        "fix": violation.fix or None,
    }


def _estimate_as_json(cost: Estimate) -> dict[str, Any]:
    return {
        "low_usd": None if cost.low is None else float(cost.low),
        "high_usd": None if cost.high is None else float(cost.high),
        "derivation": cost.derivation or None,
        "reason": cost.reason,
        "notes": list(cost.notes),
    }


def _rows(request: VideoRequest, found: list[Violation], cost: Estimate) -> list[dict[str, object]]:
    # The sum first; how it came about and what it rests on have rows of their own.
    total, _, _ = str(cost).partition(" = ") if cost.is_known else ("unknown", "", "")
    facts = [
        ("model", request.model),
        ("possible", "no" if found else "yes"),
        ("estimate", total),
        ("derivation" if cost.is_known else "reason", cost.derivation or cost.reason or ""),
        *(("note", note) for note in cost.notes),
    ]
    return [{"what": name, "value": value} for name, value in facts]
