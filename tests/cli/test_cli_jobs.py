"""``status`` and ``fetch``: what became of a job, and its videos brought home."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.cli.conftest import Run

    Failed = Callable[[str], str]


@pytest.fixture
def failed(sim: Simulator, run: Run, order: tuple[str, ...]) -> Failed:
    """Order a video that fails with this error, and return its job."""

    def make(error: str) -> str:
        sim.add_fault({"match": {"operation": "createVideos"}, "job": {"outcome": "failed", "error": error}})
        return run("submit", *order, "--yes").out.strip()

    return make


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_completed_job_shows_its_cost_and_outputs(job_id: str, run: Run) -> None:
    ran = run("status", job_id, "--output", "json")
    assert (ran.code, ran.err) == (0, "")
    expected = {
        "job_id": job_id,
        "status": "completed",
        "is_terminal": True,
        "cost_usd": 0.05,
        "outputs": 2,
        "error": None,
    }
    assert {name: ran.json[name] for name in expected} == expected
    table = run("status", job_id).out
    assert "$0.0500" in table
    assert job_id in table


def test_a_failed_job_is_an_answer_and_its_unknown_cost_is_not_zero(failed: Failed, run: Run) -> None:
    job_id = failed("[/red] the provider :boom: gave up\x1b[2J")
    ran = run("status", job_id, "--output", "json")
    assert ran.code == 0
    assert (ran.json["status"], ran.json["cost_usd"]) == ("failed", None)
    table = run("status", job_id).out
    assert "unknown" in table
    assert "[/red] the provider :boom: gave up" in table
    assert "\x1b[2J" not in table


def test_a_manifest_is_as_good_as_an_id(job_id: str, run: Run, order: tuple[str, ...]) -> None:
    manifest = run("submit", *order, "--yes", "--output", "json")
    found = run("status", manifest.out, "--output", "json").json
    assert found["job_id"] == manifest.json["job_id"] != job_id


@pytest.mark.usefixtures("sim")
def test_a_job_that_nobody_knows_is_one_sentence(run: Run) -> None:
    ran = run("status", "job-of-nobody", "--output", "json")
    assert (ran.code, ran.out) == (1, "")
    assert "HTTP 404" in ran.err


# ── fetch ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_output_lands_with_its_manifest_and_is_printed(
    sim: Simulator, job_id: str, run: Run, tmp_path: Path
) -> None:
    ran = run("fetch", job_id, "--destination", f"{tmp_path}/", "--output", "json")
    assert ran.code == 0
    landed = LandedManifest.model_validate(ran.json)
    assert landed.to_json() == ran.json
    files = [f"{job_id}-{index}.mp4" for index in range(2)]
    assert names(tmp_path) == sorted([*files, *(f"{file}.json" for file in files)])
    assert [file.sha256 for file in landed.files] == [
        hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() for file in files
    ]
    assert (landed.cost_usd, landed.conn_id, landed.dag_id) == (0.05, "orvideo_default", "command-line")
    assert sim.posts == 1


def test_people_see_the_files_with_their_addresses_whole(job_id: str, run: Run, tmp_path: Path) -> None:
    out = run("fetch", job_id, "--destination", f"{tmp_path}/v-{{index}}.{{ext}}", "--poster").out
    for name in ("v-0.mp4", "v-0.jpg", "v-1.mp4", "v-1.jpg"):
        assert f"file://{tmp_path}/{name} " in out


def test_fetching_again_downloads_nothing(sim: Simulator, job_id: str, run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("fetch", job_id, "--destination", f"{tmp_path}/").code == 0
    assert sim.stats()["content_reads"] == 2


def test_a_relative_path_is_one_of_this_folder(
    job_id: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("fetch", job_id, "--destination", "videos/{model}-{dag_id}-{index}.{ext}").code == 0
    assert names(tmp_path / "videos")[0] == "unknown-command-line-0.mp4"


def test_what_lies_there_stays_where_that_is_wanted(job_id: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine-0.mp4").write_bytes(b"my own")
    ran = run("fetch", job_id, "--destination", f"{tmp_path}/mine-{{index}}.mp4", "--on-existing", "fail")
    assert (ran.code, ran.out) == (1, "")
    assert "Nothing was downloaded or overwritten" in ran.err
    assert names(tmp_path) == ["mine-0.mp4"]


def test_a_job_without_a_video_lands_nothing(failed: Failed, run: Run, tmp_path: Path) -> None:
    ran = run("fetch", failed("no"), "--destination", f"{tmp_path}/")
    assert ran.code == 1
    assert "has no video to land" in ran.err
    assert names(tmp_path) == []


def test_a_destination_that_cannot_be_used_is_told_to_a_person_and_not_to_a_task(
    job_id: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ran = run("fetch", job_id, "--destination", f"{tmp_path}/file/")
    assert (ran.code, ran.out) == (1, "")
    assert "NotADirectoryError" in ran.err
    assert "run this command again" in ran.err
    assert "task" not in ran.err


def test_a_destination_that_cannot_be_read_is_refused(job_id: str, run: Run, tmp_path: Path) -> None:
    ran = run("fetch", job_id, "--destination", f"{tmp_path}/{{colour}}.mp4")
    assert ran.code == 1
    assert "{colour}" in ran.err
