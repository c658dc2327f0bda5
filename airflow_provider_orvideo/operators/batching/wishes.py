"""What the author of a batch wants, read once when the task runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_orvideo.landing.land import LandingOptions
    from airflow_provider_orvideo.ledger.policies import Policies
    from airflow_provider_orvideo.ledger.purchase import Callbacks


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What holds for all items.

    Args:
        conn_id: Airflow connection that pays.
        policies: what to do where a record leaves a choice.
        callbacks: by which a job whose answer is lost tells its id; None without webhooks.
        try_number: Airflow's number of this attempt.
        max_tries: Airflow's ``max_tries`` of this attempt, by which a person's clear is told from a retry.
        timeout: seconds to wait for each item's job, from its submission.
        poll_interval: seconds between two looks at a job.
        max_in_flight: jobs under way at the same time.
        max_concurrent_submits: orders under way at the same time.
        max_concurrent_downloads: videos that are downloaded at the same time.
        landing: how to land each item.
    """

    conn_id: str
    policies: Policies
    callbacks: Callbacks | None
    try_number: int | None
    max_tries: int | None
    timeout: float
    poll_interval: float
    max_in_flight: int
    max_concurrent_submits: int
    max_concurrent_downloads: int
    landing: LandingOptions
