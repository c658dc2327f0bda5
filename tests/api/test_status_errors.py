"""Each refusal by status becomes its own error, whatever shape its body has, with words that a person can act on."""

from __future__ import annotations

import copy
import json
import pickle
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo import exceptions as exc
from airflow_provider_orvideo.api import wire
from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import NO_RETRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Connect, Replay

    Refuse = Callable[..., Any]

BY_STATUS: dict[int, type[exc.StatusError]] = {
    400: exc.BadRequestError,
    401: exc.AuthenticationError,
    402: exc.PaymentRequiredError,
    403: exc.PermissionDeniedError,
    404: exc.NotFoundError,
    405: exc.ClientStatusError,
    408: exc.RequestTimeoutError,
    409: exc.ConflictError,
    410: exc.GoneError,
    413: exc.PayloadTooLargeError,
    418: exc.ClientStatusError,
    429: exc.RateLimitedError,
    451: exc.ClientStatusError,
    499: exc.CallerCancelledError,
    500: exc.InternalServerError,
    501: exc.ServerStatusError,
    502: exc.BadGatewayError,
    503: exc.ServiceUnavailableError,
    524: exc.ServerStatusError,
    529: exc.ServerStatusError,
    304: exc.RedirectError,
}


@pytest.fixture
def refuse(connect: Connect, replay: Callable[..., Replay]) -> Refuse:
    """Poll once against this answer and return the error."""

    async def ask(status: int, **answer: Any) -> exc.StatusError:  # noqa: ANN401
        api = connect(replay(httpx.Response(status, **answer)), read_retry=NO_RETRY)
        with pytest.raises(exc.StatusError) as caught:
            await api.get_generation("job-1")
        return caught.value

    return ask


@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
async def test_status_has_its_error(refuse: Refuse, status: int, kind: type[exc.StatusError]) -> None:
    error = await refuse(status, json={"error": {"code": status, "message": "The server's words"}})
    assert type(error) is kind
    assert error.status_code == status
    assert error.operation == "getVideos"
    assert str(error).startswith(f"getVideos was answered with HTTP {status}: The server's words.")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, exc.BadRequestError), (409, exc.ConflictError), (410, exc.GoneError)]
)
async def test_content_refusal_names_its_operation(
    connect: Connect, replay: Callable[..., Replay], status: int, kind: type[exc.StatusError]
) -> None:
    words = "Video index 5 out of range (1 videos available)"
    wire = replay(httpx.Response(status, json={"error": {"message": words, "code": status}}))
    with pytest.raises(kind, match=r"^listVideosContent .*index 5 out of range") as caught:
        async with connect(wire).get_video_content("job-1", 5):
            pass
    assert caught.value.operation == "listVideosContent"


ZOD = {
    "success": False,
    "error": {
        "name": "ZodError",
        "message": json.dumps(
            [
                {"code": "invalid_union", "path": ["input_references", 0, "type"], "message": "Invalid input"},
                {"code": "custom", "path": [], "message": "Body is odd"},
            ]
        ),
    },
}
ENVELOPES: dict[str, tuple[dict[str, Any], str]] = {
    "documented": ({"json": {"error": {"code": 400, "message": "Duration 99s is not supported."}}}, "Duration 99s"),
    "with metadata null": ({"json": {"error": {"code": 400, "message": "No", "metadata": None}}}, ": No."),
    "zod": ({"json": ZOD}, "input_references.0.type: Invalid input; request: Body is odd."),
    "zod without JSON": ({"json": {"error": {"name": "ZodError", "message": "odd input"}}}, ": odd input."),
    "zod of another shape": ({"json": {"error": {"name": "ZodError", "message": "[1]"}}}, ": [1]."),
    "error is text": ({"json": {"error": "model is required"}}, ": model is required."),
    "error is a list": ({"json": {"error": ["first", "second"]}}, "first"),
    "error without a message": ({"json": {"error": {"code": 400, "reason": "quota"}}}, "quota"),
    "only a message": ({"json": {"message": "Not here"}}, ": Not here."),
    "HTML": (
        {"html": "<html><head><title>\n 400 | Blocked </title></head><body>" + "x" * 9999 + "</body></html>"},
        "an HTML page titled '400 | Blocked'",
    ),
    "plain text": ({"text": "upstream connect error"}, ": upstream connect error."),
    "nothing": ({"content": b""}, ": Bad Request."),
    "not UTF-8": ({"content": b"\xff\xfebroken"}, "broken"),
    "odd charset": ({"content": b"words", "headers": {"Content-Type": "text/html; charset=hex"}}, ": words."),
    "list": ({"json": ["oops"]}, "oops"),
    "null": ({"text": "null"}, "null"),
    "no floor": ({"text": "[" * 100_000}, "[[["),
}


