"""What a DAG's author may decide about paying again. Light: operators check it when a DAG is parsed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, get_args, get_type_hints

from airflow_provider_orvideo.exceptions import ConfigurationError

OnAmbiguousSubmit = Literal["fail", "resubmit"]
OnChangedRequest = Literal["submit", "fail"]
OnJobFailure = Literal["fail", "resubmit"]
OnClear = Literal["reuse", "submit"]
FallbackOn = Literal["capacity", "failure", "refusal"]


@dataclass(frozen=True, kw_only=True)
class Policies:
    """What the DAG's author wants where the record alone cannot tell. The defaults never pay twice for one order.

    Args:
        on_ambiguous_submit: an earlier POST may have been accepted. ``fail``: stop, a person decides. ``resubmit``:
            order again, and perhaps pay twice.
        on_changed_request: the job that exists was ordered with another request. ``submit``: order the new one.
            ``fail``: stop.
        on_job_failure: the job ended without a video. ``fail``: Airflow's retries do not buy another. ``resubmit``:
            they do, unless moderation refused.
        on_clear: a person cleared a task whose job has ended. ``reuse``: its end stands. ``submit``: order anew. A job
            still in flight is always re-attached.
        fallback_on: with several models, after what the next one is ordered. ``capacity``: the order was refused by
            429, or its job ended for want of room. ``failure``: also after any other job without a video, but for what
            moderation refused. ``refusal``: also after that, and after orders refused by 400, 403 and 404.

    Raises:
        ConfigurationError: a value that is not allowed.
    """

    on_ambiguous_submit: OnAmbiguousSubmit = "fail"
    on_changed_request: OnChangedRequest = "submit"
    on_job_failure: OnJobFailure = "fail"
    on_clear: OnClear = "reuse"
    fallback_on: FallbackOn = "capacity"

    def __post_init__(self) -> None:
        """Check the values: a policy about money that is misspelt must not fall back to anything."""
        hints = get_type_hints(type(self))
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(hints[field.name])
            if value not in allowed:
                raise ConfigurationError(
                    f"'{field.name}' is {value!r}; allowed are {' and '.join(map(repr, allowed))}, "
                    f"default {field.default!r}."
                )


#: What holds where the author decided nothing.
DEFAULT_POLICIES: Final = Policies()
