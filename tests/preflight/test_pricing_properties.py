"""Whatever a catalogue lists and a request says: never free by mistake, never upside down, never an exception."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
from airflow_provider_orvideo.preflight.pricing import Estimate, estimate

#: The same examples every time, however slow the machine is.
steady = settings(deadline=None, derandomize=True)
RESOLUTIONS = ("480p", "720p", "1080p", "4K")
ASPECTS = ("16:9", "9:16", "1:1", "21:9")
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
AUDIO = {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}

prices = st.decimals(Decimal("0.000001"), 100, places=6).map(str)
suffixes = st.sampled_from(["", "_with_audio", "_without_audio", "_720p", "_1080p", "_4k", "_with_audio_720p"])
#: Families of one unit each; a list that mixes units is unknown.
families = st.sampled_from(
    [
        ("duration_seconds", "text_to_video_duration_seconds", "image_to_video_duration_seconds"),
        ("video_tokens",),
        ("cents_per_second_output", "cents_per_second_video_continuation"),
        ("cents_per_megapixel_second",),
    ]
)
extras = st.fixed_dictionaries(
    {},
    optional={"cents_per_image_input": prices, "reference_images": prices, "minimum_cents_per_generation": prices},
)


@st.composite
def price_lists(draw: st.DrawFn) -> dict[str, str]:
    chosen = draw(families)
    names = st.builds(str.__add__, st.sampled_from(chosen), suffixes)
    listed = {chosen[0]: draw(prices), **draw(st.dictionaries(names, prices, max_size=5)), **draw(extras)}
    return dict(draw(st.permutations(list(listed.items()))))


def entries(skus: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"id": st.just("test/model"), "pricing_skus": skus},
        optional={
            "generate_audio": st.none() | st.booleans(),
            "supported_durations": st.none() | st.lists(st.integers(-1, 60), max_size=4),
            "supported_resolutions": st.none() | st.lists(st.sampled_from((*RESOLUTIONS, "odd")), max_size=3),
            "supported_aspect_ratios": st.none() | st.lists(st.sampled_from((*ASPECTS, "auto")), max_size=3),
            "supported_sizes": st.none() | st.lists(st.sampled_from(("640x640", "1280x720", "odd")), max_size=3),
        },
    )


models = entries(price_lists())
#: Models and requests that say enough for a price.
talkative = st.fixed_dictionaries(
    {
        "id": st.just("test/model"),
        "pricing_skus": price_lists(),
        "generate_audio": st.none() | st.booleans(),
        "supported_durations": st.just([4, 6, 8]),
        "supported_resolutions": st.just(list(RESOLUTIONS)),
        "supported_aspect_ratios": st.none() | st.lists(st.sampled_from(ASPECTS), max_size=3),
        "supported_sizes": st.none() | st.lists(st.sampled_from(("640x640", "1280x720")), max_size=2),
    }
)
orders = st.fixed_dictionaries(
    {},
    optional={
        "duration": st.sampled_from([4, 6, 8]),
        "resolution": st.sampled_from(RESOLUTIONS),
        "aspect_ratio": st.sampled_from(ASPECTS),
        "generate_audio": st.booleans(),
        "creativity": st.integers(0, 1),
        "input_references": st.lists(st.sampled_from((IMAGE, AUDIO)), max_size=3),
        "frame_images": st.lists(st.just({**IMAGE, "frame_type": "first_frame"}), max_size=2),
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "duration": st.integers(1, 100),
        "resolution": st.sampled_from((*RESOLUTIONS, "odd")),
        "aspect_ratio": st.sampled_from((*ASPECTS, "adaptive")),
        "size": st.sampled_from(("1280x720", "640x640", "99999x99999", "12345678x1")),
        "generate_audio": st.booleans(),
        "creativity": st.integers(0, 2),
        "upscale_factor": st.just(2.0),
        "previous_job_id": st.just("gen-vid-1"),
        "input_references": st.lists(st.sampled_from((IMAGE, AUDIO, VIDEO)), max_size=3),
        "frame_images": st.lists(st.just({**IMAGE, "frame_type": "first_frame"}), max_size=2),
    },
)


def asked(entry: dict[str, Any], fields: dict[str, Any]) -> Estimate:
    return estimate(VideoRequest.build(model="test/model", prompt="x", **fields), VideoModel.model_validate(entry))


def known(entry: dict[str, Any], fields: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Return both ends; examples without are not looked at."""
    found = asked(entry, fields)
    assume(found.is_known)
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@steady
@given(entries(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=3)), requests)
def test_a_catalogue_of_nonsense_is_unknown(entry: dict[str, Any], fields: dict[str, Any]) -> None:
    found = asked(entry, fields)
    assert found.usd is None
    assert found.reason


