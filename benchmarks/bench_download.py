"""``make bench-download``: what landing a large video costs, in time and memory, beside the plainest ways.

Each contender is a process of its own that gets the same file from the same server on loopback, in turns; told is the
best of several runs. A whole landing is measured: status, download, sha256, check of the file, publishing, sidecar.

- MB/s: size over wall clock, imports and a first landing of 1 MB excluded;
- CPU s: processor time of the contender in user and system mode;
- idle: resident memory after imports and the first landing;
- above: by how much the peak of any run exceeds that.

1 MB is 1024 x 1024 bytes. Before each run all files are pushed out to the disk, and the memory that the run's file will
take is touched, so that nobody pays for what another left or found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.download_film import MB, MOST_MB, write_film
from benchmarks.download_server import content_server
from benchmarks.download_store import connection, store
from benchmarks.download_worker import peak_kib, touch_memory
from benchmarks.measuring import HOST, KEY, airflow_environment, answer_of, cpu_seconds, machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Peak above idle of any landing, MB.
MAX_ABOVE_MB: Final = 64.0
#: Speed of a landing to a file as a share of curl's, and of an upload to S3 as a share of boto3's.
LEAST: Final = 0.8
#: Sizes in MB whose landings are only measured for memory.
OTHER_SIZES: Final = (64,)
#: Seconds that a run may take.
_LIMIT: Final = 600.0

_TITLES: Final = f"{'contender':48}{'MB':>6}{'MB/s':>8}{'ratio':>7}{'CPU s':>7}{'idle MB':>9}{'above MB':>10}"


@dataclass
class Row:
    """One line of the table.

    Attributes:
        label: its name there.
        contender: what runs; empty for curl.
        versus: contender that the ratio is to; empty for none.
        limit: whether the exit code depends on the ratio.
        ours: whether the exit code depends on the memory.
        runs: figures of each run.
    """

    label: str
    contender: str
    megabytes: int
    versus: str = ""
    limit: bool = False
    ours: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def on_s3(self) -> bool:
        """Whether it needs the store."""
        return self.contender.endswith("-s3")

    @property
    def speed(self) -> float:
        """MB/s of the best run."""
        return self.megabytes / min(float(run["seconds"]) for run in self.runs)

    @property
    def above(self) -> float:
        """MB above idle of the worst run."""
        return max(float(run["peak_kib"] - run["idle_kib"]) for run in self.runs) / 1024

    def line(self, ratio: float | None) -> str:
        """Write it under the titles."""
        best = min(self.runs, key=lambda run: float(run["seconds"]))
        told = "" if ratio is None else f"{ratio:.2f}"
        return (
            f"{self.label:48}{self.megabytes:6d}{self.speed:8.0f}{told:>7}{best['cpu']:7.2f}"
            f"{best['idle_kib'] / 1024:9.0f}{self.above:10.1f}"
        )


def rows(megabytes: int, others: Sequence[int], *, curl: bool) -> list[Row]:
    """Return the lines of the table."""
    plain = [Row("curl -o", "curl", megabytes), Row("curl -o, then sync", "curl-sync", megabytes, "curl")]
    return [
        *(plain if curl else []),
        Row("landing to file://", "land-file", megabytes, "curl", limit=True, ours=True),
        Row("landing to file://, without waiting for the disk", "land-file-unsynced", megabytes, "curl"),
        Row("official SDK, .read(), write", "sdk-file", megabytes, "curl"),
        Row("boto3 upload_fileobj, 8 MB x 4", "boto3-s3", megabytes),
        Row("upload of a landing to s3://", "publish-s3", megabytes, "boto3-s3", limit=True, ours=True),
        Row("landing to s3://", "land-s3", megabytes, "boto3-s3", ours=True),
        Row("official SDK, .read(), boto3 put_object", "sdk-s3", megabytes, "boto3-s3"),
        *(Row("landing to file://", "land-file", size, ours=True) for size in others),
        *(Row("landing to s3://", "land-s3", size, ours=True) for size in others),
    ]


def run_worker(row: Row, base_url: str, films: Path) -> dict[str, Any]:
    """Run one contender once in a new folder, on a new store."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=films)))
        environment = airflow_environment(folder / "airflow", base_url)
        command = ["-m", "benchmarks.download_worker", "--contender", row.contender, "--base-url", base_url]
        command += ["--films", str(films), "--folder", str(folder), "--name", f"film-{row.megabytes}"]
        # The store holds what it gets more than once.
        command += ["--scratch-mb", str(row.megabytes * (3 if row.on_s3 else 1))]
        if row.on_s3:
            endpoint = stack.enter_context(store())
            environment |= connection(endpoint)
            command += ["--endpoint", endpoint]
        figures: dict[str, Any] = answer_of(command, environment=environment, timeout=_LIMIT)
        return figures


