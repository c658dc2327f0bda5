"""What a submit refuses, and in which words."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator

VEO, WAN, GROK, HAILUO = "google/veo-3.1", "alibaba/wan-2.7", "x-ai/grok-imagine-video", "minimax/hailuo-3"
UPSCALER = "black-forest-labs/flux-video-upscale"
PNG = "data:image/png;base64,iVBORw0KGgo="


def frame(url: str = "https://example.com/a.png", kind: str = "first_frame") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "frame_type": kind}


def reference(kind: str, url: str = "https://example.com/a") -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


MALFORMED: list[tuple[dict[str, Any], list[str | int], str]] = [
    ({"model": None}, ["model"], "invalid_type"),
    ({"model": 3}, ["model"], "invalid_type"),
    ({"prompt": ["x"]}, ["prompt"], "invalid_type"),
    ({"duration": "4"}, ["duration"], "invalid_type"),
    ({"duration": 4.5}, ["duration"], "invalid_type"),
    ({"duration": True}, ["duration"], "invalid_type"),
    ({"duration": 0}, ["duration"], "too_small"),
    ({"seed": "1"}, ["seed"], "invalid_type"),
    ({"generate_audio": "yes"}, ["generate_audio"], "invalid_type"),
    ({"upscale_factor": 0}, ["upscale_factor"], "too_small"),
    ({"resolution": "481p"}, ["resolution"], "invalid_value"),
    ({"aspect_ratio": "2:1"}, ["aspect_ratio"], "invalid_value"),
    ({"size": "big"}, ["size"], "invalid_format"),
    ({"callback_url": "http://example.com"}, ["callback_url"], "invalid_format"),
    ({"session_id": "s" * 257}, ["session_id"], "too_big"),
    ({"previous_job_id": "job-1"}, ["previous_job_id"], "invalid_format"),
    ({"trace": "t"}, ["trace"], "invalid_type"),
    ({"provider": []}, ["provider"], "invalid_type"),
    ({"provider": {"options": 1}}, ["provider", "options"], "invalid_type"),
    ({"frame_images": {}}, ["frame_images"], "invalid_type"),
    ({"frame_images": ["x"]}, ["frame_images", 0], "invalid_type"),
    ({"frame_images": [frame(kind="middle")]}, ["frame_images", 0, "frame_type"], "invalid_value"),
    ({"frame_images": [reference("audio_url")]}, ["frame_images", 0, "type"], "invalid_value"),
    ({"input_references": [{"type": "image_url"}]}, ["input_references", 0, "image_url"], "invalid_type"),
    (
        {"input_references": [{"type": "image_url", "image_url": {}}]},
        ["input_references", 0, "image_url", "url"],
        "invalid_type",
    ),
]


@pytest.mark.parametrize(("changes", "path", "code"), MALFORMED)
def test_a_malformed_request_gets_the_schema_librarys_answer(
    client: httpx.Client,
    sim: Simulator,
    order: Callable[..., dict[str, Any]],
    changes: dict[str, Any],
    path: list[str | int],
    code: str,
) -> None:
    answer = client.post("/videos", json=order(**changes))
    assert answer.status_code == 400
    body = answer.json()
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert body["error"]["name"] == "ZodError"
    assert "code" not in body["error"]
    assert [(issue["path"], issue["code"]) for issue in json.loads(body["error"]["message"])] == [(path, code)]
    assert sim.jobs() == []


def test_all_findings_come_together(client: httpx.Client, order: Callable[..., dict[str, Any]]) -> None:
    body = client.post("/videos", json=order(prompt=1, seed="x")).json()
    assert [issue["path"] for issue in json.loads(body["error"]["message"])] == [["prompt"], ["seed"]]


def test_a_body_that_is_no_object(client: httpx.Client) -> None:
    body = client.post("/videos", json=[1]).json()
    assert "expected object, received array" in body["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_a_body_that_is_no_json(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/videos", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": "nobody/nothing"}, "nobody/nothing is not a valid model ID"),
    (
        {"duration": 99},
        f"Duration 99s is not supported for this model. Supported durations: {', '.join(map(str, range(1, 16)))}s",
    ),
    (
        {"resolution": "4K"},
        "Resolution 4K is not supported for this model. Supported resolutions: 480p, 720p",
    ),
    (
        {"model": VEO, "duration": 4, "resolution": None, "aspect_ratio": "1:1"},
        "Aspect ratio 1:1 is not supported for this model. Supported aspect ratios: 16:9, 9:16",
    ),
    ({"prompt": None}, "xAI video generations require a prompt when no image input is provided"),
    ({"prompt": "  "}, "xAI video generations require a prompt when no image input is provided"),
    (
        {"frame_images": [frame("http://localhost/a.png")]},
        "Invalid reference URL: frame_images[0].image_url.url: Localhost URLs are not allowed",
    ),
    (
        {"frame_images": [frame("https://127.0.0.1:8080/a.png")]},
        "Invalid reference URL: frame_images[0].image_url.url: Localhost URLs are not allowed",
    ),
    (
        {"frame_images": [frame("http://example.com/a.png")]},
        "Invalid reference URL: frame_images[0].image_url.url: Only HTTPS URLs are allowed",
    ),
    ({"frame_images": [frame("https://")]}, "Invalid reference URL: frame_images[0].image_url.url: Invalid URL"),
    ({"frame_images": [frame("https://[::1")]}, "Invalid reference URL: frame_images[0].image_url.url: Invalid URL"),
    (
        {"input_references": [reference("video_url", "data:video/mp4;base64,AAAA")]},
        "Invalid reference URL: input_references[0].video_url.url: Only HTTPS URLs are allowed",
    ),
    (
        {"input_references": [reference("image_url"), reference("audio_url", "data:audio/mp3;base64,AAAA")]},
        "Invalid reference URL: input_references[1].audio_url.url: Only HTTPS URLs are allowed",
    ),
    (
        {"model": WAN, "previous_job_id": f"gen-vid-1-{'a' * 20}", "duration": 2, "resolution": None},
        "alibaba/wan-2.7-20260414 does not support previous_job_id",
    ),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED)
def test_a_request_that_the_model_cannot_serve_gets_a_plain_400(
    client: httpx.Client, sim: Simulator, order: Callable[..., dict[str, Any]], changes: dict[str, Any], text: str
) -> None:
    answer = client.post("/videos", json=order(**changes))
    assert answer.status_code == 400
    assert answer.json()["error"] | {"metadata": None} == {"message": text, "code": 400, "metadata": None}
    assert answer.text.startswith('{"error":{"message":')
    assert sim.jobs() == []


@pytest.mark.parametrize("changes", [{"duration": 99}, {"resolution": "4K"}])
def test_parameter_errors_carry_the_routing_metadata(
    client: httpx.Client, order: Callable[..., dict[str, Any]], changes: dict[str, Any]
) -> None:
    assert client.post("/videos", json=order(**changes)).json()["error"]["metadata"] == {
        "routing_funnel": [{"step": "Initial Endpoints", "endpoint_count": 1}],
        "failed_routing_step": "Validate Video Parameters",
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": HAILUO, "generate_audio": True}, "generate_audio"),
        ({"model": HAILUO, "generate_audio": False}, "generate_audio"),
        ({"model": GROK, "seed": 1}, "seed"),
        ({"model": WAN, "upscale_factor": 2}, "upscale_factor"),
        ({"model": WAN, "creativity": 1}, "creativity"),
        ({"model": WAN, "size": "100x100"}, "Size 100x100"),
        ({"model": GROK, "frame_images": [frame(kind="last_frame")]}, "Frame type last_frame"),
        ({"model": "openai/sora-2-pro", "frame_images": [frame()]}, "Frame type first_frame"),
        ({"model": UPSCALER, "input_references": [reference("video_url")], "upscale_factor": 4}, "upscale_factor"),
        ({"model": UPSCALER, "input_references": [reference("video_url")], "creativity": 2}, "creativity"),
        ({"model": "runway/aleph-2", "prompt": ""}, "Runway video generations require a prompt"),
    ],
)
def test_a_capability_that_the_model_lacks(client: httpx.Client, changes: dict[str, Any], field: str) -> None:
    answer = client.post("/videos", json={"prompt": "x"} | changes)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(field)


@pytest.mark.parametrize(
    "body",
    [
        {"model": GROK, "prompt": "x", "n": 2, "negative_prompt": "y", "fps": 30},
        {"model": GROK, "prompt": "x", "provider": {"order": ["a"], "options": {"no-such-slug": {"a": 1}}}},
        {"model": GROK, "prompt": "x", "trace": {"trace_id": "t", "anything": 1}, "user": "u", "session_id": "s"},
        {"model": GROK, "prompt": "x", "duration": None, "seed": None, "frame_images": None},
        {"model": GROK, "prompt": "x", "duration": 2.0},
        {"model": GROK, "frame_images": [frame(PNG)]},
        {"model": WAN, "input_references": [reference("image_url", PNG)]},
        {"model": WAN, "prompt": "x", "input_references": [reference("audio_url"), reference("video_url")]},
        {"model": VEO, "prompt": "x", "callback_url": "https://example.com/hook", "seed": 1, "generate_audio": False},
        {"model": UPSCALER, "input_references": [reference("video_url")], "upscale_factor": 2, "creativity": 1},
        {"model": "google/veo-3.1-20260320", "prompt": "the dated snapshot"},
    ],
)
def test_what_is_accepted(client: httpx.Client, sim: Simulator, body: dict[str, Any]) -> None:
    answer = client.post("/videos", json=body)
    assert answer.status_code == 202, answer.text
    assert sim.job(answer.json()["id"]).request == body


def test_the_job_before_must_exist_be_completed_and_be_of_the_same_model(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    sim = simulate(job_seconds="manual")
    client = connect(sim)
    first = client.post("/videos", json=order()).json()["id"]

    def follow(**changes: object) -> tuple[int, str]:
        answer = client.post("/videos", json=order(previous_job_id=first, **changes))
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    assert follow() == (400, f"previous_job_id must name a completed job; {first} is pending")
    sim.finish(first)
    assert follow(model="runway/aleph-2")[1] == "previous_job_id must name a job of the same model"
    assert follow() == (202, "")
    unknown = f"gen-vid-1-{'a' * 20}"
    answer = client.post("/videos", json=order(previous_job_id=unknown))
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"Job {unknown} not found")


def test_a_large_body_is_refused(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    sim = simulate(max_body_bytes=1000)
    assert connect(sim).post("/videos", json=order(prompt="x" * 1000)).status_code == 413
    assert sim.jobs() == []
