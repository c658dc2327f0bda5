"""Every error of this provider, one tree, drawn by the phase of the request in which it happens.

The phase answers the question that matters for a paid API: *may money have been spent?*

::

    OrVideoError
    ├── BeforeSendError                 refused here; nothing was sent, nothing was spent
    │   ├── ConfigurationError          the connection or an argument cannot work
    │   ├── CostLimitError              it would cost more than the author allows, or nobody can tell
    │   ├── BudgetExceededError         the key, or the run's budget, has too little left
    │   ├── InputUnavailableError       an image, audio or video that the request names cannot be read now
    │   └── RequestInvalidError         the request breaks the API's schema
    │       └── RequestUnsupportedError     the request is well formed but the API would refuse it
    ├── NotSentError                    no connection could be made; nothing was spent
    ├── OutcomeUnknownError             the paid POST left, its answer did not arrive: a job MAY exist and bill
    ├── ReadInterruptedError            a free read (GET) broke off; reading again is safe
    ├── ResponseInvalidError            a free read was answered with something that is not the API's answer
    ├── StatusError                     the server answered, and refused
    │   ├── RedirectError               3xx where none is followed: the base URL is wrong
    │   ├── ClientStatusError           4xx
    │   │   ├── BadRequestError             400
    │   │   ├── AuthenticationError         401
    │   │   ├── PaymentRequiredError        402
    │   │   ├── PermissionDeniedError       403
    │   │   ├── NotFoundError               404
    │   │   ├── RequestTimeoutError         408
    │   │   ├── ConflictError               409
    │   │   ├── GoneError                   410
    │   │   ├── PayloadTooLargeError        413
    │   │   ├── RateLimitedError            429
    │   │   └── CallerCancelledError        499
    │   └── ServerStatusError           5xx
    │       ├── InternalServerError         500
    │       ├── BadGatewayError             502
    │       └── ServiceUnavailableError     503
    ├── JobError                        the job exists; its id is known
    │   ├── JobFailedError
    │   │   └── JobRefusedError         moderation, as far as the job's error text tells
    │   ├── JobCancelledError
    │   ├── JobExpiredError
    │   ├── JobTimedOutError            we stopped waiting; the job goes on
    │   └── JobUnreachableError         its status cannot be read
    ├── LedgerError                     the pay-once record forbids a submit
    │   ├── LedgerUnavailableError
    │   ├── AmbiguousSubmitError
    │   └── ChangedRequestError
    ├── WebhookError                    a call to our webhook is not to be believed; nothing changed
    │   ├── WebhookSignatureError
    │   └── WebhookInvalidError
    ├── LandingError                    the video is paid for; bringing it home failed
    │   ├── OutputUnavailableError
    │   ├── DownloadIncompleteError
    │   ├── MediaInvalidError
    │   ├── MediaUnexpectedError
    │   └── DestinationError
    │       └── DestinationExistsError
    └── BatchIncompleteError            some items of a batch have no landed video; its manifest says why

Each docstring says whether a retry helps. Texts never hold an API key, a signed URL or media bytes.
The statuses are those that the API's specification and its SDK 1.3.84 declare for the video operations, and 408, which
OpenRouter documents for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class OrVideoError(Exception):
    """Base of every error that this provider raises on purpose. Whether a retry helps, the subclasses say."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole: the constructors take other arguments than ``args`` keeps."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[OrVideoError], args: tuple[Any, ...], state: dict[str, Any]) -> OrVideoError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


# ── Nothing was sent ─────────────────────────────────────────────────────────────────────────────────────────────────


class BeforeSendError(OrVideoError):
    """Refused before anything left this process. Nothing was spent; a retry of the same call fails the same way."""


class ConfigurationError(BeforeSendError):
    """The Airflow connection or an argument of ours cannot work. A retry helps only after the setting is mended."""


class CostLimitError(BeforeSendError):
    """The estimate is above what the author allows, or unknown where that is not allowed. A retry does not help."""


class BudgetExceededError(BeforeSendError):
    """The key, or the budget of the run, has too little left for the estimate. A retry helps once there is more."""


class InputUnavailableError(BeforeSendError):
    """A medium that the request names cannot be read now (missing, forbidden, no network). A retry reads it again."""


