"""Who ordered what, and where it is: the simulator's log, the pay-once records and the landed files, held together.

For the runs that let hosts and processes die (`make distributed`, `make soak`). Pure but for `read_landed`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
from local_airflow import API_KEY
from pydantic import ValidationError

from airflow_provider_orvideo.ledger.record import Phase, Record
from airflow_provider_orvideo.ledger.stores import KEY
from airflow_provider_orvideo.manifests import LandedManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from local_airflow import LocalSimulator
    from local_services import S3, Postgres

#: Where the records lie in Airflow's database, one for each order of a task instance.
RECORDS: Final = (
    "select dag_id, run_id, task_id, map_index, key, value from task_state_store where key like 'orvideo\\_job%'"
)
_READERS: Final = 8


@dataclass(frozen=True)
class Order:
    """One pay-once record.

    Attributes:
        dag_id: of the task instance that it belongs to.
        task: the task instance.
        item: of a batch; empty for a task with one order.
        record: what was recorded.
    """

    dag_id: str
    task: str
    item: str
    record: Record

    @property
    def name(self) -> str:
        """The task instance, and the item in a batch."""
        return f"{self.task} {self.item}".strip()

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Every job that was bought under this record."""
        now = (self.record.job_id,) if self.record.job_id else ()
        return (*(past.job_id for past in self.record.past), *now)


@dataclass(frozen=True)
class Landed:
    """One video with a sidecar.

    Attributes:
        dag_id: of the task that landed it.
        job_id: of its job.
        uri: where it lies.
        problem: why it is not what the sidecar and the API say; empty for a whole one.
    """

    dag_id: str
    job_id: str
    uri: str
    problem: str = ""


@dataclass(frozen=True)
class Accounts:
    """Everything that can be counted at the end.

    Attributes:
        jobs: of the simulator, which are what would be billed.
        submits: the simulator's log of paid requests.
        orders: the pay-once records.
        landed: the videos.
    """

    jobs: Sequence[Mapping[str, Any]]
    submits: Sequence[Mapping[str, Any]]
    orders: Sequence[Order]
    landed: Sequence[Landed]

    @cached_property
    def owners(self) -> dict[str, str]:
        """The DAG that bought each job, by the job's id."""
        return {job_id: order.dag_id for order in self.orders for job_id in order.job_ids}

    @cached_property
    def refused(self) -> int:
        """Paid requests of which nothing was accepted."""
        return sum(submit["job_id"] is None for submit in self.submits)

    @cached_property
    def twice(self) -> list[str]:
        """Orders that bought more than one job."""
        return [f"{order.name}: {', '.join(order.job_ids)}" for order in self.orders if len(order.job_ids) > 1]

    @cached_property
    def unclear(self) -> list[Order]:
        """Orders of which the provider does not know what became: a person decides."""
        return [order for order in self.orders if order.record.phase == Phase.INTENT]

    @cached_property
    def unrecorded(self) -> list[str]:
        """Jobs that no record names; there may be one for each unclear order, and no more."""
        return sorted(str(job["id"]) for job in self.jobs if job["id"] not in self.owners)

    @cached_property
    def unlanded(self) -> list[str]:
        """Jobs on record whose video does not lie anywhere."""
        there = {landed.job_id for landed in self.landed}
        return sorted(set(self.owners) - there)

    @cached_property
    def broken(self) -> list[str]:
        """Videos that are not what they should be."""
        return [f"{landed.uri}: {landed.problem}" for landed in self.landed if landed.problem]

    def by_dag(self, dag_id: str) -> tuple[int, int, int]:
        """Return how many jobs a DAG bought, how many videos it landed, and how many of them are verified."""
        mine = [landed for landed in self.landed if self.owners.get(landed.job_id, landed.dag_id) == dag_id]
        bought = Counter(self.owners.values())[dag_id]
        return bought, len(mine), sum(not landed.problem for landed in mine)

    def problems(self) -> list[str]:
        """Return everything that breaks a promise; what a person has to decide is none."""
        accepted = len(self.submits) - self.refused
        found = [f"bought twice: {name}" for name in self.twice]
        found += [f"not whole: {name}" for name in self.broken]
        found += [f"paid for and not landed: {job_id}" for job_id in self.unlanded]
        if accepted != len(self.jobs):
            found.append(f"{accepted} accepted paid requests, and {len(self.jobs)} jobs")
        # Each unclear order may have bought one job, which only the person can connect.
        if len(self.unrecorded) > len(self.unclear):
            found.append(
                f"{len(self.unrecorded)} jobs that no record names, and {len(self.unclear)} orders whose outcome is "
                f"unknown: {', '.join(self.unrecorded)}"
            )
        several: dict[str, list[str]] = defaultdict(list)
        for order in self.orders:
            for job_id in order.job_ids:
                several[job_id].append(order.name)
        found += [
            f"{job_id} is in the records of {', '.join(names)}" for job_id, names in several.items() if len(names) > 1
        ]
        return found


