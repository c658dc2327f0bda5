"""Who may ask what, and the small endpoints around the videos."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator

JOB = "/videos/gen-vid-1-none"
HEADER, COOKIE = "Missing Authentication header", "No cookie auth credentials found"


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("POST", "/videos", HEADER),
        ("GET", JOB, HEADER),
        ("GET", f"{JOB}/content", COOKIE),
        ("GET", "/key", HEADER),
        ("GET", "/credits", HEADER),
        ("GET", "/generation?id=x", HEADER),
    ],
)
def test_without_a_key(sim: Simulator, connect: Callable[..., httpx.Client], method: str, path: str, text: str) -> None:
    answer = connect(sim, key=None).request(method, path)
    assert answer.status_code == 401
    assert answer.json() == {"error": {"message": text, "code": 401}}


@pytest.mark.parametrize("key", ["sk-or-test-bad-1", "something-else"])
@pytest.mark.parametrize("path", [JOB, f"{JOB}/content", "/key", "/credits"])
def test_with_a_bad_key(sim: Simulator, connect: Callable[..., httpx.Client], key: str, path: str) -> None:
    answer = connect(sim, key=key).get(path)
    assert answer.status_code == 401
    assert answer.json() == {"error": {"message": "User not found.", "code": 401}}


@pytest.mark.parametrize("key", [None, "sk-or-test-bad-1", "sk-or-test-0001"])
def test_the_models_are_public(sim: Simulator, connect: Callable[..., httpx.Client], key: str | None) -> None:
    assert connect(sim, key=key).get("/videos/models").status_code == 200


def test_a_management_key_may_ask_about_itself_but_not_generate(
    sim: Simulator, connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    client = connect(sim, key="sk-or-test-management-1")
    assert client.get("/key").json()["data"]["is_management_key"] is True
    assert client.post("/videos", json=order()).status_code == 403
    assert client.get(JOB).status_code == 403
    assert sim.jobs() == []


def test_the_accepted_keys_can_be_named(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client]
) -> None:
    sim = simulate(accepted_keys=("sk-or-test-only",))
    assert connect(sim, key="sk-or-test-only").get("/key").status_code == 200
    assert connect(sim, key="sk-or-test-other").get("/key").status_code == 401


def test_every_key_of_the_account_sees_a_job_but_only_its_own_usage(
    sim: Simulator, connect: Callable[..., httpx.Client], submit: Callable[..., str]
) -> None:
    job_id = submit()
    other = connect(sim, key="sk-or-test-0002")
    assert other.get(f"/videos/{job_id}").json()["status"] == "completed"
    assert other.get("/key").json()["data"]["usage"] == 0
    assert connect(sim).get("/key").json()["data"]["usage"] == 0.05


def test_an_ordinary_key_has_the_fields_of_the_specification(client: httpx.Client) -> None:
    data = client.get("/key").json()["data"]
    assert {
        *("label", "limit", "limit_remaining", "limit_reset", "include_byok_in_limit", "is_free_tier", "expires_at"),
        *("is_management_key", "is_provisioning_key", "creator_user_id", "rate_limit"),
        *(f"{kind}usage{period}" for kind in ("", "byok_") for period in ("", "_daily", "_weekly", "_monthly")),
    } <= set(data)
    assert data["is_management_key"] is False


def test_credits_answer_every_key_unless_the_documentation_is_followed(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client]
) -> None:
    assert connect(simulate()).get("/credits").json() == {"data": {"total_credits": 100.0, "total_usage": 0.0}}
    strict = simulate(credits_need_management_key=True)
    refused = connect(strict).get("/credits")
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "Only management keys can perform this operation"
    assert connect(strict, key="sk-or-test-management-1").get("/credits").status_code == 200


def test_a_generation_record_appears_late_and_only_for_completed_jobs(
    simulate: Callable[..., Simulator], connect: Callable[..., httpx.Client], order: Callable[..., dict[str, Any]]
) -> None:
    sim = simulate(generation_seconds=60, generation_misses=1, job_seconds="manual")
    client = connect(sim)
    job_id = client.post("/videos", json=order(user="u-1", session_id="s-1")).json()["id"]

    def ask() -> httpx.Response:
        return client.get("/generation", params={"id": job_id})

    missing = {"error": {"message": f"Generation {job_id} not found", "code": 404}}
    assert ask().json() == missing
    sim.finish(job_id)
    assert ask().json() == missing
    sim.advance(61)
    assert ask().json() == missing
    record = ask().json()["data"]
    assert record["id"] == job_id
    assert record["model"] == "x-ai/grok-imagine-video-20260512"
    assert record["total_cost"] == record["usage"] == 0.05
    assert (record["external_user"], record["session_id"], record["api_type"]) == ("u-1", "s-1", "video")


def test_the_models_have_todays_shape(client: httpx.Client) -> None:
    models = client.get("/videos/models").json()["data"]
    assert len(models) >= 15
    for model in models:
        assert list(model) == [
            *("id", "canonical_slug", "hugging_face_id", "name", "created", "description", "supported_resolutions"),
            *("supported_aspect_ratios", "supported_sizes", "supported_durations", "supported_frame_images"),
            *("upscale_factor", "creativity", "generate_audio", "seed", "pricing_skus"),
            "allowed_passthrough_parameters",
        ]
        assert len(model["description"]) <= 190
    by_id = {model["id"]: model for model in models}
    assert len(by_id) == len(models)
    assert by_id["runway/aleph-2"]["supported_durations"] is None
    assert by_id["black-forest-labs/flux-video-upscale"]["upscale_factor"] == {"min": 1.5, "max": 3}
