"""A worker that dies at each single step in turn: whenever it does, the next attempt pays for no item a second time."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.landing import publish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import FakeStateStore
    from tests.batch.conftest import Attempt, ReadManifest

ITEMS = ("a boat", "a bridge")


class Died(BaseException):
    """The worker is dead."""


class Death:
    """Counts what a worker does to the world outside, and ends it at a given step and from then on.

    Attributes:
        at: the step, None for never.
        steps: steps so far.
    """

    def __init__(self) -> None:
        self.at: int | None = None
        self.steps = 0

    def comes(self, at: int | None) -> None:
        """Begin to count anew."""
        self.at, self.steps = at, 0

    def before(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """Take a step before an act. A death after it is one before the next."""

        def acted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
            self._step()
            return act(*arguments, **options)

        return acted

    def _step(self) -> None:
        self.steps += 1
        if self.at is not None and self.steps >= self.at:
            raise Died


@pytest.fixture
def death(store: FakeStateStore, monkeypatch: pytest.MonkeyPatch) -> Death:
    """Stand at each door: the records, the API, the storage."""
    death = Death()
    for name in ("get", "set", "delete"):
        monkeypatch.setattr(store, name, death.before(getattr(store, name)))
    for name in ("generate", "_open"):
        monkeypatch.setattr(VideoClient, name, death.before(getattr(VideoClient, name)))
    monkeypatch.setattr(publish, "_at", death.before(publish._at))
    return death


@pytest.mark.parametrize(
    "arguments",
    [{"deferrable": False, "max_in_flight": 2}, {"deferrable": True, "max_in_flight": 1}],
    ids=["at once", "one by one"],
)
def test_no_step_at_which_a_worker_dies_makes_it_pay_twice(
    sim: Simulator,
    death: Death,
    store: FakeStateStore,
    attempt: Attempt,
    videos: Path,
    read_manifest: ReadManifest,
    arguments: dict[str, Any],
) -> None:
    arguments = {**arguments, "max_concurrent_submits": 1}
    ambiguous = 0
    for step in itertools.count(1):
        sim.reset()
        store.values.clear()
        shutil.rmtree(videos, ignore_errors=True)
        death.comes(step)
        try:
            attempt(*ITEMS, **arguments)
        except Died:
            pass
        else:
            break
        unknown = [name for name, value in store.values.items() if '"phase": "intent"' in value]
        death.comes(None)
        if unknown:
            assert len(unknown) == 1, step
            with pytest.raises(AirflowFailException, match="1 of 2 items landed; not so 1: 1 ambiguous"):
                attempt(*ITEMS, try_number=2, **arguments)
            ambiguous += 1
        else:
            assert attempt(*ITEMS, try_number=2, **arguments)["landed"] == 2, step
            assert sim.posts == 2
        prompts = [job.order.prompt for job in sim.jobs()]
        assert len(set(prompts)) == len(prompts), f"paid twice after a death at step {step}"
        assert len(prompts) >= 2 - len(unknown)
        landed = [line for line in read_manifest() if line["status"] == "landed"]
        assert len(landed) == 2 - len(unknown)
        assert {line["job_id"] for line in landed} <= {job.id for job in sim.jobs()}
    assert step > 30, "there are many steps"
    # Between the records of the intent and of the job there are two: before the POST, and after it.
    assert ambiguous == 2 * len(ITEMS)
