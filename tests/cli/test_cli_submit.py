"""``submit``: asks first, sends once, prints the id at once, and never claims to know what it cannot know."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.manifests import JobManifest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.cli.conftest import Connect, Run

    Order = tuple[str, ...]


def test_a_confirmed_order_is_sent_once_and_prints_nothing_but_the_job_id(
    sim: Simulator, run: Run, order: Order
) -> None:
    ran = run("submit", *order, typed="y\n")
    assert ran.code == 0
    assert sim.posts == 1
    (job,) = sim.jobs()
    assert ran.out == f"{job.id}\n"
    asked, sent, ordered = (ran.err.index(text) for text in ("[y/N]", "is sent now", f"Ordered: job {job.id}"))
    assert asked < sent < ordered
    assert "is estimated at $0.05 = 1 s \N{MULTIPLICATION SIGN} 5¢" in ran.err[:asked]


@pytest.mark.parametrize("typed", ["n\n", "\n", "", "yesterday\n"])
def test_an_order_that_is_not_confirmed_is_not_sent(typed: str, sim: Simulator, run: Run, order: Order) -> None:
    ran = run("submit", *order, typed=typed)
    assert (ran.code, ran.out) == (1, "")
    assert "nothing was ordered" in ran.err
    assert "is sent now" not in ran.err
    assert sim.posts == 0


def test_yes_skips_the_question_but_not_the_estimate(sim: Simulator, run: Run, order: Order) -> None:
    ran = run("submit", *order, "--yes")
    assert ran.code == 0
    assert "$0.05" in ran.err
    assert "[y/N]" not in ran.err
    assert sim.posts == 1


def test_programs_get_the_manifest_that_tasks_hand_to_each_other(sim: Simulator, run: Run, order: Order) -> None:
    ran = run("submit", *order, "--yes", "--output", "json")
    manifest = JobManifest.model_validate(ran.json)
    assert manifest.to_json() == ran.json
    assert manifest.job_id == sim.jobs()[0].id
    assert (manifest.model, manifest.estimated_cost_usd) == ("x-ai/grok-imagine-video", 0.05)
    assert (manifest.conn_id, manifest.cost_usd) == ("orvideo_default", None)
    assert manifest.request is not None
    assert manifest.request["prompt"] == "a red boat"


def test_what_is_typed_is_what_is_sent(sim: Simulator, run: Run, order: Order) -> None:
    run("submit", *order, "--aspect-ratio", "1:1", "--param", "user=u-1", "--param", 'trace={"a": 1}', "--yes")
    (request,) = sim.requests(operation="createVideos")
    assert request.body == {
        "model": "x-ai/grok-imagine-video",
        "prompt": "a red boat",
        "duration": 1,
        "resolution": "480p",
        "aspect_ratio": "1:1",
        "user": "u-1",
        "trace": {"a": 1},
    }


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def test_an_image_of_this_machine_goes_with_the_order_and_into_nothing_that_is_printed(
    sim: Simulator, run: Run, order: Order, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    ran = run("submit", *order, "--param", f"frame_images={tmp_path}/a.png", "--yes", "--output", "json")
    (request,) = sim.requests(operation="createVideos")
    (frame,) = request.body["frame_images"]
    payload = base64.b64encode(PNG).decode()
    assert frame["image_url"]["url"] == f"data:image/png;base64,{payload}"
    assert frame["frame_type"] == "first_frame"
    assert ran.json["request"]["frame_images"][0]["image_url"]["url"].startswith("sha256:")
    assert payload not in ran.out + ran.err


@pytest.mark.parametrize("command", ["submit", "estimate"])
def test_an_image_that_is_not_there_ends_a_command_in_one_sentence(
    command: str, sim: Simulator, run: Run, order: Order, tmp_path: Path
) -> None:
    ran = run(command, *order, "--param", f"frame_images={tmp_path}/a.png")
    assert (ran.code, ran.out, sim.posts) == (1, "", 0)
    assert "there is no such file" in ran.err


# ── Refused before anything is sent ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-cost-usd", "0.049"], "more than the 'max_cost_usd' of $0.049"),
        (["--seed", "1"], "'seed' is 1: x-ai/grok-imagine-video does not support this field"),
        (["--size", "big"], "'size' is 'big'"),
    ],
)
def test_what_is_too_dear_or_impossible_is_not_sent(
    arguments: list[str], words: str, sim: Simulator, run: Run, order: Order
) -> None:
    ran = run("submit", *order, *arguments, "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err
    assert sim.posts == 0


def test_a_limit_also_stops_what_has_no_known_price_unless_that_is_allowed(sim: Simulator, run: Run) -> None:
    unknown = ("--model", "runway/aleph-2", "--prompt", "a red boat", "--yes")
    ran = run("submit", *unknown, "--max-cost-usd", "100")
    assert ran.code == 1
    assert "on_unknown_cost" in ran.err
    assert sim.posts == 0
    ran = run("submit", *unknown, "--max-cost-usd", "100", "--on-unknown-cost", "allow")
    assert "is sent now" in ran.err
    assert sim.posts == 1


def test_the_budget_of_the_key_is_asked_for_on_demand(sim: Simulator, run: Run, order: Order) -> None:
    run("submit", *order, "--yes")
    assert sim.stats()["key_reads"] == 0
    run("submit", *order, "--yes", "--check-budget")
    assert sim.stats()["key_reads"] == 1


def test_without_a_connection_nothing_can_be_ordered(run: Run, order: Order) -> None:
    ran = run("submit", *order, "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert "There is no Airflow connection 'orvideo_default'" in ran.err


# ── Once it was sent ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": {"when": "after"}},
        {"drop": {"when": "after", "how": "reset"}},
        {"respond": {"status": 502, "when": "after"}},
        {"respond": {"status": 200, "when": "after", "html": True}},
    ],
    ids=["dropped", "reset", "502", "garbage"],
)
def test_an_unknown_outcome_says_what_may_have_been_spent_and_nothing_is_sent_again(
    fault: dict[str, object], sim: Simulator, run: Run, order: Order
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, **fault})
    ran = run("submit", *order, "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert "The outcome of the paid submit is unknown" in ran.err
    assert "one video may have been billed" in ran.err
    assert "It was estimated at $0.05" in ran.err
    assert "https://openrouter.ai/activity" in ran.err
    assert (sim.posts, len(sim.jobs())) == (1, 1)


@pytest.mark.parametrize("status", [402, 403, 429])
def test_a_refusal_is_not_tried_again_either(
    status: int, sim: Simulator, run: Run, order: Order, pauses: list[float]
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "respond": {"status": status}})
    ran = run("submit", *order, "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert f"HTTP {status}" in ran.err
    assert "nothing was spent" in ran.err
    assert (sim.posts, pauses) == (1, [])


def test_an_interrupt_while_the_order_is_under_way_leaves_its_outcome_unknown(
    sim: Simulator, run: Run, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoClient, "generate", interrupted)
    ran = run("submit", *order, "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert "it was interrupted before the answer came" in ran.err
    assert "one video may have been billed" in ran.err
    assert sim.posts == 0  # it was never really sent here; the command cannot know


def test_a_key_that_nobody_knows_is_refused_in_one_sentence(
    sim: Simulator, connect: Connect, run: Run, order: Order
) -> None:
    connect(sim, key="sk-or-test-bad-1")
    ran = run("submit", *order, "--yes")
    assert ran.code == 1
    assert "HTTP 401" in ran.err
    assert "sk-or-test-bad-1" not in ran.out + ran.err
