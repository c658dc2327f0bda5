"""Each mishap, and what the provider does then. Each begins with one order, and two retries for either task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from airflow_provider_orvideo.testing.faults import Faults
    from airflow_provider_orvideo.testing.running import FinishedRun

    Film = Callable[..., FinishedRun]

LANDED = {"submit": "success", "download": "success"}
NO_VIDEO = {"submit": "failed", "download": "upstream_failed"}
NOT_LANDED = {"submit": "success", "download": "failed"}


def paid(simulator: Simulator) -> tuple[int, int]:
    """Return the orders that arrived, and the jobs that they made."""
    return simulator.posts, len(simulator.jobs())


def test_a_rate_limit_is_waited_out_within_the_attempt(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.rate_limit(times=2, retry_after=30)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (LANDED, 1, (3, 1))


def test_a_longer_rate_limit_fails_the_attempt_and_the_next_one_orders(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.rate_limit(times=3)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (LANDED, 2, (4, 1))


def test_a_refusal_fails_the_task_for_good(film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults) -> None:
    orvideo_faults.refuse(413, "Too much of it")
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (NO_VIDEO, 1, (1, 0))
    assert "Too much of it" in str(run.errors["submit"])


@pytest.mark.parametrize("status", [408, 499, 503, 200])
def test_a_status_that_is_no_clear_refusal_is_none(orvideo_faults: Faults, status: int) -> None:
    with pytest.raises(ValueError, match=f"'status' is {status}"):
        orvideo_faults.refuse(status)


def test_missing_credits_fail_the_attempt_and_a_retry_orders(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.no_credits(times=1)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (LANDED, 2, (2, 1))


@pytest.mark.parametrize(("accepted", "jobs"), [(False, 0), (True, 1)])
def test_moderation_is_not_asked_again(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults, *, accepted: bool, jobs: int
) -> None:
    orvideo_faults.refuse_by_moderation(accepted=accepted)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (NO_VIDEO, 1, (1, jobs))


@pytest.mark.parametrize("status", [None, 408, 499, 503])
def test_a_lost_answer_stops_the_task_and_nothing_is_ordered_again(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults, status: int | None
) -> None:
    orvideo_faults.lose_answer(status=status)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (NO_VIDEO, 1, (1, 1))
    assert "one video may have been billed" in str(run.errors["submit"])


def test_a_clear_refusal_is_no_lost_answer(orvideo_faults: Faults) -> None:
    with pytest.raises(ValueError, match=r"'status' is 400.*refuse\(400\)"):
        orvideo_faults.lose_answer(status=400)


def test_a_failed_job_is_not_bought_again(film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults) -> None:
    orvideo_faults.fail_job("Out of film", status="expired")
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (NO_VIDEO, 1, (1, 1))
    assert "Out of film" in str(run.errors["submit"])


def test_a_slow_job_is_waited_for(film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults) -> None:
    orvideo_faults.slow_job(0.2)
    run = film()
    assert (run.states, paid(orvideo_simulator)) == (LANDED, (1, 1))
    (job,) = orvideo_simulator.jobs()
    assert job.polls > 1


def test_a_job_that_never_ends_is_given_up_and_looked_at_again_but_not_ordered_again(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.never_finish()
    run = film(timeout=0.2)
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (NO_VIDEO, 3, (1, 1))
    assert "still 'pending'" in str(run.errors["submit"])


def test_failed_polls_are_no_failed_job(film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults) -> None:
    orvideo_faults.poll_errors(3)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (LANDED, 1, (1, 1))
    assert len(orvideo_simulator.requests(operation="getVideos", status=502)) == 3


@pytest.mark.parametrize(("status", "times"), [(401, 2), (403, 1)])
def test_a_refused_poll_ends_the_attempt_and_a_retry_re_attaches(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults, status: int, times: int
) -> None:
    orvideo_faults.poll_errors(times, status=status)
    run = film()
    assert (run.states, run.tries["submit"], paid(orvideo_simulator)) == (LANDED, 2, (1, 1))


@pytest.mark.parametrize(("cuts", "tries"), [(3, 1), (4, 2)])
def test_a_cut_download_starts_again_and_orders_nothing(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults, folder: Path, cuts: int, tries: int
) -> None:
    orvideo_faults.cut_download(cuts)
    run = film()
    assert (run.states, run.tries["download"], paid(orvideo_simulator)) == (LANDED, tries, (1, 1))
    assert [file.stat().st_size for file in folder.glob("*.mp4")] == [run.xcoms["download"]["files"][0]["bytes"]]


def test_a_broken_video_never_lands(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults, folder: Path
) -> None:
    orvideo_faults.broken_video()
    run = film()
    assert (run.states, run.tries["download"], paid(orvideo_simulator)) == (NOT_LANDED, 3, (1, 1))
    assert not list(folder.glob("*.mp4"))


def test_a_broken_video_is_downloaded_again_by_a_retry(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.broken_video(1)
    run = film()
    assert (run.states, run.tries["download"], paid(orvideo_simulator)) == (LANDED, 2, (1, 1))


def test_a_video_that_is_gone_is_not_ordered_again(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    orvideo_faults.video_gone()
    run = film()
    assert (run.states, paid(orvideo_simulator)) == (NOT_LANDED, (1, 1))
    assert "only a new video does" in str(run.errors["download"])


def test_a_mishap_hits_the_prompts_that_it_names_and_can_be_cleared(
    film: Film, orvideo_simulator: Simulator, orvideo_faults: Faults
) -> None:
    other, this = orvideo_faults.refuse(prompt="a blue boat"), orvideo_faults.refuse(prompt="red")
    assert film().states == NO_VIDEO
    assert {rule["id"]: rule["hits"] for rule in orvideo_simulator.faults()} == {other: 0, this: 1}
    orvideo_faults.clear()
    assert film().states == LANDED
