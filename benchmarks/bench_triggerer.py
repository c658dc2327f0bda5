"""``make bench-triggerer N=1000``: N deferred tasks inside a real ``airflow triggerer``.

Each kind of trigger gets a deployment of its own: SQLite, the connection in the metadata database, N seeded deferrals,
a triggerer that is already up when they are handed to it: one, then all others at once. The figures:

- first: what happens once per process: seconds until the first trigger polled, and by how much the runner grew. The
  first look-up of a connection makes Airflow import its execution API, for seconds. ``--cold`` hands over all at once;
- running: seconds until the last ``run()`` was called; polled: until every job was polled once;
- runner MB: resident memory of the child that runs the triggers; KiB each: its growth over its idle self, per trigger,
  and in brackets over the trigger that only sleeps;
- CPU s: processor time of the runner from the hand-over to the end of the steady window, set-up included;
- runner core, supervisor core: processor time in the steady window as a share of one core;
- blocked: Airflow's warnings that the event loop was blocked, from start to end. One or two come of Airflow itself
  making a thousand triggers, more or fewer by chance: ``--repeat 4`` compares their mean.

``--restart`` instead kills the triggerer with all jobs in flight and starts another, while the jobs end: every wait
must end with the job's completion, and nothing may be ordered.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.fake_api import FakeApi
from benchmarks.measuring import cpu_seconds, machine, raise_file_limit
from benchmarks.triggerer_lab import KINDS, lab, template, wait_until

if TYPE_CHECKING:
    from local_airflow import LocalAirflow

#: The limits: running against the sleeping trigger, KiB per trigger, share of the CPU of a client per trigger.
MAX_RUNNING: Final = 1.5
MAX_KIB: Final = 30.0
MAX_CPU: Final = 1 / 3
_NEVER: Final = 1e6
#: Seconds after which a triggerer without heartbeat loses its triggers, and a bit.
_TAKE_OVER: Final = 40.0


@dataclass(frozen=True)
class Figures:
    """What was measured of one kind."""

    first: float | None
    first_mb: float | None
    running: float
    polled: float | None
    runner_mb: float
    kib_each: float
    cpu: float
    runner_core: float
    supervisor_core: float
    polls_per_second: float
    blocked: float


def measure(made: LocalAirflow, name: str, api: FakeApi, options: argparse.Namespace) -> Figures:
    """Run one kind to its end."""
    with lab(made, name, api, options.jobs, options.interval, _NEVER) as there:
        there.start()
        idle, first, once = there.memory(), None, None
        if not options.cold:
            begun = there.release(1)
            first = there.wait_working(1) - begun
            there.wait_idle()
            once = there.memory() - idle
        handed_over = cpu_seconds(there.runner)
        begun = there.release()
        running = there.wait_running(options.jobs) - begun
        polled = there.wait_polled(options.jobs) - begun if there.kind.polls else None
        time.sleep(options.interval + 2)
        runner, supervisor = there.runner, there.triggerer
        api.control("window")
        at, used, above = time.monotonic(), cpu_seconds(runner), cpu_seconds(supervisor)
        time.sleep(options.seconds)
        at, used, above = time.monotonic() - at, cpu_seconds(runner) - used, cpu_seconds(supervisor) - above
        return Figures(
            first=first,
            first_mb=None if once is None else once / 1024,
            running=running,
            polled=polled,
            runner_mb=there.memory() / 1024,
            kib_each=(there.memory() - idle - (once or 0.0)) / options.jobs,
            cpu=cpu_seconds(runner) - handed_over,
            runner_core=used / at,
            supervisor_core=above / at,
            polls_per_second=api.control("stats")["polls"] / at,
            blocked=there.blocked,
        )


def row(name: str, options: argparse.Namespace, found: Figures, floor: Figures | None) -> str:
    """Write one kind's figures as a line under the titles."""
    over = f" ({found.kib_each - floor.kib_each:+.1f})" if floor else ""
    polled = "-" if found.polled is None else f"{found.polled:.1f} s"
    wanted = options.jobs / options.interval
    polls = f"{found.polls_per_second:.1f}/{wanted:.1f}" if KINDS[name].polls else "-"
    first = "-" if found.first is None else f"{found.first:.1f} s {found.first_mb:+.1f} MB"
    return (
        f"{KINDS[name].label:26}{options.jobs:7d}{first:>17}{found.running:8.1f} s{polled:>10}{found.runner_mb:11.0f}"
        f"{f'{found.kib_each:.1f}{over}':>18}{found.cpu:8.1f}{found.runner_core:13.3f}{found.supervisor_core:17.3f}{polls:>14}"
        f"{found.blocked:9g}"
    )


