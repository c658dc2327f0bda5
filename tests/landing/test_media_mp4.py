"""MP4 and QuickTime beyond "the boxes add up": sample tables, fragments, what a file says about its own length."""

from __future__ import annotations

import os
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import MediaInvalidError
from airflow_provider_orvideo.landing.media import check, has_c2pa

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Box = Callable[..., bytes]
    Films = dict[str, bytes]
    Verdict = Callable[[bytes], str]


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    """Check a file with this content; the error's text, empty for none."""

    def of(content: bytes) -> str:
        path = tmp_path / "video"
        path.write_bytes(content)
        try:
            check(path)
        except MediaInvalidError as error:
            return str(error)
        return ""

    return of


def boxes(content: bytes) -> list[tuple[int, bytes, int]]:
    """Offset, kind and size of each top-level box, read in another way than the code under test does."""
    found, offset = [], 0
    while offset < len(content):
        size, kind = struct.unpack_from(">I4s", content, offset)
        found.append((offset, kind, size))
        offset += size
    return found


def places(content: bytes) -> set[int]:
    """Lengths worth cutting to: every tenth, a grid, and around each border of a box."""
    borders = {offset + step for offset, _, _ in boxes(content) for step in (-9, -8, -1, 0, 1, 7, 8, 9, 16)}
    tenths = {len(content) * part // 10 for part in range(10)}
    wanted = {*borders, *tenths, *range(0, len(content), 499), *range(len(content) - 40, len(content))}
    return {size for size in wanted if 0 <= size < len(content)}


def patched(content: bytes, at: int, layout: str, *values: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(f">{layout}", changed, at, *values)
    return bytes(changed)


def inside(content: bytes, kind: bytes) -> int:
    """Offset of the payload of the first box of a kind, however deep."""
    return content.index(kind) + 4


# ── Sample tables ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cut_shows_even_where_the_last_box_reaches_to_the_end_of_the_file(verdict: Verdict, films: Films) -> None:
    """Such a box fits any length: only the sample tables know what is missing."""
    film = films["index first"]
    at, kind, _ = boxes(film)[-1]
    assert kind == b"mdat"
    film = patched(film, at, "I", 0)
    assert verdict(film) == ""
    assert [size for size in range(at, len(film), 101) if verdict(film[:size]) == ""] == []
    assert "lies outside of the media data" in verdict(film[:-1])


def test_pictures_outside_of_the_media_data_are_found_out(verdict: Verdict, films: Films) -> None:
    film = films["index first"]
    at = inside(film, b"stco") + 8
    (first,) = struct.unpack_from(">I", film, at)
    for offset in (0, first - 1, len(film) - 1, len(film), 2**32 - 1):
        assert "a chunk of" in verdict(patched(film, at, "I", offset))


@pytest.mark.parametrize("kind", [b"stco", b"stsz", b"stsc"])
@pytest.mark.parametrize("count", [0, 1_000_000, 4_000_000_000])
def test_tables_with_a_wrong_count_are_found_out(verdict: Verdict, films: Films, kind: bytes, count: int) -> None:
    film = films["index last"]
    at = inside(film, kind) + (8 if kind == b"stsz" else 4)
    error = verdict(patched(film, at, "I", count))
    assert "damaged" in error or "that is no video's" in error or "has no pictures" in error


def test_chunks_that_claim_a_billion_samples_are_found_out(verdict: Verdict, films: Films) -> None:
    film = films["index last"]
    error = verdict(patched(film, inside(film, b"stsc") + 12, "I", 2**32 - 1))
    assert error == "The file is damaged: a track has 12 samples, its chunks hold more."


def table_film(box: Box, sizes: bytes, samples: int, offsets: bytes) -> bytes:
    """A film whose 100 bytes of media data begin at byte 20."""
    tables = sizes + box(b"stsc", struct.pack(">5I", 0, 1, 1, samples, 1)) + offsets
    handler = box(b"hdlr", b"\0" * 8 + b"vide" + b"\0" * 12)
    track = box(b"trak", box(b"mdia", handler + box(b"minf", box(b"stbl", tables))))
    return box(b"ftyp", b"isom") + box(b"mdat", b"x" * 100) + box(b"moov", track)


@pytest.mark.parametrize(
    ("layout", "values"),
    [
        pytest.param("stz2 4 bits", (0xFF, 0xF0), id="4 bits"),
        pytest.param("stz2 8 bits", (15, 15, 15), id="8 bits"),
        pytest.param("stz2 16 bits", (0, 15, 0, 15, 0, 15), id="16 bits"),
    ],
)
def test_compact_sample_sizes_and_wide_offsets_are_read(
    verdict: Verdict, box: Box, layout: str, values: tuple[int, ...]
) -> None:
    bits = int(layout.split()[1])
    sizes = box(b"stz2", struct.pack(">4xBBBBI", 0, 0, 0, bits, 3) + bytes(values))
    for offset, whole in ((20, True), (20 + 100 - 45, True), (20 + 100 - 44, False), (2**40, False), (19, False)):
        film = table_film(box, sizes, 3, box(b"co64", struct.pack(">2IQ", 0, 1, offset)))
        assert (verdict(film) == "") is whole


def test_sample_sizes_of_an_odd_width_are_refused(verdict: Verdict, box: Box) -> None:
    sizes = box(b"stz2", struct.pack(">4xBBBBI", 0, 0, 0, 7, 1) + b"\1")
    assert "7 bits" in verdict(table_film(box, sizes, 1, box(b"stco", struct.pack(">3I", 0, 1, 20))))


def test_a_video_track_without_pictures_is_no_video(verdict: Verdict, box: Box) -> None:
    sizes = box(b"stsz", struct.pack(">3I", 0, 0, 0))
    assert "has no pictures" in verdict(table_film(box, sizes, 0, box(b"stco", struct.pack(">2I", 0, 0))))


# ── Fragments ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["fragmented", "fragments", "fragments with index"])
def test_fragments_that_were_cut_are_found_out_except_between_two_of_them(
    verdict: Verdict, films: Films, name: str
) -> None:
    film = films[name]
    marks = boxes(film)
    # Behind media data a fragment is complete. With a segment index at the start even these cuts show.
    between = {offset + size for offset, kind, size in marks if kind == b"mdat"}
    undecidable = between if name != "fragments with index" else {max(between)}
    assert {size for size in places(film) if verdict(film[:size]) == ""} == undecidable
    assert verdict(film) == ""


def test_a_segment_index_that_reaches_behind_the_end_is_named(verdict: Verdict, films: Films) -> None:
    film = films["fragments with index"]
    last = [offset for offset, kind, _ in boxes(film) if kind == b"moof"][-1]
    assert f"it ends at byte {last}." in verdict(film[:last])
    assert "its index reaches to byte" in verdict(film[:last])


def test_a_fragment_missing_in_the_middle_is_found_out(verdict: Verdict, films: Films) -> None:
    film = films["fragments"]
    starts = [offset for offset, kind, _ in boxes(film) if kind == b"moof"]
    assert len(starts) > 3
    assert "its index names a fragment at byte" in verdict(film[: starts[1]] + film[starts[2] :])


@pytest.mark.parametrize("version", [0, 1])
def test_fragments_that_end_before_the_announced_duration_are_found_out(
    verdict: Verdict, films: Films, box: Box, version: int
) -> None:
    film = films["fragments"]
    mvex, moov = film.index(b"mvex") - 4, film.index(b"moov") - 4
    (scale,) = struct.unpack_from(">I", film, inside(film, b"mvhd") + 12)
    body = struct.pack(">BxxxQ" if version else ">BxxxI", version, scale)  # one second
    announced = box(b"mehd", body)
    for at in (mvex, moov):
        (size,) = struct.unpack_from(">I", film, at)
        film = patched(film, at, "I", size + len(announced))
    film = film[: mvex + 8] + announced + film[mvex + 8 :]
    assert verdict(film) == ""
    starts = [offset for offset, kind, _ in boxes(film) if kind == b"moof"]
    assert "it announces 1.00 s, its last fragment ends at" in verdict(film[: starts[1]])


@pytest.mark.parametrize("duration", [0, 2**32 - 1])
def test_an_announced_duration_that_says_nothing_is_not_believed(
    verdict: Verdict, films: Films, box: Box, duration: int
) -> None:
    film = films["fragments"]
    mvex, moov = film.index(b"mvex") - 4, film.index(b"moov") - 4
    announced = box(b"mehd", struct.pack(">II", 0, duration))
    for at in (mvex, moov):
        (size,) = struct.unpack_from(">I", film, at)
        film = patched(film, at, "I", size + len(announced))
    assert verdict(film[: mvex + 8] + announced + film[mvex + 8 :]) == ""


def test_a_run_with_a_wild_count_or_place_is_found_out(verdict: Verdict, films: Films) -> None:
    film = films["fragments"]
    run = inside(film, b"trun")
    assert "that is no video's" in verdict(patched(film, run + 4, "I", 2**32 - 1))
    assert "needs" in verdict(patched(film, run + 4, "I", 4_000_000))
    for place in (-(2**31), -1, 0, 2**31 - 1):
        assert "a fragment of" in verdict(patched(film, run + 8, "i", place))


def test_a_fragment_without_its_track_is_found_out(verdict: Verdict, films: Films) -> None:
    film = films["fragments"]
    assert "names no track" in verdict(film.replace(b"tfhd", b"free", 1))


# ── Hostile claims ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_more_boxes_than_any_video_has_end_the_walk(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch, box: Box
) -> None:
    monkeypatch.setattr("airflow_provider_orvideo.landing.boxes._MAX_BOXES", 1000)
    assert verdict(box(b"ftyp", b"isom") + box(b"free") * 2000) == (
        "The file has more than 1000 boxes; that is no video's."
    )


def test_large_tables_and_data_take_little_memory(tmp_path: Path, box: Box) -> None:
    """Four million sizes of 0 in a table, and two gigabytes of data: holes in a sparse file."""
    samples, data = 4_000_000, 2 * 1024**3
    handler = box(b"hdlr", b"\0" * 8 + b"vide" + b"\0" * 12)
    tables = box(b"stsc", struct.pack(">5I", 0, 1, 1, samples, 1)) + box(b"stco", struct.pack(">3I", 0, 1, 0))
    tables += box(b"stsz", struct.pack(">3I", 0, 0, samples), claim=20 + 4 * samples)
    index = tables
    for kind, before in ((b"stbl", b""), (b"minf", b""), (b"mdia", handler), (b"trak", b""), (b"moov", b"")):
        index = box(kind, before + index, claim=8 + len(before + index) + 4 * samples)
    head = box(b"ftyp", b"isom") + index
    path = tmp_path / "video"
    path.write_bytes(head)
    os.truncate(path, len(head) + 4 * samples)
    with path.open("ab") as file:
        file.write(box(b"mdat", wide=True, claim=16 + data))
        file.truncate(file.tell() + data)
    tracemalloc.start()
    try:
        check(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > data
    assert peak < 1024**2


@pytest.mark.parametrize("name", ["index first", "fragments", "fragments with index"])
def test_no_wrong_byte_in_an_index_leads_to_anything_but_a_verdict(verdict: Verdict, films: Films, name: str) -> None:
    """Any other error would fail this test; that some of them are refused shows that the bytes were read."""
    film = films[name]
    at = film.index(b"moov")
    places = range(at + 4, at + 1200, 3)
    answers = [verdict(film[:place] + b"\xff" + film[place + 1 :]) for place in places if place < len(film)]
    assert any(answers)
    assert not all(answers)


def test_an_error_shows_the_name_of_a_box_printable(verdict: Verdict, films: Films) -> None:
    error = verdict(films["index first"] + b"\0\0\xff\xff\n\x1b\xff\0")
    assert "box '\\n\\x1b\\xff\\x00'" in error


# ── Provenance ───────────────────────────────────────────────────────────────────────────────────────────────────────

C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        pytest.param(C2PA + b"\0\0\0\0manifest\0" + b"\0" * 8 + b"jumb", True, id="a manifest"),
        pytest.param(C2PA + b"\0\0\0\0update\0" + b"\0" * 8 + b"jumb", True, id="an update of one"),
        pytest.param(C2PA + b"\0\0\0\0merkle\0" + b"\0" * 8, False, id="hashes only"),
        pytest.param(bytes(16) + b"\0\0\0\0manifest\0", False, id="another type"),
        pytest.param(C2PA[:15], False, id="too short"),
    ],
)
def test_content_credentials_are_seen(
    tmp_path: Path,
    films: Films,
    box: Box,
    credentials: bytes,
    expected: bool,  # noqa: FBT001 - parametrized
) -> None:
    path = tmp_path / "video"
    path.write_bytes(films["index last"] + box(b"uuid", credentials))
    assert has_c2pa(path) is expected
    check(path)


@pytest.mark.parametrize("name", ["index last", "quicktime", "webm", "matroska"])
def test_a_file_without_content_credentials_has_none(tmp_path: Path, films: Films, name: str) -> None:
    path = tmp_path / "video"
    path.write_bytes(films[name])
    assert has_c2pa(path) is False


@pytest.mark.parametrize("content", [b"", b"<html>", b"\0\0\0\x14ftypisom"])
def test_what_is_no_whole_video_vouches_for_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video"
    path.write_bytes(content)
    assert has_c2pa(path) is False
