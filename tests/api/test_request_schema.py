"""A request is judged before it is sent: by name, by type and by what JSON can carry; the message names the way out."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_orvideo.api.schema import FrameImage, VideoRequest
from airflow_provider_orvideo.exceptions import RequestInvalidError

URL = "https://example.com/a.png"


def refusal(**arguments: Any) -> str:  # noqa: ANN401
    with pytest.raises(RequestInvalidError) as caught:
        VideoRequest.build(**{"model": "m", **arguments})
    assert caught.value.__cause__ is None  # pydantic's own text would repeat the values
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_model_is_enough() -> None:
    assert VideoRequest.build(model="topaz/upscale").to_wire() == {"model": "topaz/upscale"}


def test_missing_model_is_refused() -> None:
    with pytest.raises(RequestInvalidError, match="'model' is missing; set it"):
        VideoRequest.build(prompt="x")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("promt", "prompt"),
        ("durations", "duration"),
        ("aspect_ration", "aspect_ratio"),
        ("generateaudio", "generate_audio"),
        ("prev_job_id", "previous_job_id"),
        ("frame_image", "frame_images"),
        ("sesion_id", "session_id"),
        ("upscale", "upscale_factor"),
    ],
)
def test_unknown_argument_is_refused_with_the_nearest_valid_one(typo: str, meant: str) -> None:
    assert f"'{typo}' is not a field of a video request; did you mean '{meant}'?" in refusal(**{typo: "x"})


@pytest.mark.parametrize("name", ["n", "fps", "webhook_secret"])
def test_argument_like_no_other_is_refused_with_the_list(name: str) -> None:
    text = refusal(**{name: 1})
    assert f"'{name}' is not a field" in text
    assert all(field in text for field in VideoRequest.model_fields)


def test_unknown_key_of_a_frame_is_refused() -> None:
    frame = {"image_url": {"url": URL}, "frame_type": "first_frame", "strength": 1}
    assert "'frame_images.0.strength'" in refusal(frame_images=[frame])


def test_provider_takes_options_and_nothing_else() -> None:
    assert "'provider.order'" in refusal(provider={"options": {}, "order": ["google-vertex"]})
    assert "'provider.options'" in refusal(provider={})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": ""}, "'model'"),
        ({"model": None}, "'model' is missing"),
        ({"duration": 0}, "'duration' is 0: input should be greater than or equal to 1; change it."),
        ({"duration": 4.5}, "'duration' is 4.5"),
        ({"duration": "long"}, "'duration' is 'long'"),
        ({"size": "720p"}, "'size' is '720p': it must be WIDTHxHEIGHT in pixels, for example 1280x720"),
        ({"size": "1280x0"}, "'size'"),
        ({"size": "1280X720"}, "'size'"),
        ({"callback_url": "http://hooks.example.com"}, "it must begin with https://"),
        ({"session_id": "x" * 257}, "'session_id'"),
        ({"upscale_factor": 0}, "'upscale_factor' is 0"),
        ({"upscale_factor": float("inf")}, "'upscale_factor' is inf"),
        ({"upscale_factor": float("nan")}, "'upscale_factor' is nan"),
        ({"generate_audio": "perhaps"}, "'generate_audio'"),
        ({"creativity": "high"}, "'creativity'"),
        ({"previous_job_id": ""}, "'previous_job_id'"),
        ({"trace": "id"}, "'trace'"),
        ({"frame_images": [{"image_url": {"url": URL}, "frame_type": "middle"}]}, "'frame_images.0.frame_type'"),
        ({"frame_images": [{"image_url": {"url": URL}}]}, "'frame_images.0.frame_type' is missing"),
        ({"frame_images": [{"frame_type": "last_frame", "image_url": {"url": ""}}]}, "'frame_images.0.image_url.url'"),
        ({"input_references": [{"type": "text_url"}]}, "'input_references.0'"),
        ({"input_references": [{"type": "image_url"}]}, "image_url' is missing"),
        ({"provider": {"options": {"google-vertex": 5}}}, "'provider.options.google-vertex'"),
    ],
)
def test_wrong_value_is_refused_with_field_value_and_rule(arguments: dict[str, Any], words: str) -> None:
    text = refusal(**arguments)
    assert words in text
    assert "nothing was spent" in text


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RequestInvalidError) as caught:
        VideoRequest.build(duration=0, size="big", promt="x")
    assert len(caught.value.problems) == 4
    assert all(problem in str(caught.value) for problem in caught.value.problems)


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": "half a pair: \ud83d"},
        {"user": "\udc00"},
        {"trace": {"a": "\ud800"}},
        {"trace": {"a": object()}},
        {"provider": {"options": {"x": {"data": b"\xff"}}}},
    ],
)
def test_what_json_cannot_carry_is_refused_before_sending(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    assert f"'{name}'" in refusal(**arguments)


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ({"duration": "8"}, {"duration": 8}),
        ({"seed": "0"}, {"seed": 0}),
        ({"generate_audio": "False"}, {"generate_audio": False}),
        ({"upscale_factor": "1.5"}, {"upscale_factor": 1.5}),
        ({"user": 42}, {"user": "42"}),
        ({"provider": '{"options": {"xai": {"a": 1}}}'}, {"provider": {"options": {"xai": {"a": 1}}}}),
        ({"trace": '{"trace_id": "t"}'}, {"trace": {"trace_id": "t"}}),
        (
            {"input_references": '[{"type": "image_url", "image_url": {"url": "https://h/i.png"}}]'},
            {"input_references": [{"type": "image_url", "image_url": {"url": "https://h/i.png"}}]},
        ),
    ],
)
def test_templates_may_render_numbers_and_booleans_as_text(arguments: dict[str, Any], wire: dict[str, Any]) -> None:
    assert VideoRequest.build(model="m", **arguments).to_wire() == {"model": "m", **wire}


@pytest.mark.parametrize(
    "arguments",
    [
        {"resolution": "8K"},
        {"resolution": "360p"},
        {"aspect_ratio": "32:9"},
        {"size": "99999x1"},
        {"duration": 3600},
        {"previous_job_id": "abc/../def"},
        {"session_id": "x" * 256},
        {"provider": {"options": {"a-provider-of-tomorrow": {"deep": {"er": [None, 1]}}}}},
    ],
)
def test_what_only_the_catalogue_can_judge_passes_as_it_is(arguments: dict[str, Any]) -> None:
    assert VideoRequest.build(model="m", **arguments).to_wire() == {"model": "m", **arguments}


def test_type_of_a_frame_may_be_left_out() -> None:
    request = VideoRequest.build(model="m", frame_images=[{"image_url": {"url": URL}, "frame_type": "first_frame"}])
    assert request.to_wire()["frame_images"] == [
        {"type": "image_url", "image_url": {"url": URL}, "frame_type": "first_frame"}
    ]


def test_request_is_frozen() -> None:
    request = VideoRequest.build(model="m", frame_images=[{"image_url": {"url": URL}, "frame_type": "first_frame"}])
    with pytest.raises(ValidationError, match="frozen"):
        request.prompt = "another"  # type: ignore[misc]
    assert isinstance(request.frame_images, tuple)
    assert isinstance(request.frame_images[0], FrameImage)


def test_repr_shows_no_medium_and_no_callback() -> None:
    request = VideoRequest.build(
        model="m",
        callback_url="https://hooks.example.com/s3cr3t",
        frame_images=[{"image_url": {"url": "data:image/png;base64,c2VjcmV0"}, "frame_type": "first_frame"}],
        input_references=[{"type": "video_url", "video_url": {"url": "https://example.com/v?X-Signature=s3cr3t"}}],
    )
    for text in (repr(request), str(request)):
        assert "s3cr3t" not in text
        assert "c2VjcmV0" not in text


def test_refused_medium_does_not_stand_in_the_message() -> None:
    medium = {"url": "data:image/png;base64,c2VjcmV0" * 1000, "extra": "https://h/v?X-Signature=s3cr3t"}
    text = refusal(frame_images=[{"image_url": medium}], trace="https://h/v?X-Signature=s3cr3t")
    assert "c2VjcmV0" not in text
    assert "s3cr3t" not in text
    assert len(text) < 1000


def test_schemas_own_complaint_shows_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        VideoRequest(model="m", callback_url="http://hooks.example.com/s3cr3t")
    assert "callback_url" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_megabytes_of_image_are_judged_fast() -> None:
    url = "data:image/png;base64," + "A" * 20_000_000
    started = time.perf_counter()
    request = VideoRequest.build(model="m", frame_images=[{"image_url": {"url": url}, "frame_type": "first_frame"}])
    assert len(request.to_wire()["frame_images"][0]["image_url"]["url"]) == len(url)
    refusal(frame_images=[{"image_url": {"url": url}, "frame_type": url}])
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize("prompt", ["", " ", "\n\t"])
def test_a_blank_prompt_is_not_ordered(prompt: str) -> None:
    with pytest.raises(RequestInvalidError, match=r"'prompt' is .* must not be blank; leave it out"):
        VideoRequest.build(model="m", prompt=prompt)


def test_text_that_is_no_json_is_named() -> None:
    with pytest.raises(RequestInvalidError, match="'provider' is 'options: x'"):
        VideoRequest.build(model="m", provider="options: x")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"frame_images": [{"image_url": {"url": "https://h/i.png"}, "frame_typ": "first_frame"}]}, "frame_type"),
        ({"provider": {"optons": {}}}, "options"),
    ],
)
def test_a_misspelt_nested_field_gets_the_nearest_name(arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(RequestInvalidError, match=f"did you mean '{hint}'"):
        VideoRequest.build(model="m", **arguments)
