"""``make soak``: thousands of videos while calls fail and processes die, and at the end an account of each of them.

Real Airflow processes (LocalExecutor, PostgreSQL) against the simulator; videos and what webhooks say lie on moto's S3.
One in twenty calls of each kind fails, a process that runs a task is killed every minute, the triggerer is killed once
and restarted once, and so is the scheduler. At the end, every order is held against the simulator's log, the pay-once
records, Airflow's database, and the bytes of the landed files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version as of
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from accounts import Accounts, Order, accounts, keys_of
from local_airflow import HOST, LocalAirflow, LocalSimulator, connection, wait_until
from local_hosts import family
from local_services import S3, Postgres, missing, program, version
from soak_watch import Memory, adopt_orphans, kill, left_over, tasks_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BUCKET: Final = "films"
STATE_PATH: Final = f"s3://aws_default@{BUCKET}/state"
DESTINATION: Final = f"s3://aws_default@{BUCKET}/videos/"
WEBHOOK_SECRET: Final = "whsec_local"  # noqa: S105 - of the simulator
BATCH: Final = 100
#: The most orders that are mapped tasks: each needs two task processes, which is most of what a soak costs.
MOST_GENERATED: Final = 300
#: Share of all orders and downloads after which something is restarted.
RESTARTS: Final = ((0.2, "triggerer killed"), (0.4, "scheduler restarted"), (0.6, "triggerer restarted"))
#: What the connection waits for an answer, in seconds; the simulator's slow answers take longer.
READ_TIMEOUT: Final = 8

#: Seconds between two lines about how far it is.
TELL_EVERY: Final = 15.0

Rule = dict[str, Any]


def _rule(name: str, operation: str, every: int, after: int = 0, **action: Any) -> Rule:  # noqa: ANN401
    return {"id": name, "match": {"operation": operation}, "every": every, "after": after, **action}


#: One in twenty calls of each kind fails. Rules count separately: ``after`` keeps them from one another's calls.
FAULTS: Final[tuple[Rule, ...]] = (
    _rule("order refused (429)", "createVideos", 40, respond={"status": 429, "retry_after": 1}),
    _rule("order accepted, answer lost (503)", "createVideos", 100, 7, respond={"status": 503, "when": "after"}),
    _rule("order accepted, connection cut", "createVideos", 100, 33, drop={"when": "after", "how": "reset"}),
    _rule("order cut off, not accepted", "createVideos", 200, 13, drop={"when": "before"}),
    _rule("webhook lost", "sendWebhook", 20, drop={}),
    _rule("status unavailable (503)", "getVideos", 60, respond={"status": 503}),
    _rule("status cut off", "getVideos", 60, 17, drop={}),
    _rule("status too slow", "getVideos", 60, 37, delay=READ_TIMEOUT + 2),
    _rule("video cut off", "listVideosContent", 40, content={"truncate": 0.5}),
    _rule("video unavailable (503)", "listVideosContent", 40, 13, respond={"status": 503}),
    _rule("catalogue unavailable (503)", "listVideosModels", 20, respond={"status": 503}),
)
#: Of these orders, the provider cannot know what became.
UNCLEAR: Final = frozenset(rule["id"] for rule in FAULTS[1:4])


@dataclass(frozen=True)
class Plan:
    """What is ordered how.

    Attributes:
        generate: mapped generate tasks.
        batches: sizes of the batches.
        minutes: after which it ends, done or not.
        kill_every: seconds between two killed processes.
        job_seconds: how long the simulator takes for a video.
        parallelism: tasks that run at the same time.
        seed: for which process is killed.
    """

    generate: int
    batches: tuple[int, ...]
    minutes: float
    kill_every: float
    job_seconds: float
    parallelism: int
    seed: int

    @property
    def videos(self) -> int:
        """All orders."""
        return self.generate + sum(self.batches)


def has_batches() -> bool:
    """Whether this checkout has the batch operator."""
    return find_spec("airflow_provider_orvideo.operators.batch") is not None


def plan(options: argparse.Namespace) -> Plan:
    """Divide the orders: few as mapped tasks and the rest in batches, where there are batches."""
    generate = options.generate
    if generate is None:
        generate = (
            min(options.videos, max(MOST_GENERATED * options.videos // 2000, 10)) if has_batches() else options.videos
        )
    rest = options.videos - generate
    if rest and not has_batches():
        raise SystemExit("This checkout has no OrVideoBatchOperator: leave --generate out.")
    batches = [BATCH] * (rest // BATCH) + ([rest % BATCH] if rest % BATCH else [])
    return Plan(
        generate,
        tuple(batches),
        options.minutes,
        options.kill_every,
        options.job_seconds,
        options.parallelism,
        options.seed,
    )


@dataclass
class Soak:
    """One run.

    Args:
        plan: what is ordered.
        home: folder for everything.
    """

    plan: Plan
    home: Path
    stack: ExitStack
    memory: Memory = field(default_factory=Memory)
    happened: list[str] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Start the services and the simulator, and describe the Airflow."""
        self.chance = random.Random(self.plan.seed)  # noqa: S311 - which process is killed is no secret
        for name in ("tmp", "spool", "cache"):
            (self.home / name).mkdir()
        enter = self.stack.enter_context
        self.postgres = enter(Postgres(self.home / "postgres").running())
        self.s3 = enter(S3(self.home / "s3").running(BUCKET))
        self.airflow = LocalAirflow(self.home / "airflow", Path(__file__).with_name("soak_dags"))
        settings = {
            "job_seconds": self.plan.job_seconds,
            "max_pixels": 4096,
            "fps": 2,
            "webhook_origin": self.airflow.url,
            "webhook_secret": WEBHOOK_SECRET,
        }
        arguments = tuple(part for name, value in settings.items() for part in ("--set", f"{name}={value}"))
        self.simulator = enter(LocalSimulator(self.home / "simulator", arguments).running())
        self.airflow.environment = {
            **connection(self.simulator.base_url, read_timeout=READ_TIMEOUT),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(self.s3.connection),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(self.plan.parallelism),
            "AIRFLOW__CORE__MAX_MAP_LENGTH": "4096",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.postgres.url,
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
            "AIRFLOW__TRIGGERER__CAPACITY": "4096",
            "AIRFLOW__ORVIDEO__STATE_PATH": STATE_PATH,
            "AIRFLOW__ORVIDEO__WEBHOOK_URL": "https://airflow.example.com/orvideo/webhook",
            "AIRFLOW__ORVIDEO__WEBHOOK_SECRET": WEBHOOK_SECRET,
            "AIRFLOW__ORVIDEO__SPOOL_DIR": str(self.home / "spool"),
            "AIRFLOW__ORVIDEO__CACHE_DIR": str(self.home / "cache"),
            "TMPDIR": str(self.home / "tmp"),
            "SOAK_GENERATE": str(self.plan.generate),
            "SOAK_BATCHES": ",".join(map(str, self.plan.batches)),
            "SOAK_DESTINATION": DESTINATION,
        }

    # ── While it runs ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def dag_ids(self) -> list[str]:
        """The DAGs that have something to order."""
        named = (("soak_generate", self.plan.generate), ("soak_batch", self.plan.batches))
        return [dag_id for dag_id, wanted in named if wanted]

    def run(self) -> bool:
        """Order everything, break things meanwhile, and wait for the end; return whether it came in time."""
        for dag_id in self.dag_ids:
            self.airflow.wait_for_dag(dag_id)
        self.simulator.post("/faults", list(FAULTS))
        for dag_id in self.dag_ids:
            self.airflow.trigger(dag_id)
        self.begun = time.monotonic()
        next_kill, restarts, tell_at = self.begun + self.plan.kill_every, list(RESTARTS), 0.0
        while time.monotonic() < self.begun + 60 * self.plan.minutes:
            self.memory.sample(self.components())
            seen = self.simulator.get("/stats")
            if restarts and seen["posts"] + seen["content_reads"] >= restarts[0][0] * 2 * self.plan.videos:
                self.restart(restarts.pop(0)[1])
            elif time.monotonic() >= next_kill and self.kill_one():
                next_kill = time.monotonic() + self.plan.kill_every
            states = self.states()
            if time.monotonic() >= tell_at:
                tasks = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
                calls = f"{seen['posts']} POSTs, {seen['content_reads']} downloads"
                say(f"{time.monotonic() - self.begun:5.0f} s  {calls}; tasks: {tasks}")
                tell_at = time.monotonic() + TELL_EVERY
            if set(states) <= {"success", "failed", "upstream_failed"} and self.is_over():
                return True
            time.sleep(3)
        return False

    def states(self) -> Counter[str]:
        """How many task instances are in each state."""
        rows = self.postgres.query(
            "select coalesce(state, 'none') as state, count(*) as number from task_instance group by 1"
        )
        return Counter({row["state"]: row["number"] for row in rows})

    def is_over(self) -> bool:
        """Whether no run is under way."""
        return not self.postgres.query("select 1 from dag_run where state not in ('success', 'failed')")

    def components(self) -> dict[str, int]:
        """The processes whose memory is watched."""
        running = {name: process.pid for name, process in self.airflow.processes.items()}
        found: dict[str, int] = {
            name: running[name] for name in ("scheduler", "api-server", "dag-processor") if name in running
        }
        if triggerer := running.get("triggerer"):
            found["triggerer"] = triggerer
            if below := family(triggerer)[1:]:
                found["triggerer's runner"] = below[0]
        return found

    def kill_one(self) -> bool:
        """Kill a process that runs a task; return whether there was one."""
        scheduler = self.airflow.processes["scheduler"]
        if not (running := tasks_below(scheduler.pid)):
            return False
        pid = self.chance.choice(sorted(running))
        if not kill(pid):
            return False
        rows = self.postgres.query(f"select dag_id, task_id, map_index from task_instance where id = '{running[pid]}'")  # noqa: S608
        name = f"{rows[0]['dag_id']}.{rows[0]['task_id']}[{rows[0]['map_index']}]" if rows else "a task"
        self.note(f"killed the process of {name}")
        self.killed["processes that ran a task"] += 1
        return True

    def restart(self, what: str) -> None:
        """Take a component down and start it again."""
        component, how = what.split(" ")
        (self.airflow.kill if how == "killed" else self.airflow.stop)(component)
        self.airflow.start(component)
        self.note(what)
        self.killed[what] += 1

    def note(self, what: str) -> None:
        """Keep and say what was done."""
        self.happened.append(f"{time.monotonic() - self.begun:5.0f} s  {what}")
        say(self.happened[-1])


