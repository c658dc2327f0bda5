"""What lies at the destination already, and what a landing makes of it: the table of ``docs/landing.md``, whole."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import DestinationExistsError
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.publish import publish_bytes, read_bytes, remove
from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import JobManifest, LandedFile
    from airflow_provider_orvideo.simulator import Simulator
    from tests.landing.conftest import Order, Serve

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]

#: What lies there, and what comes of it by mode. "lands": downloaded and stored. "done": this job's file is taken as
#: it is. "fails" and "left": nothing is downloaded or changed.
TABLE = {
    #                                     verify   overwrite  fail     skip
    "nothing":                          ("lands", "lands",   "lands", "lands"),
    "this job's file":                  ("done",  "lands",   "done",  "done"),
    "its bytes changed, not its size":  ("lands", "lands",   "fails", "left"),
    "its size changed":                 ("lands", "lands",   "fails", "left"),
    "another job's file":               ("lands", "lands",   "fails", "left"),
    "a file without a manifest":        ("lands", "lands",   "fails", "left"),
    "an empty file":                    ("lands", "lands",   "fails", "left"),
    "a manifest without a file":        ("lands", "lands",   "lands", "lands"),
    "a broken manifest":                ("lands", "lands",   "fails", "left"),
    "a manifest of a newer version":    ("done",  "lands",   "done",  "done"),
    "another job's, changed":           ("lands", "lands",   "fails", "left"),
}  # fmt: skip
MODES = ("verify", "overwrite", "fail", "skip")
ON_S3 = ("nothing", "this job's file", "its bytes changed, not its size", "a file without a manifest")
CASES = [
    pytest.param(store, there, mode, end, id=f"{store}, {mode}: {there}")
    for store in ("local", "s3")
    for there, ends in TABLE.items()
    for mode, end in zip(MODES, ends, strict=True)
    if store == "local" or there in ON_S3
]


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(("home", "there", "mode", "end"), CASES, indirect=["home"])
def test_the_table_holds(
    client: VideoClient,
    order: Order,
    where: Where,
    home: str,
    look: Look,
    sim: Simulator,
    caplog: pytest.LogCaptureFixture,
    there: str,
    mode: Any,  # noqa: ANN401 - one of the modes
    end: str,
) -> None:
    uri = f"{home}/film.mp4"
    job, other = order(), order()
    put(there, uri, lambda owner: land(client, owner, where(uri, owner)), job, other)
    before, reads, polls = look(home), sim.stats()["content_reads"], sim.stats()["polls"]
    caplog.clear()

    def again() -> LandedManifest:
        with caplog.at_level(logging.INFO):
            return land(client, job, where(uri, job), LandingOptions(on_existing=mode))

    if end == "fails":
        with pytest.raises(DestinationExistsError) as caught:
            again()
        size = len(before["film.mp4"])
        for part in (uri, f"holds {size} bytes", job.job_id, "'on_existing' is 'fail'", "paid for", "set on_existing"):
            assert part in str(caught.value)
    else:
        (file,) = again().files
    downloaded = sim.stats()["content_reads"] - reads
    decided = caplog.text
    if end != "lands":
        # Not even a look at the job: nothing of the API is needed.
        assert (downloaded, sim.stats()["polls"] - polls) == (0, 0)
        assert look(home) == before
    if end in {"lands", "done"}:
        vouches(look(home), job, file)
    if end == "lands":
        assert downloaded == 1, decided
        # Whatever lay there, what lands is whole, and known from now on.
        with caplog.at_level(logging.INFO):
            land(client, job, where(uri, job))
        assert sim.stats()["content_reads"] - reads == 1, caplog.text
        warns(decided, there)
    if end in {"done", "left", "lands"}:
        # What the manifest says of the file is true, whoever brought it.
        data = read_bytes(uri)
        assert data is not None
        assert (file.uri, file.index, file.bytes) == (uri, 0, len(data))
        assert file.sha256 == hashlib.sha256(data).hexdigest()
        assert file.skipped is (end == "left")
    if end == "left":
        assert "is left as it is" in caplog.text
        assert file.content_type == "video/mp4"


def vouches(there: dict[str, bytes], job: JobManifest, file: LandedFile) -> None:
    """The manifest beside the file speaks of that file, and nothing else lies there."""
    assert set(there) == {"film.mp4", "film.mp4.json"}
    vouched = LandedManifest.model_validate_json(there["film.mp4.json"])
    assert (vouched.job_id, vouched.files) == (job.job_id, (file,))
    assert not file.skipped


def warns(text: str, there: str) -> None:
    """The log says of a file that was somebody else's that it is replaced, and warns of nothing that is not."""
    if there in {"another job's file", "another job's, changed", "a file without a manifest", "an empty file"}:
        assert "WARNING" in text
        assert "it is replaced" in text
    if there in {"nothing", "this job's file", "a manifest without a file"}:
        assert "WARNING" not in text


