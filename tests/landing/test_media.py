"""Is a file a whole video? Real files, cut and bent in every way, and made-up ones that lie about their sizes."""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import MediaInvalidError
from airflow_provider_orvideo.landing.media import (
    MATROSKA,
    MP4,
    QUICKTIME,
    WEBM,
    Container,
    Probe,
    check,
    identify,
    probe,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Box = Callable[..., bytes]
    Films = dict[str, bytes]

KINDS = {
    "index first": MP4,
    "index last": MP4,
    "index last with sound": MP4,
    "fragmented": MP4,
    "fragments": MP4,
    "fragments with index": MP4,
    "quicktime": QUICKTIME,
    "webm": WEBM,
    "webm with sound": WEBM,
    "webm stream": WEBM,
    "matroska": MATROSKA,
}
WITH_SOUND = {"index first", "index last with sound", "fragments", "webm with sound", "matroska"}


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[bytes], Container]:
    """Check a file with this content."""

    def of(content: bytes) -> Container:
        path = tmp_path / "video"
        path.write_bytes(content)
        return check(path)

    return of


def boxes(content: bytes) -> list[tuple[int, bytes, int]]:
    """Offset, kind and size of each top-level box, read in another way than the code under test does."""
    found, offset = [], 0
    while offset < len(content):
        size, kind = struct.unpack_from(">I4s", content, offset)
        found.append((offset, kind, size))
        offset += size
    return found


# ── Real files ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_passes_and_is_recognised(judge: Callable[[bytes], Container], films: Films, name: str) -> None:
    assert judge(films[name]) == KINDS[name]


@pytest.mark.parametrize("name", ["index first", "index last", "index last with sound", "quicktime"])
def test_a_file_that_was_cut_anywhere_is_found_out(
    judge: Callable[[bytes], Container], films: Films, name: str
) -> None:
    film = films[name]
    tenths = {len(film) * part // 10 for part in range(10)}
    borders = {offset + step for offset, _, _ in boxes(film) for step in (-9, -8, -1, 0, 1, 7, 8, 9, 16)}
    passed = []
    for size in sorted({*tenths, *borders, *range(64), *range(0, len(film), 997), *range(len(film) - 64, len(film))}):
        if 0 <= size < len(film):
            try:
                judge(film[:size])
            except MediaInvalidError:
                continue
            passed.append(size)
    assert passed == []


def test_a_fragmented_file_that_was_cut_inside_of_a_box_is_found_out(
    judge: Callable[[bytes], Container], films: Films
) -> None:
    film = films["fragmented"]
    first = next(offset + size for offset, kind, size in boxes(film) if kind == b"mdat")
    borders = {offset for offset, _, _ in boxes(film)} | {len(film)}
    for size in {*range(0, len(film), 499), *(border + step for border in borders for step in (-1, 1))}:
        if 0 <= size < len(film) and not (size in borders and size >= first):
            with pytest.raises(MediaInvalidError):
                judge(film[:size])


@pytest.mark.parametrize("name", ["index first", "index last", "quicktime"])
@pytest.mark.parametrize("change", [-8, -1, 1, 5, 1 << 16, 1 << 30])
def test_a_box_with_a_wrong_size_is_found_out(
    judge: Callable[[bytes], Container], films: Films, name: str, change: int
) -> None:
    film = films[name]
    for offset, kind, size in boxes(film):
        if size + change < 8:
            continue
        bent = bytearray(film)
        struct.pack_into(">I", bent, offset, size + change)
        with pytest.raises(MediaInvalidError):
            judge(bytes(bent))
        assert kind in film


def test_sound_without_a_picture_is_no_video(judge: Callable[[bytes], Container], films: Films) -> None:
    with pytest.raises(MediaInvalidError, match="no video track"):
        judge(films["sound only"])


def test_a_file_with_something_behind_it_is_found_out(judge: Callable[[bytes], Container], films: Films) -> None:
    for rest in (b"\0", b"</html>", b"{}" * 50):
        with pytest.raises(MediaInvalidError):
            judge(films["index first"] + rest)


# ── What is no video at all ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0", id="one byte"),
        pytest.param(b"<!DOCTYPE html><html><title>502</title></html>", id="HTML"),
        pytest.param(b'{"error":{"code":502,"message":"Provider returned error"}}', id="JSON"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 100, id="PNG"),
        pytest.param(b"RIFF\0\0\0\0AVI LIST", id="AVI"),
        pytest.param(b"\0" * 5000, id="zeros"),
        pytest.param(b"\xff" * 5000, id="ones"),
    ],
)
def test_what_is_no_video_is_refused_and_its_beginning_shown(
    judge: Callable[[bytes], Container], content: bytes
) -> None:
    with pytest.raises(MediaInvalidError, match="not a video") as caught:
        judge(content)
    assert repr(content[:12]) in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x14ftypqt  ", QUICKTIME),
        (b"\0\0\0\x14ftypisom", MP4),
        (b"\0\0\0\x14ftypmp42", MP4),
        (b"\0\0\0\x08wide\0\0\0\0", QUICKTIME),
        (b"\0\0\0\x08moov\0\0\0\0", QUICKTIME),
        (b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm", WEBM),
        (b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska", MATROSKA),
    ],
)
def test_a_container_is_told_by_its_first_bytes(tmp_path: Path, head: bytes, kind: Container) -> None:
    path = tmp_path / "video"
    path.write_bytes(head)
    assert identify(path) == kind


