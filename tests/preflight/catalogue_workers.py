"""Asks for the catalogue from many processes at once, as mapped tasks on one worker host do; prints what each got.

Run by the tests: ``catalogue_workers.py <folder> <base URL> <number of processes>``.
"""

from __future__ import annotations

import json
import os
import sys

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.preflight.catalogue import CatalogueCache


def ask(folder: str, base_url: str) -> dict[str, object]:
    with VideoClient(ClientConfig(api_key="sk-or-test-0001", base_url=base_url)) as client:
        found = CatalogueCache(folder).get(client)
    return {"models": [model.id for model in found.models], "fetched_at": found.fetched_at}


def main(folder: str, base_url: str, number: str) -> int:
    gate, opener = os.pipe()
    children = []
    for _ in range(int(number)):
        child = os.fork()
        if not child:
            os.close(opener)
            os.read(gate, 1)  # returns for all at once, when the parent closes its end
            line = json.dumps(ask(folder, base_url)) + "\n"
            os.write(1, line.encode())
            os._exit(0)
        children.append(child)
        print(child, file=sys.stderr, flush=True)  # noqa: T201 - for whoever wants to kill it
    os.close(opener)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