@dataclass(frozen=True)
class Report:
    """What is known at the end.

    Attributes:
        soak: the run.
        in_time: whether it ended by itself.
        seconds: that it took.
        counted: who bought what.
        faults: the simulator's rules with what they hit.
        webhooks: calls by what became of them.
        tasks: Airflow's task instances.
        left: whatever should not be there any more.
    """

    soak: Soak
    in_time: bool
    seconds: float
    counted: Accounts
    faults: list[dict[str, Any]]
    webhooks: Counter[str]
    tasks: list[dict[str, Any]]
    left: list[str]

    @cached_property
    def found(self) -> list[tuple[Order, str]]:
        """Each order that a person has to decide, with what the person would find."""
        nonces = {self._nonce(submit): submit for submit in self.counted.submits}
        return [(order, self._fate(order, nonces)) for order in self.counted.unclear]

    def _fate(self, order: Order, nonces: Mapping[str, Mapping[str, Any]]) -> str:
        submit = nonces.get(order.record.nonce or "")
        if submit is None:
            return "its paid request never arrived"
        if submit["job_id"] is None:
            return "nothing was accepted"
        return f"job {submit['job_id']} was made, and its webhook did not come"

    @staticmethod
    def _nonce(submit: Mapping[str, Any]) -> str:
        return str(submit["body"].get("callback_url", "")).rpartition("/")[2]

    @cached_property
    def cleared_up(self) -> int:
        """Orders whose answer was lost, and whose job a webhook told."""
        lost = {submit["job_id"] for submit in self.counted.submits if UNCLEAR & set(submit["rules"])}
        return sum(job_id in self.counted.owners for job_id in lost)

    @cached_property
    def problems(self) -> list[str]:
        """Everything that breaks a promise."""
        found = list(self.counted.problems())
        if not self.in_time:
            found.append(f"not over after {self.soak.plan.minutes:g} minutes")
        if len(self.counted.orders) != self.soak.plan.videos:
            found.append(f"{len(self.counted.orders)} orders on record instead of {self.soak.plan.videos}")
        whole = {landed.job_id for landed in self.counted.landed if not landed.problem}
        if len(whole) + len(self.found) != self.soak.plan.videos:
            found.append(
                f"{len(whole)} whole videos and {len(self.found)} orders for a person, of {self.soak.plan.videos}"
            )
        asking = {order.task for order, _ in self.found}
        for task in self.tasks:
            name = f"{task['dag_id']}.{task['task_id']}[{task['map_index']}]"
            if task["state"] != "success" and name not in asking:
                found.append(f"{name} ended as {task['state']}, and no order of it waits for a person")
        # The other components run Airflow's code; theirs is told and not judged.
        lives = (life for life in self.soak.memory.lives if life.name.startswith("triggerer"))
        found += [f"it grows: {life}" for life in lives if life.is_growing]
        return [*found, *(f"left over: {what}" for what in self.left)]

    def lines(self) -> Iterator[str]:
        """Write it."""
        counted, plan = self.counted, self.soak.plan
        versions = [f"{name} {of(name)}" for name in ("apache-airflow", "airflow-provider-orvideo")]
        versions.append(f"PostgreSQL {version(str(program('postgres')), '--version')}")
        versions.append(f"Python {platform.python_version()}")
        pace = plan.videos / self.seconds * 60
        yield ""
        yield f"{datetime.now(UTC):%Y-%m-%d}, {', '.join(versions)}, {os.cpu_count()} cores"
        yield f"{plan.videos} orders ({plan.generate} mapped tasks, {len(plan.batches)} batches)"
        yield f"{self.seconds:.0f} s, {pace:.0f} orders a minute"
        yield ""
        states = Counter(f"{task['dag_id']}: {task['state']}" for task in self.tasks)
        yield from (f"{number:6}  task instances of {what}" for what, number in sorted(states.items()))
        yield f"{sum(task['try_number'] for task in self.tasks):6}  attempts of these"
        yield f"{len(counted.submits):6}  POSTs, of which {counted.refused} were not accepted"
        yield f"{len(counted.jobs):6}  jobs, {len(counted.twice)} orders bought more than one"
        whole = len(counted.landed) - len(counted.broken)
        yield f"{len(counted.landed):6}  videos landed, {whole} verified by their bytes"
        yield f"{self.cleared_up:6}  orders whose answer was lost, cleared up by webhooks ({', '.join(self._calls())})"
        yield f"{len(self.found):6}  orders for a person to decide"
        yield from (f"        {order.name}: {fate}" for order, fate in self.found)
        yield ""
        yield from (f"{rule['hits']:6}  {rule['id']}" for rule in self.faults)
        yield from (f"{number:6}  {what}" for what, number in sorted(self.soak.killed.items()))
        yield ""
        yield from map(str, self.soak.memory.lives)
        yield ""
        yield from (f"NOT KEPT  {problem}" for problem in self.problems)
        yield (
            f"{len(self.problems)} problems; nothing is left over"
            if not self.left
            else f"{len(self.problems)} problems"
        )

    def _calls(self) -> Iterator[str]:
        return (f"{number} calls: {what}" for what, number in sorted(self.webhooks.items()))


