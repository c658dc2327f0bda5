"""Whole landings over real HTTP, to this machine and to S3: what lies there afterwards, and what was transferred."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import OutputUnavailableError
from airflow_provider_orvideo.landing import media, publish, spool
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.publish import Publisher
from airflow_provider_orvideo.manifests import JobManifest, LandedManifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.simulator import Simulator
    from tests.landing.conftest import Order, Spoil

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]

#: Where the steps of a landing are looked up.
LAND = "airflow_provider_orvideo.landing.land"


def test_a_video_lands_whole_with_its_sidecar(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, sim: Simulator, spool_dir: Path
) -> None:
    job = order()
    landed = land(client, job, where(f"{home}/", job), LandingOptions(spool_dir=str(spool_dir)))
    name = f"{job.job_id}-0.mp4"
    there = look(home)
    assert set(there) == {name, f"{name}.json"}
    (file,) = landed.files
    assert file.uri == f"{home}/{name}"
    assert file.bytes == len(there[name]) > 1000
    assert file.sha256 == hashlib.sha256(there[name]).hexdigest()
    assert (file.index, file.content_type, file.duration_s, file.fps) == (0, "video/mp4", 1.0, 8.0)
    assert file.width is not None
    assert file.width > 0
    # What was known is kept, what the API knows better is taken from it.
    assert (landed.job_id, landed.model, landed.conn_id) == (job.job_id, job.model, "c")
    assert (landed.submitted_at, landed.status, landed.outputs) == (job.submitted_at, "completed", 1)
    assert landed.cost_usd == pytest.approx(float(sim.job(job.job_id).cost or 0))
    assert landed.generation_id == job.job_id
    assert landed.landed_at is not None
    sidecar = LandedManifest.model_validate_json(there[f"{name}.json"])
    assert sidecar.files == landed.files
    assert sidecar.job_id == job.job_id
    assert os.listdir(spool_dir) == []  # noqa: PTH208 - names are enough


def test_landing_again_downloads_nothing(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, sim: Simulator
) -> None:
    job = order()
    first = land(client, job, where(f"{home}/", job))
    there, polls = look(home), sim.stats()["polls"]
    again = land(client, job, where(f"{home}/", job))
    assert again.files == first.files
    assert look(home) == there
    assert sim.stats()["content_reads"] == 1
    assert sim.stats()["polls"] == polls


def test_with_a_job_id_alone_landing_again_reads_the_status_and_downloads_nothing(
    client: VideoClient, order: Order, where: Where, home: str, sim: Simulator
) -> None:
    job = JobManifest(job_id=order().job_id, status="unknown")
    first = land(client, job, where(f"{home}/", job))
    assert land(client, job, where(f"{home}/", job)).files == first.files
    assert sim.stats()["content_reads"] == 1


@pytest.mark.parametrize("pattern", ["{job_id}-{index}.{ext}", "film.mp4", "film", "{index}/film.{ext}"])
def test_every_output_lands(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, sim: Simulator, pattern: str
) -> None:
    job = order(job={"outputs": 3}, known_outputs=0)
    landed = land(client, job, where(f"{home}/{pattern}", job))
    assert [file.index for file in landed.files] == [0, 1, 2]
    there = look(home)
    assert len(there) == 6
    videos = {name for name in there if not name.endswith(".json")}
    assert {file.uri for file in landed.files} == {f"{home}/{name}" for name in videos}
    assert len({there[name] for name in videos}) == 3
    assert landed.outputs == 3
    assert land(client, job, where(f"{home}/{pattern}", job)).files == landed.files
    assert sim.stats()["content_reads"] == 3


def test_a_landing_that_stopped_half_way_fetches_only_what_is_missing(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, sim: Simulator, spoil: Spoil
) -> None:
    job = order(job={"outputs": 3}, known_outputs=3)
    spoil(match={"operation": "listVideosContent", "index": 2}, times=1, respond={"status": 410})
    with pytest.raises(OutputUnavailableError):
        land(client, job, where(f"{home}/", job))
    assert len(look(home)) == 4
    landed = land(client, job, where(f"{home}/", job))
    assert len(landed.files) == 3
    asked = [entry.path.rpartition("=")[2] for entry in sim.requests(operation="listVideosContent")]
    # At first all at the same time, in whatever order.
    assert (sorted(asked[:3]), asked[3:]) == (list("012"), ["2"])


def test_another_jobs_file_is_replaced_by_this_ones(
    client: VideoClient, order: Order, where: Where, home: str, look: Look
) -> None:
    one, other = order(), order()
    land(client, one, where(f"{home}/latest.mp4", one))
    before = look(home)
    landed = land(client, other, where(f"{home}/latest.mp4", other))
    there = look(home)
    assert set(there) == {"latest.mp4", "latest.mp4.json"}
    assert there["latest.mp4"] != before["latest.mp4"]
    assert hashlib.sha256(there["latest.mp4"]).hexdigest() == landed.files[0].sha256
    assert json.loads(there["latest.mp4.json"])["job_id"] == other.job_id


@pytest.mark.parametrize(
    "sidecar",
    [b"", b"{", b"null", b'{"job_id": "x"}', b"\xff\xfe", None, "size"],
    ids=["empty", "half", "null", "half a manifest", "no text", "gone", "of another size"],
)
def test_a_sidecar_that_does_not_vouch_for_the_file_is_not_believed(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, sim: Simulator, sidecar: bytes | str | None
) -> None:
    job = order()
    first = land(client, job, where(f"{tmp_path}/", job))
    path = Path(first.files[0].uri.removeprefix("file://"))
    beside = path.with_name(f"{path.name}.json")
    whole = path.read_bytes()
    if sidecar is None:
        beside.unlink()
    elif isinstance(sidecar, str):
        path.write_bytes(whole[:-1])
    else:
        beside.write_bytes(sidecar)
    landed = land(client, job, where(f"{tmp_path}/", job))
    assert landed.files == first.files
    assert path.read_bytes() == whole
    assert json.loads(beside.read_bytes())["job_id"] == job.job_id
    assert sim.stats()["content_reads"] == 2


def test_the_sidecar_comes_after_the_file(
    client: VideoClient, order: Order, where: Where, home: str, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = order()
    seen: list[set[str]] = []
    name = f"{job.job_id}-0.mp4"
    publish_file, publish_bytes = Publisher.publish_file, publish.publish_bytes

    def file_first(self: Publisher, spooled: Path, uri: str, content_type: str) -> None:
        seen.append(set(look(home)))
        publish_file(self, spooled, uri, content_type)
        seen.append(set(look(home)))

    def then_sidecar(data: bytes, uri: str) -> None:
        seen.append(set(look(home)))
        publish_bytes(data, uri)

    monkeypatch.setattr(Publisher, "publish_file", file_first)
    monkeypatch.setattr("airflow_provider_orvideo.landing.sidecar.publish_bytes", then_sidecar)
    land(client, job, where(f"{home}/", job))
    assert [*seen, set(look(home))] == [set(), {name}, {name}, {name, f"{name}.json"}]


def test_without_the_media_extra_a_video_lands_unprobed(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = order()
    monkeypatch.setattr(media, "probe", lambda _: None)
    (file,) = land(client, job, where(f"{tmp_path}/", job)).files
    assert (file.duration_s, file.width, file.has_audio) == (None, None, None)


@pytest.mark.parametrize("folder", ["with space", "ünïcode", "with#hash", "with?question", "with@at", "with%20percent"])
def test_a_local_folder_may_have_any_name(
    client: VideoClient, order: Order, where: Where, tmp_path: Path, folder: str
) -> None:
    job = order()
    land(client, job, where(f"{tmp_path}/{folder}/film.mp4", job))
    assert (tmp_path / folder / "film.mp4").stat().st_size > 1000
    assert (tmp_path / folder / "film.mp4.json").exists()


def test_the_kind_of_file_decides_the_extension_and_the_type(
    client: VideoClient,
    order: Order,
    where: Where,
    tmp_path: Path,
    films: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    sim: Simulator,
) -> None:
    real = spool.download

    def disguised(client: VideoClient, job_id: str, index: int, path: Path) -> object:
        spooled = real(client, job_id, index, path)
        path.write_bytes(films["quicktime"])
        film = films["quicktime"]
        return type(spooled)(path, len(film), hashlib.sha256(film).hexdigest(), "video/mp4")

    monkeypatch.setattr(f"{LAND}.download", disguised)
    job = order()
    (file,) = land(client, job, where(f"{tmp_path}/", job)).files
    assert file.uri.endswith("-0.mov")
    assert file.content_type == "video/quicktime"
    # It is found again, although an MP4 is looked for first.
    assert land(client, job, where(f"{tmp_path}/", job)).files == (file,)
    assert sim.stats()["content_reads"] == 1
