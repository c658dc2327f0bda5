"""A budget under real processes, as many mapped tasks on one machine: its sum holds, and all get their turn."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
#: Seconds in which it must be over; it takes about five.
PATIENCE = 120


def test_twenty_four_processes_never_spend_more_than_there_is(tmp_path: Path) -> None:
    budget = Decimal("3.05")
    state = (tmp_path / "state").as_uri()
    command = [sys.executable, str(HERE / "budget_workers.py"), state, "24", "4", str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(answer["index"] for answer in answers) == list(range(24)), "all got through"
    assert all(len(answer["bought"]) + answer["refused"] == 4 for answer in answers)

    folder = Path(urlsplit(state).path) / "films/manual__1/orvideo.budgets/submit"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{number:06d}.json" for number in range(len(list(folder.iterdir())))
    ]
    log = [json.loads(path.read_text()) for path in sorted(folder.iterdir())[1:]]
    for entry in log:
        assert Decimal(entry["spent_usd"]) + Decimal(entry["reserved_usd"]) <= budget

    # The tasks and the log tell the same story.
    last = log[-1]["lines"]
    for answer in answers:
        line = last.get(f"submit.{answer['index']}", {"spent": "0", "reserved": "0"})
        assert Decimal(line["spent"]) + Decimal(line["reserved"]) == sum(map(Decimal, answer["bought"]))
    bought = sum(Decimal(amount) for answer in answers for amount in answer["bought"])
    # Orders that end for less than was reserved free some of it, perhaps after the last task had asked.
    assert budget - Decimal("0.2") < bought <= budget, "what is left buys next to nothing"
    assert sum(answer["refused"] for answer in answers) > 0
