"""Landings that fail: the destination stays as it was, nothing is left lying about, and the error says what to do."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.exceptions import (
    DestinationError,
    DownloadIncompleteError,
    LandingError,
    MediaInvalidError,
    OutputUnavailableError,
)
from airflow_provider_orvideo.landing import publish
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.manifests import JobManifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.simulator import Simulator
    from tests.landing.conftest import Order, Spoil

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]

CONTENT: dict[str, dict[str, Any]] = {
    "cut at once": {"content": {"truncate": 0.0}},
    "cut in the middle": {"content": {"truncate": 0.5}},
    "cut before the last byte": {"content": {"truncate": 0.999}},
    "ended early, properly": {"content": {"truncate": 0.5, "clean": True}},
    "empty, properly": {"content": {"truncate": 0.0, "clean": True}},
    "garbage": {"content": {"garbage": True}},
    "HTML": {"respond": {"status": 200, "html": True}},
    "an error as a success": {"respond": {"status": 200, "body": {"error": {"code": 502, "message": "upstream"}}}},
    "JSON as a success": {"respond": {"status": 200, "body": {"ok": True}}},
    "dropped": {"drop": {}},
    "reset": {"drop": {"how": "reset"}},
    **{str(code): {"respond": {"status": code, "retry_after": 0}} for code in (401, 403, 408, 429, 500, 502, 503)},
    **{str(code): {"respond": {"status": code}} for code in (400, 404, 409, 410)},
}
#: Of these, the landing itself says what they mean; the others are the client's errors.
NAMED: dict[str, type[LandingError]] = {
    **dict.fromkeys(["ended early, properly", "empty, properly", "garbage", "HTML"], MediaInvalidError),
    **dict.fromkeys(["cut at once", "cut in the middle", "cut before the last byte"], DownloadIncompleteError),
    **dict.fromkeys(["dropped", "reset", "408", "429", "500", "502", "503"], DownloadIncompleteError),
    **dict.fromkeys(["an error as a success"], DownloadIncompleteError),
    **dict.fromkeys(["400", "404", "409", "410"], OutputUnavailableError),
}


@pytest.fixture
def older(home: str) -> str:
    """A destination at which a file of somebody else's lies, with a sidecar."""
    publish.publish_bytes(b"an older film", f"{home}/film.mp4")
    publish.publish_bytes(b"its notes", f"{home}/film.mp4.json")
    return f"{home}/film.mp4"


# ── The transfer ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tenth", range(10))
def test_a_transfer_that_was_cut_starts_again_and_lands(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, spoil: Spoil, sim: Simulator, tenth: int
) -> None:
    job = order()
    spoil(times=2, content={"truncate": tenth / 10})
    (file,) = land(client, job, where(f"{tmp_path}/film.mp4", job)).files
    assert hashlib.sha256((tmp_path / "film.mp4").read_bytes()).hexdigest() == file.sha256
    assert sim.stats()["content_reads"] == 3


@pytest.mark.parametrize("fault", CONTENT)
def test_when_it_fails_every_time_an_older_file_stays_and_nothing_is_left_over(
    client: VideoClient,
    order: Order,
    where: Where,
    older: str,
    home: str,
    look: Look,
    spoil: Spoil,
    spool_dir: Path,
    fault: str,
) -> None:
    before = look(home)
    job = order()
    spoil(**CONTENT[fault])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the kind is looked at below
        land(client, job, where(older, job), LandingOptions(spool_dir=str(spool_dir)))
    if fault in NAMED:
        assert type(caught.value) is NAMED[fault]
    assert look(home) == before == {"film.mp4": b"an older film", "film.mp4.json": b"its notes"}
    assert list(spool_dir.iterdir()) == []


def test_a_failure_leaves_nothing_where_nothing_was(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, spoil: Spoil
) -> None:
    job = order()
    spoil(content={"truncate": 0.7})
    with pytest.raises(DownloadIncompleteError, match=r"in 3 tries.*destination is untouched.*run this task again"):
        land(client, job, where(f"{home}/", job))
    assert look(home) == {}


def test_the_later_outputs_failure_leaves_whole_files_only(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, spoil: Spoil
) -> None:
    job = order(job={"outputs": 2}, known_outputs=2)
    spoil(match={"operation": "listVideosContent", "index": 1}, content={"garbage": True})
    with pytest.raises(MediaInvalidError, match="Output 1"):
        land(client, job, where(f"{home}/", job))
    assert set(look(home)) == {f"{job.job_id}-0.mp4", f"{job.job_id}-0.mp4.json"}


def test_what_is_no_video_is_said_with_type_and_size(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, spoil: Spoil
) -> None:
    job = order()
    spoil(respond={"status": 200, "html": True})
    with pytest.raises(MediaInvalidError) as caught:
        land(client, job, where(f"{tmp_path}/", job))
    text = str(caught.value)
    for part in (job.job_id, "not a video", "text/html", "bytes arrived", "untouched", "run this task again"):
        assert part in text


