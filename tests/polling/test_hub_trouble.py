"""The hub when things go wrong: refusals, throttling, crashes, and every unlucky moment to come or to leave."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.exceptions import AuthenticationError, ConfigurationError
from airflow_provider_orvideo.polling import hub as hub_module
from airflow_provider_orvideo.polling.decision import Ended, GaveUp, TimedOut
from airflow_provider_orvideo.polling.schedule import DurationModel
from airflow_provider_orvideo.polling.shared_client import CONFIG_TTL
from tests.polling.hub_world import NOW, World, until

if TYPE_CHECKING:
    from airflow_provider_orvideo.polling.agenda import End


def ended(ends: list[End]) -> bool:
    return all(isinstance(end, Ended) and end.job.status == "completed" for end in ends)


# ── The key ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_key_is_used_after_one_look(world: World) -> None:
    good = "sk-or-one"

    def answer(_job: str, nth: int) -> Any:  # noqa: ANN401
        return 401 if world.asked_with != good else "completed" if nth > 8 else "in_progress"

    async def scene() -> list[End]:
        nonlocal good
        tasks = [asyncio.create_task(world.wait_for(f"j{n}")) for n in range(100)]
        await asyncio.sleep(12)
        good = world.key = "sk-or-two"
        return await asyncio.gather(*tasks)

    world.answer, world.latency = answer, 0.0
    assert ended(world.run(scene))
    assert len(world.lookups) == 2
    assert {key for _, _, key in world.polls} == {"sk-or-one", "sk-or-two"}


def test_a_key_that_stays_refused_gives_up_after_one_look(world: World) -> None:
    world.answer = lambda _job, _nth: 401

    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for(f"j{n}") for n in range(50)))

    ends = world.run(scene)
    assert all(isinstance(end, GaveUp) and isinstance(end.error, AuthenticationError) for end in ends)
    assert len(world.lookups) == 2
    assert max(world.counts.values()) <= 3


def test_a_long_look_at_the_connection_holds_nobody_up(world: World) -> None:
    world.answer = lambda job, nth: (
        401 if job == "bad" and world.now < NOW + 80 else "completed" if nth > 4 or job == "bad" else "pending"
    )

    async def scene() -> list[End]:
        task = asyncio.create_task(world.wait_for("bad"))
        await asyncio.sleep(4)
        world.lookup_takes = 80.0
        return [await world.wait_for("good", submitted_at=NOW - 60), await task]

    assert ended(world.run(scene))
    assert max(later - earlier for earlier, later in pairwise(world.at("good"))) <= 30.1
    assert world.counts["bad"] <= 6, "nor is the refused key tried without end"


def test_a_refused_job_is_asked_for_again_at_once(world: World) -> None:
    world.answer = lambda _job, _nth: 401 if world.asked_with == "sk-or-one" else "completed"

    async def scene() -> list[End]:
        tasks = [asyncio.create_task(world.wait_for(f"j{n}")) for n in range(20)]
        await asyncio.sleep(1)
        world.key = "sk-or-two"
        return await asyncio.gather(*tasks)

    assert ended(world.run(scene))
    assert max(at for at, _, _ in world.polls) < NOW + 6


@pytest.mark.parametrize("steps", range(6))
def test_who_is_asked_to_look_and_cancelled_at_that_moment_harms_nobody(
    world: World, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every step of the loop after the asking is tried as the moment of the cancellation.
    world.answer = lambda _job, _nth: 401 if world.asked_with == "sk-or-one" else "completed"
    tasks: dict[str, asyncio.Task[End]] = {}
    real = hub_module.PollHub.func  # type: ignore[attr-defined]
    ask = real._ask_for_reload

    def cancel(job_id: str, left: int) -> None:
        if left:
            asyncio.get_running_loop().call_soon(cancel, job_id, left - 1)
        else:
            tasks.pop(job_id).cancel()

    def spy(hub: Any, job: Any) -> None:  # noqa: ANN401
        before = hub._reloader
        ask(hub, job)
        if before is None and len(tasks) == 5:
            cancel(job.job_id, steps)

    monkeypatch.setattr(real, "_ask_for_reload", spy)

    async def scene() -> list[End]:
        tasks.update({f"j{n}": asyncio.create_task(world.wait_for(f"j{n}")) for n in range(5)})
        await asyncio.sleep(1)
        world.key = "sk-or-two"
        await asyncio.sleep(10)
        assert len(tasks) == 4
        return await asyncio.gather(*tasks.values())

    assert ended(world.run(scene))


def test_who_is_cancelled_while_it_looks_harms_nobody(world: World) -> None:
    good = "sk-or-two"
    world.answer = lambda _job, _nth: 401 if world.asked_with != good else "completed"

    async def scene() -> list[End]:
        tasks = {f"j{n}": asyncio.create_task(world.wait_for(f"j{n}")) for n in range(5)}
        await asyncio.sleep(1)
        world.key, world.lookup_takes = good, 10.0
        await asyncio.sleep(6)
        asked = hub_module.hub_for("c")._reloader
        assert asked is not None
        tasks.pop(asked.wait.job_id).cancel()
        return await asyncio.gather(*tasks.values())

    assert ended(world.run(scene))


def test_a_first_look_that_fails_raises_and_leaves_nothing(world: World) -> None:
    world.lookup_error = ConfigurationError("no such connection")

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(ConfigurationError):
                await world.wait_for("j")
        assert not hub_module._hubs.get(asyncio.get_running_loop())
        world.lookup_error = None
        assert isinstance(await world.wait_for("j"), Ended)

    world.run(scene)
    assert len(world.lookups) == 3


@pytest.mark.parametrize("key", ["sk-or-one", "bad\nkey"], ids=["lookup fails", "settings are broken"])
def test_a_later_look_that_fails_keeps_the_settings(world: World, key: str, caplog: pytest.LogCaptureFixture) -> None:
    world.answer = lambda _job, _nth: "completed" if world.now > NOW + 2 * CONFIG_TTL else "in_progress"

    async def scene() -> End:
        task = asyncio.create_task(world.wait_for("j"))
        await asyncio.sleep(10)
        world.key = key
        world.lookup_error = RuntimeError("secret words") if key == "sk-or-one" else None
        return await task

    assert ended([world.run(scene)])
    assert len(world.lookups) >= 3, "it is tried again soon"
    assert "secret words" not in caplog.text


# ── Errors, and the deadline ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", [500, 502, 503, 429, 408, 404, httpx.ReadTimeout("x"), httpx.ConnectError("x"), ""])
def test_what_passes_never_ends_a_wait(world: World, trouble: Any) -> None:  # noqa: ANN401
    odd = httpx.Response(200, text="<html>")
    world.answer = lambda _job, nth: (odd if trouble == "" else trouble) if nth < 6 else "completed"
    assert ended([world.run(lambda: world.wait_for("j"))])
    assert world.counts["j"] == 6


@pytest.mark.parametrize("trouble", ["in_progress", "odd_status", 500, 429, 503, httpx.ReadTimeout("x")])
def test_the_deadline_is_kept_with_a_last_look_at_it(world: World, trouble: Any) -> None:  # noqa: ANN401
    world.answer = lambda _job, _nth: trouble

    async def scene() -> tuple[End, float]:
        return await world.wait_for("j", deadline=NOW + 100), world.now

    end, at = world.run(scene)
    assert end == TimedOut(trouble if isinstance(trouble, str) else None)
    assert world.at("j")[-1] == pytest.approx(100, abs=2.1)
    assert at - NOW == pytest.approx(100, abs=2.2)
    if isinstance(trouble, str):
        assert world.at("j")[-1] == pytest.approx(100, abs=0.01)


def test_a_deadline_that_passed_still_looks_once(world: World) -> None:
    assert ended([world.run(lambda: world.wait_for("j", deadline=NOW - 50, submitted_at=NOW - 90))])


def test_an_unknown_job_is_believed_for_a_while_only(world: World) -> None:
    world.answer = lambda _job, _nth: 404
    assert isinstance(world.run(lambda: world.wait_for("j")), GaveUp)
    assert 600 <= world.at("j")[-1] < 1000


# ── Too many requests ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_stops_the_whole_hub(world: World, code: int) -> None:
    stop = httpx.Response(code, headers={"Retry-After": "20"}, json={"error": {"code": code, "message": "slow"}})
    world.answer = lambda job, nth: (
        stop if nth == 1 and job in {name for _, name, _ in world.polls[:8]} else "completed"
    )

    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for(f"j{n}", submitted_at=NOW - 60) for n in range(200)))

    assert ended(world.run(scene))
    early = [at for at, _, _ in world.polls if at < NOW + 20]
    assert len(early) <= hub_module.IN_FLIGHT, "what is due already waits as well"


def test_retry_after_is_capped(world: World) -> None:
    stop = httpx.Response(429, headers={"Retry-After": "86400"}, json={"error": {"code": 429, "message": "slow"}})
    world.answer = lambda _job, nth: stop if nth == 1 else "completed"
    assert ended([world.run(lambda: world.wait_for("j"))])
    assert world.at("j")[-1] < 130


def test_the_users_limit_holds(world: World) -> None:
    world.limit = 10.0

    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for(f"j{n}", submitted_at=NOW - 60) for n in range(100)))

    assert ended(world.run(scene))
    times = [at for at, _, _ in world.polls]
    assert all(later - earlier > 0.99 for earlier, later in zip(times, times[11:], strict=False))


def test_a_changed_limit_holds_after_the_next_look(world: World) -> None:
    world.answer = lambda _job, _nth: "completed" if world.now > NOW + 700 else "in_progress"

    async def scene() -> None:
        tasks = [asyncio.create_task(world.wait_for(f"j{n}")) for n in range(30)]
        await asyncio.sleep(1)
        world.limit = 2.0
        await asyncio.sleep(CONFIG_TTL + 60)
        assert hub_module.hub_for("c")._throttle.limit == 2.0
        await asyncio.gather(*tasks)

    world.run(scene)


# ── Bugs of ours ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_crash_while_planning_fails_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(DurationModel, "next_delay", crash)
    world.answer = lambda _job, nth: "in_progress" if nth < 4 else "completed"
    assert ended([world.run(lambda: world.wait_for("j"))])


@pytest.mark.parametrize("error", [KeyError("bug"), asyncio.CancelledError()], ids=["bug", "stray cancellation"])
def test_a_crash_while_asking_fails_nobody(world: World, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    poll = hub_module.PollHub.func._poll  # type: ignore[attr-defined]

    async def crash(hub: Any, job: Any) -> None:  # noqa: ANN401
        nonlocal asked
        asked += 1
        if asked <= 20:
            raise error
        await poll(hub, job)

    monkeypatch.setattr(hub_module.PollHub.func, "_poll", crash)  # type: ignore[attr-defined]

    async def scene() -> list[End]:
        return await asyncio.gather(*(world.wait_for(f"j{n}") for n in range(10)))

    assert ended(world.run(scene))


def test_a_crash_that_stays_still_keeps_the_deadline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr("airflow_provider_orvideo.api.client.parse_answer", crash)

    async def scene() -> tuple[End, float]:
        return await world.wait_for("j", deadline=NOW + 100), world.now

    end, at = world.run(scene)
    assert end == TimedOut(None)
    assert at - NOW == pytest.approx(100, abs=0.1)


def test_a_crash_while_handing_out_stops_for_a_second_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def crash(_throttle: object, _now: float) -> float:
        nonlocal calls
        calls += 1
        if calls < 5:
            raise ZeroDivisionError
        return 0.0

    monkeypatch.setattr("airflow_provider_orvideo.polling.throttle.Throttle.take", crash)
    assert ended([world.run(lambda: world.wait_for("j"))])


def test_when_the_hubs_own_task_dies_everybody_moves_to_another(world: World) -> None:
    world.answer = lambda _job, _nth: "completed" if world.now > NOW + 60 else "in_progress"

    async def scene() -> list[End]:
        tasks = [asyncio.create_task(world.wait_for(f"j{n}")) for n in range(20)]
        await asyncio.sleep(20)
        hub = hub_module.hub_for("c")
        assert hub._main is not None
        hub._main.cancel()
        await asyncio.sleep(1)
        assert hub_module.hub_for("c") is not hub
        return await asyncio.gather(*tasks)

    assert ended(world.run(scene))


# ── Coming and leaving ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("steps", range(8))
def test_who_comes_as_the_job_ends_is_told_too(world: World, steps: int) -> None:
    world.latency = 0.0

    async def scene() -> list[End]:
        first = asyncio.create_task(world.wait_for("j"))
        await until(lambda: world.polls)
        for _ in range(steps):
            await asyncio.sleep(0)
        return [await world.wait_for("j"), await first]

    assert ended(world.run(scene))


def test_who_comes_between_the_end_and_the_leaving_is_told_too(world: World) -> None:
    async def scene() -> list[End]:
        first = asyncio.create_task(world.wait_for("j"))
        jobs = hub_module.hub_for("c")._agenda.jobs
        await until(lambda: "j" in jobs)
        second: list[asyncio.Task[End]] = []
        # Right at the moment at which the first is told, before it can leave.
        jobs["j"].waiters[0].end.add_done_callback(lambda _: second.append(asyncio.create_task(world.wait_for("j"))))
        ends = [await first]
        return [*ends, await second[0]]

    assert ended(world.run(scene))


def test_who_comes_with_a_hub_that_closed_meanwhile_gets_another(world: World) -> None:
    async def scene() -> End:
        await world.wait_for("one")
        coming = world.wait_for("two", submitted_at=NOW - 60)  # holds the old hub, and is not started yet
        await asyncio.sleep(hub_module.LINGER + 1)
        return await coming

    assert ended([world.run(scene)])


@pytest.mark.parametrize("late", [-0.02, -0.001, 0.0, 0.001, 0.02])
def test_who_comes_as_the_hub_closes_is_served(world: World, late: float) -> None:
    async def scene() -> End:
        await world.wait_for("one")
        await asyncio.sleep(hub_module.LINGER + late)
        return await world.wait_for("two")

    assert ended([world.run(scene)])


def test_leaving_harms_nobody_else(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.answer = lambda _job, _nth: "completed" if world.now > NOW + 100 else "in_progress"

    async def scene() -> list[End]:
        tasks = [asyncio.create_task(world.wait_for(f"j{n % 40}")) for n in range(200)]
        for step in range(80):
            await asyncio.sleep(0.5)
            tasks.pop(step).cancel()
        return await asyncio.gather(*tasks)

    with caplog.at_level(logging.WARNING):
        assert ended(world.run(scene))
    assert not caplog.records
