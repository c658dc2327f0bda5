"""``make bench-import``: what importing the operators adds to a process that parses DAGs.

Each import runs in a fresh interpreter after ``from airflow.sdk import DAG, BaseOperator``, which every DAG file does.
Printed are process CPU milliseconds (the least of several runs: noise only adds) and the number of new modules, side by
side with other providers' operators where they are installed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Final

OURS: Final = "this provider: submit + download + sensor"
CANDIDATES: Final = {
    OURS: (
        "import airflow_provider_orvideo.operators.submit, airflow_provider_orvideo.operators.download, "
        "airflow_provider_orvideo.sensors.job"
    ),
    "standard: BashOperator": "from airflow.providers.standard.operators.bash import BashOperator",
    "common-ai: LLMBatchOperator": "from airflow.providers.common.ai.operators.llm_batch import LLMBatchOperator",
    "http: HttpOperator": "from airflow.providers.http.operators.http import HttpOperator",
    "amazon: BatchOperator": "from airflow.providers.amazon.aws.operators.batch import BatchOperator",
    "databricks: DatabricksSubmitRunOperator": (
        "from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator"
    ),
    "official openrouter SDK": "from openrouter import OpenRouter",
}
MAX_CPU_MS: Final = 30.0
MAX_MODULES: Final = 40

_PROBE: Final = """
import json, sys, time
from airflow.sdk import DAG, BaseOperator
before, start = set(sys.modules), time.process_time()
{statement}
print(json.dumps([(time.process_time() - start) * 1000, len(set(sys.modules) - before)]))
"""


def measure(statement: str, runs: int) -> tuple[float, int] | None:
    """Return the least CPU milliseconds and the number of new modules, or None where the import is not possible."""
    results = []
    for _ in range(runs):
        done = subprocess.run(  # noqa: S603 - our own statements
            [sys.executable, "-W", "ignore", "-c", _PROBE.format(statement=statement)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return None
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return min(cpu for cpu, _ in results), max(modules for _, modules in results)


def main() -> int:
    """Print the table; the exit code says whether this provider keeps its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="fresh interpreters per line (default: %(default)s)")
    runs = parser.parse_args().runs
    print(f"Airflow {version('apache-airflow')}, Python {platform.python_version()}, least of {runs} runs")
    print(f"{'import':42} {'CPU ms':>8} {'modules':>8}")
    ours = None
    for name, statement in CANDIDATES.items():
        found = measure(statement, runs)
        if name == OURS:
            ours = found
        print(f"{name:42} " + (f"{found[0]:8.1f} {found[1]:8d}" if found else f"{'not installed':>17}"))
    print(f"limits for this provider: {MAX_CPU_MS:g} ms, {MAX_MODULES} modules")
    return 0 if ours and ours[0] <= MAX_CPU_MS and ours[1] <= MAX_MODULES else 1


if __name__ == "__main__":
    sys.exit(main())
