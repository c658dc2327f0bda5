"""An independent client: the API's official SDK works against the simulator, and knows every error of it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("openrouter", reason="the official SDK asks for a newer pydantic than this package does")

from openrouter import OpenRouter, components, errors

from airflow_provider_orvideo.simulator import Simulator

KEY = "sk-or-test-0001"
MODEL = "x-ai/grok-imagine-video"
Operation = Callable[[OpenRouter], object]


# The SDK warns about fields of its own models.
pytestmark = pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")


@pytest.fixture
def sdk(sim: Simulator) -> Iterator[OpenRouter]:
    """The SDK, told not to repeat anything."""
    # Its own client, so that the test closes it: the SDK leaves that to the garbage collector.
    with (
        httpx.Client(follow_redirects=True) as client,
        OpenRouter(
            api_key=KEY, server_url=sim.base_url, client=client, retry_config=None, timeout_ms=10_000
        ) as openrouter,
    ):
        yield openrouter


def submit(sdk: OpenRouter) -> str:
    return sdk.video_generation.generate(model=MODEL, prompt="a red boat", duration=1, resolution="480p").id


def test_a_whole_generation(sim: Simulator, sdk: OpenRouter, decode: Callable[[bytes], dict[str, Any]]) -> None:
    submitted = sdk.video_generation.generate(
        model=MODEL,
        prompt="a red boat",
        duration=1,
        resolution="480p",
        aspect_ratio="16:9",
        frame_images=[
            components.FrameImage(
                type="image_url",
                image_url=components.FrameImageImageURL(url="data:image/png;base64,iVBORw0KGgo="),
                frame_type="first_frame",
            )
        ],
        provider={"options": {"xai": {"anything": 1}}},
        session_id="s-1",
        user="u-1",
    )
    assert submitted.status == "pending"
    done = sdk.video_generation.get_generation(job_id=submitted.id)
    assert (done.status, done.id, done.generation_id) == ("completed", submitted.id, submitted.id)
    assert done.usage is not None
    assert (done.usage.cost, done.usage.is_byok) == (0.052, False)
    assert done.unsigned_urls is not None
    assert len(done.unsigned_urls) == 1
    answer = sdk.video_generation.get_video_content(job_id=submitted.id, index=0)
    video = decode(answer.read())
    answer.close()
    assert (video["frames"], video["audio"]) == (8, "aac")
    assert sim.posts == 1


def test_stored_copies(simulate: Callable[..., Simulator]) -> None:
    sim = simulate(signed_urls=True)
    with httpx.Client() as client, OpenRouter(api_key=KEY, server_url=sim.base_url, client=client) as sdk:
        done = sdk.video_generation.get_generation(job_id=submit(sdk))
    assert done.urls is not None
    assert done.expires_at is not None
    assert httpx.get(done.urls[0]).content[4:8] == b"ftyp"


def test_every_model_is_understood(sdk: OpenRouter) -> None:
    models = {model.id: model for model in sdk.video_generation.list_videos_models().data}
    assert len(models) >= 15
    assert models["google/veo-3.1-lite"].supported_durations == [8, 4, 6]
    factor = models["black-forest-labs/flux-video-upscale"].upscale_factor
    assert factor is not None
    assert (factor.min, factor.max) == (1.5, 3)


def test_the_small_endpoints(simulate: Callable[..., Simulator]) -> None:
    sim = simulate(generation_misses=0)
    with httpx.Client() as client, OpenRouter(api_key=KEY, server_url=sim.base_url, client=client) as sdk:
        job_id = submit(sdk)
        record = sdk.generations.get_generation(id=job_id).data
        key = sdk.api_keys.get_current_key_metadata().data
        credit = sdk.credits.get_credits().data
    assert (record.id, record.total_cost, record.api_type) == (job_id, 0.05, "video")
    assert (key.usage, key.is_management_key) == (0.05, False)
    assert (credit.total_credits, credit.total_usage) == (100, 0.05)


def test_an_unfinished_job_and_every_way_to_end(simulate: Callable[..., Simulator]) -> None:
    sim = simulate(job_seconds="manual")
    with httpx.Client() as client, OpenRouter(api_key=KEY, server_url=sim.base_url, client=client) as sdk:
        for outcome in ("failed", "cancelled", "expired"):
            job_id = submit(sdk)
            assert sdk.video_generation.get_generation(job_id=job_id).status == "pending"
            sim.finish(job_id, outcome)
            over = sdk.video_generation.get_generation(job_id=job_id)
            assert (over.status, bool(over.error)) == (outcome, True)


OPERATIONS: dict[str, Operation] = {
    "createVideos": submit,
    "getVideos": lambda sdk: sdk.video_generation.get_generation(job_id="x"),
    "listVideosContent": lambda sdk: sdk.video_generation.get_video_content(job_id="x"),
    "listVideosModels": lambda sdk: sdk.video_generation.list_videos_models(),
}
DECLARED: dict[str, list[int]] = {
    "createVideos": [400, 401, 402, 403, 404, 413, 429, 499, 500, 503],
    "getVideos": [401, 403, 404, 500],
    "listVideosContent": [400, 401, 403, 404, 409, 410, 500, 502],
    "listVideosModels": [400, 500],
}
CLASSES: dict[int, type[errors.OpenRouterError]] = {
    400: errors.BadRequestResponseError,
    401: errors.UnauthorizedResponseError,
    402: errors.PaymentRequiredResponseError,
    403: errors.ForbiddenResponseError,
    404: errors.NotFoundResponseError,
    409: errors.ConflictResponseError,
    410: errors.GoneResponseError,
    413: errors.PayloadTooLargeResponseError,
    429: errors.TooManyRequestsResponseError,
    499: errors.ClientClosedRequestResponseError,
    500: errors.InternalServerResponseError,
    502: errors.BadGatewayResponseError,
    503: errors.ServiceUnavailableResponseError,
}


@pytest.mark.parametrize(
    ("operation", "status"), [(operation, status) for operation in DECLARED for status in DECLARED[operation]]
)
def test_every_declared_error_is_understood(sim: Simulator, sdk: OpenRouter, operation: str, status: int) -> None:
    sim.add_fault({"match": {"operation": operation}, "respond": {"status": status}})
    with pytest.raises(CLASSES[status]) as caught:
        OPERATIONS[operation](sdk)
    assert caught.value.status_code == status
    assert caught.value.data.error.code == status  # type: ignore[attr-defined]  # declared on every subclass
    assert caught.value.data.error.message  # type: ignore[attr-defined]  # same
    assert len(sim.requests(operation=operation)) == 1


def test_real_refusals_are_understood(sim: Simulator, sdk: OpenRouter, simulate: Callable[..., Simulator]) -> None:
    with pytest.raises(errors.BadRequestResponseError, match="Duration 99s is not supported"):
        sdk.video_generation.generate(model=MODEL, prompt="x", duration=99)
    with pytest.raises(errors.NotFoundResponseError, match="Job nothing not found"):
        sdk.video_generation.get_generation(job_id="nothing")
    job_id = submit(sdk)
    with pytest.raises(errors.BadRequestResponseError, match=r"index 3 out of range \(1 videos available\)"):
        sdk.video_generation.get_video_content(job_id=job_id, index=3)
    with httpx.Client() as client:
        stranger = OpenRouter(api_key="sk-or-test-bad-1", server_url=sim.base_url, client=client)
        with pytest.raises(errors.UnauthorizedResponseError, match="User not found"):
            stranger.video_generation.get_generation(job_id=job_id)
        waiting = OpenRouter(api_key=KEY, server_url=simulate(job_seconds="manual").base_url, client=client)
        with pytest.raises(errors.ConflictResponseError):
            waiting.video_generation.get_video_content(job_id=submit(waiting))
        short = OpenRouter(api_key=KEY, server_url=(gone := simulate(output_seconds=0)).base_url, client=client)
        job_id = submit(short)
        gone.advance(1)
        with pytest.raises(errors.GoneResponseError):
            short.video_generation.get_video_content(job_id=job_id)


def test_the_schema_librarys_answer_hides_the_reason_from_the_sdk(sdk: OpenRouter) -> None:
    with pytest.raises(errors.ResponseValidationError) as caught:
        sdk.video_generation.generate(model=MODEL, prompt="x", size="big")
    assert json.loads(caught.value.body)["error"]["name"] == "ZodError"


def test_the_sdk_left_to_itself_pays_several_times(sim: Simulator) -> None:
    """Why this project does not use it: its default retries repeat the paid request."""
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "respond": {"status": 503, "when": "after"}})
    with httpx.Client() as client, OpenRouter(api_key=KEY, server_url=sim.base_url, client=client) as sdk:
        submit(sdk)
    assert (sim.posts, sim.stats()["jobs_created"]) == (2, 2)
