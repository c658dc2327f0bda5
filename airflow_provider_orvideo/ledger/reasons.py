"""Why a job has no video, as far as its error text tells. Pure."""

from __future__ import annotations

import re
from typing import Final

from airflow_provider_orvideo.api.schema import JobStatus

#: What moderation says, in the words of the providers behind the API. Such a job is never bought again by itself.
_REFUSAL: Final = re.compile(
    r"policy|polici|moderat|guardrail|guideline|safety|unsafe|prohibit|inappropriate|harmful|nsfw|flagged|sensitive|"
    r"violat|blocked|content.?filter|risk.?control",
    re.IGNORECASE,
)
#: What a provider says that has no room for the job.
_CAPACITY: Final = re.compile(
    r"\bcapacity\b|overload|rate.?limit|too many requests|throttl|resource.?exhausted|\bbusy\b|high (?:demand|load)|"
    r"(?:temporarily|service|model|provider) (?:is )?(?:currently )?unavailable|"
    r"no (?:available |healthy )?(?:provider|endpoint|gpu|worker)s?\b|\b(?:429|503|529)\b",
    re.IGNORECASE,
)


def is_refusal(error: str | None) -> bool:
    """Whether a job's error text speaks of moderation. Errs on the side of yes, which costs nothing."""
    return bool(error and _REFUSAL.search(error))


def is_capacity(status: str | None, error: str | None) -> bool:
    """Whether a job ended because there was no room for it: its text says so, or it waited in a queue until it expired.

    Errs on the side of no, for yes may order another. That ``expired`` is a job that was never begun in time is what
    the API's documentation says ("Job exceeded maximum time to live").
    """
    return not is_refusal(error) and (status == JobStatus.EXPIRED or bool(error and _CAPACITY.search(error)))