# ── Made-up files ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_boxes_with_64_bit_sizes_are_read(judge: Callable[[bytes], Container], box: Box, index: bytes) -> None:
    whole = box(b"ftyp", b"isom") + index + box(b"mdat", b"x" * 500, wide=True)
    assert judge(whole) == MP4
    for size in range(len(whole)):
        with pytest.raises(MediaInvalidError):
            judge(whole[:size])


@pytest.mark.parametrize("claim", [0, 1, 15, 2**32, 2**63, 2**64 - 1])
def test_a_64_bit_size_that_cannot_be_is_found_out(
    judge: Callable[[bytes], Container], box: Box, index: bytes, claim: int
) -> None:
    with pytest.raises(MediaInvalidError, match="cut off or damaged"):
        judge(box(b"ftyp", b"isom") + index + box(b"mdat", b"x" * 500, wide=True, claim=claim))


def test_a_last_box_of_size_zero_reaches_to_the_end(
    judge: Callable[[bytes], Container], box: Box, index: bytes
) -> None:
    assert judge(box(b"ftyp", b"isom") + index + box(b"mdat", b"x" * 500, claim=0)) == MP4
    # It swallows what follows: here, the index.
    with pytest.raises(MediaInvalidError, match="no index"):
        judge(box(b"ftyp", b"isom") + box(b"mdat", b"x" * 500, claim=0) + index)


@pytest.mark.parametrize("claim", range(2, 8))
def test_a_box_smaller_than_its_header_ends_the_walk(
    judge: Callable[[bytes], Container], box: Box, index: bytes, claim: int
) -> None:
    with pytest.raises(MediaInvalidError):
        judge(box(b"ftyp", b"isom") + index + box(b"mdat", b"x" * 500, claim=claim))


def test_an_absurd_index_is_refused_unread(tmp_path: Path, box: Box) -> None:
    path = tmp_path / "video"
    size = 65 * 1024 * 1024
    path.write_bytes(box(b"ftyp", b"isom") + box(b"mdat") + box(b"moov", claim=size))
    os.truncate(path, 12 + 8 + size)  # sparse: takes no room
    with pytest.raises(MediaInvalidError, match=f"index takes {size - 8} bytes"):
        check(path)


