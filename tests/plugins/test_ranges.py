"""Range requests for one file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orvideo.plugins.ranges import RangeError, Span, is_unmodified, span_of

SIZE = 1000
ETAG = '"abc"'


def span(header: str, *, size: int = SIZE, if_range: str = "") -> Span:
    return span_of({"range": header, "if-range": if_range}, size=size, etag=ETAG)


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-", 0, 1000),
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 10),
        ("bytes=999-", 999, 1),
        ("bytes=-1", 999, 1),
        ("bytes=-5000", 0, 1000),
        ("bytes=10-99999999999999999999999999", 10, 990),
        ("Bytes= 10 - 19 ", 10, 10),
    ],
)
def test_one_range_is_served(header: str, start: int, length: int) -> None:
    found = span(header)
    assert found == Span(start, length, partial=True)
    assert found.content_range(SIZE) == f"bytes {start}-{start + length - 1}/1000"


@pytest.mark.parametrize(
    "header",
    [
        "bytes=1000-",
        "bytes=99999999999999999999-",
        "bytes=-0",
        "bytes=20-10",
        "bytes=-5--2",
        "bytes=--5",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=0x1-0x2",
        "bytes=1.5-2",
        "bytes=0-1,5-6",
        "bytes=0-,0-,0-",
        "bytes=\N{ARABIC-INDIC DIGIT ZERO}-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_a_range_that_cannot_be_served_is_an_error(header: str) -> None:
    with pytest.raises(RangeError):
        span(header)


@pytest.mark.parametrize("header", ["", "items=0-1", "0-1"])
def test_what_is_no_byte_range_gets_the_whole_file(header: str) -> None:
    assert span(header) == Span(0, SIZE, partial=False)


def test_a_range_of_another_file_gets_the_whole_file() -> None:
    assert span("bytes=5-9", if_range=ETAG).partial
    for condition in ('"other"', "Sun, 22 Nov 2026 00:00:00 GMT", f"W/{ETAG}"):
        assert span("bytes=5-9", if_range=condition) == Span(0, SIZE, partial=False)


def test_an_empty_file_has_no_ranges() -> None:
    assert span("", size=0) == Span(0, 0, partial=False)
    for header in ("bytes=0-", "bytes=-1"):
        with pytest.raises(RangeError):
            span(header, size=0)


@given(header=st.from_regex(r"bytes=[0-9,\- ]{0,12}", fullmatch=True), size=st.integers(0, 2000))
def test_a_span_never_leaves_the_file(header: str, size: int) -> None:
    try:
        found = span(header, size=size)
    except RangeError:
        return
    assert 0 <= found.start <= found.start + found.length <= size
    assert found.length or not size


@pytest.mark.parametrize(
    ("header", "same"),
    [(ETAG, True), (f"W/{ETAG}", True), (f'"x", {ETAG}', True), ("*", True), ('"x"', False), ("", False)],
)
def test_a_known_file_is_not_sent_again(header: str, *, same: bool) -> None:
    assert is_unmodified({"if-none-match": header}, ETAG) is same
