"""Keeps what two calls with one nonce say, from many processes at once; prints what each was told.

Run by the tests: ``callback_workers.py <state path> <nonce> <number of processes>``. Each process reports a job of its
own.
"""

from __future__ import annotations

import json
import logging
import os
import sys

from airflow_provider_orvideo.ledger.callbacks import Callbacks
from airflow_provider_orvideo.webhooks import WebhookEvent


def main(state_path: str, nonce: str, number: str) -> int:
    logging.disable()  # Airflow's log goes to the same place as the answers
    gate, opener = os.pipe()
    children = []
    for index in range(int(number)):
        child = os.fork()
        if not child:
            os.close(opener)
            event = WebhookEvent(type="video.generation.completed", job_id=f"job-{index}", status="completed")
            os.read(gate, 1)  # returns for all at once, when the parent closes its end
            kept = Callbacks("https://films.example/hook", state_path).keep(nonce, event, 1000.0 + index)
            os.write(1, (json.dumps({"job_id": event.job_id, "kept": kept}) + "\n").encode())
            os._exit(0)
        children.append(child)
    os.close(opener)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
