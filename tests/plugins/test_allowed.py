"""Which addresses the preview may read."""

from __future__ import annotations

import os.path
import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orvideo.plugins.allowed import MAX_LENGTH, NotAllowedError, Prefixes, parse_place

S3 = Prefixes.parse("s3://aws_default@bucket/videos/")
FOLDER = Prefixes.parse("file:///srv/videos")


@pytest.mark.parametrize(
    ("prefixes", "uri"),
    [
        ("s3://aws_default@bucket/videos/", "s3://aws_default@bucket/videos/a.mp4"),
        ("s3://aws_default@bucket/videos", "s3://aws_default@bucket/videos/2026/a b+c=d.mp4"),
        ("s3://bucket", "s3://bucket/a.mp4"),
        ("s3a://bucket/", "s3://bucket/a.mp4"),
        ("s3://bucket", "S3://bucket/a.mp4"),
        ("gs://bucket", "gcs://bucket/a.mp4"),
        ("abfs://films@account.dfs.core.windows.net/x", "abfs://films@account.dfs.core.windows.net/x/a.mp4"),
        ("file:///srv/videos/", "/srv/videos/a.mp4"),
        ("/srv/videos/", "file:///srv/videos/a.mp4"),
        ("/srv/videos/", "local:///srv/videos/ü/a.mp4"),
        ("s3://one/x,\n s3://two/y", "s3://two/y/a.mp4"),
        ("s3://we-st.1@bucket", "s3://we-st.1@bucket/..a/b...mp4"),
    ],
)
def test_a_file_below_a_prefix_is_allowed(prefixes: str, uri: str) -> None:
    found = Prefixes.parse(prefixes).find(uri)
    assert found.place.is_under(found.prefix)


@pytest.mark.parametrize(
    "uri",
    [
        # other buckets, connections, stores
        "s3://aws_default@bucket-evil/videos/a.mp4",
        "s3://aws_default@bucke/videos/a.mp4",
        "s3://aws_default@BUCKET/videos/a.mp4",
        "s3://bucket/videos/a.mp4",
        "s3://other@bucket/videos/a.mp4",
        "s3://AWS_DEFAULT@bucket/videos/a.mp4",
        "s3://evil@aws_default@bucket/videos/a.mp4",
        "s3://aws_default@evil@bucket/videos/a.mp4",
        "s3://aws_default:x@bucket/videos/a.mp4",
        "gs://aws_default@bucket/videos/a.mp4",
        "file://aws_default@bucket/videos/a.mp4",
        "file:///bucket/videos/a.mp4",
        "http://aws_default@bucket/videos/a.mp4",
        "https://bucket.s3.amazonaws.com/videos/a.mp4",
        # other folders
        "s3://aws_default@bucket/a.mp4",
        "s3://aws_default@bucket/videos-evil/a.mp4",
        "s3://aws_default@bucket/Videos/a.mp4",
        "s3://aws_default@bucket/x/videos/a.mp4",
        "s3://aws_default@bucket//videos/a.mp4",
        "s3://aws_default@bucket/videos//a.mp4",
        "s3://aws_default@bucket/videos/",
        "s3://aws_default@bucket/videos",
        "s3://aws_default@bucket",
        # ways up
        "s3://aws_default@bucket/videos/../secret.mp4",
        "s3://aws_default@bucket/videos/..",
        "s3://aws_default@bucket/videos/./a.mp4",
        "s3://aws_default@bucket/videos/%2e%2e/secret.mp4",
        "s3://aws_default@bucket/videos/%252e%252e/secret.mp4",
        "s3://aws_default@bucket/videos/..%2fsecret.mp4",
        "s3://aws_default@bucket/videos\\..\\secret.mp4",
        "s3://aws_default@bucket/videos/..\\secret.mp4",
        # two addresses in one
        "s3://aws_default@bucket/videos/a.mp4?versionId=1",
        "s3://aws_default@bucket/videos/a.mp4#x",
        "s3://aws_default@bucket/videos/a.mp4::file:/etc/passwd",
        "simplecache::s3://aws_default@bucket/videos/a.mp4",
        "s3://aws_default@bucket/videos/a\n.mp4",
        "s3://aws_default@bucket/videos/a\x00.mp4",
        " s3://aws_default@bucket/videos/a.mp4",
        "s3:/aws_default@bucket/videos/a.mp4",
        "s3:aws_default@bucket/videos/a.mp4",
        "//aws_default@bucket/videos/a.mp4",
        "videos/a.mp4",
        "s3://aws_default@bucket/videos/" + "a" * MAX_LENGTH,
        "",
    ],
)
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(NotAllowedError):
        S3.find(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "/srv/videos/../x",
        "file://host/srv/videos/a.mp4",
        "file://srv/videos/a.mp4",
    ],
)
def test_another_local_file_is_refused(uri: str) -> None:
    with pytest.raises(NotAllowedError):
        FOLDER.find(uri)


