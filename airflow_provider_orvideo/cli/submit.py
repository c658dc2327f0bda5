"""``airflow orvideo submit``: orders one video outside of a DAG. It asks first, sends once, and prints the job's id."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.cli.access import cache_settings, connected
from airflow_provider_orvideo.cli.answer import Answer, say
from airflow_provider_orvideo.cli.request import request_of
from airflow_provider_orvideo.cli.running import command
from airflow_provider_orvideo.exceptions import BeforeSendError, OutcomeUnknownError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.ledger.fingerprint import outline
from airflow_provider_orvideo.manifests import JobManifest, iso
from airflow_provider_orvideo.preflight.inspection import Rules, inspect

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoJob
    from airflow_provider_orvideo.preflight.inspection import Inspected

_YES: Final = frozenset({"y", "yes"})


class DeclinedError(BeforeSendError):
    """The person at the terminal did not say yes. Nothing was sent, nothing was spent."""


@command
def submit(args: Namespace) -> Answer:
    """Order one video."""
    request = request_of(args)
    rules = _rules(args)
    with connected(args.conn_id) as client:
        found = inspect(client, request, rules)
        say(f"One video of {found.request.model} is estimated at {found.estimate}. The bill may differ.")
        if not args.yes:
            _ask()
        job = _ordered(client, found)
        # At once, whatever becomes of stdout: nothing else remembers the job.
        say(f"Ordered: job {job.id}, status '{job.status}'. Keep the id; nothing else remembers the job.")
    cost = found.estimate.usd if found.estimate else None
    manifest = JobManifest(
        job_id=job.id,
        status=job.status,
        model=found.request.model,
        generation_id=job.generation_id,
        estimated_cost_usd=None if cost is None else float(cost),
        outputs=job.output_count,
        submitted_at=iso(time.time()),
        conn_id=args.conn_id or OrVideoHook.default_conn_name,
        request=outline(found.request),
    )
    return Answer(value=manifest.to_json(), text=job.id)


def _rules(args: Namespace) -> Rules:
    folder, ttl = cache_settings()
    return Rules(
        max_cost_usd=args.max_cost_usd,
        # A limit that holds only where the price list can be read is none for a script.
        on_unknown_cost=args.on_unknown_cost or ("fail" if args.max_cost_usd is not None else "allow"),
        check_budget=args.check_budget,
        cache_dir=folder,
        cache_ttl=ttl,
    )


def _ask() -> None:
    sys.stderr.write("Order it? This costs money and cannot be cancelled. [y/N] ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline() if sys.stdin is not None else ""
    except KeyboardInterrupt:
        answer = ""
    if answer.strip().lower() not in _YES:
        raise DeclinedError("Not confirmed: nothing was ordered. Answer y, or give --yes where nobody can answer.")


def _ordered(client: VideoClient, found: Inspected) -> VideoJob:
    """Send the order, once."""
    spent = f"It was estimated at {found.estimate}."
    # Should this process be killed now, these words are all that is left.
    say("The order is sent now. Should no job id follow, look at https://openrouter.ai/activity before ordering again.")
    try:
        return client.generate(found.request, retry=NO_RETRY)
    except OutcomeUnknownError as error:
        raise OutcomeUnknownError(
            error.evidence,
            status_code=error.status_code,
            advice=f"{spent} Check https://openrouter.ai/activity before you run this command again.",
        ) from error
    except KeyboardInterrupt:
        raise OutcomeUnknownError(
            "it was interrupted before the answer came.",
            advice=f"{spent} Check https://openrouter.ai/activity before you run this command again.",
        ) from None
