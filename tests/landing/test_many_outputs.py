"""Jobs of several outputs: how many at a time, in which order, with what left in the spool, and in which threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.bases.hook import BaseHook

from airflow_provider_orvideo.exceptions import (
    DestinationExistsError,
    LandingError,
    MediaInvalidError,
    OutputUnavailableError,
)
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.naming import destination

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import JobManifest
    from tests.landing.conftest import Serve

    Where = Callable[[str, JobManifest], Destination]
    Look = Callable[[str], dict[str, bytes]]

#: Seconds after which a meeting that does not come about fails a test.
PATIENCE = 20.0


@pytest.mark.parametrize(("outputs", "concurrency"), [(4, 2), (8, 4), (6, 3)])
def test_so_many_outputs_as_allowed_are_downloaded_at_the_same_time(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], outputs: int, concurrency: int
) -> None:
    api, client = serve(*[films["index last"]] * outputs)
    meeting = threading.Barrier(concurrency)
    api.before = lambda _: meeting.wait(PATIENCE)
    options = LandingOptions(concurrency=concurrency)
    landed = land(client, api.job(), where(f"{tmp_path}/", api.job()), options)
    # Fewer than that would never meet; more would have come from more threads.
    assert len(api.threads) == concurrency
    assert [file.index for file in landed.files] == list(range(outputs))


def test_four_are_downloaded_at_the_same_time_unless_told_otherwise(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(*[films["index last"]] * 8)
    meeting = threading.Barrier(4)
    api.before = lambda _: meeting.wait(PATIENCE)
    land(client, api.job(), where(f"{tmp_path}/", api.job()))
    assert len(api.threads) == 4


def test_one_at_a_time_takes_one_after_the_other_and_room_for_one(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], spool_dir: Path
) -> None:
    api, client = serve(films["index last"], b"no video", films["fragmented"], films["webm"])
    spooled: list[list[str]] = []
    api.before = lambda _: spooled.append([path.name for path in spool_dir.rglob("output-*")])
    options = LandingOptions(concurrency=1, spool_dir=str(spool_dir))
    with pytest.raises(MediaInvalidError):
        land(client, api.job(), where(f"{tmp_path}/videos/", api.job()), options)
    assert api.reads == [0, 1, 2, 3]
    assert len(api.threads) == 1
    # Whether it landed or not, a file is gone before the next one comes.
    assert spooled == [[], [], [], []]
    assert list(spool_dir.iterdir()) == []


def test_a_copy_on_another_file_system_is_no_reason_to_keep_it_in_the_spool(
    serve: Serve, where: Where, bucket: str, films: dict[str, bytes], spool_dir: Path
) -> None:
    api, client = serve(films["index last"], films["fragmented"])
    spooled: list[list[str]] = []
    api.before = lambda _: spooled.append([path.name for path in spool_dir.rglob("output-*")])
    options = LandingOptions(concurrency=1, spool_dir=str(spool_dir))
    land(client, api.job(), where(f"{bucket}/", api.job()), options)
    assert spooled == [[], []]


def test_files_are_in_the_order_of_the_outputs_whichever_came_first(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    names = ["index last", "fragmented", "webm"]
    api, client = serve(*[films[name] for name in names])
    asked = threading.Event()

    def last_first(index: int) -> None:
        if index == 2:
            asked.set()
        else:
            assert asked.wait(PATIENCE)

    api.before = last_first
    landed = land(client, api.job(), where(f"{tmp_path}/", api.job()))
    assert [file.index for file in landed.files] == [0, 1, 2]
    assert [file.bytes for file in landed.files] == [len(films[name]) for name in names]


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_every_output_is_tried_before_the_first_failure_is_told(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], look: Look, concurrency: int
) -> None:
    api, client = serve(films["index last"], 410, b"no video", films["webm"])
    with pytest.raises(OutputUnavailableError, match="no longer keeps this output"):
        land(client, api.job(), where(f"{tmp_path}/", api.job()), LandingOptions(concurrency=concurrency))
    assert sorted(api.reads) == [0, 1, 2, 3]
    names = {"job-1-0.mp4", "job-1-3.webm"}
    there = look(tmp_path.as_uri())
    assert set(there) == names | {f"{name}.json" for name in names}
    # Nothing of what landed is fetched again.
    api.reads.clear()
    api.films[1:3] = films["quicktime"], films["fragmented"]
    landed = land(client, api.job(), where(f"{tmp_path}/", api.job()))
    assert sorted(api.reads) == [1, 2]
    assert [file.index for file in landed.files] == [0, 1, 2, 3]


def test_every_output_of_a_job_that_failed_is_one_of_the_apis_answers(
    serve: Serve, where: Where, tmp_path: Path
) -> None:
    api, client = serve(401, 403)
    with pytest.raises(LandingError, match="job-1"):
        land(client, api.job(), where(f"{tmp_path}/", api.job()))
    assert sorted(api.reads) == [0, 1]
    assert list(tmp_path.iterdir()) == []


def test_each_output_has_a_manifest_of_its_own(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes], look: Look
) -> None:
    api, client = serve(films["index last"], films["fragmented"])
    landed = land(client, api.job(), where(f"{tmp_path}/film.mp4", api.job()))
    there = look(tmp_path.as_uri())
    for file, name in zip(landed.files, ("film.mp4", "film-1.mp4"), strict=True):
        beside = type(landed).model_validate_json(there[f"{name}.json"])
        assert beside.files == (file,)
        assert (beside.outputs, beside.job_id) == (2, "job-1")


# ── Mapped tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["verify", "overwrite", "fail"])
def test_a_mapped_tasks_video_is_not_replaced_by_anothers_in_any_mode(
    serve: Serve,
    tmp_path: Path,
    films: dict[str, bytes],
    look: Look,
    mode: Any,  # noqa: ANN401 - one of the modes
) -> None:
    api, client = serve(films["index last"])
    task = {"dag_id": "d", "run_id": "r", "task_id": "t"}
    first, second = (
        destination(f"{tmp_path}/film.mp4", {**task, "map_index": index, "job_id": f"job-{index}"}) for index in "01"
    )
    land(client, api.job().model_copy(update={"job_id": "job-0"}), first)
    before = look(tmp_path.as_uri())
    options = LandingOptions(on_existing=mode, poster=True)
    with pytest.raises(DestinationExistsError):
        land(client, api.job(), second, options)
    assert look(tmp_path.as_uri()) == before
    # A mapped task that lands another job of its own, ordered anew, is no stranger.
    land(client, api.job(), first, LandingOptions(on_existing="overwrite"))
    assert look(tmp_path.as_uri()) != before


# ── Threads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_thread_but_the_tasks_own_looks_a_connection_up(
    serve: Serve, where: Where, bucket: str, films: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow's task process answers such a question to its main thread only.
    monkeypatch.setattr("airflow.sdk.io.store._STORE_CACHE", {})
    asked: list[tuple[str, bool]] = []
    real = BaseHook.get_connection

    def noted(_: type, conn_id: str) -> Any:  # noqa: ANN401 - a connection
        asked.append((conn_id, threading.current_thread() is threading.main_thread()))
        return real(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(noted))
    api, client = serve(films["index last"], films["fragmented"], films["webm"])
    place = where(f"{bucket}/videos/", api.job())
    for mode in ("verify", "verify", "overwrite"):
        monkeypatch.setattr("airflow.sdk.io.store._STORE_CACHE", {})
        options = LandingOptions(poster=True, on_existing=mode)
        assert len(land(client, api.job(), place, options).files) == 3
    assert ("aws_test", True) in asked
    assert [conn_id for conn_id, in_main_thread in asked if not in_main_thread] == []
    # Three threads were at work, else this shows nothing.
    assert threading.get_ident() not in api.threads
