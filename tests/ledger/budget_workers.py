"""Reserves and settles from many processes at once, as mapped tasks do; prints what each got.

Run by the tests: ``budget_workers.py <state path> <number of processes> <orders each> <budget in US dollars>``. Of each
process's orders, the odd ones end at once for half of what was reserved, and the even ones go on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from decimal import Decimal
from types import SimpleNamespace

from airflow_provider_orvideo.exceptions import BudgetExceededError
from airflow_provider_orvideo.ledger.budget import RunBudget

PRICE = Decimal("0.1")


def spend(state_path: str, index: int, orders: int, budget: Decimal) -> dict[str, object]:
    instance = SimpleNamespace(dag_id="films", run_id="manual__1", task_id="submit", map_index=index)
    shared = RunBudget.of(state_path, instance)
    shared._sleep = lambda seconds: time.sleep(seconds / 20)
    bought: list[str] = []
    refused = 0
    for number in range(orders):
        try:
            shared.reserve(str(number), PRICE, budget)
        except BudgetExceededError:
            refused += 1
            continue
        bought.append(str(PRICE))
        if number % 2:
            shared.settle(PRICE / 2)
            bought[-1] = str(PRICE / 2)
    return {"index": index, "bought": bought, "refused": refused}


def main(state_path: str, number: str, orders: str, budget: str) -> int:
    gate, opener = os.pipe()
    children = []
    for index in range(int(number)):
        child = os.fork()
        if not child:
            os.close(opener)
            os.read(gate, 1)  # returns for all at once, when the parent closes its end
            line = json.dumps(spend(state_path, index, int(orders), Decimal(budget))) + "\n"
            os.write(1, line.encode())
            os._exit(0)
        children.append(child)
    os.close(opener)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
