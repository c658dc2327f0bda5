"""The accounts that the runs over lost hosts and killed processes end with: each kind of loss must show."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from accounts import Accounts, Landed, orders_of, read_landed

from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.manifests import LandedFile, LandedManifest

if TYPE_CHECKING:
    from collections.abc import Sequence

VIDEO = b"the bytes of a video"
SHA = hashlib.sha256(VIDEO).hexdigest()


def row(index: int, phase: Phase = Phase.TERMINAL, job_id: str | None = "", key: str = "orvideo_job") -> dict[str, Any]:
    named = f"job-{index}" if job_id == "" else job_id
    record = Record(phase=phase, fingerprint="f", model="m", conn_id="c", intent_at=1.0, job_id=named)
    return {
        "dag_id": "films",
        "task_id": "video",
        "map_index": index,
        "key": key,
        "value": json.dumps(record.to_json()),
    }


def counted(
    rows: Sequence[dict[str, Any]], *, jobs: Sequence[str], landed: Sequence[str], refused: int = 0, broken: str = ""
) -> Accounts:
    return Accounts(
        jobs=[{"id": job_id} for job_id in jobs],
        submits=[*({"job_id": job_id} for job_id in jobs), *({"job_id": None} for _ in range(refused))],
        orders=orders_of(rows),
        landed=[Landed("films", job_id, f"s3://films/{job_id}.mp4", broken) for job_id in landed],
    )


def test_one_job_for_each_order_and_one_video_for_each_job_is_no_problem() -> None:
    found = counted([row(0), row(1)], jobs=["job-0", "job-1"], landed=["job-0", "job-1"], refused=3)
    assert found.problems() == []
    assert found.by_dag("films") == (2, 2, 2)
    assert found.refused == 3


def test_an_order_that_bought_two_jobs_shows() -> None:
    (again,) = (row(0, job_id="job-2"),)
    again["value"] = json.dumps(json.loads(again["value"]) | {"past": [{"job_id": "job-1"}]})
    found = counted([again], jobs=["job-1", "job-2"], landed=["job-1", "job-2"])
    assert found.problems() == ["bought twice: films.video[0]: job-1, job-2"]


def test_a_job_that_no_record_names_shows() -> None:
    (problem,) = counted([row(0)], jobs=["job-0", "job-9"], landed=["job-0"]).problems()
    assert problem.startswith("1 jobs that no record names, and 0 orders whose outcome is unknown: job-9")


def test_a_job_of_an_order_with_an_unknown_outcome_is_for_a_person_and_no_problem() -> None:
    found = counted([row(0), row(1, Phase.INTENT, None)], jobs=["job-0", "job-9"], landed=["job-0"])
    assert found.problems() == []
    assert [order.name for order in found.unclear] == ["films.video[1]"]


def test_two_orders_that_claim_one_job_show() -> None:
    rows = [row(0, job_id="job-0"), row(1, job_id="job-0", key="orvideo_job.b")]
    (problem,) = counted(rows, jobs=["job-0"], landed=["job-0"]).problems()
    assert problem == "job-0 is in the records of films.video[0], films.video[1] b"


def test_a_video_that_was_paid_for_and_lies_nowhere_shows() -> None:
    assert counted([row(0)], jobs=["job-0"], landed=[]).problems() == ["paid for and not landed: job-0"]


def test_a_video_that_is_not_whole_shows() -> None:
    found = counted([row(0)], jobs=["job-0"], landed=["job-0"], broken="missing")
    assert found.problems() == ["not whole: s3://films/job-0.mp4: missing"]
    assert found.by_dag("films") == (1, 1, 0)


def test_a_paid_request_without_its_job_shows() -> None:
    found = counted([row(0)], jobs=["job-0"], landed=["job-0"])
    found = Accounts(found.jobs, [*found.submits, {"job_id": "job-7"}], found.orders, found.landed)
    assert found.problems() == ["2 accepted paid requests, and 1 jobs"]


@pytest.mark.parametrize(
    ("stored", "at_the_api", "problem"),
    [
        ({"job-0.mp4": VIDEO}, VIDEO, ""),
        ({"job-0.mp4": VIDEO[:9]}, VIDEO, "not what its sidecar says"),
        ({"job-0.mp4": VIDEO}, b"another video", "not what the API has"),
    ],
)
def test_each_landed_file_is_compared_with_its_sidecar_and_with_the_api(
    stored: dict[str, bytes], at_the_api: bytes, problem: str
) -> None:
    file = LandedFile(
        uri="s3://aws_default@films/job-0.mp4", index=0, bytes=len(VIDEO), sha256=SHA, content_type="video/mp4"
    )
    manifest = LandedManifest(job_id="job-0", status="completed", dag_id="films", files=(file,))
    objects = {**stored, "job-0.mp4.json": json.dumps(manifest.to_json()).encode(), "state/callback.json": b"{}"}
    (landed,) = read_landed(objects, objects.__getitem__, lambda *_: hashlib.sha256(at_the_api).hexdigest())
    assert (landed.dag_id, landed.job_id, landed.problem) == ("films", "job-0", problem)