@pytest.mark.parametrize(("answer", "words"), ENVELOPES.values(), ids=ENVELOPES)
async def test_any_envelope_gives_a_clear_message(refuse: Refuse, answer: dict[str, Any], words: str) -> None:
    error = await refuse(400, **answer)
    assert isinstance(error, exc.BadRequestError)
    assert words in str(error)
    assert len(str(error)) < 700
    assert "\n" not in str(error)


async def test_code_inside_does_not_override_the_status(refuse: Refuse) -> None:
    error = await refuse(403, json={"error": {"code": 429, "message": "x"}})
    assert isinstance(error, exc.PermissionDeniedError)


@pytest.mark.parametrize("code", [401, 429, 503])
async def test_error_inside_a_200_counts_by_its_code(refuse: Refuse, code: int) -> None:
    error = await refuse(200, json={"error": {"code": code, "message": "Inside"}, "user_id": "u"})
    assert type(error) is BY_STATUS[code]
    assert "Inside" in str(error)


@pytest.mark.parametrize(
    "error", ["upstream broke", {"message": "upstream broke"}, {"code": "x", "message": "upstream broke"},
              {"code": 200, "message": "upstream broke"}]
)  # fmt: skip
async def test_error_inside_a_200_without_a_status_is_an_invalid_answer(
    connect: Connect, replay: Callable[..., Replay], error: object
) -> None:
    api = connect(replay(httpx.Response(200, json={"error": error})))
    with pytest.raises(exc.ResponseInvalidError, match="HTTP 200 and an error inside: upstream broke"):
        await api.get_generation("job-1")


async def test_metadata_is_kept_for_whoever_decides(refuse: Refuse) -> None:
    metadata = {"limit_source": "openrouter_in_flight_budget", "reason": "in_flight_budget_exhausted", "n": [1, None]}
    error = await refuse(402, json={"error": {"code": 402, "message": "No credit", "metadata": metadata}})
    assert error.metadata == metadata


async def test_message_tells_wait_advice_and_request_id(refuse: Refuse) -> None:
    headers = {"Retry-After": "30", "request-id": "req-42"}
    error = await refuse(402, json={"error": {"code": 402, "message": "No credit"}}, headers=headers)
    assert error.retry_after == 30.0
    assert error.request_id == "req-42"
    text = str(error)
    assert "wait 30 s" in text
    assert "https://openrouter.ai/credits" in text
    assert "req-42" in text


@pytest.mark.parametrize("name", ["request-id", "X-Request-Id", "X-Generation-Id", "CF-Ray"])
async def test_any_of_the_servers_ids_serves_as_request_id(refuse: Refuse, name: str) -> None:
    assert (await refuse(500, headers={name: "abc"})).request_id == "abc"


async def test_endless_page_is_read_fast_and_cut_short(refuse: Refuse) -> None:
    started = time.perf_counter()
    for body in ("<title>" * 200_000, "<title" * 200_000, "https://x?" * 200_000, "data:;a" * 200_000):
        assert len(str(await refuse(500, text=body))) < 700
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    "error",
    [
        exc.RateLimitedError("Slow", status_code=429, operation="getVideos", metadata={"a": 1}, retry_after=3.0),
        exc.OutcomeUnknownError("It broke.", status_code=503),
        exc.RequestInvalidError(("'size' is wrong.",)),
        exc.JobFailedError("It failed.", job_id="job-1"),
        exc.NotSentError("No way."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_travels_between_processes_whole(error: exc.OrVideoError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 429])
def test_a_refused_order_says_that_nothing_was_spent(status: int) -> None:
    response = httpx.Response(status, json={"error": {"message": "no", "code": status}})
    error = wire.status_error(response, operation="createVideos")
    assert "Nothing was accepted, nothing was spent." in str(error)
    assert "spent" not in str(wire.status_error(response, operation="getVideos"))


def test_a_proxy_of_the_environment_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "foo://user:secret@proxy.example:1")
    with pytest.raises(exc.ConfigurationError, match="HTTPS_PROXY") as caught:
        VideoClient(ClientConfig(api_key="sk-or-test-1"))
    assert "secret" not in str(caught.value)
