"""What operators share about their arguments, read when a DAG is parsed or when a task runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.api.schema import VideoRequest

#: The fields of a request, which are arguments of the same names.
REQUEST_FIELDS: Final = (
    "model",
    "prompt",
    "aspect_ratio",
    "callback_url",
    "creativity",
    "duration",
    "frame_images",
    "generate_audio",
    "input_references",
    "previous_job_id",
    "provider",
    "resolution",
    "seed",
    "session_id",
    "size",
    "trace",
    "upscale_factor",
    "user",
)

#: A year. Without a bound, "for ever" would only show to be no date once the video is ordered.
_LONGEST: Final = 366 * 86_400.0


def of_attempt(context: Context, name: str) -> int | None:
    """Return one of Airflow's numbers of this attempt, None where this Airflow does not tell it."""
    value = getattr(context.get("ti"), name, None)
    return value if isinstance(value, int) else None


def job_to_adopt(value: object) -> str | None:
    """Read the job to adopt; a template that finds none renders to nothing or to the word None."""
    text = "" if value is None else str(value).strip()
    return None if text in {"", "None"} else text


def summary(request: VideoRequest) -> str:
    """Name the fields that shape the price, for the log; no prompt and no media."""
    shown = ("model", "duration", "resolution", "aspect_ratio", "size", "generate_audio", "upscale_factor")
    values = {name: getattr(request, name) for name in shown}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def seconds(name: str, value: object) -> float:
    """Read a span of time.

    Raises:
        ValueError: it is none, or longer than a year.
    """
    span = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(span, bool) or not isinstance(span, int | float) or not 0 < span <= _LONGEST:
        raise ValueError(
            f"'{name}' is {value!r}; it must be a number of seconds above 0 and of at most a year, or a timedelta."
        )
    return float(span)


def at_least_one(name: str, value: object) -> int:
    """Read how many of something there may be.

    Raises:
        ValueError: it is no whole number from 1.
    """
    if type(value) is not int or value < 1:
        raise ValueError(f"'{name}' is {value!r}; it must be a whole number from 1.")
    return value
