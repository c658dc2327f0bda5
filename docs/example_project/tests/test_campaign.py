"""The campaign, without the network and without money."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

DAG_FILE = "dags/campaign.py"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the videos of this test go."""
    monkeypatch.setenv("AIRFLOW_VAR_CAMPAIGN_FOLDER", f"{tmp_path.as_uri()}/")
    return tmp_path


def test_each_slogan_becomes_a_video(orvideo_run, orvideo_simulator):
    run = orvideo_run(DAG_FILE, conf={"slogans": ["One", "Two", "Three"]})

    assert run.state == "success"
    assert orvideo_simulator.posts == 3
    for index in range(3):
        (file,) = run.xcoms[f"film.download[{index}]"]["files"]
        assert Path(urlsplit(file["uri"]).path).stat().st_size == file["bytes"]


def test_a_refused_slogan_costs_nothing_and_holds_up_no_other(orvideo_run, orvideo_simulator, orvideo_faults):
    orvideo_faults.refuse_by_moderation(prompt="Rude")

    run = orvideo_run(DAG_FILE, conf={"slogans": ["Polite", "Rude"]})

    assert run.states["film.download[0]"] == "success"
    assert run.states["film.submit[1]"] == "failed"
    assert "moderation" in str(run.errors["film.submit[1]"])
    assert run.tries["film.submit[1]"] == 1  # its two retries do not ask again
    assert [job.order.prompt[-6:] for job in orvideo_simulator.jobs()] == ["Polite"]


def test_a_lost_answer_is_never_paid_twice(orvideo_run, orvideo_simulator, orvideo_faults):
    orvideo_faults.lose_answer(prompt="Two")

    run = orvideo_run(DAG_FILE, conf={"slogans": ["One", "Two"]})

    assert run.states["film.download[0]"] == "success"
    assert run.states["film.submit[1]"] == "failed"
    assert "one video may have been billed" in str(run.errors["film.submit[1]"])
    assert orvideo_simulator.posts == 2  # one for each slogan, and no more


def test_a_cut_download_is_mended_by_a_retry_without_paying(orvideo_run, orvideo_simulator, orvideo_faults, folder):
    orvideo_faults.cut_download(times=4)  # as often as one attempt tries

    run = orvideo_run(DAG_FILE, conf={"slogans": ["One"]})

    assert run.state == "success"
    assert run.tries == {"prompts": 1, "film.submit[0]": 1, "film.download[0]": 2}
    assert len(list(folder.glob("*.mp4"))) == 1
    assert orvideo_simulator.posts == 1
