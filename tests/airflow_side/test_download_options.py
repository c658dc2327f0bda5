"""The download operator's own arguments: what is refused before a download, and which failures are final."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, Execute, MakeSubmit

    Download = Callable[..., dict[str, Any]]


@pytest.fixture
def manifest(sim: Simulator, make_submit: MakeSubmit, execute: Execute) -> dict[str, Any]:
    """What the submit task of a completed video returned."""
    result: dict[str, Any] = execute(make_submit())
    assert sim.posts == 1
    return result


@pytest.fixture
def download(context: Context, execute: Execute, tmp_path: Path) -> Download:
    """Run a download task to the file ``film.mp4``."""

    def call(job: object, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        operator = OrVideoDownloadOperator(
            task_id="download",
            job=job,  # type: ignore[arg-type]
            destination=f"{tmp_path}/film.mp4",
            **arguments,
        )
        operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
        result: dict[str, Any] = execute(operator)
        return result

    return call


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("on_existing", "replace", "'verify', 'overwrite', 'fail', 'skip'"),
        ("on_existing", None, "'verify'"),
        ("expect", "error", "'warn', 'fail', 'off'"),
        ("expect", True, "'warn'"),
        ("poster", "yes", "True or False"),
        ("max_concurrent_downloads", 0, "whole number from 1"),
        ("max_concurrent_downloads", "2", "whole number from 1"),
    ],
)
def test_what_is_no_choice_is_told_before_anything_is_asked_or_written(
    sim: Simulator,
    manifest: dict[str, Any],
    download: Download,
    tmp_path: Path,
    argument: str,
    value: object,
    allowed: str,
) -> None:
    asked = len(sim.requests())
    with pytest.raises(ConfigurationError) as caught:
        download(manifest, **{argument: value})
    for part in (f"'{argument}'", repr(value), allowed):
        assert part in str(caught.value)
    assert len(sim.requests()) == asked
    assert list(tmp_path.iterdir()) == []


def test_the_order_reaches_the_landing_and_what_came_is_compared_with_it(
    manifest: dict[str, Any], download: Download, tmp_path: Path
) -> None:
    # The simulator renders smaller than ordered.
    landed = download(manifest)
    assert landed["request"] == manifest["request"]
    (file,) = landed["files"]
    assert len(file["unexpected"]) == 1
    assert "the resolution 480p was ordered" in file["unexpected"][0]
    assert json.loads((tmp_path / "film.mp4.json").read_text())["files"] == [file]


def test_a_video_that_is_not_what_was_ordered_fails_for_good_where_that_is_wanted(
    sim: Simulator, manifest: dict[str, Any], download: Download, tmp_path: Path
) -> None:
    with pytest.raises(AirflowFailException, match="the resolution 480p was ordered"):
        download(manifest, expect="fail")
    assert list(tmp_path.iterdir()) == []
    # The same job by its id alone: nobody knows what was ordered.
    assert download(manifest["job_id"], expect="fail")["files"][0]["unexpected"] == []
    assert sim.posts == 1


def test_nothing_is_looked_for_where_nobody_wants_to_know(manifest: dict[str, Any], download: Download) -> None:
    assert download(manifest, expect="off")["files"][0]["unexpected"] == []


def test_another_file_fails_for_good_where_that_is_wanted(
    sim: Simulator, manifest: dict[str, Any], download: Download, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"somebody's")
    with pytest.raises(AirflowFailException, match="'on_existing' is 'fail'"):
        download(manifest, on_existing="fail")
    assert sim.stats()["content_reads"] == 0
    skipped = download(manifest, on_existing="skip")["files"][0]
    assert (skipped["skipped"], skipped["bytes"]) == (True, 10)
    assert sim.stats()["content_reads"] == 0
    assert download(manifest)["files"][0]["skipped"] is False
    assert (tmp_path / "film.mp4").stat().st_size > 1000


def test_this_jobs_own_file_is_downloaded_anew_only_where_that_is_wanted(
    sim: Simulator, manifest: dict[str, Any], download: Download
) -> None:
    for mode, reads in (("verify", 1), ("fail", 1), ("skip", 1), ("overwrite", 2)):
        download(manifest, on_existing=mode)
        assert sim.stats()["content_reads"] == reads


def test_a_poster_is_made_on_demand(manifest: dict[str, Any], download: Download, tmp_path: Path) -> None:
    (file,) = download(manifest, poster=True)["files"]
    assert file["poster_uri"] == f"file://{tmp_path}/film.jpg"
    assert (tmp_path / "film.jpg").read_bytes().startswith(b"\xff\xd8\xff")


def test_so_many_downloads_as_told_go_on_at_a_time(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, download: Download
) -> None:
    sim.add_fault({"match": {"operation": "createVideos"}, "times": 1, "job": {"outputs": 3}})
    landed = download(execute(make_submit()), max_concurrent_downloads=1)
    assert [file["index"] for file in landed["files"]] == [0, 1, 2]
    asked = [entry.path.rpartition("=")[2] for entry in sim.requests(operation="listVideosContent")]
    assert asked == ["0", "1", "2"]
