"""Options of ``[orvideo]`` that nobody can read: what is paid is followed, and only new orders stop, if any do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger
from tests.batch.test_batch_orders import PNG

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Attempt, Defer, FakeStateStore, MakeSubmit

#: Options that orders need, and what each may not be.
OF_ORDERS = [
    ("cache_ttl", "soon"),
    ("cache_ttl", "-1"),
    ("cache_ttl", "nan"),
    ("input_image_max_bytes", "10MB"),
    ("input_image_max_bytes", "1.5"),
    ("input_image_max_bytes", "0"),
    ("input_url_ttl", "4 h"),
    ("input_url_ttl", "inf"),
    ("input_url_ttl", "9999999"),
]

Option = tuple[str, str]


def misset(monkeypatch: pytest.MonkeyPatch, option: Option) -> None:
    monkeypatch.setenv(f"AIRFLOW__ORVIDEO__{option[0].upper()}", option[1])


# ── What orders need ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("option", OF_ORDERS)
def test_nothing_is_ordered_and_the_message_says_what_to_do(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, monkeypatch: pytest.MonkeyPatch, option: Option
) -> None:
    misset(monkeypatch, option)
    with pytest.raises(ConfigurationError, match="it must be") as caught:
        attempt()
    said = str(caught.value)
    assert f"[orvideo] {option[0]}" in said
    assert option[1] in said
    assert "Nothing is ordered until it is" in said
    assert f"AIRFLOW__ORVIDEO__{option[0].upper()}" in said
    assert (sim.posts, store.values) == (0, {})


@pytest.mark.parametrize("option", OF_ORDERS)
@pytest.mark.parametrize("media", [False, True], ids=["without media", "with media"])
def test_a_job_that_is_paid_for_is_followed(
    sim: Simulator,
    attempt: Attempt,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: Option,
    media: bool,  # noqa: FBT001
) -> None:
    image = tmp_path / "first.png"
    image.write_bytes(PNG)
    order = {"frame_images": str(image)} if media else {}
    first = attempt(**order)
    misset(monkeypatch, option)
    assert attempt(try_number=2, **order)["job_id"] == first["job_id"]
    assert sim.posts == 1


@pytest.mark.parametrize("option", OF_ORDERS)
def test_another_request_is_not_ordered_and_the_job_stays_on_record(
    sim: Simulator, attempt: Attempt, store: FakeStateStore, monkeypatch: pytest.MonkeyPatch, option: Option
) -> None:
    attempt()
    before = dict(store.values)
    misset(monkeypatch, option)
    with pytest.raises(ConfigurationError):
        attempt(try_number=2, prompt="a bridge")
    assert (sim.posts, store.values) == (1, before)


def test_an_option_that_is_empty_is_one_that_is_not_set(
    sim: Simulator, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cache_ttl", "input_image_max_bytes", "input_url_ttl"):
        misset(monkeypatch, (name, ""))
    assert attempt()["status"] == "completed"
    assert sim.posts == 1


# ── What orders do not need ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_grace_that_cannot_be_read_is_the_default_and_one_line_says_so(
    sim: Simulator,
    make_submit: MakeSubmit,
    defer: Defer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    value: str,
) -> None:
    misset(monkeypatch, ("resume_grace", value))
    before = time.time()
    trigger = defer(make_submit(deferrable=True)).trigger
    assert isinstance(trigger, OrVideoJobTrigger)
    assert before + 10 <= trigger.not_before <= time.time() + 10
    assert sim.posts == 1
    (said,) = [record.getMessage() for record in caplog.records if "resume_grace" in record.getMessage()]
    assert said.startswith(f"[orvideo] resume_grace is '{value}'; it must be a number of seconds, 0 or more.")
    assert "the default is taken, 10" in said


def test_a_switch_of_airflows_that_cannot_be_read_stops_nothing(
    sim: Simulator, attempt: Attempt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = attempt()
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "perhaps")
    assert attempt(try_number=2)["job_id"] == first["job_id"]
    assert "[state_store] clear_on_success is 'perhaps'; it must be True or False." in caplog.text
    assert sim.posts == 1
