"""One contender of ``bench_polling.py`` in a process of its own: waits for N jobs and prints its figures as JSON.

In turn: imports and one job, so that what is needed once is not counted per job; setup of all jobs until the loop is
quiet; a while of polling that is not measured; the measured window, in which no job ends; then all jobs end, spread
over one interval.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contenders import CONTENDERS, Plan, quieten
from benchmarks.fake_api import FakeApi, job_id
from benchmarks.measuring import LoopLag, percentile, raise_file_limit, rss_kib

if TYPE_CHECKING:
    from benchmarks.contenders import Contender

#: The loop counts as quiet when the process used less than this share of a core over half a second.
_QUIET: Final = 0.1
_LOOK: Final = 0.5
_SETUP_LIMIT: Final = 600.0


async def ready() -> float:
    """Wait until the loop is quiet; return the processor time used until then."""
    end = time.monotonic() + _SETUP_LIMIT
    used, at = time.process_time(), time.monotonic()
    while True:
        await asyncio.sleep(_LOOK)
        now, moment = time.process_time(), time.monotonic()
        if now - used < _QUIET * (moment - at) or moment > end:
            return now
        used, at = now, moment


async def measure(contender: Contender, api: FakeApi, options: argparse.Namespace) -> dict[str, Any]:
    """Run the whole course and return the figures."""
    jobs, interval, seconds, warm = options.jobs, options.interval, options.seconds, options.warm
    total = warm + seconds + 2 * interval + options.slack
    loop = asyncio.get_running_loop()

    def plan(begin: float | None) -> Plan:
        told = Plan(api.base_url, interval, options.age, total + 600, loop.create_future())
        if begin is not None:
            told.go.set_result(begin)
        return told

    await asyncio.to_thread(api.control, "go")
    await asyncio.wait_for(contender.follow(plan(time.time() - 60), job_id(0, 0), 0.0), 60)
    await ready()
    gc.collect()
    idle_kib, idle_cpu = rss_kib(), time.process_time()

    planned = None if contender.head_start is None else time.time() + 2 + contender.head_start * jobs
    waiting = plan(planned)
    rng = random.Random(1)  # noqa: S311 - when jobs end must have nothing to do with when they are polled
    tasks = [
        asyncio.ensure_future(
            contender.follow(waiting, job_id(warm + seconds + interval * rng.random(), index), interval * index / jobs)
        )
        for index in range(jobs)
    ]
    setup = await ready() - idle_cpu
    late_start = 0.0 if planned is None else max(0.0, time.time() - planned)
    if planned is not None:
        await asyncio.sleep(max(0.0, planned - time.time()))
    await asyncio.to_thread(api.control, "go")
    if planned is None:
        waiting.go.set_result(time.time())
    begin = time.monotonic()

    await asyncio.sleep(warm)
    before = await asyncio.to_thread(api.control, "window")
    used, at = time.process_time(), time.monotonic()
    async with LoopLag() as lag:
        await asyncio.sleep(max(0.0, begin + warm + seconds - time.monotonic()))
    used, at = time.process_time() - used, time.monotonic() - at
    after = await asyncio.to_thread(api.control, "stats")
    kib = rss_kib()

    done, late = await asyncio.wait(tasks, timeout=max(0.0, begin + total - time.monotonic()))
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    errors = [task.exception() for task in done]
    ends = Counter(type(error).__name__ if error else task.result() for task, error in zip(done, errors, strict=True))
    end = await asyncio.to_thread(api.control, "stats")
    polls = after["polls"]
    return {
        "setup_cpu": setup,
        "late_start": late_start,
        "cpu_per_1000": used / polls * 1000 if polls else None,
        "core": used / at,
        "polls_per_second": polls / at,
        "wanted": jobs / interval,
        "refused_per_second": after["refused"] / at,
        "kib_per_job": (kib - idle_kib) / jobs,
        "lag_p99_ms": percentile(lag.seconds, 0.99) * 1000,
        "sockets": after["peak_connections"],
        "late_p95": after["late_p95"],
        "worst_gap": after["worst_gap"],
        "gaps": after["gaps"],
        "starved": after["starved"],
        "notice_p50": end["notice_p50"],
        "notice_p95": end["notice_p95"],
        "server_cpu_ms": (after["cpu"] - before["cpu"]) / polls * 1000 if polls else None,
        "ends": {**ends, **({"not noticed": len(late)} if late else {})},
        "posts": end["posts"],
    }


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", choices=CONTENDERS, required=True)
    parser.add_argument("--port", type=int, required=True, help="of the fake API")
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="length of the measured window")
    parser.add_argument("--warm", type=float, required=True, help="seconds of polling before it")
    parser.add_argument("--age", type=float, required=True, help="seconds that the jobs are old when polls begin")
    parser.add_argument("--slack", type=float, default=20.0, help="seconds for the last notices beyond the interval")
    options = parser.parse_args()
    raise_file_limit()
    quieten()
    api = FakeApi(options.port)
    print(json.dumps(asyncio.run(measure(CONTENDERS[options.contender], api, options))))


if __name__ == "__main__":
    main()
