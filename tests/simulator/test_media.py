"""The rendered files, judged by a decoder."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from airflow_provider_orvideo.simulator import Simulator
from airflow_provider_orvideo.simulator.render import Shot, Studio, fit, render

Decode = Callable[[bytes], dict[str, Any]]
SMALL = Shot("gen-vid-1-aaaaaaaaaaaaaaaaaaaa", 0, "a red boat", "caption", 160, 90, 8, 8, audio=False)


def different(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures, from 0 to 255."""
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


@pytest.mark.parametrize(
    ("changes", "size", "seconds", "audio"),
    [
        ({}, (854, 480), 1, "aac"),
        ({"duration": 2, "aspect_ratio": "9:16"}, (480, 854), 2, "aac"),
        ({"aspect_ratio": "1:1", "generate_audio": False}, (480, 480), 1, None),
        ({"model": "alibaba/wan-2.7", "duration": 2, "resolution": None}, (1280, 720), 2, "aac"),
        ({"model": "runway/gen-4.5", "duration": 2, "resolution": None}, (1280, 720), 2, None),
        ({"model": "alibaba/wan-2.7", "duration": 2, "resolution": None, "size": "720x960"}, (720, 960), 2, "aac"),
    ],
)
def test_a_video_is_what_was_ordered(
    simulate: Callable[..., Simulator],
    connect: Callable[..., httpx.Client],
    order: Callable[..., dict[str, Any]],
    decode: Decode,
    changes: dict[str, Any],
    size: tuple[int, int],
    seconds: int,
    audio: str | None,
) -> None:
    client = connect(simulate(max_pixels=None, fps=24))
    job_id = client.post("/videos", json=order(**changes)).json()["id"]
    video = decode(client.get(f"/videos/{job_id}/content").content)
    assert (video["codec"], video["pixels"]) == ("h264", "yuv420p")
    assert (video["size"], video["fps"], video["frames"]) == (size, 24, 24 * seconds)
    assert video["audio"] == audio
    if audio:
        # AAC has frames of 1024 samples, and starts with one of silence.
        assert video["samples"] / 48_000 == pytest.approx(seconds, abs=3 * 1024 / 48_000)


def test_seedance_makes_one_frame_more_as_it_does_live(
    simulate: Callable[..., Simulator],
    connect: Callable[..., httpx.Client],
    order: Callable[..., dict[str, Any]],
    decode: Decode,
) -> None:
    client = connect(simulate(fps=24))
    body = order(model="bytedance/seedance-2.0-mini", duration=4)
    job_id = client.post("/videos", json=body).json()["id"]
    assert decode(client.get(f"/videos/{job_id}/content").content)["frames"] == 97


def test_the_picture_is_not_blank_and_it_moves(decode: Decode) -> None:
    pictures = decode(render(SMALL))["pictures"]
    assert max(ImageStat.Stat(pictures[0]).stddev) > 20
    assert all(different(one, other) > 0.5 for one, other in pairwise(pictures))


def test_the_progress_bar_fills(decode: Decode) -> None:
    pictures = decode(render(SMALL))["pictures"]
    bright = [sum(picture.convert("L").getpixel((x, 89)) > 128 for x in range(160)) for picture in pictures]
    assert bright == pytest.approx([20 * number for number in range(1, 9)], abs=3)


def test_the_sun_leaves_no_trail(decode: Decode) -> None:
    """All frames share one buffer: what was drawn for one frame must be gone in the next."""
    pictures = decode(render(SMALL))["pictures"]
    sky = (0, 0, 160, 40)
    bright = [sum(pixel > 225 for pixel in picture.crop(sky).convert("L").tobytes()) for picture in pictures[2:6]]
    assert min(bright) > 40
    assert max(bright) < 1.5 * min(bright)


def test_prompt_job_output_and_caption_are_written_into_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = ImageDraw.ImageDraw.text

    def spy(pen: ImageDraw.ImageDraw, xy: Any, text: str, **options: Any) -> None:  # noqa: ANN401 - Pillow's own
        written.append(text)
        write(pen, xy, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    render(Shot("gen-vid-1-aaaaaaaaaaaaaaaaaaaa", 2, "a red boat", "the caption", 854, 480, 8, 1, audio=False))
    assert set(written) == {"a red boat", "the caption", "gen-vid-1-aaaaaaaaaaaaaaaaaaaa / output 2"}


def test_what_is_written_can_be_seen(decode: Decode) -> None:
    fields = {name: getattr(SMALL, name) for name in SMALL.__slots__}
    changed = decode(render(Shot(**fields | {"prompt": "a blue boat"})))["pictures"][0]
    assert different(decode(render(SMALL))["pictures"][0], changed) > 0.2


def test_the_same_shot_gives_the_same_bytes() -> None:
    large = Shot("job", 0, "x", "c", 1280, 720, 24, 6, audio=True)
    assert render(SMALL) == render(SMALL)
    assert render(large) == render(large)


def test_the_index_comes_before_the_pictures() -> None:
    video = render(SMALL)
    assert 0 < video.index(b"moov") < video.index(b"mdat")


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((1280, 720), None, (1280, 720)),
        ((853, 481), None, (852, 480)),
        ((1280, 720), 160 * 90, (160, 90)),
        ((720, 1280), 160 * 90, (90, 160)),
        ((160, 90), 1280 * 720, (160, 90)),
    ],
)
def test_fitting(size: tuple[int, int], limit: int | None, expected: tuple[int, int]) -> None:
    assert fit(*size, limit) == expected


@pytest.mark.parametrize("prompt", ["", "word " * 500, "x" * 300, "日本語 und Ümläute\n\ttabs 🎬"])
def test_every_prompt_can_be_drawn(prompt: str) -> None:
    assert len(render(Shot("job", 0, prompt, "c", 64, 36, 4, 1, audio=False))) > 500


@pytest.fixture
def studio() -> Iterator[Studio]:
    """A studio that keeps the bytes of two small videos."""
    studio = Studio(workers=2, cache_bytes=2 * len(render(SMALL)) + 100)
    yield studio
    studio.close()


def test_a_video_is_rendered_once_and_kept_as_long_as_there_is_room(studio: Studio) -> None:
    fields = {name: getattr(SMALL, name) for name in SMALL.__slots__}
    shots = [Shot(**fields | {"index": index}) for index in (0, 1)]
    first = [studio.order(shots[0]) for _ in range(3)]
    assert len({future.result() for future in first}) == 1
    assert studio.order(shots[0]).result() is first[0].result()
    studio.order(shots[1]).result()
    assert studio.rendered == 2
    for index in range(2, 5):
        studio.order(Shot(**fields | {"index": index})).result()
    assert studio.order(shots[0]).result() == first[0].result()
    assert studio.rendered == 6
