"""Sends the webhooks: a signed call to ``callback_url`` when a job ends, whether or not anybody polls.

The API takes only public HTTPS addresses, and a test's receiver is on this machine. So the setting ``webhook_origin``
takes the place of scheme, host and port, and without it nothing is sent: the simulator never calls out. Each webhook is
sent once; how often OpenRouter tries again is not documented, so that is a test's business.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import math
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from airflow_provider_orvideo.simulator import records
from airflow_provider_orvideo.simulator.faults import WEBHOOK, FaultBook, Target, WebhookFault
from airflow_provider_orvideo.simulator.jobs import Job, JobStore
from airflow_provider_orvideo.simulator.settings import SimulatorSettings

AT_ONCE = 8
TIMEOUT_SECONDS = 10.0
# A webhook is small; tests look at the last ones.
KEPT = 10_000


@dataclass(slots=True)
class LoggedWebhook:
    """One webhook that was sent, or dropped.

    Args:
        job_id: The job that it is about.
        url: Where it went.
        time: Unix time of sending, in seconds.
        signed: How it was signed.
        rules: The fault rules that changed it.
        status: The HTTP status that came back, ``"failed"`` where none did, ``"dropped"`` where a rule lost it.
    """

    job_id: str
    url: str
    time: float
    signed: Literal["valid", "forged", "missing"]
    rules: list[str]
    status: int | Literal["failed", "dropped"]

    def as_json(self) -> dict[str, Any]:
        """The entry as the control endpoint shows it."""
        return asdict(self)


def sign(secret: str, moment: int, body: bytes) -> str:
    """The value of ``X-OpenRouter-Signature``."""
    digest = hmac.new(secret.encode(), f"{moment},".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


class Courier:
    """Notices the ends of jobs and sends their webhooks. Every method but `run` may be called from every thread.

    Args:
        settings: Where to, and signed with what.
        faults: The rules, which are asked for each webhook.
    """

    def __init__(self, settings: SimulatorSettings, faults: FaultBook) -> None:
        self._settings = settings
        self._faults = faults
        self._waiting: deque[Job] = deque()
        self._log: deque[LoggedWebhook] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._places = asyncio.Semaphore(AT_ONCE)
        self.sent = 0

    # ── called by the others ────────────────────────────────────────────────────────────────────────────────

    def notice(self, job: Job) -> None:
        """Take note of a job that was made or has ended."""
        if job.is_over and self._address(job) is not None:
            self._waiting.append(job)
        self.wake()

    def send(self, job: Job) -> None:
        """Send the webhook of a job that is over once more.

        Raises:
            ValueError: It is not over, or no webhook of it is sent.
        """
        if not job.is_over:
            raise ValueError(f"Job {job.id} is not over (status: {job.status})")
        if self._address(job) is None:
            raise ValueError(f"Job {job.id} has no callback_url, or the setting webhook_origin is missing")
        self.notice(job)

    def wake(self) -> None:
        """Look at the clock again."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is sent any more
                self._loop.call_soon_threadsafe(self._woken.set)

    def find(self, job_id: str | None = None) -> list[LoggedWebhook]:
        """Copies of what was sent, of one job or of all, oldest first."""
        with self._changed:
            return [replace(entry) for entry in self._log if job_id in {None, entry.job_id}]

    def wait(self, count: int, timeout: float, job_id: str | None = None) -> list[LoggedWebhook]:
        """As `find`, once there are at least that many.

        Raises:
            TimeoutError: They did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.find(job_id)) >= count, timeout):
                raise TimeoutError(f"{len(self.find(job_id))} of {count} webhooks after {timeout} s")
            return self.find(job_id)

    def clear(self) -> None:
        """Forget what was sent, and what waits to be."""
        with self._changed:
            self._waiting.clear()
            self._log.clear()
            self.sent = 0

    # ── in the server's event loop ────────────────────────────────────────────────────────────────────────────────

    async def run(self, jobs: JobStore) -> None:
        """Send webhooks until cancelled."""
        if self._settings.webhook_origin is None:
            return
        self._loop = asyncio.get_running_loop()
        # No proxy of the environment, no redirect: nothing leaves this machine.
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client, asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                pause = jobs.until_next_end()
                while self._waiting:
                    group.create_task(self._deliver(client, self._waiting.popleft()))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)

    async def _deliver(self, client: httpx.AsyncClient, job: Job) -> None:
        plan = self._faults.plan(Target(WEBHOOK, model=job.order.model.id, job_id=job.id, prompt=job.order.prompt))
        await asyncio.sleep(plan.delay_before + plan.delay_after)
        fault = plan.webhook or WebhookFault.model_construct()
        url = self._address(job)
        assert url is not None  # noqa: S101 - asked before the job was put in line
        body = json.dumps(records.event(job), separators=(",", ":")).encode()
        signed, headers = self._headers(job, body, fault)
        entry = LoggedWebhook(job.id, url, time.time(), signed, plan.rules, "dropped")
        if plan.answer is not None:
            self._note(entry)
            return
        async with self._places:
            for _ in range(fault.copies):
                try:
                    answer = await client.post(url, content=body, headers=headers)
                except (httpx.HTTPError, httpx.InvalidURL):
                    self._note(replace(entry, status="failed"))
                else:
                    self._note(replace(entry, status=answer.status_code))

    def _headers(
        self, job: Job, body: bytes, fault: WebhookFault
    ) -> tuple[Literal["valid", "forged", "missing"], dict[str, str]]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "orvideo-simulator",
            "X-OpenRouter-Idempotency-Key": f"{job.id}-{job.status}",
        }
        secret = self._settings.webhook_secret
        if fault.signature == "missing" or (secret is None and fault.signature == "valid"):
            return "missing", headers
        forged = fault.signature == "forged"
        key = "whsec_of_somebody_else" if forged or secret is None else secret
        # By the real clock, whatever the simulator's says: that is what the receiver compares with.
        headers["X-OpenRouter-Signature"] = sign(key, math.floor(time.time() - fault.age), body)
        return fault.signature, headers

    def _note(self, entry: LoggedWebhook) -> None:
        with self._changed:
            self._log.append(entry)
            self.sent += entry.status != "dropped"
            self._changed.notify_all()

    def _address(self, job: Job) -> str | None:
        url, origin = job.request.get("callback_url"), self._settings.webhook_origin
        if not isinstance(url, str) or origin is None:
            return None
        parts = urlsplit(url)
        return origin + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