def run_curl(row: Row, base_url: str, films: Path) -> dict[str, Any]:
    """Run curl once; it has no idle, so all of its memory counts."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=films) as folder:
        path = Path(folder) / "film.mp4"
        command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", HOST]
        command += ["--header", f"Authorization: Bearer {KEY}", "--output", str(path)]
        touch_memory(Path(folder), row.megabytes)
        begun, peak, cpu = time.perf_counter(), 0.0, 0.0
        with subprocess.Popen([*command, f"{base_url}/videos/film-{row.megabytes}/content"]) as curl:  # noqa: S603
            while curl.poll() is None:
                with suppress(OSError, StopIteration):  # it ended in between
                    peak, cpu = max(peak, peak_kib(curl.pid)), cpu_seconds(curl.pid)
                with suppress(subprocess.TimeoutExpired):
                    curl.wait(0.02)
        if curl.returncode:
            raise RuntimeError(f"curl: exit code {curl.returncode}")
        if row.contender == "curl-sync":
            with path.open("rb") as file:
                os.fsync(file.fileno())
        seconds = time.perf_counter() - begun
        return {"seconds": seconds, "cpu": cpu, "idle_kib": 0.0, "peak_kib": peak, "arrived": path.stat().st_size}


def measure(table: Sequence[Row], runs: int, base_url: str, films: Path) -> None:
    """Run all contenders in turns, so that a change of the machine's mood meets all of them."""
    for number in range(runs):
        for row in table:
            if number and not row.versus and row.ours:
                continue  # there for its memory only
            os.sync()
            figures = (run_curl if row.contender.startswith("curl") else run_worker)(row, base_url, films)
            if figures["arrived"] != row.megabytes * MB:
                raise RuntimeError(f"{row.label}: {figures['arrived']} bytes arrived of {row.megabytes} MB")
            row.runs.append(figures)


def report(table: Sequence[Row]) -> list[str]:
    """Print the table and return which limits were not kept."""
    speeds: Mapping[str, float] = {row.contender: row.speed for row in reversed(table)}
    problems = []
    print(_TITLES)
    for row in table:
        ratio = row.speed / speeds[row.versus] if row.versus in speeds else None
        print(row.line(ratio))
        what = f"{row.label}, {row.megabytes} MB"
        if row.ours and row.above >= MAX_ABOVE_MB:
            problems.append(f"{what}: {row.above:.1f} MB above idle, {MAX_ABOVE_MB:g} are allowed")
        if row.limit and ratio is not None and ratio < LEAST:
            problems.append(f"{what}: {ratio:.2f} of what {row.versus} does, {LEAST:g} are wanted")
    if {"land-file", "curl-sync"} <= speeds.keys():
        # A paid video is not called landed before the disk has it; curl leaves that to the system.
        share = speeds["land-file"] / speeds["curl-sync"]
        print(
            f"    a landing waits until the disk has the file: {share:.2f} of 'curl -o, then sync', which does so, too"
        )
    return problems


def main() -> int:
    """Print the table; the exit code says whether the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=512, help=f"size of the file, up to {MOST_MB} (default: %(default)s)")
    parser.add_argument(
        "--also-mb", type=int, nargs="*", default=OTHER_SIZES, help="sizes measured for memory (default: 64)"
    )
    parser.add_argument("--runs", type=int, default=3, help="of which the best is told (default: %(default)s)")
    parser.add_argument("--only", choices=("file", "s3"), help="one kind of destination (default: both)")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the system's temporary one)")
    options = parser.parse_args()
    # Its servers and files end with it, also where a time limit ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    has_curl = shutil.which("curl") is not None
    print(f"{machine('boto3', 'moto', 'openrouter')}; best of {options.runs} runs")
    table = [
        row
        for row in rows(options.mb, options.also_mb, curl=has_curl)
        if options.only in {None, "s3" if row.on_s3 else "file"}
    ]
    with tempfile.TemporaryDirectory(prefix="bench-download-", dir=options.folder) as home:
        films = Path(home)
        for size in {1, options.mb, *options.also_mb}:
            write_film(films / f"film-{size}.mp4", size)
        with content_server(films) as base_url:
            measure(table, options.runs, base_url, films)
    problems = report(table)
    if not has_curl and options.only != "s3":
        print("    curl is not installed: landing to a file is compared with nothing")
    for problem in problems:
        print(f"    {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
