"""Options of ``[orvideo]`` that nobody can read: a batch lands what is paid for, and orders nothing more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_orvideo.exceptions import BatchIncompleteError
from tests.airflow_side.conftest import fire

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import MakeContext
    from tests.batch.conftest import Attempt, MakeBatch, Mode, ReadManifest

ROWS: dict[str, Any] = {"requests": ["a boat", "a bridge", "a bird"], "max_in_flight": 2, "deferrable": True}
OPTIONS = [("cache_ttl", "soon"), ("input_image_max_bytes", "10MB"), ("input_url_ttl", "4 h")]


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_what_is_paid_for_lands_and_the_rest_is_ordered_once_the_option_is_mended(
    sim: Simulator,
    make_batch: MakeBatch,
    make_context: MakeContext,
    attempt: Attempt,
    read_manifest: ReadManifest,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    value: str,
) -> None:
    context: Any = make_context()
    with pytest.raises(TaskDeferred) as deferred:
        make_batch(**ROWS).execute(context)
    event = asyncio.run(fire(deferred.value.trigger))
    name = f"AIRFLOW__ORVIDEO__{option.upper()}"
    monkeypatch.setenv(name, value)
    said = rf"2 of 3 items landed; .*\[orvideo\] {option} is '{value}'; it must be .*takes up 1 of them"
    with pytest.raises(BatchIncompleteError, match=said):
        make_batch(**ROWS).execute_complete(context, event)
    assert [line["status"] for line in read_manifest()] == ["landed", "landed", "not_ordered"]
    with pytest.raises(BatchIncompleteError, match="2 of 3 items landed"):
        attempt(try_number=2, **ROWS)
    assert sim.posts == 2
    monkeypatch.delenv(name)
    assert attempt(try_number=3, **ROWS)["landed"] == 3
    assert sim.posts == 3


def test_a_grace_that_cannot_be_read_stops_nothing(
    sim: Simulator, attempt: Attempt, mode: Mode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Jobs that were begun before have ended by now, so that nobody waits for the default's ten seconds.
    attempt("a boat", "a bridge", **mode)
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "soon")
    assert attempt("a boat", "a bridge", try_number=2, **mode)["landed"] == 2
    assert sim.posts == 2
    assert "resume_grace" not in caplog.text, "nothing is waited for"


def test_a_grace_that_cannot_be_read_is_the_default(
    sim: Simulator,
    make_batch: MakeBatch,
    make_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__RESUME_GRACE", "soon")
    context: Any = make_context()
    with pytest.raises(TaskDeferred) as deferred:
        make_batch(**ROWS).execute(context)
    kwargs = deferred.value.trigger.serialize()[1]
    assert kwargs["not_before"] - max(submitted for _, submitted, *_ in kwargs["jobs"]) >= 10
    assert sim.posts == 2
    (said,) = [record.getMessage() for record in caplog.records if "resume_grace" in record.getMessage()]
    assert "the default is taken, 10" in said