class RequestInvalidError(BeforeSendError):
    """The request breaks the API's schema. A retry does not help: the message names field, value and what is allowed.

    Args:
        problems: one sentence for each field that is wrong.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("The video request was not sent, nothing was spent. " + " ".join(problems))


class RequestUnsupportedError(RequestInvalidError):
    """The request is well formed, but the API is known to refuse it. A retry does not help."""


class NotSentError(OrVideoError):
    """No connection to the server could be made (DNS, TCP, TLS, proxy, pool). Nothing was spent; a retry helps."""


# ── It left, and then ────────────────────────────────────────────────────────────────────────────────────────────────


class OutcomeUnknownError(OrVideoError):
    """The paid POST was sent and no usable answer came back: a job MAY exist and bill.

    Raised for a read timeout, a reset after sending, 408, 499, any 5xx and an unreadable 2xx; ``__cause__`` holds what
    was seen. An automatic retry may pay twice: look at the activity page first, then adopt the job or submit again.

    Args:
        evidence: what was seen, in one sentence.
        status_code: the HTTP status if one arrived.
        advice: what to do next.
        calls_in: whether the job, if there is one, tells its id by webhook at its end; then a retry finds it.
    """

    def __init__(
        self,
        evidence: str,
        *,
        status_code: int | None = None,
        advice: str = "Check https://openrouter.ai/activity before submitting this request anew.",
        calls_in: bool = False,
    ) -> None:
        self.evidence = evidence
        self.status_code = status_code
        self.calls_in = calls_in
        super().__init__(
            f"The outcome of the paid submit is unknown: {evidence} A job may exist and one video may have been "
            f"billed. Nothing was sent again. {advice}"
        )


class ReadInterruptedError(OrVideoError):
    """A free read timed out or its connection broke, after retries. Reading again is safe and usually helps."""


class ResponseInvalidError(OrVideoError):
    """A free read got a 2xx whose body is not what the API documents. Reading again may help (a proxy in between?)."""


# ── Refused by status ────────────────────────────────────────────────────────────────────────────────────────────────


class StatusError(OrVideoError):
    """The server answered with an error status. Whether a retry helps, the subclasses say.

    Args:
        message: the server's own words, shortened and with secrets removed.
        status_code: HTTP status; for an error inside a 2xx, the code that the error names.
        operation: the API operation that was called, for example ``createVideos``.
        metadata: ``error.metadata`` of the answer, secrets removed.
        retry_after: seconds to wait as the server asked, or None.
        request_id: the server's id of the exchange, for support, or None.

    Source of the statuses: OpenRouter's OpenAPI document of 2026-08-22, and its official SDK 1.3.84, which also
    declares 403, 409, 410, 413, 499 and 503. 408 is told by its documentation.
    """

    #: What to do, appended to the message; each status knows its own.
    advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        operation: str = "",
        metadata: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        self.message = message
        self.status_code = status_code
        self.operation = operation
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.retry_after = retry_after
        self.request_id = request_id
        super().__init__(self._text())

    def _text(self) -> str:
        text = (
            f"{self.operation or 'The request'} was answered with HTTP {self.status_code}: {self.message.rstrip('.')}."
        )
        if self.operation == "createVideos" and isinstance(self, ClientStatusError):
            text += " Nothing was accepted, nothing was spent."
        if self.retry_after is not None:
            text += f" The server asks to wait {self.retry_after:g} s."
        if self.advice:
            text += f" {self.advice}"
        if self.request_id:
            text += f" (request id {self.request_id})"
        return text


class RedirectError(StatusError):
    """3xx that is not followed. A retry does not help: the connection's base URL points to the wrong place."""

    advice = "Set the connection's host to the final base URL, for example https://openrouter.ai/api/v1."


class ClientStatusError(StatusError):
    """Any 4xx: refused, nothing was accepted. Unless a subclass says so, a retry of the same request does not help."""


class BadRequestError(ClientStatusError):
    """400: a parameter is wrong for this model. A retry does not help; change the request."""

    advice = "Change the request."


class AuthenticationError(ClientStatusError):
    """401: no key or a wrong key. A retry helps only after the connection's password (the API key) is mended."""

    advice = "Check the API key in the connection's password field."


class PaymentRequiredError(ClientStatusError):
    """402: out of credits, or over the key's limit. A retry helps after a top-up, or when in-flight jobs finish."""

    advice = "Top up at https://openrouter.ai/credits or raise the key's limit."


class PermissionDeniedError(ClientStatusError):
    """403: moderation, a guardrail, a budget, or a key that may not generate. A retry does not help by itself."""

    advice = "Change the prompt or the media, raise the budget, or use a key that may generate."


class NotFoundError(ClientStatusError):
    """404: no such job; on a submit, no provider fits the account's data policy. A retry helps if the job is young."""


class RequestTimeoutError(ClientStatusError):
    """408: the server gave up waiting. A retry of a read helps; on a submit it counts as an unknown outcome."""


class ConflictError(ClientStatusError):
    """409: the output is not there yet. A retry later helps."""


