"""``make bench-polling``: what waiting for N jobs costs one event loop.

Each contender runs in a process of its own against a fake API of its own on loopback, one after the other. The figures:

- setup CPU s: processor time until all jobs wait;
- CPU s/1k: processor time per 1,000 polls in the steady window; core: the same as a share of one core;
- polls/s: got and wanted, which is jobs / interval;
- KiB/job: resident memory over the same process before the jobs;
- lag p99: how late a 10 ms sleep ends in the same loop;
- sockets: most connections at once in the window;
- late p95: by how much the gap between two polls of a job exceeds the interval;
- notice p95: from a job's completion to the poll that first tells it. Perfect polling at a fixed interval has 0.95 of
  the interval here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.fake_api import FakeApi
from benchmarks.measuring import airflow_environment, answer_of, machine, raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name of the preset: jobs, interval and measured seconds.
PRESETS: Final[Mapping[str, tuple[int, float, float]]] = {
    "quick": (200, 2.0, 5.0),
    "1000x10": (1_000, 10.0, 30.0),
    "5000x10": (5_000, 10.0, 30.0),
    "10000x30": (10_000, 30.0, 60.0),
}
#: Young jobs may be polled at another pace; these are old enough for the interval to hold.
AGE: Final = 120.0
#: Seconds that a contender may take beyond what it polls: imports, setup, the last notices.
_SPARE: Final = 900.0

_TITLES: Final = (
    f"{'contender':28}{'jobs':>7}{'every':>7}{'setup CPU s':>13}{'CPU s/1k':>10}{'core':>7}{'polls/s':>15}"
    f"{'KiB/job':>9}{'lag p99':>10}{'sockets':>9}{'late p95':>10}{'notice p95':>12}"
)


def measure(name: str, jobs: int, interval: float, seconds: float, age: float) -> dict[str, Any]:
    """Run one contender to its end and return its figures."""
    with FakeApi.running(interval=interval) as api, tempfile.TemporaryDirectory(prefix="bench-polling-") as home:
        command = ["-m", "benchmarks.polling_worker", "--contender", name, "--port", str(api.port)]
        command += ["--jobs", str(jobs), "--interval", str(interval), "--seconds", str(seconds)]
        command += ["--warm", str(interval + 1), "--age", str(age)]
        environment = airflow_environment(Path(home), api.base_url)
        figures: dict[str, Any] = answer_of(
            command, environment=environment, timeout=_SPARE + seconds + 4 * interval + jobs * 0.1
        )
        return figures


def row(name: str, jobs: int, interval: float, figures: Mapping[str, Any]) -> str:
    """Write one contender's figures as a line under the titles."""
    polls = f"{figures['polls_per_second']:.1f}/{figures['wanted']:.1f}"
    per_1000 = "-" if figures["cpu_per_1000"] is None else f"{figures['cpu_per_1000']:.2f}"
    return (
        f"{CONTENDERS[name].label:28}{jobs:7d}{interval:6g}s{figures['setup_cpu']:13.2f}{per_1000:>10}"
        f"{figures['core']:7.3f}{polls:>15}{figures['kib_per_job']:9.1f}{figures['lag_p99_ms']:7.1f} ms"
        f"{figures['sockets']:9d}{figures['late_p95']:8.2f} s{figures['notice_p95']:10.2f} s"
    )


def remarks(jobs: int, figures: Mapping[str, Any]) -> str:
    """Say what makes the figures of a line less than they look; empty where nothing does."""
    found = []
    if figures["ends"] != {"completed": jobs}:
        found.append(f"ended otherwise than completed: {figures['ends']}")
    if figures["late_start"]:
        found.append(f"was not set up before its first polls were due ({figures['late_start']:.1f} s late)")
    if figures["posts"]:
        found.append(f"sent {figures['posts']} POSTs")
    return "; ".join(found)


def main() -> int:
    """Print the table; the exit code says whether every job of every contender was seen to complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="1000x10", help="jobs x interval (default: %(default)s)")
    parser.add_argument("--jobs", type=int, help="instead of the preset's")
    parser.add_argument("--interval", type=float, help="seconds between two polls of a job, instead of the preset's")
    parser.add_argument("--seconds", type=float, help="length of the measured window, instead of the preset's")
    parser.add_argument("--age", type=float, default=AGE, help="seconds that the jobs are old when polls begin")
    parser.add_argument("--contenders", help=f"comma separated, of {', '.join(CONTENDERS)} (default: all that can)")
    options = parser.parse_args()
    jobs, interval, seconds = PRESETS[options.preset]
    jobs, interval, seconds = options.jobs or jobs, options.interval or interval, options.seconds or seconds
    names = options.contenders.split(",") if options.contenders else list(CONTENDERS)
    if unknown := set(names) - set(CONTENDERS):
        parser.error(f"unknown contenders: {', '.join(sorted(unknown))}")
    raise_file_limit()
    print(f"{machine('openrouter')}; window of {seconds:g} s")
    print(_TITLES)
    whole = True
    for name in names:
        most = CONTENDERS[name].most
        if not options.contenders and most is not None and jobs > most:
            print(f"{CONTENDERS[name].label:28}{'left out above ' + str(most) + ' jobs; name it to run it':>44}")
            continue
        figures = measure(name, jobs, interval, seconds, options.age)
        print(row(name, jobs, interval, figures), flush=True)
        if remark := remarks(jobs, figures):
            whole = False
            print(f"    {remark}")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
