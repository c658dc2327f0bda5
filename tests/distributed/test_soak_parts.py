"""What `make soak` is made of: how orders are divided, what it sees of memory, and faults that fit the simulator."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import soak
import soak_watch
from local_airflow import wait_until
from soak_watch import Life

from airflow_provider_orvideo.simulator.control import parse_rules

if TYPE_CHECKING:
    import pytest


def wanted(videos: int, generate: int | None = None) -> argparse.Namespace:
    return argparse.Namespace(
        videos=videos, generate=generate, minutes=1.0, kill_every=60.0, job_seconds=1.0, parallelism=2, seed=1
    )


def test_most_orders_are_in_batches_of_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "has_batches", lambda: True)
    full = soak.plan(wanted(2000))
    assert (full.generate, full.batches, full.videos) == (300, (100,) * 17, 2000)
    assert soak.plan(wanted(30)).batches == (20,)
    assert soak.plan(wanted(250, generate=0)).batches == (100, 100, 50)


def test_without_the_batch_operator_every_order_is_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "has_batches", lambda: False)
    assert (soak.plan(wanted(50)).generate, soak.plan(wanted(50)).batches) == (50, ())


def test_the_simulator_understands_each_fault_and_one_in_twenty_calls_is_hit() -> None:
    assert [rule.id for rule in parse_rules(list(soak.FAULTS))] == [rule["id"] for rule in soak.FAULTS]
    shares: Counter[str] = Counter()
    for rule in soak.FAULTS:
        shares[rule["match"]["operation"]] += 1000 // rule["every"]
    assert all(48 <= share <= 50 for share in shares.values())
    assert {rule["id"] for rule in soak.FAULTS} > soak.UNCLEAR


def test_components_are_restarted_one_after_the_other() -> None:
    assert all(earlier[0] < later[0] for earlier, later in pairwise(soak.RESTARTS))
    assert Counter(what.split()[0] for _, what in soak.RESTARTS) == {"triggerer": 2, "scheduler": 1}


def life(*megabytes: float, step: float = 30.0) -> Life:
    return Life("x", [step * number for number in range(len(megabytes))], list(megabytes))


def test_the_slope_is_of_what_comes_after_the_warm_up() -> None:
    assert life(10, 90, 100, 101, 102, 103).slope == 2.0
    assert life(10, 90, 100, 100, 100).slope == 0.0
    assert life(10, 90, 100, 100).slope is None


def test_what_grows_for_long_enough_is_told_from_what_does_not() -> None:
    assert (
        life(*(100 + number for number in range(9))).is_growing is False
    )  # by 2 MB a minute, which is not more than that
    assert life(*(100 + 2 * number for number in range(9))).is_growing is True
    assert life(*(100 + 2 * number for number in range(8))).is_growing is False


def test_left_over_processes_are_seen_and_those_that_were_there_are_spared() -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as there:  # noqa: S603 - our own
        mine = f"{there.pid}: "

        def seen() -> bool:
            return any(line.startswith(mine) for line in soak_watch.left_over(set()))

        # A process has no title for a moment while it starts.
        wait_until("the process to be seen", seen, timeout=10, pause=0.01)
        assert [line for line in soak_watch.left_over({there.pid}) if line.startswith(mine)] == []
        assert soak_watch.resident(there.pid)
        there.communicate(b"\n")
    assert soak_watch.tasks_below(os.getpid()) == {}


def test_processes_that_run_a_task_are_known_by_their_title(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: dict[int, Any] = {
        1: b"airflow worker -- LocalExecutor: <idle>",
        2: b"airflow worker -- 01a203f9-6864-7f95-981e-65f6b9532754",
    }
    monkeypatch.setattr(soak_watch, "family", lambda _: [1, 2])
    monkeypatch.setattr(soak_watch, "title", titles.__getitem__)
    assert soak_watch.tasks_below(0) == {2: "01a203f9-6864-7f95-981e-65f6b9532754"}
