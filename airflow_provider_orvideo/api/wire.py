"""What goes over the wire and what comes back, without doing any I/O: paths, error envelopes, outcomes by phase."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin, urlsplit

import httpx

from airflow_provider_orvideo import exceptions as exc
from airflow_provider_orvideo.api.config import origin
from airflow_provider_orvideo.api.redaction import is_clean, redact, redact_tree
from airflow_provider_orvideo.api.retry import parse_retry_after
from airflow_provider_orvideo.api.schema import VideoJob, parse_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_orvideo.api.config import ClientConfig

MAX_REDIRECTS: Final = 5

_BY_STATUS: Final[Mapping[int, type[exc.StatusError]]] = {
    400: exc.BadRequestError,
    401: exc.AuthenticationError,
    402: exc.PaymentRequiredError,
    403: exc.PermissionDeniedError,
    404: exc.NotFoundError,
    408: exc.RequestTimeoutError,
    409: exc.ConflictError,
    410: exc.GoneError,
    413: exc.PayloadTooLargeError,
    429: exc.RateLimitedError,
    499: exc.CallerCancelledError,
    500: exc.InternalServerError,
    502: exc.BadGatewayError,
    503: exc.ServiceUnavailableError,
}

#: httpx errors of the connect phase: the request has not left. Everything else may have reached the server.
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

#: What can go wrong with a read. The second comes of a redirect's location, which httpx reads even if told to stay.
FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL)

#: 4xx answers to the paid POST that do not say whether a job was made: both report an exchange cut short, and a render
#: may have begun before it was.
_UNCLEAR_REFUSALS: Final = (exc.RequestTimeoutError, exc.CallerCancelledError)

_TITLE = re.compile(r"<title[^>]{0,100}>([^<]{1,300})", re.IGNORECASE)


def job_path(job_id: str) -> str:
    """Return ``/videos/{job_id}`` with the opaque id percent-encoded as one path segment.

    Raises:
        RequestInvalidError: the id is empty.
    """
    if not job_id:
        raise exc.RequestInvalidError(("'job_id' is empty; give the id that the submit returned.",))
    # Dots alone would be resolved away as "this" and "parent" folder.
    segment = job_id.replace(".", "%2E") if not job_id.strip(".") else quote(job_id, safe="")
    return f"/videos/{segment}"


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_failure(error: httpx.HTTPError | httpx.InvalidURL, *, operation: str, host: str) -> exc.OrVideoError:
    """Name a transport failure of a free read by its phase."""
    if isinstance(error, _NOT_SENT):
        return exc.NotSentError(f"{operation}: no connection to {host}: {_describe(error)}.")
    return exc.ReadInterruptedError(f"{operation}: the answer of {host} broke off: {_describe(error)}.")


def submit_failure(error: Exception, *, host: str) -> exc.OrVideoError:
    """Name a transport failure of the paid POST by its phase."""
    if isinstance(error, _NOT_SENT):
        return exc.NotSentError(
            f"createVideos: no connection to {host}: {_describe(error)}. Nothing was sent, nothing was spent."
        )
    return exc.OutcomeUnknownError(f"POST /videos left for {host} and then: {_describe(error)}.")


def cause_of(error: Exception) -> Exception | None:
    """Return ``error`` to be chained, or None where a traceback of it would print a secret that the server echoed."""
    link: BaseException | None = error
    while link is not None:
        if not is_clean(str(link)):
            return None
        link = link.__cause__ or link.__context__
    return error


def _describe(error: Exception) -> str:
    return redact(f"{type(error).__name__} {error}".strip()).rstrip(".")


def status_error(response: httpx.Response, *, operation: str) -> exc.StatusError:
    """Build the error for a response that was read and refuses, whatever shape its body has."""
    payload = _decoded(response)
    message, metadata, code = _envelope(payload, response)
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and code is not None:
        status = code
    return _error_class(status)(
        message,
        status_code=status,
        operation=operation,
        metadata=metadata,
        retry_after=_retry_after(response, metadata),
        request_id=_request_id(response),
    )


def _error_class(status: int) -> type[exc.StatusError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < HTTPStatus.BAD_REQUEST:
        return exc.RedirectError
    return exc.ClientStatusError if status < HTTPStatus.INTERNAL_SERVER_ERROR else exc.ServerStatusError


def _decoded(response: httpx.Response) -> Any:  # noqa: ANN401 - decoded JSON
    try:
        return response.json()
    except (ValueError, RecursionError):  # not JSON, not text, or nested to make a parser fall over
        return None


def _envelope(payload: Any, response: httpx.Response) -> tuple[str, dict[str, Any], int | None]:  # noqa: ANN401
    """Return message, metadata and code from any of the shapes that have been met."""
    error = payload.get("error") if isinstance(payload, dict) else None
    if isinstance(error, dict):
        code = error.get("code")
        metadata = error.get("metadata")
        return (
            _zod(error) or redact(str(error.get("message") or error)),
            redact_tree(metadata) if isinstance(metadata, dict) else {},
            code if isinstance(code, int) and 400 <= code < 600 else None,  # noqa: PLR2004 - HTTP's own numbers
        )
    if error is not None:
        return redact(str(error)), {}, None
    if isinstance(payload, dict) and isinstance(payload.get("message"), str):
        return redact(payload["message"]), {}, None
    return _unstructured(response), {}, None


def _zod(error: dict[str, Any]) -> str | None:
    """Spell out a validation error whose message is itself a JSON list of issues."""
    if error.get("name") != "ZodError":
        return None
    try:
        issues = json.loads(error.get("message") or "")
        parts = [f"{'.'.join(map(str, issue.get('path') or ['request']))}: {issue['message']}" for issue in issues]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return redact(str(error.get("message")))
    return redact("; ".join(parts)) or None


def _unstructured(response: httpx.Response) -> str:
    """Say what came when it was not the API's JSON: a page's title tells more than its markup."""
    # Only the beginning is decoded, and as UTF-8: the declared charset may be none of text, and the body of megabytes.
    text = response.content[:20_000].decode(errors="replace")
    title = _TITLE.search(text)
    if title:
        return f"an HTML page titled {redact(title[1], limit=120)!r}"
    if location := response.headers.get("Location"):
        # A relative one is no URL to `redact`, and its query may be a signature all the same.
        return f"a redirect to {redact(location.partition('?')[0].partition('#')[0], limit=120)!r}"
    return redact(text, limit=200) or response.reason_phrase or "no explanation"


def _retry_after(response: httpx.Response, metadata: dict[str, Any]) -> float | None:
    """Read the wish from the header, or from the metadata that relays an upstream provider's."""
    wish = parse_retry_after(response.headers)
    if wish is not None:
        return wish
    wish = parse_retry_after({"Retry-After": str(metadata.get("retry_after_seconds", ""))})
    if wish is not None:
        return wish
    relayed = metadata.get("headers")
    return (
        parse_retry_after({"Retry-After": str(relayed.get("Retry-After", ""))}) if isinstance(relayed, dict) else None
    )


