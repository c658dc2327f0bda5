"""The calls that OpenRouter makes when a job ends: is this one genuine, and what does it say. Pure: no I/O, no Airflow.

::

    verify_signature(body, headers.get("X-OpenRouter-Signature"), secret)  # the bytes as they came, not as parsed
    event = read_event(body)

Source: OpenRouter's guide to webhooks, read in October 2026. An event is only a hint, even if it is genuine: calls may
be lost or repeated, and the job itself, read with the key, is the truth.
"""

from __future__ import annotations

import hmac
import re
import time
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_orvideo.api.lenient import ErrorText, Lenient, Text
from airflow_provider_orvideo.exceptions import ConfigurationError, WebhookInvalidError, WebhookSignatureError

#: Header with time and signature; only sent where the workspace has a signing secret.
SIGNATURE_HEADER: Final = "X-OpenRouter-Signature"
#: Header that says ``<job id>-<status>``, the same in each repetition.
IDEMPOTENCY_HEADER: Final = "X-OpenRouter-Idempotency-Key"
#: Longest body that is read, in bytes; real ones have less than one thousand.
MAX_BODY: Final = 64 * 1024
#: Seconds that the signature's time may differ from ours, as OpenRouter recommends.
TOLERANCE: Final = 300.0

#: Longest header that is looked at, in characters: a time and a dozen signatures.
_MAX_HEADER: Final = 1024
_TIME: Final = re.compile(r"[0-9]{1,12}")
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
#: What every type of event about a video job begins with.
_TYPE_PREFIX: Final = "video.generation."


def verify_signature(
    body: bytes, header: str | None, secret: str, *, now: float | None = None, tolerance: float = TOLERANCE
) -> None:
    """Make sure that whoever knows the workspace's signing secret sent these bytes, and just now.

    The signature is ``hex(HMAC-SHA256(secret, "<t>,<body>"))``, with a comma.

    Source: OpenRouter's guide to webhooks, read in October 2026; the tolerance is the one that it recommends for the
    past.

    Args:
        body: the raw body.
        header: value of ``X-OpenRouter-Signature``, ``t=<unix>,v1=<hex>``; None where it is missing. Several ``v1``
            are fine, one must be right; parts of other names are passed over.
        secret: the workspace's signing secret.
        now: epoch seconds; None, the default, for the present.
        tolerance: seconds that the signature may be old, or ahead of a clock that runs late. Default: 300 s.

    Raises:
        WebhookSignatureError: it is missing, malformed, wrong, too old or too far in the future. The message shows
            nothing of header, body or secret.
        ConfigurationError: the secret is empty, so anybody could sign.
    """
    if not secret:
        raise ConfigurationError(
            "The webhook's signing secret is empty; set it to the one of the OpenRouter workspace."
        )
    moment, digests = _parse(header)
    expected = hmac.digest(secret.encode(), moment.encode() + b"," + body, "sha256")
    if not any(hmac.compare_digest(expected, digest) for digest in digests):
        raise WebhookSignatureError("The webhook's signature is wrong: another secret, or the body was changed.")
    age = (time.time() if now is None else now) - int(moment)
    if not abs(age) <= tolerance:
        when = "ago" if age > 0 else "in the future"
        raise WebhookSignatureError(
            f"The webhook was signed {abs(age):.0f} seconds {when}; at most {tolerance:g} are allowed. It is a replay, "
            "or one of the two clocks is wrong."
        )


def _parse(header: str | None) -> tuple[str, list[bytes]]:
    """Return the time as it is written, and the signatures."""
    if not header:
        raise WebhookSignatureError(
            "The webhook is not signed: set a signing secret in the OpenRouter workspace, and the same one here."
        )
    parts = [part.strip().partition("=") for part in header[: _MAX_HEADER + 1].split(",")]
    times = [value for name, _, value in parts if name == "t"]
    digests = [value for name, _, value in parts if name == "v1"]
    well_formed = (
        len(header) <= _MAX_HEADER
        and len(times) == 1
        and _TIME.fullmatch(times[0])
        and digests
        and all(map(_DIGEST.fullmatch, digests))
    )
    if not well_formed:
        raise WebhookSignatureError(
            "The webhook's signature is malformed; it must be t=<unix seconds>,v1=<64 hex digits>."
        )
    return times[0], [bytes.fromhex(digest) for digest in digests]


class WebhookEvent(BaseModel):
    """What a call says about a job.

    Attributes:
        type: ``video.generation.completed``, ``….failed``, ``….cancelled``, ``….expired``, or a newer one.
        job_id: the API's job id, in printable ASCII.
        status: of the job.
        model: model id, None where the job failed early.
        generation_id: id of the accounting record, None where the job failed early.
        cost_usd: US dollars that were billed, None for unknown.
        error: why there is no video, redacted.
        created_at: when the job ended, with its time zone; in the call ISO 8601. None for unknown.

    Source: OpenRouter's guide to webhooks, read in October 2026.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    job_id: str
    status: str
    model: str | None = None
    generation_id: str | None = None
    cost_usd: float | None = None
    error: str | None = None
    created_at: datetime | None = None


class _Usage(BaseModel):
    cost: Annotated[float | None, Field(ge=0, allow_inf_nan=False), Lenient] = None


class _Data(BaseModel):
    # A job's id goes into the path of a request.
    id: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]
    status: Annotated[str, Field(min_length=1, max_length=64)]
    model: Text = None
    generation_id: Text = None
    usage: Annotated[_Usage | None, Lenient] = None
    error: ErrorText = None


class _Body(BaseModel):
    type: Annotated[str, Field(pattern=rf"^{re.escape(_TYPE_PREFIX)}[a-z_]{{1,64}}$")]
    created_at: Annotated[datetime | None, Lenient] = None
    data: _Data


def read_event(body: bytes) -> WebhookEvent:
    """Read a body; fields that are not known are ignored, optional ones of another shape are absent.

    Args:
        body: the raw body, of which `verify_signature` has said who sent it; at most 65,536 bytes.

    Returns:
        What it says, to be taken as a hint.

    Raises:
        WebhookInvalidError: it is too long, no JSON, or not about a video job with an id and a status.

    Source: OpenRouter's guide to webhooks, read in October 2026.
    """
    if len(body) > MAX_BODY:
        raise WebhookInvalidError(f"The webhook's body has {len(body)} bytes; at most {MAX_BODY} are read.")
    try:
        read = _Body.model_validate_json(body)
    except ValidationError as error:
        raise WebhookInvalidError(
            f"The webhook's body is no event of a video job: {_fields(error.errors(include_input=False))}."
        ) from None
    data = read.data
    return WebhookEvent(
        type=read.type,
        job_id=data.id,
        status=data.status,
        model=data.model,
        generation_id=data.generation_id,
        cost_usd=None if data.usage is None else data.usage.cost,
        error=data.error,
        created_at=read.created_at,
    )


def _fields(problems: list[Any]) -> str:
    """Name the fields without their values."""
    names = sorted({".".join(map(str, problem["loc"])) for problem in problems})
    return "no JSON object" if names == [""] else f"{', '.join(names)} missing or not as documented"
