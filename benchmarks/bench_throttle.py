"""``make bench-throttle``: a server that answers 429 to everything above a rate, and triggers that want twice as much.

Printed is the rate over time, and of the settled part: requests per second against the limit, refusals, gaps between
two answered polls of a job. At the end all jobs complete, and none may have failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.fake_api import STARVED, FakeApi
from benchmarks.measuring import airflow_environment, answer_of, machine, raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The settled rate must lie between this share of the limit and the limit.
LEAST: Final = 0.8
#: Share of the settled gaps that may exceed three intervals.
MAX_STARVED: Final = 0.01
_BIN: Final = 5
_SPARE: Final = 300.0


def timeline(rates: Sequence[Sequence[int]], until: float) -> list[str]:
    """Write the rate as one line for each five seconds."""
    lines = [f"{'seconds':>10}{'answered/s':>12}{'refused/s':>11}"]
    for begin in range(0, int(until), _BIN):
        counted = [(served, refused) for second, served, refused in rates if begin <= second < begin + _BIN]
        served, refused = sum(pair[0] for pair in counted) / _BIN, sum(pair[1] for pair in counted) / _BIN
        lines.append(f"{f'{begin}-{begin + _BIN}':>10}{served:12.1f}{refused:11.1f}")
    return lines


def judge(figures: Mapping[str, Any], jobs: int, limit: int, interval: float) -> list[str]:
    """Return what is not as it should be."""
    found = []
    rate = figures["polls_per_second"] + figures["refused_per_second"]
    wanted = min(limit, figures["wanted"])
    if not LEAST * wanted <= rate <= 1.02 * limit:
        found.append(f"settled at {rate:.1f} requests/s, not between {LEAST * wanted:g} and {limit}")
    if figures["ends"] != {"completed": jobs}:
        found.append(f"jobs ended otherwise than completed: {figures['ends']}")
    if figures["starved"] > MAX_STARVED * figures["gaps"]:
        found.append(f"{figures['starved']} of {figures['gaps']} settled gaps exceed {STARVED * interval:g} s")
    return found


def main() -> int:
    """Print the course of one run; the exit code says whether the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="triggers (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=5.0, help="their poll_interval (default: %(default)g)")
    parser.add_argument("--limit", type=int, default=100, help="requests per second answered (default: %(default)s)")
    parser.add_argument("--warm", type=float, default=30.0, help="seconds to settle (default: %(default)g)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="measured seconds after that (default: %(default)g)"
    )
    parser.add_argument("--contender", choices=CONTENDERS, default="provider")
    options = parser.parse_args()
    jobs, interval, limit = options.jobs, options.interval, options.limit
    raise_file_limit()
    print(f"{machine()}; {jobs} jobs every {interval:g} s want {jobs / interval:g} requests/s of {limit}")
    with (
        FakeApi.running(interval=interval, limit=limit) as api,
        tempfile.TemporaryDirectory(prefix="bench-throttle-") as home,
    ):
        command = ["-m", "benchmarks.polling_worker", "--contender", options.contender, "--port", str(api.port)]
        command += ["--jobs", str(jobs), "--interval", str(interval), "--seconds", str(options.seconds)]
        # Starved waiters get longer to notice the ends: what a queue at the limit takes, twice.
        command += ["--warm", str(options.warm), "--age", "120", "--slack", str(20 + 2 * jobs / limit + 4 * interval)]
        figures = answer_of(
            command,
            environment=airflow_environment(Path(home), api.base_url),
            timeout=_SPARE + options.warm + options.seconds + jobs * 0.1,
        )
        rates = api.control("stats")["rates"]
    print("\n".join(timeline(rates, options.warm + options.seconds)))
    rate = figures["polls_per_second"] + figures["refused_per_second"]
    print(
        f"settled: {rate:.1f} requests/s ({rate / limit:.0%} of the limit), "
        f"{figures['refused_per_second']:.2f} refused/s; worst gap {figures['worst_gap']:.1f} s, "
        f"{figures['starved']} of {figures['gaps']} above {STARVED * interval:g} s; ends: {figures['ends']}"
    )
    problems = judge(figures, jobs, limit, interval)
    for problem in problems:
        print(f"    {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