class GoneError(ClientStatusError):
    """410: the output is no longer kept. A retry does not help; only a new video does."""


class PayloadTooLargeError(ClientStatusError):
    """413: the request body is too large. A retry does not help; send smaller images, or their HTTPS URLs."""

    advice = "Send smaller images, or HTTPS URLs instead of data URLs."


class RateLimitedError(ClientStatusError):
    """429: too many requests; nothing was accepted. A retry after ``retry_after`` helps."""


class CallerCancelledError(ClientStatusError):
    """499: the server saw the caller go away. A retry of a read may help; on a submit it is an unknown outcome."""


class ServerStatusError(StatusError):
    """Any 5xx. A retry of a read helps; on a submit it counts as an unknown outcome."""


class InternalServerError(ServerStatusError):
    """500: the server failed and says nothing more. A retry of a read helps."""


class BadGatewayError(ServerStatusError):
    """502: the upstream provider failed. A retry of a read helps."""


class ServiceUnavailableError(ServerStatusError):
    """503: no provider is available. A retry of a read after ``retry_after`` helps."""


# ── The job ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class JobError(OrVideoError):
    """Something is wrong with a job that exists. A retry re-attaches to it and never orders another by itself.

    Args:
        message: what happened and what to do, a whole sentence.
        job_id: the job.
    """

    def __init__(self, message: str, *, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(message)


class JobFailedError(JobError):
    """The job ended as ``failed``. A retry of the task does not buy another video; changing the request may help."""


class JobRefusedError(JobFailedError):
    """The job ended without a video and its error speaks of moderation. Only another request helps, not a retry."""


class JobCancelledError(JobError):
    """The job ended as ``cancelled``, by the server's side. A retry does not help; a new video must be ordered."""


class JobExpiredError(JobError):
    """The job ended as ``expired``, over the API's time to live. A retry does not help; a new video must be ordered."""


class JobTimedOutError(JobError):
    """Our own deadline passed while the job was still running. It goes on and may bill; a retry waits for it again."""


class JobUnreachableError(JobError):
    """The job's status cannot be read (key refused, job unknown). A retry re-attaches once the cause is mended."""


# ── The ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────


class LedgerError(OrVideoError):
    """The pay-once record does not allow a submit; nothing was sent. Whether a retry helps, the subclasses say."""


class LedgerUnavailableError(LedgerError):
    """The record cannot be read or written, which is never taken for "no record". A retry helps once it can."""


class AmbiguousSubmitError(LedgerError):
    """An earlier attempt sent the POST and its outcome is unknown. A retry does not help: a person must decide.

    Args:
        message: what may have been billed, and what to do.
        calls_in: whether the job, if there is one, tells its id by webhook at its end; then a retry finds it.
    """

    def __init__(self, message: str, *, calls_in: bool = False) -> None:
        self.calls_in = calls_in
        super().__init__(message)


class ChangedRequestError(LedgerError):
    """A job exists for another request, and ``on_changed_request`` is ``fail``. A retry does not help."""


# ── The webhook ──────────────────────────────────────────────────────────────────────────────────────────────────────


class WebhookError(OrVideoError):
    """A call that came to our webhook was refused, and changed nothing. Whether a retry helps, the subclasses say."""


class WebhookSignatureError(WebhookError):
    """The call is not signed with our secret, or not now. A retry of the same bytes never helps. Shows none of them."""


class WebhookInvalidError(WebhookError):
    """The call is signed and yet no event of a video job. A retry of the same bytes never helps."""


# ── The landing ──────────────────────────────────────────────────────────────────────────────────────────────────────


class LandingError(OrVideoError):
    """The video is paid for but did not land whole and vouched for. A retry lands it, and never submits again."""


class OutputUnavailableError(LandingError):
    """The server does not have the output (not ready, gone, none listed). The message says if a later retry helps."""


class DownloadIncompleteError(LandingError):
    """The transfer broke off, after retries. A retry helps."""


class MediaInvalidError(LandingError):
    """What arrived is not a whole video. A retry downloads it again and may help."""


class MediaUnexpectedError(LandingError):
    """What arrived is a whole video, but not what was ordered. A retry does not help; ``expect="warn"`` lands it."""


class DestinationError(LandingError):
    """The destination cannot be written or named. A retry helps once storage, credentials or pattern are mended."""


class DestinationExistsError(DestinationError):
    """Another video lies at the destination and must stay. A retry does not help; another destination does."""


# ── The batch ────────────────────────────────────────────────────────────────────────────────────────────────────────


class BatchIncompleteError(OrVideoError):
    """Some items of a batch have no landed video. A retry orders, follows or lands those, and pays for none twice."""
