"""Which model comes next where one has no room, and after what. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_orvideo.exceptions import (
    BadRequestError,
    NotFoundError,
    OrVideoError,
    PermissionDeniedError,
    RateLimitedError,
)
from airflow_provider_orvideo.ledger.reasons import is_capacity, is_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_orvideo.ledger.policies import FallbackOn

#: Refusals that are about the request or the model, and in which nothing was accepted.
_REFUSED = (BadRequestError, PermissionDeniedError, NotFoundError)


def after_refusal(error: OrVideoError, on: FallbackOn) -> bool:
    """Whether the next model is tried after an order of which nothing was accepted.

    Args:
        error: how it was refused. A 503 is none: it does not tell whether the order was accepted.
        on: what the author wants.
    """
    return isinstance(error, RateLimitedError) or (on == "refusal" and isinstance(error, _REFUSED))


def after_end(status: str | None, error: str | None, on: FallbackOn) -> bool:
    """Whether the next model is tried after a job that ended without a video."""
    if is_refusal(error):
        return on == "refusal"
    return on != "capacity" or is_capacity(status, error)


def next_model(models: Sequence[str], model: str) -> str | None:
    """Return the model after ``model``, None where it is the last, or none of them."""
    if model not in models:
        return None
    return next(iter(models[models.index(model) + 1 :]), None)