@steady
@given(models, requests)
def test_an_estimate_is_either_a_positive_range_or_a_reason(entry: dict[str, Any], fields: dict[str, Any]) -> None:
    found = asked(entry, fields)
    if found.low is not None and found.high is not None:
        assert 0 < found.low <= found.high
        assert found.derivation
        assert found.reason is None
        # What makes it a range is said.
        assert found.low == found.high or found.notes
    else:
        assert (found.low, found.high) == (None, None)
        assert found.reason
    assert str(found)


@steady
@given(talkative, orders, st.integers(1, 20))
def test_more_seconds_never_cost_less(entry: dict[str, Any], fields: dict[str, Any], more: int) -> None:
    fields = {"duration": 4, **fields}
    low, high = known(entry, fields)
    longer_low, longer_high = known(entry, {**fields, "duration": fields["duration"] + more})
    assert longer_low >= low
    assert longer_high >= high


@steady
@given(talkative, orders)
def test_one_more_input_never_costs_less(entry: dict[str, Any], fields: dict[str, Any]) -> None:
    fields = {"duration": 4, **fields, "frame_images": [], "input_references": [IMAGE]}
    low, high = known(entry, fields)
    more_low, more_high = known(entry, {**fields, "input_references": [IMAGE, IMAGE]})
    assert more_low >= low
    assert more_high >= high


@steady
@given(talkative, orders, st.data())
def test_saying_more_never_leads_out_of_the_range(
    entry: dict[str, Any], fields: dict[str, Any], data: st.DataObject
) -> None:
    choices = {
        "duration": st.sampled_from([4, 6, 8]),
        "resolution": st.sampled_from(RESOLUTIONS),
        "generate_audio": st.just(entry.get("generate_audio") is not False),
        "creativity": st.sampled_from([0, 1]),
    }
    field = data.draw(st.sampled_from(sorted(choices)))
    vague = {name: value for name, value in fields.items() if name != field}
    low, high = known(entry, vague)
    narrow_low, narrow_high = known(entry, {**vague, field: data.draw(choices[field])})
    assert low <= narrow_low <= narrow_high <= high


@steady
@given(talkative, orders, st.integers(2, 9))
def test_prices_so_many_times_as_high_make_an_estimate_so_many_times_as_high(
    entry: dict[str, Any], fields: dict[str, Any], times: int
) -> None:
    low, high = known(entry, fields)
    dearer = {name: str(Decimal(price) * times) for name, price in entry["pricing_skus"].items()}
    assert known({**entry, "pricing_skus": dearer}, fields) == (low * times, high * times)


@steady
@given(models, requests, st.sampled_from(["hdr_surcharge", "duration_seconds_8d"]))
def test_one_price_that_cannot_be_read_makes_the_whole_unknown(
    entry: dict[str, Any], fields: dict[str, Any], odd: str
) -> None:
    found = asked({**entry, "pricing_skus": {**entry["pricing_skus"], odd: "0.01"}}, fields)
    assert found.usd is None
    assert odd in str(found.reason)
