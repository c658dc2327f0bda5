"""``spend``: every job once, unknown costs as unknown, and what is no manifest passed over and counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.manifests import LandedFile, LandedManifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run

    Land = Callable[..., None]


@pytest.fixture
def land(tmp_path: Path) -> Land:
    """Put the manifests of a job's outputs below the folder."""

    def put(job_id: str, *, outputs: int = 1, folder: str = "", **fields: Any) -> None:  # noqa: ANN401 - the manifest's
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for index in range(outputs):
            name = f"{job_id}-{index}.mp4"
            file = LandedFile(uri=f"file://{place}/{name}", index=index, bytes=1, sha256="00", content_type="video/mp4")
            values = {"status": "completed", "landed_at": "2026-11-22T10:00:00+00:00", **fields}
            manifest = LandedManifest(job_id=job_id, files=(file,), **values)
            (place / f"{name}.json").write_text(json.dumps(manifest.to_json()))

    return put


@pytest.fixture
def total(run: Run, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Add everything up."""

    def ask() -> dict[str, Any]:
        found: dict[str, Any] = run("spend", str(tmp_path), "--output", "json").json["total"]
        return found

    return ask


def test_a_job_counts_once_however_many_outputs_and_copies_it_has(land: Land, total: Any) -> None:  # noqa: ANN401
    land("job-1", outputs=3, cost_usd=0.1)
    land("job-1", folder="copy", cost_usd=0.1)
    land("job-2", cost_usd=0.2)
    assert total() == {"jobs": 2, "cost_usd": 0.3, "jobs_of_unknown_cost": 0}


def test_an_unknown_cost_is_unknown_and_a_cost_of_nothing_is_nothing(land: Land, total: Any) -> None:  # noqa: ANN401
    land("job-1", cost_usd=None)
    assert total() == {"jobs": 1, "cost_usd": None, "jobs_of_unknown_cost": 1}
    land("job-2", cost_usd=0.0)
    assert total() == {"jobs": 2, "cost_usd": 0.0, "jobs_of_unknown_cost": 1}
    land("job-3", cost_usd=-1.0)
    assert total() == {"jobs": 3, "cost_usd": 0.0, "jobs_of_unknown_cost": 2}


def test_a_copy_that_knows_the_cost_tells_it_for_the_job(land: Land, total: Any) -> None:  # noqa: ANN401
    land("job-1", cost_usd=0.5, landed_at="2026-11-22T10:00:00+00:00")
    land("job-1", folder="later", cost_usd=None, landed_at="2026-11-23T10:00:00+00:00")
    assert total() == {"jobs": 1, "cost_usd": 0.5, "jobs_of_unknown_cost": 0}


def test_files_that_are_no_manifest_are_skipped_and_counted(
    land: Land, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("job-1", cost_usd=0.5)
    (tmp_path / "settings.json").write_text('{"job_id": "job-9", "status": "completed", "cost_usd": 99}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "empty.json").write_text('{"job_id": "job-9", "status": "completed", "cost_usd": 99, "files": []}')
    (tmp_path / "broken.json").write_bytes(b'{"job_id": "\xff')
    monkeypatch.setattr("airflow_provider_orvideo.cli.storage._LARGEST", 10_000)
    (tmp_path / "huge.json").write_text((tmp_path / "job-1-0.mp4.json").read_text() + " " * 10_000)
    (tmp_path / "film.txt").write_text("no JSON by name")
    ran = run("spend", str(tmp_path), "--output", "json")
    assert ran.code == 0
    assert ran.json["skipped_files"] == 5
    assert ran.json["total"] == {"jobs": 1, "cost_usd": 0.5, "jobs_of_unknown_cost": 0}
    assert "Skipped 5 JSON file(s)" in ran.err


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("model", [({"model": None}, 1, 0.4), ({"model": "a/one"}, 2, 0.3)]),
        ("dag", [({"dag_id": "films"}, 3, 0.7)]),
        ("day", [({"day": "2026-11-20"}, 2, 0.3), ({"day": "2026-11-22"}, 1, 0.4)]),
        (
            "run",
            [({"dag_id": "films", "run_id": "r1"}, 1, 0.1), ({"dag_id": "films", "run_id": "r2"}, 2, 0.6)],
        ),
    ],
)
def test_the_sum_can_be_split(by: str, groups: list[Any], land: Land, run: Run, tmp_path: Path) -> None:
    done = "2026-11-20T23:59:59+00:00"
    land("job-1", model="a/one", dag_id="films", run_id="r1", cost_usd=0.1, completed_at=done)
    land("job-2", model="a/one", dag_id="films", run_id="r2", cost_usd=0.2, completed_at=done)
    land("job-3", dag_id="films", run_id="r2", cost_usd=0.4)
    ran = run("spend", str(tmp_path), "--by", by, "--output", "json")
    assert ran.json["by"] == by
    assert ran.json["groups"] == [
        {**key, "jobs": jobs, "cost_usd": cost, "jobs_of_unknown_cost": 0} for key, jobs, cost in groups
    ]


def test_people_get_a_table_that_ends_in_the_total(land: Land, run: Run, tmp_path: Path) -> None:
    land("job-1", model="a/one", cost_usd=0.25)
    land("job-2", cost_usd=None)
    rows = [[cell.strip() for cell in line.split("|")] for line in run("spend", f"{tmp_path}/").out.splitlines()]
    assert rows[0] == ["model", "jobs", "cost", "jobs_of_unknown_cost"]
    assert ["unknown", "1", "unknown", "1"] in rows
    assert ["a/one", "1", "$0.2500", "0"] in rows
    assert ["total", "2", "$0.2500", "1"] in rows


def test_an_empty_folder_cost_nothing_that_is_known_and_a_missing_one_is_an_error(run: Run, tmp_path: Path) -> None:
    ran = run("spend", str(tmp_path), "--output", "json")
    assert (ran.code, ran.json["total"]["jobs"], ran.json["total"]["cost_usd"]) == (0, 0, None)
    ran = run("spend", str(tmp_path / "nowhere"), "--output", "json")
    assert (ran.code, ran.out) == (1, "")
    assert "Nothing lies at" in ran.err


def test_a_store_that_is_not_there_is_one_sentence(run: Run) -> None:
    ran = run("spend", "nosuchstore://bucket/videos/")
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be listed" in ran.err


def test_what_was_fetched_to_object_storage_is_added_up_there(bucket: str, job_id: str, run: Run) -> None:
    where = f"{bucket}/videos/"
    assert run("fetch", job_id, "--destination", where).code == 0
    ran = run("spend", where, "--by", "dag", "--output", "json")
    assert ran.json["groups"] == [{"dag_id": "command-line", "jobs": 1, "cost_usd": 0.05, "jobs_of_unknown_cost": 0}]
    assert ran.json["skipped_files"] == 0