def leftovers(soak: Soak) -> Iterator[str]:
    """Name what a run leaves behind, while the database and the bucket are still there."""
    for folder in ("spool", "tmp"):
        yield from (str(path.relative_to(soak.home)) for path in (soak.home / folder).iterdir())
    yield from (str(path) for path in soak.home.rglob("*.part"))
    client = soak.s3.client
    yield from (f"upload of {each['Key']}" for each in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))
    known = (".mp4", ".mp4.json", ".jsonl")
    yield from (
        f"object {key}"
        for key in keys_of(client, BUCKET)
        if not key.startswith("state/callbacks/") and not key.endswith(known)
    )
    yield from (f"trigger {row['id']}" for row in soak.postgres.query("select id from trigger"))


def measure(wanted: Plan) -> Report:
    """Run it from nothing to nothing."""
    adopt_orphans()
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="orvideo-soak-", ignore_cleanup_errors=True)
        home = Path(stack.enter_context(folder))
        # PostgreSQL's user must be able to enter it.
        home.chmod(0o711)
        soak = Soak(wanted, home, stack)
        before = set(family(os.getpid())) - {os.getpid()}
        with soak.airflow.running():
            in_time = soak.run()
            seconds = time.monotonic() - soak.begun
            told = soak.simulator.get("/faults")
            soak.simulator.delete("/faults")
            _settled(lambda: not soak.postgres.query("select id from trigger"))
        _settled(lambda: not left_over(before))
        left = [*leftovers(soak), *left_over(before)]
        calls = Counter(str(call["status"]) for call in soak.simulator.get("/webhooks"))
        tasks = soak.postgres.query("select dag_id, task_id, map_index, state, try_number from task_instance")
        counted = accounts(soak.simulator, soak.postgres, soak.s3, BUCKET)
        return Report(soak, in_time, seconds, counted, told, calls, tasks, left)


def main() -> int:
    """Run it and print the report; the exit code says whether all promises were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=2000, help="orders (default: %(default)s)")
    parser.add_argument("--generate", type=int, help="as mapped tasks; the rest in batches (default: one in seven)")
    parser.add_argument("--minutes", type=float, default=25.0, help="ends then, done or not (default: %(default)g)")
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds between kills (default: %(default)g)")
    parser.add_argument("--job-seconds", type=float, default=20.0, help="of the simulator (default: %(default)g)")
    parser.add_argument("--parallelism", type=int, default=8, help="tasks at the same time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="for what is killed (default: any)")
    options = parser.parse_args()
    if absent := missing():
        parser.error(f"needs Debian's {' and '.join(absent)}: python scripts/local_services.py installs them as root")
    wanted = plan(options)
    say(f"{wanted}; {HOST} only")
    report = measure(wanted)
    for line in report.lines():
        say(line)
    return 1 if report.problems else 0


def _settled(condition: Callable[[], bool]) -> None:
    """Wait a little for what ends by itself; what does not is told in the report."""
    try:
        wait_until("the end", condition, timeout=30, pause=1)
    except TimeoutError:
        return


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
