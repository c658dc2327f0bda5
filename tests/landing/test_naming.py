"""From what the DAG author wrote to the address of each file, whatever the placeholders stand for."""

from __future__ import annotations

from collections import UserString

import pytest

from airflow_provider_orvideo.exceptions import DestinationError
from airflow_provider_orvideo.landing.naming import PLACEHOLDERS, destination

VALUES = {
    "job_id": "gen-vid-1-Ab",
    "model": "google/veo-3.1",
    "dag_id": "d",
    "run_id": "scheduled__2026-11-22T00:00:00+00:00",
    "task_id": "group.task",
    "map_index": "-1",
    "logical_date": "2026-11-22T000000Z",
}


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("s3://aws@bucket/videos/", "s3://aws@bucket/videos/gen-vid-1-Ab-0.mp4"),
        ("s3://bucket/", "s3://bucket/gen-vid-1-Ab-0.mp4"),
        ("s3://bucket/film.mp4", "s3://bucket/film.mp4"),
        ("s3://bucket/no-extension", "s3://bucket/no-extension"),
        ("gs://bucket/{dag_id}/{index}.{ext}", "gs://bucket/d/0.mp4"),
        ("/data/videos/", "file:///data/videos/gen-vid-1-Ab-0.mp4"),
        ("/data/film.mp4", "file:///data/film.mp4"),
        ("file:///data/{job_id}.{ext}", "file:///data/gen-vid-1-Ab.mp4"),
        ("/data/{model}/", "file:///data/google_veo-3.1/gen-vid-1-Ab-0.mp4"),
        ("/{run_id}/{task_id}.{map_index}", "file:///scheduled__2026-11-22T00_00_00+00_00/group.task.-1"),
        ("/{logical_date}.{ext}", "file:///2026-11-22T000000Z.mp4"),
        ("/a {{literal}} brace/", "file:///a {literal} brace/gen-vid-1-Ab-0.mp4"),
        ("/{job_id}{job_id}", "file:///gen-vid-1-Abgen-vid-1-Ab"),
    ],
)
def test_a_directory_gets_a_name_and_a_pattern_its_values(text: str, uri: str) -> None:
    assert destination(text, VALUES).uri(0, "mp4", outputs=1) == uri


def test_every_placeholder_that_is_listed_works() -> None:
    pattern = "/" + "/".join(f"{{{name}}}" for name in PLACEHOLDERS)
    uri = destination(pattern, VALUES).uri(3, "webm", outputs=4)
    assert "{" not in uri
    assert uri.count("/") == len(PLACEHOLDERS) + 2
    assert "/3/webm/" in uri


@pytest.mark.parametrize(
    "text",
    [
        "/v/{prompt}.mp4",
        "/v/{}.mp4",
        "/v/{0}.mp4",
        "/v/{job_id.__class__}.mp4",
        "/v/{job_id[0]}.mp4",
        "/v/{job_id!r}.mp4",
        "/v/{index:03d}.mp4",
        "/v/{index:{map_index}}.mp4",
        "/v/{ job_id }.mp4",
        "/v/{JOB_ID}.mp4",
    ],
)
def test_an_unknown_placeholder_or_a_trick_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(DestinationError) as caught:
        destination(text, VALUES)
    assert repr(text) in str(caught.value)
    for name in PLACEHOLDERS:
        assert f"{{{name}}}" in str(caught.value)


@pytest.mark.parametrize("text", ["/v/{job_id.mp4", "/v/job_id}.mp4", "/v/{", "/v/{job_id!}.mp4"])
def test_half_a_placeholder_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(DestinationError, match=r"\{job_id\}"):
        destination(text, VALUES)


@pytest.mark.parametrize(
    "text",
    ["", "videos/", "./videos/", "../x.mp4", "bucket/key", "{dag_id}://bucket/", "~/videos/", "file://videos/a.mp4"],
)
def test_what_is_not_absolute_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DestinationError, match=r"s3://conn_id@bucket/folder/"):
        destination(text, VALUES)


# ── What values cannot do ────────────────────────────────────────────────────────────────────────────────────────────

EVIL = [
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "...",
    "",
    "a/b",
    "a\\b",
    "..\\..\\x",
    "café/日本",
    "😀",
    "new\nline",
    "nul\0byte",
    "a?versionId=1",
    "a#fragment",
    "%2e%2e%2f",
    "s3://other/bucket",
    "user@host",
    "{job_id}",
    "{ext}",
    "$(id)",
    " ",
    "\u202e",
    "~",
    "C:",
]


@pytest.mark.parametrize("value", EVIL, ids=ascii)
@pytest.mark.parametrize("pattern", ["/v/{dag_id}/{job_id}", "/v/{dag_id}{job_id}/.{dag_id}/x", "/v/{dag_id}."])
def test_a_value_stays_inside_its_segment(pattern: str, value: str) -> None:
    uri = destination(pattern, {**VALUES, "dag_id": value, "job_id": value}).uri(0, "mp4", outputs=1)
    assert uri.startswith("file:///v/")
    assert uri.count("/") == pattern.count("/") + 2
    segments = uri.removeprefix("file:///").split("/")
    assert not {"", ".", ".."} & set(segments)
    assert all(letter.isascii() and letter.isprintable() for letter in uri)
    assert not set("?#%\\ {}@~$:") & set(uri.removeprefix("file://"))


@pytest.mark.parametrize("extension", ["mp4", "mov", "webm"])
def test_the_extension_is_of_what_the_file_is(extension: str) -> None:
    assert destination("/v/", VALUES).uri(0, extension, outputs=1).endswith(f".{extension}")


def test_a_value_is_text_only_and_cannot_run_code() -> None:
    class Loud(UserString):
        def __format__(self, spec: str) -> str:
            raise AssertionError(spec)

    values = {**VALUES, "dag_id": str(Loud("d"))}
    assert destination("/v/{dag_id}", values).uri(0, "mp4", outputs=1) == "file:///v/d"


# ── Several outputs ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "/v/",
        "/v/{job_id}.{ext}",
        "/v/{job_id}-{index}.{ext}",
        "/v/{index}/film.mp4",
        "/v/film.mp4",
        "/v/film",
        "/v.1/film",
        "/v/.hidden",
        "/v/{model}",
        "/v/{{index}}.mp4",
        "/v/{{index}}/{job_id}",
        "/v/{{{index}}}.mp4",
        "/v/{index:}.mp4",
    ],
)
def test_each_output_has_its_own_address_and_so_has_each_sidecar(text: str) -> None:
    where = destination(text, VALUES)
    for extension in ("mp4", "webm"):
        uris = [where.uri(index, extension, outputs=10) for index in range(10)]
        assert len({*uris, *(f"{uri}.json" for uri in uris)}) == 20
        assert len({uri.count("/") for uri in uris}) == 1


def test_without_index_each_but_the_first_is_numbered_before_its_extension() -> None:
    where = destination("/v/film.mp4", VALUES)
    assert [where.uri(index, "mp4", outputs=3) for index in range(3)] == [
        "file:///v/film.mp4",
        "file:///v/film-1.mp4",
        "file:///v/film-2.mp4",
    ]
    assert destination("/v.1/film", VALUES).uri(1, "mp4", outputs=2) == "file:///v.1/film-1"


def test_the_same_input_always_has_the_same_address() -> None:
    first = destination("/v/{run_id}/", dict(VALUES)).uri(1, "mp4", outputs=2)
    again = destination("/v/{run_id}/", dict(reversed(VALUES.items()))).uri(1, "mp4", outputs=2)
    assert first == again
