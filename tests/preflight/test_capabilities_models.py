"""Requests against the models of a real catalogue: what cannot work is named with its fix, what can work passes."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest, parse_models
from airflow_provider_orvideo.exceptions import RequestUnsupportedError
from airflow_provider_orvideo.preflight.capabilities import (
    REMOVE,
    Rename,
    find_model,
    require_possible,
    unknown_model,
    violations,
)
from airflow_provider_orvideo.preflight.passthrough import PROVIDER_SLUGS

VEO = "google/veo-3.1"
FAST = "google/veo-3.1-fast"
LITE = "google/veo-3.1-lite"
O1 = "kwaivgi/kling-video-o1"
KLING_PRO = "kwaivgi/kling-v3.0-pro"
KLING_STD = "kwaivgi/kling-v3.0-std"
HAILUO = "minimax/hailuo-2.3"
SEEDANCE = "bytedance/seedance-2.0"
SEEDANCE_FAST = "bytedance/seedance-2.0-fast"
SEEDANCE_PRO = "bytedance/seedance-1-5-pro"
WAN_6 = "alibaba/wan-2.6"
WAN_7 = "alibaba/wan-2.7"
SORA = "openai/sora-2-pro"
HORSE_0 = "alibaba/happyhorse-1.0"
HORSE_1 = "alibaba/happyhorse-1.1"

PICTURE = "https://example.com/a.png"


def frames(*kinds: str, url: str = PICTURE) -> dict[str, Any]:
    return {"frame_images": [{"image_url": {"url": url}, "frame_type": f"{kind}_frame"} for kind in kinds]}


def references(*kinds: str, url: str = "https://example.com/a") -> dict[str, Any]:
    return {"input_references": [{"type": f"{kind}_url", f"{kind}_url": {"url": url}} for kind in kinds]}


def options(slug: str, **given: object) -> dict[str, Any]:
    return {"provider": {"options": {slug: given}}}


def build(model: str, fields: dict[str, Any]) -> VideoRequest:
    return VideoRequest.build(**{"model": model, "prompt": "A lake", **fields})


WRONG = [
    # duration: never snapped by the API; of two equally near ones the shorter, which costs less
    (VEO, {"duration": 5}, "duration", "4, 6 and 8 s", 4),
    (VEO, {"duration": 7}, "duration", "4, 6 and 8 s", 6),
    (VEO, {"duration": 60}, "duration", "4, 6 and 8 s", 8),
    (LITE, {"duration": 1}, "duration", "4, 6 and 8 s", 4),  # listed as 8, 4, 6
    (O1, {"duration": 7}, "duration", "5 and 10 s", 5),
    (KLING_PRO, {"duration": 2}, "duration", "3, 4, 5", 3),
    (HAILUO, {"duration": 8}, "duration", "6 and 10 s", 6),
    (HAILUO, {"duration": 9}, "duration", "6 and 10 s", 10),
    (SORA, {"duration": 15}, "duration", "4, 8, 12, 16 and 20 s", 16),
    (WAN_6, {"duration": 8}, "duration", "5 and 10 s", 10),
    (SEEDANCE_PRO, {"duration": 15}, "duration", "11 and 12 s", 12),
    # resolution
    (KLING_PRO, {"resolution": "1080p"}, "resolution", "720p", "720p"),  # although its prices name it
    (LITE, {"resolution": "4K"}, "resolution", "720p and 1080p", "1080p"),
    (LITE, {"resolution": "480p"}, "resolution", "720p and 1080p", "720p"),
    (HAILUO, {"resolution": "768p"}, "resolution", "1080p", "1080p"),
    (SEEDANCE_FAST, {"resolution": "1080p"}, "resolution", "480p and 720p", "720p"),
    (FAST, {"resolution": "4k"}, "resolution", "720p, 1080p and 4K", "4K"),
    (FAST, {"resolution": "2160p"}, "resolution", "720p, 1080p and 4K", "4K"),
    (WAN_7, {"resolution": "720"}, "resolution", "720p and 1080p", "720p"),
    (WAN_7, {"resolution": "pretty"}, "resolution", "720p and 1080p", None),
    # aspect ratio
    (VEO, {"aspect_ratio": "1:1"}, "aspect_ratio", "16:9 and 9:16", "16:9"),
    (VEO, {"aspect_ratio": "3:4"}, "aspect_ratio", "16:9 and 9:16", "9:16"),
    (HAILUO, {"aspect_ratio": "9:16"}, "aspect_ratio", "16:9", "16:9"),
    (WAN_7, {"aspect_ratio": "21:9"}, "aspect_ratio", "16:9, 9:16, 1:1, 4:3 and 3:4", "16:9"),
    (SEEDANCE, {"aspect_ratio": "3:2"}, "aspect_ratio", "1:1, 3:4", "4:3"),
    (O1, {"aspect_ratio": "16x9"}, "aspect_ratio", "16:9, 9:16 and 1:1", "16:9"),
    (HORSE_0, {"aspect_ratio": "wide"}, "aspect_ratio", "16:9, 9:16", None),
    (HORSE_0, {"aspect_ratio": "0:9"}, "aspect_ratio", "16:9, 9:16", None),
    # size
    (VEO, {"size": "1024x768"}, "size", "1280x720", "1280x720"),
    (SORA, {"size": "1000x2000"}, "size", "1280x720", "1080x1920"),
    (KLING_STD, {"size": "1080x1080"}, "size", "1280x720, 720x1280 and 720x720", "720x720"),
    (SEEDANCE_FAST, {"size": "640x640"}, "size", "480x480", "720x720"),
    (KLING_STD, {"size": "99999999x99999999"}, "size", "1280x720, 720x1280 and 720x720", None),
    # frame images
    (HAILUO, frames("last"), "frame_images[0].frame_type", "supports first_frame", REMOVE),
    (WAN_6, frames("first", "last"), "frame_images[1].frame_type", "supports first_frame", REMOVE),
    (HORSE_1, frames("last"), "frame_images[0].frame_type", "supports first_frame", REMOVE),
    # sound and seed: refused by the API even where the value repeats the default
    (HAILUO, {"generate_audio": True}, "generate_audio", "does not support", REMOVE),
    (HAILUO, {"generate_audio": False}, "generate_audio", "does not support", REMOVE),
    (KLING_PRO, {"seed": 7}, "seed", "does not support", REMOVE),
    (O1, {"seed": 0}, "seed", "does not support", REMOVE),
    (SORA, {"seed": -1}, "seed", "does not support", REMOVE),
    # passthrough parameters
    (
        WAN_7,
        options("atlas-cloud", negativePrompt="x"),
        "provider.options.atlas-cloud.negativePrompt",
        "drop it silently",
        Rename("negative_prompt"),
    ),
    (
        VEO,
        options("google-vertex", parameters={"negative_prompt": "x"}),
        "provider.options.google-vertex.parameters.negative_prompt",
        "personGeneration, aspectRatio, negativePrompt",
        Rename("negativePrompt"),
    ),
    (
        VEO,
        options("google-vertex", output_config={"effort": "low"}),
        "provider.options.google-vertex.output_config",
        "drop it silently",
        REMOVE,
    ),
    (
        WAN_7,
        options("atlas-cloud", parameters={"negative_prompt": "x"}),
        "provider.options.atlas-cloud.parameters",
        "takes negative_prompt",
        REMOVE,
    ),
    (HORSE_0, options("alibaba", watermark=False), "provider.options.alibaba.watermark", "takes nothing", REMOVE),
    (
        SEEDANCE,
        options("byte-plus", watermark=False),
        "provider.options.byte-plus",
        "no provider has this slug",
        Rename("byteplus"),
    ),
    (
        KLING_STD,
        options("kwaivgi", cfg_scale=0.5),
        "provider.options.kwaivgi",
        "no provider has this slug",
        REMOVE,
    ),
    # what only upscalers take
    (VEO, {"upscale_factor": 2}, "upscale_factor", "only upscaling models", REMOVE),
    (SEEDANCE, {"creativity": 1}, "creativity", "only upscaling models", REMOVE),
    # a video from nothing
    (WAN_7, {"prompt": None}, "prompt", "with an image or a video", None),
    (SEEDANCE, {"prompt": None, **references("audio")}, "prompt", "with an image or a video", None),
    # both kinds of input
    (SEEDANCE, {**frames("first"), **references("image")}, "input_references", "frame_images alone", REMOVE),
    # URLs
    (
        SEEDANCE,
        references("video", url="data:video/mp4;base64,aGk="),
        "input_references[0].video_url.url",
        "no data",
        None,
    ),
    (
        SEEDANCE,
        references("audio", url="data:audio/mp3;base64,aGk="),
        "input_references[0].audio_url.url",
        "no data",
        None,
    ),
    (
        WAN_7,
        frames("first", url="http://example.com/a.png"),
        "frame_images[0].image_url.url",
        "only an HTTPS URL",
        "https://example.com/a.png",
    ),
    (WAN_7, frames("first", url="https://10.0.0.7/a.png"), "frame_images[0].image_url.url", "public HTTPS URL", None),
]


@pytest.mark.parametrize(
    ("model", "fields", "value"),
    [
        (VEO, {"duration": 5}, "5"),
        (VEO, {"resolution": "8K"}, "'8K'"),
        (WAN_6, frames("last"), "'last_frame'"),
        (HAILUO, {"generate_audio": True}, "True"),
        (KLING_PRO, {"seed": 0}, "0"),
        (VEO, {"upscale_factor": 2.5}, "2.5"),
        (VEO, {"creativity": -1}, "-1"),
        (VEO, {"callback_url": "https://localhost/hook"}, "'https://localhost/hook'"),
        (VEO, frames("first", url="http://example.com/a.png"), "'http://example.com/a.png'"),
        (VEO, options("google-vertex", fps=24), "24"),
        (VEO, options("nobody", fps=24), "{'fps': 24}"),
    ],
)
def test_a_violation_shows_what_was_given(
    models: dict[str, VideoModel], model: str, fields: dict[str, Any], value: str
) -> None:
    (violation,) = violations(build(model, fields), models[model])
    assert violation.value == value


@pytest.mark.parametrize(("model", "fields", "field", "allowed", "nearest"), WRONG)
def test_a_wrong_request_is_refused_with_its_fix(
    models: dict[str, VideoModel], model: str, fields: dict[str, Any], field: str, allowed: str, nearest: object
) -> None:
    request = build(model, fields)
    (violation,) = violations(request, models[model])
    assert violation.field == field
    assert allowed in violation.allowed
    assert violation.nearest == nearest
    with pytest.raises(RequestUnsupportedError) as caught:
        require_possible(request, models[model])
    (sentence,) = caught.value.problems
    assert sentence.startswith(f"'{field}' is {violation.value}: ")
    assert allowed in sentence
    if nearest == REMOVE:
        assert sentence.endswith("; leave it out.")
    elif isinstance(nearest, Rename):
        assert sentence.endswith(f"; call it '{nearest.key}'.")
    elif nearest is not None:
        assert sentence.endswith(f"; use {nearest}.")
    else:
        choices = ("choose one of these.", "use a public HTTPS URL", "put it where the API", "describe the video.")
        assert any(words in sentence for words in choices)


RIGHT = [
    *[(model, {}) for model in (VEO, FAST, O1, HAILUO, SORA, HORSE_0)],
    *[(VEO, {"duration": seconds}) for seconds in (4, 6, 8)],
    (LITE, {"duration": 4, "resolution": "1080p", "aspect_ratio": "9:16", "generate_audio": False, "seed": 0}),
    (LITE, {"size": "1080x1920", "duration": 8}),
    (FAST, {"resolution": "4K", "aspect_ratio": "16:9"}),
    (FAST, {"size": "2160x3840"}),
    (VEO, {"generate_audio": True, "seed": 2**40}),
    (VEO, frames("first", "last")),
    (VEO, frames("last", url="data:image/png;base64,aGk=")),
    (VEO, options("google-vertex", parameters={"personGeneration": "allow", "negativePrompt": "blurry"})),
    (VEO, options("google-ai-studio", parameters={"enhancePrompt": True})),
    (VEO, options("google-vertex", negativePrompt="blurry")),  # not known to be dropped
    (VEO, {"session_id": "s", "user": "u", "trace": {"trace_id": "t"}, "callback_url": "https://example.com/hook"}),
    (O1, {"duration": 10, "aspect_ratio": "1:1", "size": "720x720"}),
    (O1, {"generate_audio": True}),
    (O1, frames("first")),
    (KLING_PRO, {"duration": 15, "resolution": "720p"}),
    (KLING_PRO, options("atlas-cloud", cfg_scale=0.5, negative_prompt="x")),
    (KLING_STD, {"duration": 3, "generate_audio": False}),
    (HAILUO, {"seed": 1}),  # null: unknown, not forbidden
    (HAILUO, {"duration": 6, "resolution": "1080p", "aspect_ratio": "16:9", "size": "1920x1080"}),
    (HAILUO, frames("first")),
    (HAILUO, options("minimax", prompt_optimizer=False)),
    (SEEDANCE, references("image", "video", "audio")),
    (SEEDANCE, references("image", url="data:image/webp;base64,aGk=")),
    (SEEDANCE, {"prompt": None, **frames("first")}),
    (SEEDANCE, {"prompt": None, **references("video")}),
    (SEEDANCE, {"aspect_ratio": "9:21", "resolution": "1080p", "duration": 15}),
    (SEEDANCE, options("byteplus", watermark=False)),
    (SEEDANCE, {"prompt": None, "previous_job_id": "gen-vid-1790983457-BXyYqhSkuztnVdDoZpef"}),
    (SEEDANCE_FAST, {"size": "1680x720", "resolution": "720p"}),
    (SEEDANCE_PRO, {"size": "1080x2520", "duration": 12}),
    (WAN_6, {"duration": 10, **frames("first")}),
    (WAN_6, options("alibaba", shot_type="multi")),
    (WAN_7, {"duration": 2, "size": "1440x1080", "seed": 1}),
    (WAN_7, {"prompt": None, **frames("first", "last")}),
    (WAN_7, options("atlas-cloud", negative_prompt="blurry")),
    (WAN_7, {"provider": {"options": {}}}),
    (SORA, frames("first")),  # null: unknown, not forbidden
    (SORA, {"duration": 20, "generate_audio": True, "size": "1920x1080"}),
    (SORA, options("openai", quality="high", style="noir")),
    (HORSE_0, {"generate_audio": True}),  # null: unknown, not forbidden
    (HORSE_0, {"provider": {"options": {"alibaba": {}}}}),
    (HORSE_1, {"generate_audio": False, "aspect_ratio": "21:9", "duration": 13, "seed": 5}),
    (HORSE_1, frames("first")),
]


@pytest.mark.parametrize(("model", "fields"), RIGHT)
def test_a_right_request_passes(models: dict[str, VideoModel], model: str, fields: dict[str, Any]) -> None:
    request = build(model, fields)
    assert violations(request, models[model]) == ()
    require_possible(request, models[model])


def test_the_tables_are_as_long_as_they_claim_and_name_every_model(models: dict[str, VideoModel]) -> None:
    assert len(WRONG) >= 40
    assert len(RIGHT) >= 40
    assert {model for model, *_ in WRONG} | {model for model, _ in RIGHT} == set(models)


EVERYTHING: dict[str, Any] = {
    "duration": 999,
    "resolution": "99p",
    "aspect_ratio": "99:1",
    "size": "9x9",
    "generate_audio": True,
    "seed": 1,
    "upscale_factor": 99,
    "creativity": 99,
    **frames("last"),
    **options("google-vertex", anything=1),
}


def test_a_capability_that_is_not_told_forbids_nothing() -> None:
    assert violations(build("new/model", EVERYTHING), VideoModel(id="new/model")) == ()


def test_without_a_catalogue_only_what_holds_for_every_model_is_judged() -> None:
    assert violations(build("new/model", EVERYTHING)) == ()
    (violation,) = violations(build("new/model", options("gogle-vertex", x=1)))
    assert violation.nearest == Rename("google-vertex")


@pytest.mark.parametrize(
    ("slug", "suggested"),
    [
        ("google", "google-vertex"),
        ("atlas", "atlas-cloud"),
        ("WAN-ALIBABA-VIDEO", "such as alibaba"),
        ("qqqq", "such as google-vertex, byteplus and atlas-cloud"),
        ("x" * 100_000, "byteplus"),
    ],
)
def test_a_slug_that_no_provider_has_is_told_with_the_closest(slug: str, suggested: str) -> None:
    (violation,) = violations(build(VEO, options(slug, x=1)))
    assert violation.nearest == REMOVE
    assert suggested in violation.allowed
    assert len(str(violation)) < 500


def test_each_slug_is_looked_at_and_a_misspelt_one_as_what_it_means() -> None:
    model = VideoModel.model_validate({"id": VEO, "allowed_passthrough_parameters": ["aspectRatio"]})
    parameters = {"parameters": {"aspectRatio": "1:1"}}
    given = {"nobody": {"x": 1}, "google_vertex": parameters, "xqx": {"y": 2}, "byteplus": parameters}
    found = violations(build(VEO, {"provider": {"options": given}}), model)
    assert [(each.field, each.value, each.nearest) for each in found] == [
        ("provider.options.nobody", "{'x': 1}", REMOVE),
        ("provider.options.google_vertex", "{'parameters': {'aspectRatio': '1:1'}}", Rename("google-vertex")),
        ("provider.options.xqx", "{'y': 2}", REMOVE),
        ("provider.options.byteplus.parameters", "{'aspectRatio': '1:1'}", REMOVE),
    ]


def test_a_frame_that_the_model_does_not_take_stands_in_for_no_prompt(models: dict[str, VideoModel]) -> None:
    unusable, usable = ({"prompt": None, **frames(kind)} for kind in ("last", "first"))
    assert [each.field for each in violations(build(WAN_6, unusable), models[WAN_6])] == [
        "frame_images[0].frame_type",
        "prompt",
    ]
    assert violations(build(WAN_6, usable), models[WAN_6]) == ()


def test_everything_that_is_wrong_with_one_request_is_told_at_once(models: dict[str, VideoModel]) -> None:
    found = violations(build(HAILUO, EVERYTHING), models[HAILUO])
    assert [violation.field for violation in found] == [
        "duration",
        "resolution",
        "aspect_ratio",
        "size",
        "frame_images[0].frame_type",
        "generate_audio",
        "upscale_factor",
        "creativity",
        "provider.options.google-vertex.anything",
    ]


def test_an_empty_list_says_that_nothing_is_supported() -> None:
    model = VideoModel(id="a/b", supported_durations=(), supported_resolutions=(), supported_frame_images=())
    found = violations(build("a/b", {"duration": 5, "resolution": "720p", **frames("first")}), model)
    assert [violation.nearest for violation in found] == [REMOVE] * 3
    assert str(found[0]) == "'duration' is 5: a/b supports nothing; leave it out."


UPSCALER: dict[str, Any] = {"id": "a/upscaler", "upscale_factor": {"min": 1.5, "max": 3}, "creativity": [0, 1]}


@pytest.mark.parametrize(
    ("entry", "field", "value", "allowed", "nearest"),
    [
        (UPSCALER, "upscale_factor", 1.0, "at least 1.5 and at most 3", 1.5),
        (UPSCALER, "upscale_factor", 3.5, "at least 1.5 and at most 3", 3.0),
        (UPSCALER, "creativity", 2, "0 and 1", 1),
        (UPSCALER, "creativity", -1, "0 and 1", 0),
        (UPSCALER | {"upscale_factor": {"min": 2}}, "upscale_factor", 1.5, "at least 2", 2.0),
        (UPSCALER | {"upscale_factor": {"max": 1.15}}, "upscale_factor", 1.2, "at most 1.15", 1.15),
        (UPSCALER | {"upscale_factor": {"min": 2, "max": 2}}, "upscale_factor", 3.0, "at least 2 and at most 2", 2.0),
    ],
)
def test_an_upscaler_has_limits_of_its_own(
    entry: dict[str, Any], field: str, value: float, allowed: str, nearest: float
) -> None:
    model = VideoModel.model_validate(entry)
    (violation,) = violations(build("a/upscaler", {field: value, **references("video")}), model)
    assert str(violation) == f"'{field}' is {value}: a/upscaler supports {allowed}; use {nearest}."
    assert violation.nearest == nearest


@pytest.mark.parametrize(
    ("entry", "fields"),
    [
        (UPSCALER, {"upscale_factor": 1.5, "creativity": 0}),
        (UPSCALER, {"upscale_factor": 3, "creativity": 1}),
        (UPSCALER, {"prompt": None}),
        (UPSCALER | {"creativity": None}, {"creativity": 9}),
        (UPSCALER | {"upscale_factor": None}, {"upscale_factor": 99}),
        (UPSCALER | {"upscale_factor": {"min": 5, "max": 2}}, {"upscale_factor": 3}),
        (UPSCALER | {"upscale_factor": {"max": 4}}, {"upscale_factor": 0.5}),
        ({"id": "a/upscaler"}, {"upscale_factor": 99, "creativity": 99}),
    ],
)
def test_an_upscaler_takes_what_it_offers(entry: dict[str, Any], fields: dict[str, Any]) -> None:
    request = build("a/upscaler", {**fields, **references("video")})
    assert violations(request, VideoModel.model_validate(entry)) == ()


@pytest.mark.parametrize(
    "host",
    [
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),  # noqa: S104
        *(
            "127.1",
            "999.1.1.1",
            "2130706433",
            "0x7f.0.0.1",
            "[::1]",
            "[fe80::1]",
            "[fd00::1]",
            "[::ffff:192.168.0.1]",
            "[::ffff:224.0.0.1]",
            "[::]",
        ),
        *(
            "printer.local",
            "PRINTER.LOCAL",
            "minio",
            "minio:9000",
            "metadata.google.internal",
            "localhost.",
            "nas.home.arpa",
        ),
    ],
)
def test_an_address_inside_is_out_of_the_apis_reach(host: str) -> None:
    url = f"https://{host}/a.png"
    (violation,) = violations(build(VEO, frames("first", url=url)))
    assert violation.field == "frame_images[0].image_url.url"
    assert violation.nearest is None
    assert url in str(violation)
    assert "use a public HTTPS URL or a data:image/" in str(violation)
    (violation,) = violations(build(VEO, {"callback_url": url}))
    assert (violation.field, violation.nearest) == ("callback_url", REMOVE)
    assert "no webhook would ever arrive" in str(violation)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1111]", "example.com.", "10.example.com", "local.example.com", "127.1.example.org"]
)
def test_an_address_outside_passes(host: str) -> None:
    assert violations(build(VEO, frames("first", url=f"https://{host}/a.png"))) == ()


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize("url", ["https://localhost/a", "ftp://example.com/a", "/a", "https://[::1/a"])
def test_where_no_data_url_is_taken_none_is_offered(kind: str, url: str) -> None:
    (violation,) = violations(build("m", references(kind, url=url)))
    assert "data:image" not in violation.allowed


@pytest.mark.parametrize("url", ["https://localhost/a", "ftp://example.com/a", "/a", "https://[::1/a"])
def test_an_image_may_come_as_a_data_url_instead(url: str) -> None:
    (violation,) = violations(build("m", frames("first", url=url)))
    assert "or a data:image/…;base64,… URL" in violation.allowed
    assert "no data: URL" not in violation.allowed


@pytest.mark.parametrize("url", ["ftp://example.com/a", "http:///a", "/a", "https://[::1/a"])
def test_an_address_that_no_s_makes_right_has_no_nearest_one(url: str) -> None:
    (violation,) = violations(build("m", frames("first", url=url)))
    assert violation.nearest is None
    assert "only an HTTPS URL" in violation.allowed


def test_an_address_that_lacks_only_the_s_is_told_with_it() -> None:
    (violation,) = violations(build("m", references("video", url="http://example.com/a")))
    assert violation.nearest == "https://example.com/a"
    assert str(violation).endswith("is allowed; use https://example.com/a.")


def test_google_s_parameters_are_looked_at_one_level_deep_and_no_deeper() -> None:
    model = VideoModel.model_validate({"id": VEO, "allowed_passthrough_parameters": ["aspectRatio"]})
    given: dict[str, Any] = {"parameters": {"aspectRatio": "1:1", "parameters": {"aspectRatio": 1}, "fps": 24}, "x": 7}
    found = violations(build(VEO, options("google-vertex", **given)), model)
    assert [(each.field, each.value) for each in found] == [
        ("provider.options.google-vertex.parameters.parameters", "{'aspectRatio': 1}"),
        ("provider.options.google-vertex.parameters.fps", "24"),
        ("provider.options.google-vertex.x", "7"),
    ]
    assert all(f"{VEO} takes aspectRatio" in each.allowed for each in found)


def test_every_provider_slug_of_the_official_sdk_is_known() -> None:
    components = pytest.importorskip(
        "openrouter.components", reason="the official SDK asks for a newer pydantic than this package does"
    )
    slugs = {field.alias or name for name, field in components.ProviderOptions.model_fields.items()}
    assert len(slugs) > 100
    assert slugs <= PROVIDER_SLUGS


@pytest.mark.parametrize(
    ("wanted", "closest", "nearest"),
    [
        ("google/veo-3.2", "google/veo-3.1", None),
        ("google/veo3.1", "google/veo-3.1", None),
        ("Google/Veo-3.1", "google/veo-3.1", "google/veo-3.1"),
        (" google/veo-3.1 ", "google/veo-3.1", "google/veo-3.1"),
        ("veo-3.1-lite", "google/veo-3.1-lite", "google/veo-3.1-lite"),
        ("openai/wan-2.7", "alibaba/wan-2.7", None),
        ("sora-2", "openai/sora-2-pro", None),
        ("google/veo 3.1", "google/veo-3.1", "google/veo-3.1"),
        ("bytedance/seedance_2.0", "bytedance/seedance-2.0", "bytedance/seedance-2.0"),
        ("kling-v3.0-pro", "kwaivgi/kling-v3.0-pro", "kwaivgi/kling-v3.0-pro"),
    ],
)
def test_an_unknown_model_is_told_with_the_closest_ids(
    catalogue: tuple[VideoModel, ...], wanted: str, closest: str, nearest: str | None
) -> None:
    assert find_model(wanted, catalogue) is None
    violation = unknown_model(build(wanted, {}), catalogue)
    assert violation.field == "model"
    assert repr(wanted) in violation.value
    assert closest in violation.allowed
    # Another model would be another price, so only another spelling is a replacement.
    assert violation.nearest == nearest


KNOWN = parse_models(
    {"data": [{"id": name} for name in ("google/veo-3.1", "google/veo-3.1-lite", "alibaba/horse-1.0", "openai/sora-2")]}
)


@pytest.mark.parametrize(
    ("wanted", "closest"),
    [
        ("google/veo-3.2", "google/veo-3.1 and google/veo-3.1-lite"),  # the closest first
        ("google/veo-3.1-light", "google/veo-3.1-lite and google/veo-3.1"),
        ("a-vendor-that-is-wrong-for-it/sora-2", "openai/sora-2"),  # a vendor is easily mistaken
        ("sora", "openai/sora-2"),  # or forgotten
        ("alibaba/h1", "alibaba/horse-1.0"),  # and so is a name
    ],
)
def test_the_closest_ids_come_first_and_what_is_not_alike_not_at_all(wanted: str, closest: str) -> None:
    assert f"the closest ids are {closest}; choose one" in unknown_model(build(wanted, {}), KNOWN).allowed


def test_no_more_than_three_ids_are_suggested() -> None:
    many = parse_models({"data": [{"id": f"google/veo-3.{number}"} for number in range(9)]})
    assert unknown_model(build("google/veo-3", {}), many).allowed.count("google/veo") == 3


@pytest.mark.parametrize("wanted", ["x" * 100_000, "qqq", "/", "日本"])
def test_a_model_like_no_other_is_told_where_to_look(catalogue: tuple[VideoModel, ...], wanted: str) -> None:
    violation = unknown_model(build(wanted, {}), catalogue)
    assert violation.nearest is None
    assert "GET /videos/models lists them" in violation.allowed
    assert len(str(violation)) < 300


def test_a_dated_slug_names_a_model_too(catalogue: tuple[VideoModel, ...]) -> None:
    found = find_model("google/veo-3.1-20260320", catalogue)
    assert found is not None
    assert found.id == VEO
    assert find_model(VEO, catalogue) is found


@pytest.mark.parametrize(
    "fields",
    [
        options("google-vertex", password="sk-or-test-topsecret"),
        options("google-vertex", source="https://example.com/a?signature=topsecret"),
        options("sk-or-test-topsecret", x=1),
        {"resolution": "sk-or-test-topsecret"},
        frames("first", url="http://user:topsecret@example.com/a?signature=topsecret"),
        {"callback_url": "https://localhost/hook?token=topsecret"},
    ],
)
def test_no_secret_of_a_request_is_shown(models: dict[str, VideoModel], fields: dict[str, Any]) -> None:
    (violation,) = violations(build(VEO, fields), models[VEO])
    assert "topsecret" not in str(violation)
    assert "topsecret" not in repr(violation).replace(repr(violation.field), "")
