"""WebM and Matroska: elements that lie inside each other, streams of unknown size, cuts."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import MediaInvalidError
from airflow_provider_orvideo.landing.media import check, identify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Films = dict[str, bytes]
    Verdict = Callable[[bytes], str]

UNKNOWN = b"\x01" + b"\xff" * 7
EBML, DOC_TYPE, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x42\x82", b"\x18\x53\x80\x67"
INFO, SCALE, DURATION = b"\x15\x49\xa9\x66", b"\x2a\xd7\xb1", b"\x44\x89"
TRACKS, TRACK, NUMBER, KIND = b"\x16\x54\xae\x6b", b"\xae", b"\xd7", b"\x83"
CLUSTER, TIMESTAMP, BLOCK, GROUP, GROUPED = b"\x1f\x43\xb6\x75", b"\xe7", b"\xa3", b"\xa0", b"\xa1"
VOID, CUES, TAGS = b"\xec", b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67"


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


def element(kind: bytes, *parts: bytes, size: bytes | None = None) -> bytes:
    body = b"".join(parts)
    return kind + (struct.pack(">Q", len(body) | 1 << 56) if size is None else size) + body


def block(time: int, *, track: int = 1, kind: bytes = BLOCK) -> bytes:
    return element(kind, bytes([0x80 | track]), struct.pack(">hB", time, 0x80), b"picture")


def cluster(time: int, *blocks: bytes, size: bytes | None = None) -> bytes:
    return element(CLUSTER, element(TIMESTAMP, struct.pack(">H", time)), *blocks, size=size)


HEADER = element(EBML, element(DOC_TYPE, b"webm"))
TRACKS_OF_VIDEO = element(TRACKS, element(TRACK, element(NUMBER, b"\1"), element(KIND, b"\1")))
TRACKS_OF_SOUND = element(TRACKS, element(TRACK, element(NUMBER, b"\1"), element(KIND, b"\2")))
TWO_CLUSTERS = (cluster(0, block(0), block(500)), cluster(1000, block(0), block(900)))


def film(*parts: bytes, size: bytes | None = None) -> bytes:
    return HEADER + element(SEGMENT, *parts, size=size)


def passing(verdict: Verdict, content: bytes, step: int = 1) -> set[int]:
    """The lengths to which the file can be cut without being found out."""
    return {size for size in range(0, len(content), step) if verdict(content[:size]) == ""}


# ── Real files ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["webm", "webm with sound", "matroska"])
def test_a_file_that_was_cut_anywhere_is_found_out(verdict: Verdict, films: Films, name: str) -> None:
    content = films[name]
    assert verdict(content) == ""
    assert passing(verdict, content, step=53) == set()
    assert "claims" in verdict(content[:-1])


def test_a_live_stream_passes_only_where_a_cluster_ends(verdict: Verdict, films: Films) -> None:
    content = films["webm stream"]
    starts = [at for at in range(len(content)) if content.startswith(CLUSTER, at)]
    assert len(starts) > 3
    assert verdict(content) == ""
    near = {start + step for start in starts for step in range(-12, 24)}
    places = sorted({*near, *range(0, len(content), 53), *range(len(content) - 20, len(content))})
    assert {place for place in places if verdict(content[:place]) == ""} == {*starts[1:]}


def test_sound_without_a_picture_is_no_video(verdict: Verdict, films: Films) -> None:
    assert "has no video track" in verdict(films["webm sound only"])


@pytest.mark.parametrize("rest", [b"\0", b"</html>", b"{}" * 50])
@pytest.mark.parametrize("name", ["webm", "webm stream"])
def test_a_file_with_something_behind_it_is_found_out(verdict: Verdict, films: Films, name: str, rest: bytes) -> None:
    assert "damaged" in verdict(films[name] + rest)


@pytest.mark.parametrize("name", ["webm", "webm stream", "matroska"])
def test_no_wrong_byte_leads_to_anything_but_a_verdict(verdict: Verdict, films: Films, name: str) -> None:
    content = films[name]
    for byte in (b"\0", b"\xff", b"\x01"):
        answers = [verdict(content[:at] + byte + content[at + 1 :]) for at in range(0, 700, 2)]
        assert any(answers)
        assert not all(answers)


# ── Made-up files ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_segment_must_end_where_the_file_ends(verdict: Verdict) -> None:
    whole = film(TRACKS_OF_VIDEO, *TWO_CLUSTERS)
    assert verdict(whole) == ""
    assert passing(verdict, whole) == set()
    assert "4 bytes of something else follow" in verdict(whole + b"rest")
    assert verdict(whole + element(VOID, b"\0" * 9)) == ""
    assert "something else" in verdict(whole + whole)


def test_clusters_of_unknown_size_end_where_the_next_part_begins(verdict: Verdict) -> None:
    stream = film(
        TRACKS_OF_VIDEO,
        cluster(0, block(0), size=UNKNOWN),
        cluster(1000, block(0), size=b"\xff"),
        element(CUES),
        size=UNKNOWN,
    )
    assert verdict(stream) == ""
    second = stream.index(CLUSTER, stream.index(CLUSTER) + 1)
    timestamp = stream.index(TIMESTAMP, second)
    # Behind whole elements: the first block, the second cluster's head, its timestamp and its block.
    assert passing(verdict, stream) == {second, timestamp, timestamp + 11, stream.index(CUES)}
    assert "stands nothing that belongs there" in verdict(stream + element(b"\xbe"))


def test_a_stream_must_reach_the_duration_that_it_announces(verdict: Verdict) -> None:
    for form, scale in ((">f", 1_000_000), (">d", 500_000)):
        ticks = 2000 * 1_000_000 // scale
        info = element(INFO, element(SCALE, struct.pack(">I", scale)), element(DURATION, struct.pack(form, ticks)))
        long, short = cluster(ticks - 100, block(50)), cluster(ticks // 4, block(50))
        assert verdict(film(info, TRACKS_OF_VIDEO, cluster(0, block(0)), long, size=UNKNOWN)) == ""
        assert verdict(film(info, TRACKS_OF_VIDEO, cluster(0, block(0)), short, size=UNKNOWN)).startswith(
            "The file is cut off: it announces 2.00 s, its last picture comes at 0.5"
        )


def test_pictures_may_lie_in_groups(verdict: Verdict) -> None:
    assert verdict(film(TRACKS_OF_VIDEO, cluster(0, element(GROUP, block(0, kind=GROUPED))))) == ""


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        pytest.param((), "no index of its tracks", id="nothing"),
        pytest.param((*TWO_CLUSTERS,), "no index of its tracks", id="no tracks"),
        pytest.param((TRACKS_OF_SOUND, *TWO_CLUSTERS), "has no video track", id="sound only"),
        pytest.param((TRACKS_OF_VIDEO,), "has no pictures", id="no cluster"),
        pytest.param((TRACKS_OF_VIDEO, cluster(0)), "has no pictures", id="an empty cluster"),
        pytest.param((TRACKS_OF_VIDEO, cluster(0, block(0, track=2))), "has no pictures", id="another track's"),
        pytest.param((TRACKS_OF_VIDEO, cluster(0, element(BLOCK, b"\x81"))), "is of no track", id="a block too short"),
        pytest.param((TRACKS_OF_VIDEO, element(TAGS, size=UNKNOWN)), "a size that is unknown", id="tags without size"),
        pytest.param((TRACKS_OF_VIDEO, element(TAGS, size=b"\x81")), "claims 6 bytes, 5 are there", id="too long"),
    ],
)
def test_what_is_missing_is_said(verdict: Verdict, parts: tuple[bytes, ...], error: str) -> None:
    assert error in verdict(film(*parts))


@pytest.mark.parametrize("name", [b"webm\0\0", b"webm", b"matroska"])
def test_the_header_says_which_of_the_two_it_is(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "video"
    path.write_bytes(element(EBML, element(DOC_TYPE, name)))
    kind = identify(path)
    expected = ("mkv", "video/matroska") if name == b"matroska" else ("webm", "video/webm")
    assert (kind.extension, kind.content_type) == expected


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(EBML, id="the first bytes only"),
        pytest.param(element(EBML), id="no type"),
        pytest.param(element(EBML, element(DOC_TYPE, b"secrets")), id="another type"),
        pytest.param(element(EBML, element(DOC_TYPE, b"webm"), size=UNKNOWN), id="no size"),
        pytest.param(element(EBML, element(DOC_TYPE, b"webm"), b"\0" * 5000), id="a huge header"),
    ],
)
def test_a_file_of_an_unknown_type_is_refused(verdict: Verdict, head: bytes) -> None:
    assert "it is an EBML file of the type" in verdict(head + film(TRACKS_OF_VIDEO, *TWO_CLUSTERS)[len(HEADER) :])


def test_more_elements_than_any_video_has_end_the_walk(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_orvideo.landing.webm._MAX_ELEMENTS", 1000)
    assert "more than 1000 elements" in verdict(film(element(VOID, size=b"\x80") * 2000))
