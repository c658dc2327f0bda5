"""``models`` and ``estimate``: the catalogue for people and programs, with a key and without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.cli.conftest import Connect, Run

VEO = ("--model", "google/veo-3.1")


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {model["id"] for model in found}


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("sim")
def test_programs_get_every_model_with_its_capabilities_and_prices(run: Run) -> None:
    ran = run("models", "--output", "json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.json) > 10
    assert [model["id"] for model in ran.json] == sorted(ids(ran.json))
    veo = next(model for model in ran.json if model["id"] == "google/veo-3.1")
    assert veo["supported_durations"] == [4, 6, 8]
    assert veo["generate_audio"] is True
    assert veo["pricing_skus"]["duration_seconds_with_audio"] == "0.40"


@pytest.mark.usefixtures("sim")
def test_people_get_a_table_with_a_short_price(run: Run) -> None:
    lines = run("models", "--supports", "duration=8", "resolution=4k").out.splitlines()
    assert [word for word in lines[0].split() if word != "|"][:3] == ["id", "durations", "resolutions"]
    (row,) = [line for line in lines if line.startswith("google/veo-3.1 ")]
    assert "4, 6, 8" in row
    assert "$0.20 to $0.60 / s" in row
    (row,) = [line for line in lines if line.startswith("bytedance/seedance-2.0 ")]
    assert "4-15" in row


@pytest.mark.usefixtures("sim")
@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ("duration=8", lambda model: 8 in (model["supported_durations"] or [])),
        ("resolution=1080P", lambda model: "1080p" in (model["supported_resolutions"] or [])),
        ("aspect_ratio=9:16", lambda model: "9:16" in (model["supported_aspect_ratios"] or [])),
        ("frames=last_frame", lambda model: "last_frame" in (model["supported_frame_images"] or [])),
        ("audio", lambda model: model["generate_audio"] is True),
        ("seed", lambda model: model["seed"] is True),
    ],
)
def test_a_filter_keeps_the_models_whose_entry_says_so_and_no_other(wanted: str, holds: Any, run: Run) -> None:  # noqa: ANN401
    every = run("models", "-o", "json").json
    found = run("models", "--supports", wanted, "-o", "json").json
    assert ids(found) == ids([model for model in every if holds(model)])
    assert 0 < len(found) < len(every)


@pytest.mark.usefixtures("sim")
def test_filters_must_all_hold(run: Run) -> None:
    both = run("models", "--supports", "audio", "--supports", "resolution=480p", "-o", "json").json
    audio = run("models", "--supports", "audio", "-o", "json").json
    small = run("models", "--supports", "resolution=480p", "-o", "json").json
    assert ids(both) == ids(audio) & ids(small)
    assert run("models", "--supports", "duration=7200", "-o", "json").json == []


def test_without_a_connection_the_public_catalogue_is_read_without_a_key(
    stranger: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_orvideo.cli.access.DEFAULT_BASE_URL", stranger.base_url)
    ran = run("models", "--output", "json")
    assert ran.code == 0
    assert "google/veo-3.1" in ids(ran.json)
    assert "without a key" in ran.err
    assert [request.authorization for request in stranger.requests(operation="listVideosModels")] == [False]


def test_a_connection_that_is_named_must_exist(run: Run) -> None:
    ran = run("models", "--conn-id", "nowhere")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("There is no Airflow connection 'nowhere': add one")


def test_a_connection_that_is_named_is_the_one_that_is_used(stranger: Simulator, connect: Connect, run: Run) -> None:
    connect("http://127.0.0.1:9/api/v1")
    connect(stranger, conn_id="films")
    assert run("models", "--conn-id", "films", "-o", "json").code == 0


@pytest.mark.usefixtures("pauses")
def test_a_catalogue_that_cannot_be_read_is_one_sentence_and_no_result(connect: Connect, run: Run) -> None:
    connect("http://127.0.0.1:9/api/v1")
    ran = run("models", "--output", "json")
    assert (ran.code, ran.out) == (1, "")
    assert "127.0.0.1" in ran.err


# ── estimate ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("sim")
def test_a_possible_video_has_a_price_with_its_derivation(run: Run) -> None:
    ran = run("estimate", *VEO, "--duration", "8", "--resolution", "1080p", "--output", "json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["possible"] is True
    assert ran.json["violations"] == []
    estimate = ran.json["estimate"]
    assert (estimate["low_usd"], estimate["high_usd"]) == (3.2, 3.2)
    assert estimate["derivation"] == "8 s \N{MULTIPLICATION SIGN} $0.40 duration_seconds_with_audio"
    assert estimate["notes"] == ["'generate_audio' is not set: the model's default is on"]


@pytest.mark.usefixtures("sim")
def test_an_impossible_video_ends_with_one_and_says_what_would_be_allowed(run: Run) -> None:
    ran = run("estimate", *VEO, "--duration", "7", "--param", "seed=x", "--output", "json")
    assert (ran.code, ran.out) == (1, "")
    assert "'seed'" in ran.err
    ran = run("estimate", *VEO, "--duration", "7", "--output", "json")
    assert ran.code == 1
    assert ran.json["possible"] is False
    (violation,) = ran.json["violations"]
    assert violation == {
        "field": "duration",
        "value": "7",
        "allowed": "google/veo-3.1 supports 4, 6 and 8 s",
        "fix": "use 6",
    }
    assert ran.err == "This video is not possible. 'duration' is 7: google/veo-3.1 supports 4, 6 and 8 s; use 6.\n"


@pytest.mark.usefixtures("sim")
def test_a_model_that_nobody_offers_has_no_price_and_the_nearest_names(run: Run) -> None:
    ran = run("estimate", "--model", "veo-3.1", "--duration", "8", "--output", "json")
    assert ran.code == 1
    assert ran.json["estimate"]["high_usd"] is None
    assert ran.json["violations"][0]["fix"] == "use google/veo-3.1"


@pytest.mark.usefixtures("sim")
def test_a_price_that_cannot_be_told_is_unknown_and_no_failure(run: Run) -> None:
    ran = run("estimate", "--model", "runway/aleph-2", "--output", "json")
    assert ran.code == 0
    assert ran.json["estimate"]["high_usd"] is None
    assert "duration" in ran.json["estimate"]["reason"]
    table = run("estimate", "--model", "runway/aleph-2").out
    assert "unknown" in table
    assert "reason" in table


@pytest.mark.usefixtures("sim")
def test_any_field_can_be_given_as_a_parameter_and_nested_ones_as_json(run: Run) -> None:
    frames = '[{"image_url": {"url": "https://example.com/a.png"}, "frame_type": "middle_frame"}]'
    ran = run("estimate", *VEO, "--param", f"frame_images={frames}")
    assert ran.code == 1
    assert "frame_images" in ran.err
    ran = run("estimate", *VEO, "--param", "colour=red")
    assert ran.code == 1
    assert "'colour' is not a field of a video request" in ran.err


@pytest.mark.parametrize("repeated", ["duration=8", "model=other/model"])
def test_a_field_that_is_given_twice_is_a_wrong_command_line(repeated: str, run: Run) -> None:
    ran = run("estimate", *VEO, "--duration", "8", "--param", repeated)
    assert ran.code == 2
    assert "is given twice" in ran.err


@pytest.mark.usefixtures("sim")
def test_nothing_is_ordered_to_estimate(sim: Simulator, run: Run) -> None:
    assert run("estimate", *VEO, "--prompt", "a red boat").code == 0
    assert sim.posts == 0
