"""``on_unsupported``: the nearest request that works, found without touching anything else, or a refusal."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest, parse_models
from airflow_provider_orvideo.exceptions import ConfigurationError, RequestUnsupportedError
from airflow_provider_orvideo.preflight.capabilities import (
    REMOVE,
    Violation,
    adjusted,
    check_on_unsupported,
    resolved,
    unknown_model,
    violations,
)
from airflow_provider_orvideo.simulator import offered
from airflow_provider_orvideo.simulator.answers import ApiError
from airflow_provider_orvideo.simulator.catalogue import Catalogue
from airflow_provider_orvideo.simulator.validation import accept

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator.jobs import JobStore

JUNE = parse_models(json.loads((Path(__file__).parent / "models.json").read_text()))
OCTOBER = parse_models({"data": [model.entry for model in offered.MODELS]})


def build(**fields: Any) -> VideoRequest:  # noqa: ANN401 - fields of the request
    return VideoRequest.build(**{"model": "google/veo-3.1", "prompt": "A lake", **fields})


def frame(kind: str = "first_frame", url: str = "https://example.com/a.png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "frame_type": kind}


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}}
SILENT = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,aGk="}}


@pytest.mark.parametrize(
    ("model", "fields", "changed"),
    [
        ("google/veo-3.1", {"duration": 5, "seed": 3}, {"duration": 4}),
        ("minimax/hailuo-2.3", {"duration": 7, "generate_audio": True}, {"duration": 6, "generate_audio": None}),
        ("kwaivgi/kling-video-o1", {"seed": 1, "resolution": "4K"}, {"seed": None, "resolution": "720p"}),
        ("google/veo-3.1", {"upscale_factor": 2, "creativity": 1}, {"upscale_factor": None, "creativity": None}),
        # only the frames that the model does not know go, from the end to the beginning
        (
            "alibaba/wan-2.6",
            {"frame_images": [frame("last_frame"), frame(), frame("last_frame")]},
            {"frame_images": [frame()]},
        ),
        ("alibaba/wan-2.6", {"frame_images": [frame("last_frame")]}, {"frame_images": None}),
        # what the API would ignore is left out
        (
            "bytedance/seedance-2.0",
            {"frame_images": [frame()], "input_references": [IMAGE]},
            {"input_references": None},
        ),
        # unless the frames themselves cannot be used
        (
            "alibaba/wan-2.6",
            {"frame_images": [frame("last_frame")], "input_references": [IMAGE]},
            {"frame_images": None},
        ),
        # what is wrong inside of what is left out is of no matter
        (
            "bytedance/seedance-2.0",
            {"frame_images": [frame()], "input_references": [IMAGE, SILENT]},
            {"input_references": None},
        ),
        (
            "alibaba/wan-2.6",
            {"frame_images": [frame("last_frame", "s3://a/b"), frame(url="http://example.com/a.png?signature=abc")]},
            {"frame_images": [frame(url="https://example.com/a.png?signature=abc")]},
        ),
        (
            "alibaba/wan-2.7",
            {"provider": {"options": {"atlascloud": {"Negative_Prompt": "x", "images": [1], "speed": None}}}},
            {"provider": {"options": {"atlas-cloud": {"negative_prompt": "x", "images": [1]}}}},
        ),
        # never two values for one key
        (
            "alibaba/wan-2.7",
            {"provider": {"options": {"atlas-cloud": {"negativePrompt": "a", "negative_prompt": "b"}}}},
            {"provider": {"options": {"atlas-cloud": {"negative_prompt": "b"}}}},
        ),
        (
            "alibaba/wan-2.7",
            {"provider": {"options": {"alibaba": {"negativePrompt": "a", "negative-prompt": "b"}, "nobody": {"x": 1}}}},
            {"provider": {"options": {"alibaba": {"negative_prompt": "a"}}}},
        ),
        # what becomes empty goes too
        (
            "google/veo-3.1",
            {"provider": {"options": {"google-vertex": {"parameters": {"fps": 24, "codec": "av1"}}}}},
            {"provider": None},
        ),
        (
            "google/veo-3.1",
            {
                "provider": {
                    "options": {"google-vertex": {"parameters": {"fps": 24}, "aspectRatio": None}, "byteplus": {}},
                }
            },
            {"provider": {"options": {"google-vertex": {"aspectRatio": None}, "byteplus": {}}}},
        ),
    ],
)
def test_the_nearest_request_differs_only_where_it_must(
    models: dict[str, VideoModel], model: str, fields: dict[str, Any], changed: dict[str, Any]
) -> None:
    request = build(model=model, user="u", trace={"trace_id": "t"}, **fields)
    near = adjusted(request, violations(request, models[model]))
    assert near == build(model=model, user="u", trace={"trace_id": "t"}, **{**fields, **changed})
    assert violations(near, models[model]) == ()


def test_what_is_right_is_left_as_it_is() -> None:
    request = build(duration=4)
    assert adjusted(request, ()) is request


def test_where_no_value_is_near_a_person_decides(models: dict[str, VideoModel]) -> None:
    request = build(model="alibaba/wan-2.7", resolution="pretty", duration=99, frame_images=[frame(url="s3://a/b")])
    with pytest.raises(RequestUnsupportedError) as caught:
        adjusted(request, violations(request, models["alibaba/wan-2.7"]))
    assert [problem.split("'")[1] for problem in caught.value.problems] == [
        "resolution",
        "frame_images[0].image_url.url",
    ]


def test_a_model_is_never_exchanged_for_another(catalogue: tuple[VideoModel, ...]) -> None:
    request = build(model="google/veo-9")
    with pytest.raises(RequestUnsupportedError, match="google/veo-3"):
        adjusted(request, [unknown_model(request, catalogue)])


def test_a_violation_says_what_to_do() -> None:
    assert str(Violation("seed", "1", "it is not supported", REMOVE)).endswith("supported; leave it out.")
    assert str(Violation("duration", "5", "4 and 6", 4)) == "'duration' is 5: 4 and 6; use 4."


# ── The policy ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fail_refuses_and_is_the_default(catalogue: tuple[VideoModel, ...]) -> None:
    with pytest.raises(RequestUnsupportedError, match="use 4") as caught:
        resolved(build(duration=5, seed=1), catalogue)
    assert len(caught.value.problems) == 1


def test_fail_names_an_unknown_model_along_with_what_holds_for_all(catalogue: tuple[VideoModel, ...]) -> None:
    with pytest.raises(RequestUnsupportedError) as caught:
        resolved(build(model="google/veo-4", prompt=None, duration=5), catalogue)
    assert [problem.split("'")[1] for problem in caught.value.problems] == ["model", "prompt"]


def test_adjust_takes_the_nearest_and_logs_each(
    catalogue: tuple[VideoModel, ...], caplog: pytest.LogCaptureFixture
) -> None:
    near = resolved(build(duration=5, resolution="8K"), catalogue, "adjust")
    assert near == build(duration=4, resolution="4K")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "'duration' is 5: google/veo-3.1 supports 4, 6 and 8 s; use 4." in caplog.text
    assert "'resolution' is '8K'" in caplog.text


def test_adjust_mends_the_spelling_of_a_model_and_then_what_that_model_lacks(
    catalogue: tuple[VideoModel, ...],
) -> None:
    assert resolved(build(model="VEO-3.1", duration=5), catalogue, "adjust") == build(duration=4)


def test_adjust_refuses_what_it_would_leave_without_any_input(catalogue: tuple[VideoModel, ...]) -> None:
    request = build(model="alibaba/wan-2.6", prompt=None, frame_images=[frame("last_frame")])
    with pytest.raises(RequestUnsupportedError, match="'prompt' is not set"):
        resolved(request, catalogue, "adjust")


def test_adjust_refuses_where_only_a_person_can_choose(catalogue: tuple[VideoModel, ...]) -> None:
    with pytest.raises(RequestUnsupportedError, match="choose one of these"):
        resolved(build(resolution="pretty", duration=5), catalogue, "adjust")


def test_warn_logs_and_sends_as_it_is(catalogue: tuple[VideoModel, ...], caplog: pytest.LogCaptureFixture) -> None:
    request = build(duration=5, resolution="pretty")
    assert resolved(request, catalogue, "warn") is request
    assert len(caplog.records) == 2
    assert "sent as it is: 'duration' is 5" in caplog.text


@pytest.mark.parametrize("policy", ["fail", "adjust", "warn"])
def test_a_request_that_works_is_sent_in_silence(
    catalogue: tuple[VideoModel, ...],
    caplog: pytest.LogCaptureFixture,
    policy: Any,  # noqa: ANN401
) -> None:
    request = build(duration=4)
    assert resolved(request, catalogue, policy) is request
    assert resolved(request, None, policy) is request
    assert not caplog.records


def test_without_a_catalogue_no_model_is_unknown() -> None:
    request = build(model="new/model", duration=5)
    assert resolved(request) is request


def test_a_misspelt_policy_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'on_unsupported' is 'ajust'; allowed are 'fail', 'adjust' and 'warn'"
    ):
        resolved(build(), None, "ajust")  # type: ignore[arg-type]
    check_on_unsupported("adjust")


# ── Any request, any model ───────────────────────────────────────────────────────────────────────────────────────────

URLS = st.sampled_from(["https://example.com/a", "http://example.com/a", "data:image/png;base64,aGk="])
FRAMES = st.builds(frame, st.sampled_from(["first_frame", "last_frame"]), URLS)
REFERENCES = st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, URLS)
KEYS = st.sampled_from(
    [
        "negative_prompt",
        "negativePrompt",
        "NEGATIVE-PROMPT",
        "watermark",
        "seed",
        "parameters",
        "personGeneration",
        "a.b",
    ]
)
GIVEN = st.dictionaries(
    KEYS, st.one_of(st.integers(), st.dictionaries(KEYS, st.text(max_size=3), max_size=3)), max_size=4
)
SLUGS = st.sampled_from(["google-vertex", "google_vertex", "Google-Vertex", "atlas-cloud", "atlascloud", "nobody"])
SIZES = st.builds("{}x{}".format, st.integers(1, 9999), st.integers(1, 9999))
CHOICES: dict[str, st.SearchStrategy[Any]] = {
    "duration": st.integers(1, 200),
    "resolution": st.sampled_from(
        ["360p", "480p", "720p", "768p", "1080p", "1K", "2K", "4K", "4k", "8K", "540p", "1080"]
    ),
    "aspect_ratio": st.one_of(
        st.sampled_from(["16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21", "16x9"]),
        st.builds("{}:{}".format, st.integers(1, 99), st.integers(1, 99)),
    ),
    "size": SIZES,
    "generate_audio": st.booleans(),
    "seed": st.integers(),
    "upscale_factor": st.floats(0.01, 100),
    "creativity": st.integers(-3, 3),
    "frame_images": st.lists(FRAMES, max_size=4),
    "input_references": st.lists(REFERENCES, max_size=3),
    "provider": st.fixed_dictionaries({"options": st.dictionaries(SLUGS, GIVEN, max_size=4)}),
}


def any_request(*without: str) -> st.SearchStrategy[dict[str, Any]]:
    chosen = {name: choice for name, choice in CHOICES.items() if name not in without}
    return st.fixed_dictionaries({}, optional=chosen)


@settings(max_examples=300, deadline=None)
@given(model=st.sampled_from(JUNE + OCTOBER), fields=any_request())
def test_an_adjusted_request_has_no_violation_left(model: VideoModel, fields: dict[str, Any]) -> None:
    request = build(model=model.id, **fields)
    found = violations(request, model)
    near = adjusted(request, found)
    assert violations(near, model) == ()
    touched = {str(violation.target[0]) for violation in found}
    for name in VideoRequest.model_fields:
        assert name in touched or getattr(near, name) == getattr(request, name)
    for violation in found:
        assert str(violation).startswith(f"'{violation.field}' is ")
        assert str(violation).endswith(".")
        assert violation.nearest is not None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=st.sampled_from(OCTOBER), fields=any_request("provider"))
def test_the_simulator_agrees(model: VideoModel, fields: dict[str, Any]) -> None:
    """It judges by the same entries with rules of its own; what it refuses beyond ours, the entry leaves open."""
    request = build(model=model.id, **fields)
    refused = accept_or_refuse(adjusted(request, violations(request, model)))
    open_fields = {
        name
        for name, capability in (
            ("Frame type", model.supported_frame_images),
            ("upscale_factor", model.upscale_factor),
            ("creativity", model.creativity),
            ("Invalid option", model.supported_resolutions),
            ("Invalid option", model.supported_aspect_ratios),
        )
        if capability is None
    }
    assert refused is None or any(name in refused for name in open_fields)
    if refused is None and violations(request, model):
        # What the API only ignores, the simulator takes.
        ignored = {violation.field for violation in violations(request, model)} == {"input_references"}
        assert ignored or accept_or_refuse(request) is not None


def accept_or_refuse(request: VideoRequest) -> str | None:
    try:
        accept(request.to_wire(), Catalogue(offered.MODELS), cast("JobStore", None))  # it is for continuations only
    except ApiError as error:
        return str(vars(error))
    return None