@pytest.mark.parametrize("missing", [b"moov", b"mdat"])
def test_what_is_missing_is_said_with_what_is_there(
    judge: Callable[[bytes], Container], box: Box, index: bytes, missing: bytes
) -> None:
    rest = box(b"mdat", b"x") if missing == b"moov" else index
    with pytest.raises(MediaInvalidError, match=r"no index or no media data; its boxes are: ftyp, m"):
        judge(box(b"ftyp", b"isom") + rest)


def test_tracks_that_nest_without_end_terminate(judge: Callable[[bytes], Container], box: Box) -> None:
    nest = b""
    for _ in range(20_000):
        nest = nest[:40_000]
        nest = box(b"trak", nest)
    with pytest.raises(MediaInvalidError):
        judge(box(b"ftyp", b"isom") + box(b"mdat") + box(b"moov", nest))


def test_an_index_of_a_hundred_thousand_empty_tracks_terminates(judge: Callable[[bytes], Container], box: Box) -> None:
    tracks = box(b"trak", box(b"mdia", box(b"hdlr"))) * 100_000
    with pytest.raises(MediaInvalidError, match="no video track"):
        judge(box(b"ftyp", b"isom") + box(b"mdat") + box(b"moov", tracks))


@pytest.mark.parametrize("kind", [b"trak", b"mdia", b"hdlr"])
def test_a_box_inside_the_index_must_lie_inside_its_parent(
    judge: Callable[[bytes], Container], box: Box, kind: bytes
) -> None:
    sizes = {b"trak": 44, b"mdia": 36, b"hdlr": 28}
    claims = {name: size + 9 if name == kind else size for name, size in sizes.items()}
    handler = box(b"hdlr", b"\0" * 8 + b"vide" + b"\0" * 8, claim=claims[b"hdlr"])
    track = box(b"trak", box(b"mdia", handler, claim=claims[b"mdia"]), claim=claims[b"trak"])
    with pytest.raises(MediaInvalidError, match="cut off or damaged"):
        judge(box(b"ftyp", b"isom") + box(b"moov", track) + box(b"mdat", b"x" * 100))


# ── What is in it ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", KINDS)
def test_the_probe_sees_size_length_rate_and_sound(tmp_path: Path, films: Films, name: str) -> None:
    path = tmp_path / "video"
    path.write_bytes(films[name])
    seen = probe(path)
    assert seen is not None
    assert (seen.width, seen.height, seen.fps) == (64, 48, 12.0)
    # A stream tells no length; a track of sound has whole packets; with a segment index some versions of FFmpeg count
    # the two frames that x264 holds back, too.
    expected = {"webm stream": None, "fragments with index": pytest.approx(1 + 1 / 12, abs=0.1)}
    assert seen.duration_s == expected.get(name, pytest.approx(1.0, abs=0.05))
    assert seen.has_audio is (name in WITH_SOUND)


def test_titles_in_a_foreign_encoding_do_not_stop_a_paid_video(tmp_path: Path, films: Films) -> None:
    film = films["titled"]
    assert b"a title" in film
    path = tmp_path / "video"
    path.write_bytes(film.replace(b"a title", b"caf\xe9\xff\xfe!"))
    assert check(path) == MP4
    seen = probe(path)
    assert seen is not None
    assert (seen.width, seen.height) == (64, 48)


def test_what_a_decoder_cannot_read_is_unknown_not_an_error(
    tmp_path: Path, box: Box, index: bytes, films: Films
) -> None:
    path = tmp_path / "video"
    for content in (box(b"ftyp", b"isom") + index + box(b"mdat", b"x"), films["sound only"]):
        path.write_bytes(content)
        assert probe(path) is None


def test_without_the_extra_nothing_is_probed(tmp_path: Path, films: Films, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video"
    path.write_bytes(films["index last"])
    assert isinstance(probe(path), Probe)
    monkeypatch.setitem(sys.modules, "av", None)
    assert probe(path) is None
    assert check(path) == MP4