def _request_id(response: httpx.Response) -> str | None:
    for name in ("request-id", "x-request-id", "x-generation-id", "cf-ray"):
        if value := response.headers.get(name):
            return redact(value, limit=80)
    return None


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_answer(response: httpx.Response, *, operation: str) -> Any:  # noqa: ANN401 - decoded JSON
    """Return the decoded body of a read that succeeded.

    Raises:
        StatusError: the server refused, also where it did so inside a 2xx.
        ResponseInvalidError: a 2xx with a body that is no JSON.
    """
    if not response.is_success:
        raise status_error(response, operation=operation)
    payload = _decoded(response)
    if payload is None:
        raise exc.ResponseInvalidError(
            f"{operation} was answered with HTTP {response.status_code} and no JSON but {_unstructured(response)}."
        )
    # A failed job carries "error" too, next to its id; an envelope carries nothing but the error.
    if isinstance(payload, dict) and payload.get("error") and "id" not in payload and "data" not in payload:
        if _envelope(payload, response)[2] is None:
            raise exc.ResponseInvalidError(
                f"{operation} was answered with HTTP {response.status_code} and an error inside: "
                f"{_envelope(payload, response)[0]}."
            )
        raise status_error(response, operation=operation)
    return payload


def not_media(response: httpx.Response, *, operation: str) -> exc.OrVideoError:
    """Build the error for JSON that came with a 2xx where a video should have come."""
    try:
        payload = read_answer(response, operation=operation)
    except exc.OrVideoError as error:
        return error
    return exc.ResponseInvalidError(
        f"{operation} was answered with JSON instead of a video: {redact(str(payload), limit=200)}"
    )


def submit_answer(response: httpx.Response) -> VideoJob:
    """Return the job that the paid POST made.

    Raises:
        RateLimitedError: 429; nothing was accepted.
        ClientStatusError: any other clear refusal; nothing was accepted.
        RedirectError: the base URL is wrong; nothing was accepted.
        OutcomeUnknownError: a job may exist: 303, 408, 499, 5xx, or a 2xx that names no job.
    """
    try:
        payload = read_answer(response, operation="createVideos")
        return parse_answer(VideoJob, payload, operation="createVideos")
    except exc.StatusError as error:
        # OpenRouter reports an error inside a 2xx once the work has begun, so its code, even 429, is no refusal. And by
        # its definition "See Other" follows a request that was carried out.
        refused = isinstance(error, exc.ClientStatusError | exc.RedirectError) and not isinstance(
            error, _UNCLEAR_REFUSALS
        )
        if refused and not response.is_success and response.status_code != HTTPStatus.SEE_OTHER:
            raise
        inside = f"HTTP {response.status_code} came with an error inside: " if response.is_success else ""
        raise exc.OutcomeUnknownError(f"{inside}{error}", status_code=response.status_code) from error
    except exc.ResponseInvalidError as error:
        raise exc.OutcomeUnknownError(f"{error}", status_code=response.status_code) from error
    except Exception as error:  # noqa: BLE001
        # The POST was answered: no accident with the answer may look as if nothing had been sent.
        raise exc.OutcomeUnknownError(
            f"its answer could not be read: {_describe(error)}.", status_code=response.status_code
        ) from cause_of(error)


def redirect_target(request_url: str, response: httpx.Response, config: ClientConfig, *, operation: str) -> str | None:
    """Return the absolute URL a read is redirected to, or None where the response is no redirect.

    Raises:
        RedirectError: the redirect leads from https to plain http, or not to http at all.
    """
    if not response.has_redirect_location:
        return None
    try:
        # As the HTTP library reads it: the origin that gets the key is judged by the very text that is connected to.
        target = str(httpx.URL(urljoin(request_url, response.headers["Location"])))
        scheme, host, _ = origin(target)
    except (ValueError, httpx.InvalidURL):
        raise status_error(response, operation=operation) from None
    downgraded = scheme == "http" and config.origin[0] == "https" and not config.allow_insecure_http
    if scheme not in {"http", "https"} or not host or downgraded:
        raise status_error(response, operation=operation)
    return target


def host_of(url: str) -> str:
    """Return host and port of a URL for a message."""
    return urlsplit(url).netloc.rpartition("@")[2]