def put(there: str, uri: str, landed: Callable[[JobManifest], object], job: JobManifest, other: JobManifest) -> None:
    """Bring a destination into a state."""
    if there == "nothing":
        return
    if there in {"a file without a manifest", "an empty file"}:
        publish_bytes(b"" if there == "an empty file" else b"somebody's", uri, "video/mp4")
        return
    landed(other if there.startswith("another job's") else job)
    video, beside = read_bytes(uri), read_bytes(f"{uri}.json")
    assert video
    assert beside
    if there == "its size changed":
        publish_bytes(video + b"\0", uri)
    elif "changed" in there:
        publish_bytes(flipped(video), uri)
    elif there == "a manifest without a file":
        remove(uri)
    elif there == "a broken manifest":
        publish_bytes(beside[:-2], f"{uri}.json")
    elif there == "a manifest of a newer version":
        newer = json.loads(beside) | {"schema_version": 9, "chapters": ["a"]}
        publish_bytes(json.dumps(newer).encode(), f"{uri}.json")


# ── What is said of what was left alone ──────────────────────────────────────────────────────────────────────────────


def test_what_another_job_landed_is_described_as_its_manifest_does(
    client: VideoClient, order: Order, where: Where, tmp_path: Path
) -> None:
    other, job = order(), order()
    (theirs,) = land(client, other, where(f"{tmp_path}/film.mp4", other)).files
    manifest = land(client, job, where(f"{tmp_path}/film.mp4", job), LandingOptions(on_existing="skip"))
    assert manifest.job_id == job.job_id
    assert manifest.files == (theirs.model_copy(update={"skipped": True}),)
    assert theirs.duration_s == 1.0


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("film.mp4", "video/mp4"),
        ("film.mov", "video/quicktime"),
        ("film.webm", "video/webm"),
        ("film.mkv", "video/matroska"),
        ("film", "application/octet-stream"),
        ("film.avi", "application/octet-stream"),
    ],
)
def test_a_strangers_file_is_described_by_its_name(
    serve: Serve, where: Where, tmp_path: Path, name: str, content_type: str
) -> None:
    api, client = serve(b"never asked for")
    (tmp_path / name).write_bytes(b"somebody's")
    pattern = "film.{ext}" if name.startswith("film.") and not name.endswith("avi") else name
    options = LandingOptions(on_existing="skip", poster=True, expect="fail")
    (file,) = land(client, api.job(duration=8), where(f"{tmp_path}/{pattern}", api.job()), options).files
    assert file.model_dump(exclude_defaults=True) == {
        "uri": f"file://{tmp_path}/{name}",
        "index": 0,
        "bytes": 10,
        "sha256": hashlib.sha256(b"somebody's").hexdigest(),
        "content_type": content_type,
        "skipped": True,
    }
    assert (api.reads, api.polls) == ([], 0)


# ── Several outputs ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_later_outputs_address_that_is_taken_fails_before_anything_is_downloaded(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], look: Look
) -> None:
    api, client = serve(films["index first"], films["index last"], films["fragmented"])
    job = api.job().model_copy(update={"outputs": 0})
    (tmp_path / "film-2.mp4").write_bytes(b"somebody's")
    with pytest.raises(DestinationExistsError, match=r"film-2\.mp4 holds 10 bytes.*output 2 of job job-1"):
        land(client, job, where(f"{tmp_path}/film.mp4", job), LandingOptions(on_existing="fail"))
    assert api.reads == []
    assert look(tmp_path.as_uri()) == {"film-2.mp4": b"somebody's"}


@pytest.mark.parametrize("known", [3, 0])
def test_only_the_outputs_whose_address_is_free_are_downloaded(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], known: int
) -> None:
    api, client = serve(films["index first"], films["index last"], films["fragmented"])
    job = api.job().model_copy(update={"outputs": known})
    (tmp_path / "film-1.mp4").write_bytes(b"somebody's")
    options = LandingOptions(on_existing="skip")
    landed = land(client, job, where(f"{tmp_path}/film.mp4", job), options)
    assert sorted(api.reads) == [0, 2]
    assert [(file.index, Path(file.uri).name, file.skipped) for file in landed.files] == [
        (0, "film.mp4", False),
        (1, "film-1.mp4", True),
        (2, "film-2.mp4", False),
    ]
    assert (tmp_path / "film-1.mp4").read_bytes() == b"somebody's"
    assert not (tmp_path / "film-1.mp4.json").exists()
    api.reads.clear()
    assert land(client, job, where(f"{tmp_path}/film.mp4", job), options).files == landed.files
    assert api.reads == []


def test_a_job_that_turned_out_to_be_another_kind_of_file_is_found_again(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["matroska"])
    where_to = where(f"{tmp_path}/{{job_id}}.{{ext}}", api.job())
    first = land(client, api.job(), where_to)
    for mode in ("verify", "fail", "skip"):
        assert land(client, api.job(), where_to, LandingOptions(on_existing=mode)).files == first.files
    assert api.reads == [0]


# ── The manifest that is written ─────────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_says_the_version_by_which_it_was_written(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    newer = api.job().model_copy(update={"schema_version": 9})
    assert land(client, newer, where(f"{tmp_path}/film.mp4", newer)).schema_version == 1
    assert json.loads((tmp_path / "film.mp4.json").read_text())["schema_version"] == 1


def test_what_was_landed_may_be_landed_elsewhere_by_its_own_manifest(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index first"])
    first = land(client, api.job(), where(f"{tmp_path}/one/", api.job()))
    again = land(client, first, where(f"{tmp_path}/two/", first))
    assert [file.uri for file in again.files] == [f"file://{tmp_path}/two/job-1-0.mp4"]
    assert again.files[0].sha256 == first.files[0].sha256