# ── The job ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ("409", "wait for the job to complete"),
        ("410", "waiting does not help, only a new video does"),
        ("404", "check the id and the connection's account"),
        ("400", "does not have this output"),
    ],
)
def test_an_output_that_is_not_there_says_whether_waiting_helps(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, spoil: Spoil, fault: str, advice: str
) -> None:
    job = order()
    spoil(**CONTENT[fault])
    with pytest.raises(OutputUnavailableError) as caught:
        land(client, job, where(f"{tmp_path}/", job))
    assert advice in str(caught.value)
    assert "Nothing was ordered again." in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "status", "advice"),
    [
        ({"seconds": "manual"}, "pending", "wait for it to complete and run this task again"),
        ({"outcome": "failed", "error": "Content policy violation"}, "failed", "a new video must be ordered"),
        ({"outcome": "cancelled"}, "cancelled", "a new video must be ordered"),
        ({"outcome": "expired"}, "expired", "a new video must be ordered"),
    ],
)
def test_a_job_without_a_video_says_whether_waiting_helps(
    client: VideoClient,
    order: Order,
    where: Where,
    tmp_path: Path,
    sim: Simulator,
    fields: dict[str, Any],
    status: str,
    advice: str,
) -> None:
    job = order(job=fields)
    with pytest.raises(OutputUnavailableError) as caught:
        land(client, job, where(f"{tmp_path}/", job))
    for part in (job.job_id, f"'{status}'", advice, fields.get("error", "")):
        assert part in str(caught.value)
    assert sim.stats()["content_reads"] == 0
    assert sim.posts == 1


def test_an_unknown_job_says_what_to_check(client: VideoClient, where: Where, tmp_path: Path, sim: Simulator) -> None:
    job = JobManifest(job_id="gen-vid-1-nobody", status="unknown")
    with pytest.raises(OutputUnavailableError, match="Check the job id"):
        land(client, job, where(f"{tmp_path}/", job))
    assert sim.posts == 0


def test_an_output_that_the_api_no_longer_keeps(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, sim: Simulator
) -> None:
    job = order()
    sim.advance(7200)
    with pytest.raises(OutputUnavailableError, match="only a new video does"):
        land(client, job, where(f"{tmp_path}/", job))


# ── The destination and the spool ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist(client: VideoClient, order: Order, where: Where) -> None:
    job = order()
    with pytest.raises(DestinationError) as caught:
        land(client, job, where("s3://aws_test@no-such-bucket/videos/", job))
    for part in ("s3://aws_test@no-such-bucket/videos/", "bucket", "paid", "check", "run this task again"):
        assert part in str(caught.value)
    assert "testing-secret-key" not in str(caught.value)


def test_a_file_system_that_is_not_installed(client: VideoClient, order: Order, where: Where) -> None:
    job = order()
    with pytest.raises(DestinationError, match="installed file system"):
        land(client, job, where("warp://bucket/videos/", job))


@pytest.mark.parametrize("name", ["taken/film.mp4", "folder", "x" * 300])
def test_a_local_place_that_cannot_be_written(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, spool_dir: Path, name: str
) -> None:
    (tmp_path / "taken").write_bytes(b"a file, no folder")
    (tmp_path / "folder").mkdir()
    job = order()
    with pytest.raises(DestinationError, match="paid"):
        land(client, job, where(f"{tmp_path}/{name}", job), LandingOptions(spool_dir=str(spool_dir)))
    assert {path.name for path in tmp_path.rglob("*")} - {"spool"} == {"folder", "taken"}


def test_an_upload_that_arrives_short_is_not_vouched_for(
    client: VideoClient,
    order: Order,
    where: Where,
    bucket: str,
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = order()
    monkeypatch.setattr(publish, "size_of", lambda _: 7)
    with pytest.raises(DestinationError, match=r"holds 7 bytes after .* run this task again"):
        land(client, job, where(f"{bucket}/film.mp4", job))
    assert set(look(bucket)) == {"film.mp4"}


def test_a_sidecar_that_cannot_be_written_makes_the_next_landing_start_anew(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, sim: Simulator
) -> None:
    (tmp_path / "film.mp4.json").mkdir()
    job = order()
    with pytest.raises(DestinationError):
        land(client, job, where(f"{tmp_path}/film.mp4", job))
    (tmp_path / "film.mp4.json").rmdir()
    land(client, job, where(f"{tmp_path}/film.mp4", job))
    assert (tmp_path / "film.mp4.json").is_file()
    assert sim.posts == 1


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_spool_that_cannot_be_used(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, name: str, sim: Simulator
) -> None:
    (tmp_path / "file").write_bytes(b"")
    job = order()
    with pytest.raises(DestinationError, match=r"\[orvideo\] spool_dir.*Set it to a folder") as caught:
        land(client, job, where(f"{tmp_path}/videos/", job), LandingOptions(spool_dir=str(tmp_path / name)))
    assert str(tmp_path / name) in str(caught.value)
    assert sim.stats()["content_reads"] == 0


def test_a_spool_that_fills_up(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Path.open
        if "w" in mode and spool_dir in self.parents and self.name != ".lock":
            raise OSError(28, "No space left on device")
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    job = order()
    with pytest.raises(DestinationError, match=r"No space left.*\[orvideo\] spool_dir"):
        land(client, job, where(f"{tmp_path}/videos/", job), LandingOptions(spool_dir=str(spool_dir)))
    assert list(spool_dir.iterdir()) == []
    assert not (tmp_path / "videos").exists()