def orders_of(rows: Iterable[Mapping[str, Any]]) -> list[Order]:
    """Read the rows of `RECORDS`."""
    return [
        Order(
            row["dag_id"],
            f"{row['dag_id']}.{row['task_id']}[{row['map_index']}]",
            row["key"].removeprefix(KEY).removeprefix("."),
            Record.model_validate_json(row["value"]),
        )
        for row in rows
    ]


def read_landed(
    objects: Iterable[str], read: Callable[[str], bytes], content: Callable[[str, int], str]
) -> list[Landed]:
    """Compare every video that has a sidecar with the sidecar, and with what the API has.

    Args:
        objects: keys of a bucket.
        read: returns an object's bytes.
        content: returns the sha256 of a job's output at the API.
    """
    keys = set(objects)

    def check(key: str) -> list[Landed]:
        try:
            manifest = LandedManifest.model_validate_json(read(key))
        except ValidationError:
            return []  # JSON of another kind
        found = []
        for file in manifest.files:
            place = urlsplit(file.uri).path.lstrip("/")
            problem = ""
            if place not in keys:
                problem = "missing"
            elif hashlib.sha256(read(place)).hexdigest() != file.sha256:
                problem = "not what its sidecar says"
            elif content(manifest.job_id, file.index) != file.sha256:
                problem = "not what the API has"
            found.append(Landed(manifest.dag_id or "", manifest.job_id, file.uri, problem))
        return found

    with ThreadPoolExecutor(_READERS) as readers:
        # A poster has no sidecar, a video's is its name with .json behind it.
        checked = readers.map(check, sorted(key for key in keys if key.endswith(".json") and key[:-5] in keys))
        return [landed for each in checked for landed in each]


@contextmanager
def content_at(base_url: str) -> Iterator[Callable[[str, int], str]]:
    """Yield what reads the sha256 of a job's output from the API."""
    with httpx.Client(headers={"Authorization": f"Bearer {API_KEY}"}, timeout=60, trust_env=False) as client:

        def sha256(job_id: str, index: int) -> str:
            answer = client.get(f"{base_url}/videos/{job_id}/content", params={"index": index}).raise_for_status()
            return hashlib.sha256(answer.content).hexdigest()

        yield sha256


def keys_of(client: Any, bucket: str) -> list[str]:  # noqa: ANN401 - boto3 has no types
    """Return the keys of a bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


def accounts(simulator: LocalSimulator, postgres: Postgres, s3: S3, bucket: str) -> Accounts:
    """Read everything; faults must be over by now, and the simulator, the database and the bucket still be there.

    Args:
        simulator: that took the orders.
        postgres: Airflow's database.
        s3: where videos land.
        bucket: in it.
    """
    submits = simulator.get("/requests?operation=createVideos")
    jobs = simulator.get("/jobs")
    client = s3.client

    def read(name: str) -> bytes:
        data: bytes = client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return data

    with content_at(simulator.base_url) as content:
        landed = read_landed(keys_of(client, bucket), read, content)
    return Accounts(jobs, submits, orders_of(postgres.query(RECORDS)), landed)
