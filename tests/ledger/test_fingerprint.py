"""The identity of an order: what makes it another video, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.ledger.fingerprint import fingerprint

FRAME = {"image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}
REFERENCE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
BASE: dict[str, Any] = {"model": "google/veo-3.1", "prompt": "A lake"}

#: Field of the request, and two values of it that give two videos.
SHAPES_THE_VIDEO: dict[str, tuple[Any, Any]] = {
    "model": ("google/veo-3.1", "google/veo-3.1-fast"),
    "prompt": ("A lake", "A lake "),
    "aspect_ratio": ("16:9", "9:16"),
    "creativity": (0, 1),
    "duration": (4, 8),
    "frame_images": ([FRAME], [{**FRAME, "frame_type": "last_frame"}]),
    "generate_audio": (True, False),
    "input_references": (
        [REFERENCE],
        [REFERENCE, {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}],
    ),
    "previous_job_id": ("gen-vid-1-aaaaaaaaaaaaaaaaaaaa", "gen-vid-1-bbbbbbbbbbbbbbbbbbbb"),
    "provider": ({"options": {"atlas": {"negative_prompt": "blur"}}}, {"options": {"atlas": {"negative_prompt": ""}}}),
    "resolution": ("720p", "1080p"),
    "seed": (0, 1),
    "size": ("1280x720", "720x1280"),
    "upscale_factor": (1.5, 2),
}
DESCRIBES_THE_CALL: dict[str, Any] = {
    "callback_url": "https://hooks.example.com/1",
    "session_id": "try-2",
    "trace": {"trace_id": "2"},
    "user": "someone",
}


def of(conn_id: str = "c", base_url: str = "https://openrouter.ai/api/v1", **fields: Any) -> str:  # noqa: ANN401
    return fingerprint(VideoRequest.build(**{**BASE, **fields}), conn_id=conn_id, base_url=base_url)


def test_every_field_of_the_request_is_one_or_the_other() -> None:
    assert set(VideoRequest.model_fields) == SHAPES_THE_VIDEO.keys() | DESCRIBES_THE_CALL.keys()


@pytest.mark.parametrize("name", SHAPES_THE_VIDEO)
def test_each_field_that_shapes_the_video_makes_another_order(name: str) -> None:
    one, other = SHAPES_THE_VIDEO[name]
    prints = {of(**{name: one}), of(**{name: other})}
    if name not in BASE:
        prints.add(of())
    assert len(prints) == (2 if name in BASE else 3)


@pytest.mark.parametrize("name", DESCRIBES_THE_CALL)
def test_what_describes_the_call_only_is_the_same_order(name: str) -> None:
    assert of(**{name: DESCRIBES_THE_CALL[name]}) == of()


def test_who_pays_and_where_makes_another_order() -> None:
    assert len({of(), of(conn_id="other"), of(base_url="https://eu.openrouter.ai/api/v1")}) == 3


def test_the_order_of_keys_does_not_matter() -> None:
    one = {"options": {"a": {"x": 1, "y": {"p": 1, "q": 2}}, "b": {}}}
    other = {"options": {"b": {}, "a": {"y": {"q": 2, "p": 1}, "x": 1}}}
    assert of(provider=one) == of(provider=other)
    backwards = VideoRequest.build(prompt=BASE["prompt"], model=BASE["model"])
    assert fingerprint(backwards, conn_id="c", base_url="https://openrouter.ai/api/v1") == of()


def test_the_order_of_frames_and_references_does_matter() -> None:
    other = {**REFERENCE, "image_url": {"url": "https://example.com/b.png"}}
    assert of(input_references=[REFERENCE, other]) != of(input_references=[other, REFERENCE])


def test_numbers_as_rendered_text_are_the_same_order() -> None:
    assert of(duration="8", seed="7", generate_audio="true") == of(duration=8, seed=7, generate_audio=True)


def test_a_field_set_to_none_is_a_field_not_set() -> None:
    assert of(seed=None, trace=None) == of()


@pytest.mark.parametrize("name", ["frame_images", "input_references"])
def test_media_in_data_urls_counts_by_content(name: str) -> None:
    def with_media(content: str) -> str:
        medium = FRAME if name == "frame_images" else REFERENCE
        media: dict[str, Any] = {name: [{**medium, "image_url": {"url": f"data:image/png;base64,{content}"}}]}
        return of(**media)

    big = "A" * 200_000
    assert with_media(big + "B") != with_media(big + "C")
    assert with_media(big) == with_media(big)


def test_a_fingerprint_shows_nothing_of_the_order() -> None:
    print_ = of(prompt="something private")
    assert len(print_) == 64
    assert set(print_) <= set("0123456789abcdef")


# ── Media by content ─────────────────────────────────────────────────────────────────────────────────────────────────


def with_frame(url: str) -> str:
    return of(frame_images=[{**FRAME, "image_url": {"url": url}}])


def s3(number: int, path: str = "frames/a.png", extra: str = "") -> str:
    return (
        f"https://films.s3.eu-west-1.amazonaws.com/{path}?{extra}X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=AKIA{number}%2F2026110{number}%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=2026110{number}T0Z"
        f"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t%2B{number}&X-Amz-Signature=ab{number}"
    )


def s3_old(number: int, path: str = "frames/a.png", extra: str = "") -> str:
    return (
        f"https://films.s3.amazonaws.com/{path}?{extra}AWSAccessKeyId=AKIA{number}&Expires=179{number}"
        f"&Signature=x%2F{number}%3D&x-amz-security-token=t{number}"
    )


def gcs(number: int, path: str = "frames/a.png", extra: str = "") -> str:
    return (
        f"https://storage.googleapis.com/films/{path}?{extra}X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=me{number}"
        f"&X-Goog-Date=2026110{number}T0Z&X-Goog-Expires=90{number}&X-Goog-SignedHeaders=host&X-Goog-Signature=cd{number}"
    )


def gcs_old(number: int, path: str = "frames/a.png", extra: str = "") -> str:
    return (
        f"https://storage.googleapis.com/films/{path}?{extra}GoogleAccessId=me{number}&Expires=179{number}"
        f"&Signature=y{number}"
    )


def azure(number: int, path: str = "frames/a.png", extra: str = "") -> str:
    return (
        f"https://films.blob.core.windows.net/{path}?{extra}sp=r&st=2026-11-0{number}&se=2026-12-0{number}&spr=https"
        f"&sv=2026-0{number}-01&sr=b&skoid={number}&sktid={number}&skt={number}&ske={number}&sks=b&skv={number}"
        f"&sig=z%2F{number}%3D"
    )


def cloudfront(number: int, path: str = "frames/a.png", extra: str = "") -> str:
    return (
        f"https://films.cloudfront.net/{path}?{extra}Expires=179{number}&Policy=eyJ{number}&Signature=w{number}~"
        f"&Key-Pair-Id=K{number}"
    )


SIGNED = {each.__name__: each for each in (s3, s3_old, gcs, gcs_old, azure, cloudfront)}
VERSIONS = ["versionId=1&", "generation=1&", "snapshot=1&", "id=1&", "v=&"]


@pytest.mark.parametrize("how", SIGNED)
def test_a_url_that_is_signed_again_is_the_same_medium(how: str) -> None:
    sign = SIGNED[how]
    assert sign(1) != sign(2)
    assert with_frame(sign(1)) == with_frame(sign(2))
    assert with_frame(sign(1, extra="versionId=1&")) == with_frame(sign(2, extra="versionId=1&"))
    assert with_frame(sign(1)) == with_frame(sign(1).partition("?")[0])


@pytest.mark.parametrize("how", SIGNED)
def test_another_object_or_version_is_another_medium_however_it_is_signed(how: str) -> None:
    sign = SIGNED[how]
    urls = [sign(1), sign(1, path="frames/b.png"), *(sign(1, extra=extra) for extra in VERSIONS)]
    urls += [sign(1, extra="versionId=2&"), sign(1).replace("films", "others")]
    assert len({with_frame(url) for url in urls}) == len(urls)


@pytest.mark.parametrize("name", ["st", "sv", "sp", "se", "sr", "policy", "expires", "key-pair-id", "awsaccesskeyid"])
def test_the_words_of_a_signature_mean_something_where_there_is_none(name: str) -> None:
    assert with_frame(f"https://example.com/render?{name}=day") != with_frame(
        f"https://example.com/render?{name}=night"
    )


def test_a_fragment_never_reaches_a_server_and_does_not_count() -> None:
    assert with_frame("https://example.com/a.png#1") == with_frame("https://example.com/a.png#2")


@pytest.mark.parametrize(
    "url", ["https://example.com/%zz?%zz=%zz&&=", "https://example.com/?a=1;b=2", "https://[::1]/"]
)
def test_odd_urls_have_a_fingerprint_too(url: str) -> None:
    assert len(with_frame(url)) == 64


@pytest.mark.parametrize(
    "spelling",
    [
        "data:image/png;base64,+/8=",
        "data:image/png;base64,%2B/8%3D",
        "DATA:image/png;BASE64,+/8=",
        "data:image/png;charset=utf-8;base64,+/8=",
        "data:image/png;base64,+/8",
        "data:image/png;base64,+/%0A8=",
        "data:image/png,%FB%FF",
        "data:,%fb%ff",
    ],
)
def test_the_same_bytes_are_the_same_medium_however_they_are_spelt(spelling: str) -> None:
    assert with_frame(spelling) == with_frame("data:image/png;base64,+/8=")


@pytest.mark.parametrize("other", ["data:image/png;base64,+/A=", "data:image/png,+/8=", "data:image/png;base64,&&&&"])
def test_other_bytes_are_another_medium(other: str) -> None:
    assert with_frame(other) != with_frame("data:image/png;base64,+/8=")


def test_media_in_a_providers_own_options_count_by_content_too() -> None:
    def options(url: str) -> str:
        return of(provider={"options": {"atlas": {"masks": [{"url": url}]}}})

    assert options(s3(1)) == options(s3(2)) != options(s3(1, path="frames/b.png"))


def test_a_prompt_that_looks_like_a_signed_url_counts_word_by_word() -> None:
    assert of(prompt=s3(1)) != of(prompt=s3(2))


# ── Content, to the byte ─────────────────────────────────────────────────────────────────────────────────────────────


def framed(url: str) -> str:
    return of(frame_images=[{**FRAME, "image_url": {"url": url}}])


def test_only_an_address_is_looked_into() -> None:
    notes = [of(provider={"options": {"atlas": {"note": s3(number)}}}) for number in (1, 2)]
    assert notes[0] != notes[1]


@pytest.mark.parametrize("written", ["aGk", "aGk=", "aGk==", "aGk====", "aG\nk=", "aGk%3D", " aGk= "])
def test_base64_is_read_however_it_is_padded_and_broken(written: str) -> None:
    assert framed(f"data:image/png;base64,{written}") == framed("data:image/png;base64,aGk=")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data:image/png;base64,aG!!!!k", "data:image/png;base64,aGk="),
        ("data:image/png;base64,AAAX", "data:image/png;base64,AAA="),
        ("data:image/png;base64,=aGk", "data:image/png;base64,aGk="),
        ("data:image/svg+xml,<a>,</a>", "data:image/svg+xml,<b>,</a>"),
        ("data:image/png,aGk=", "data:image/png;base64,aGk="),
    ],
)
def test_media_that_are_not_the_same_to_the_byte_are_two_orders(one: str, other: str) -> None:
    assert framed(one) != framed(other)


def test_an_order_on_record_is_known_again_by_later_versions() -> None:
    """A record outlives an upgrade; were this another value, each task in flight would order and pay once more."""
    order: dict[str, Any] = {
        "duration": 8,
        "generate_audio": False,
        "frame_images": [
            {"image_url": {"url": "data:image/png;base64,aGk="}, "frame_type": "first_frame"},
            {"image_url": {"url": s3(1) + "#top"}, "frame_type": "last_frame"},
        ],
        "provider": {"options": {"atlas": {"negative_prompt": "Ünschärfe", "strength": 0.5}}},
        "trace": {"trace_id": "1"},
    }
    assert of(**order) == "6bb9f54f5013cf054f56971bb1a32c6617e97d4237c18b8d5972da8925e98c36"
    request = VideoRequest.build(**BASE)
    several = fingerprint(request, conn_id="c", base_url="b", models=("google/veo-3.1", "b/second"))
    assert several == "1b57b484bbd2a99415385e51a9afb0281260338aa06f1f4a234d087128e17e11"