@pytest.mark.parametrize("conn_id", ["a b", "a#b", "a?b", "a%40b", "a\\b", "[a]", "a@b", "ä"])
def test_a_connection_id_that_a_url_cannot_carry_is_refused(conn_id: str) -> None:
    with pytest.raises(NotAllowedError):
        parse_place(f"s3://{conn_id}@bucket/a.mp4")


@pytest.mark.parametrize(
    "text",
    ["file:///", "/", "s3://", "https://films.example/", "videos/", "s3://bucket/../x", "s3://bucket//", "s3://b/%2e"],
)
def test_a_prefix_that_cannot_be_used_allows_nothing_and_is_told(text: str) -> None:
    prefixes = Prefixes.parse(text)
    assert prefixes.places == ()
    (problem,) = prefixes.problems
    assert repr(text) in problem


def test_a_wrong_prefix_does_not_switch_off_a_right_one() -> None:
    prefixes = Prefixes.parse("https://films.example/, s3://bucket/videos")
    assert [place.uri for place in prefixes.places] == ["s3://bucket/videos"]
    assert len(prefixes.problems) == 1


@pytest.mark.parametrize("text", ["", " ", "\n", ",", " ,\n, "])
def test_no_prefix_allows_nothing(text: str) -> None:
    prefixes = Prefixes.parse(text)
    assert prefixes == Prefixes()
    with pytest.raises(NotAllowedError):
        prefixes.find("s3://bucket/a.mp4")


# ── Properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

_TRICKS = st.sampled_from(
    ["..", ".", "", "/", "\\", "%2e%2e", "%2f", "::", "@", "?", "#", "videos", "bucket", "aws_default", "a.mp4", ":"]
)
_WORDS = st.lists(st.one_of(_TRICKS, st.text(max_size=4)), max_size=8)
_STARTS = st.sampled_from(
    [
        "s3://aws_default@bucket/videos/",
        "s3://aws_default@bucket/videos",
        "s3://aws_default@bucket",
        "s3://aws_default@",
        "s3://",
        "file:///srv/videos/",
        "file:///srv/videos",
        "/srv/videos/",
        "",
    ]
)


@given(start=_STARTS, words=_WORDS, glue=st.sampled_from(["/", ""]))
def test_whatever_is_allowed_stays_below_its_prefix_however_it_is_read(start: str, words: list[str], glue: str) -> None:
    uri = start + glue.join(words)
    prefixes = Prefixes.parse("s3://aws_default@bucket/videos/,file:///srv/videos/")
    try:
        place = prefixes.find(uri).place
    except NotAllowedError:
        return
    for read in (place.uri, unquote(place.uri), unquote(unquote(place.uri)), place.uri.replace("\\", "/")):
        parts = urlsplit(read)
        path = posixpath.normpath(parts.path)
        assert (parts.query, parts.fragment) == ("", "")
        if place.is_local:
            assert (parts.scheme, parts.netloc) == ("file", "")
            assert os.path.abspath(path).startswith("/srv/videos/")  # noqa: PTH100 - lexical, as a file system might
        else:
            assert (parts.scheme, parts.netloc) == ("s3", "aws_default@bucket")
            assert path.startswith("/videos/")


@given(names=st.lists(st.from_regex(r"[A-Za-z0-9_=+.-]*[A-Za-z0-9_=+-]", fullmatch=True), min_size=1, max_size=5))
def test_whatever_the_landing_names_can_be_played(names: list[str]) -> None:
    uri = f"s3://aws_default@bucket/videos/{'/'.join(names)}"
    place = S3.find(uri).place
    assert place.uri == uri
    assert parse_place(place.uri) == place
    assert place.beside(".json").uri == f"{uri}.json"


@given(segment=st.text(min_size=1, max_size=6))
def test_an_escaped_segment_is_never_read_as_what_it_stands_for(segment: str) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in segment.encode("utf-8", "surrogatepass"))
    with pytest.raises(NotAllowedError):
        S3.find(f"s3://aws_default@bucket/videos/{escaped}")