def verdict(found: dict[str, Figures]) -> bool:
    """Compare this provider's trigger with the others, as far as they ran; say whether all limits are kept."""
    ours, floor, peer = found.get("provider"), found.get("sleep"), found.get("httpx")
    checks: list[tuple[str, bool]] = []
    if ours:
        checks.append((f"{ours.kib_each:.1f} KiB per trigger, at most {MAX_KIB:g}", ours.kib_each <= MAX_KIB))
    if ours and floor:
        ratio = ours.running / floor.running
        checks.append((f"running after {ratio:.2f} x the floor, at most {MAX_RUNNING:g}", ratio <= MAX_RUNNING))
        checks.append((f"{ours.blocked:g} warnings, the floor {floor.blocked:g}", ours.blocked <= floor.blocked))
    if ours and peer:
        share, steady = ours.cpu / peer.cpu, ours.runner_core / peer.runner_core
        text = f"{share:.2f} of the CPU of a client per trigger, at most {MAX_CPU:.2f}; {steady:.2f} of it once all run"
        checks.append((text, share <= MAX_CPU))
    for text, kept in checks:
        print(f"{'kept' if kept else 'NOT KEPT':10}{text}")
    return all(kept for _, kept in checks)


def restart(made: LocalAirflow, api: FakeApi, options: argparse.Namespace) -> bool:
    """Kill the triggerer with all jobs in flight, start another; say whether every job was seen to complete."""
    jobs, spread = options.jobs, options.spread
    with lab(made, "provider", api, jobs, options.interval, spread) as there:
        there.start()
        there.release()
        there.wait_working(jobs)
        api.control("go")
        runner = there.runner
        there.airflow.kill("triggerer")
        # One that nobody reaps stays visible, so this is no reason to fail.
        with suppress(TimeoutError):
            wait_until("the runner's end", lambda: not Path(f"/proc/{runner}").exists(), timeout=20)
        print(f"killed with {jobs} jobs in flight; they end within {spread:g} s", flush=True)
        begun = time.monotonic()
        there.start()
        limit = _TAKE_OVER + spread + 4 * options.interval + 60 + 0.1 * jobs
        print(f"another triggerer is up after {time.monotonic() - begun:.0f} s", flush=True)
        while "deferred" in there.ends() and time.monotonic() < begun + limit:
            time.sleep(1.0)
        ends, stats = there.ends(), api.control("stats")
        print(
            f"{time.monotonic() - begun:.0f} s after the kill: {dict(ends)}, {stats['posts']} POSTs, "
            f"{jobs - ends['completed']} lost"
        )
        return ends == {"completed": jobs} and stats["posts"] == 0


def main() -> int:
    """Print the table, or the course of a restart; the exit code says whether all limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="deferred tasks (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=10.0, help="poll_interval (default: %(default)g)")
    parser.add_argument("--seconds", type=float, default=30.0, help="steady window (default: %(default)g)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma separated (default: %(default)s)")
    parser.add_argument("--cold", action="store_true", help="count what happens once per process among the rest")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--restart", action="store_true", help="kill the triggerer and start another instead")
    parser.add_argument("--spread", type=float, default=60.0, help="restart: jobs end over this long (%(default)g s)")
    options = parser.parse_args()
    names = options.kinds.split(",")
    if unknown := set(names) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))}")
    raise_file_limit()
    print(f"{machine()}; every {options.interval:g} s, window of {options.seconds:g} s", flush=True)
    with (
        FakeApi.running(interval=options.interval) as api,
        tempfile.TemporaryDirectory(prefix="bench-triggerer-", ignore_cleanup_errors=True) as folder,
    ):
        made = template(Path(folder), api.base_url, options.jobs)
        if options.restart:
            return 0 if restart(made, api, options) else 1
        print(
            f"{'trigger':26}{'jobs':>7}{'first':>17}{'running':>10}{'polled':>10}{'runner MB':>11}"
            f"{'KiB each (floor)':>18}{'CPU s':>8}{'runner core':>13}{'supervisor core':>17}{'polls/s':>14}"
            f"{'blocked':>9}"
        )
        found: dict[str, Figures] = {}
        for name in names:
            runs = []
            for _ in range(options.repeat):
                runs.append(measure(made, name, api, options))
                print(row(name, options, runs[-1], found.get("sleep")), flush=True)
            usual = sorted(runs, key=lambda run: run.running)[len(runs) // 2]
            found[name] = replace(usual, blocked=sum(run.blocked for run in runs) / len(runs))
    return 0 if verdict(found) else 1


if __name__ == "__main__":
    sys.exit(main())
