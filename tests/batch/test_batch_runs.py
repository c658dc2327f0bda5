"""A batch when all goes well: in one task, with one deferral, each item ordered once and landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import FakeStateStore
    from tests.batch.conftest import Attempt, Mode, ReadManifest


def test_every_item_is_ordered_once_and_lands(
    sim: Simulator, attempt: Attempt, videos: Path, read_manifest: ReadManifest, mode: Mode
) -> None:
    deferrals: list[dict[str, Any]] = []
    summary = attempt("a boat", "a bridge", "a bird", **mode, deferrals=deferrals)
    assert summary == {
        "schema_version": 1,
        "total": 3,
        "landed": 3,
        "failed": 0,
        "not_ordered": 0,
        "dropped": 0,
        "cost_usd": pytest.approx(sum(float(job.cost or 0) for job in sim.jobs())),
        "cost_unknown": 0,
        "estimated_cost_usd": pytest.approx(summary["cost_usd"]),
        "manifest": f"file://{next(videos.glob('*.jsonl'))}",
    }
    assert sim.posts == len(sim.jobs()) == 3
    assert len(deferrals) == int(mode["deferrable"])
    lines = read_manifest()
    assert [line["request"]["prompt"] for line in lines] == ["a boat", "a bridge", "a bird"]
    assert {line["status"] for line in lines} == {"landed"}
    landed = sorted(videos.glob("*.mp4"))
    assert sorted(file["uri"] for line in lines for file in line["files"]) == [f"file://{path}" for path in landed]


def test_each_item_has_a_record_of_its_own(sim: Simulator, attempt: Attempt, store: FakeStateStore) -> None:
    attempt({"id": "one", "prompt": "a boat"}, "a bridge")
    assert sim.posts == 2
    assert "orvideo_job.one" in store.values
    assert len(store.values) == 2
