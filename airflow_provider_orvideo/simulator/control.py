"""The control endpoints under ``/_sim``, which the real API has not: faults, jobs, the clock and the request log."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

from airflow_provider_orvideo.simulator.faults import Rule
from airflow_provider_orvideo.simulator.jobs import COMPLETED, UnknownJobError
from airflow_provider_orvideo.simulator.state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PREFIX = "/_sim"


class Finish(BaseModel):
    """The body of ``POST /_sim/jobs/{id}/finish``; it may be empty.

    Attributes:
        outcome: The status that the job ends with. Default: ``completed``.
        error: The text that it ends with.
    """

    model_config = ConfigDict(extra="forbid")

    outcome: str = COMPLETED
    error: str | None = None


class Advance(BaseModel):
    """The body of ``POST /_sim/clock``.

    Attributes:
        seconds: How many seconds pass, at least 0.
    """

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0)


def parse_rules(document: object) -> list[Rule]:
    """The rules of a script or of a request: one rule, a list of rules, or ``{"faults": [...]}``.

    Raises:
        ValidationError: A rule is not understood.
    """
    if isinstance(document, dict) and set(document) == {"faults"}:
        document = document["faults"]
    return [Rule.model_validate(item) for item in (document if isinstance(document, list | tuple) else [document])]


def add_control(app: FastAPI, state: State) -> None:
    """Add the control endpoints to the application."""
    control = Control(state)
    routes: list[tuple[str, str, Callable[..., Awaitable[Response]]]] = [
        ("GET", "/health", control.health),
        ("GET", "/stats", control.stats),
        ("GET", "/requests", control.requests),
        ("DELETE", "/requests", control.clear_requests),
        ("GET", "/jobs", control.jobs),
        ("POST", "/jobs/{job_id}/finish", control.finish),
        ("GET", "/faults", control.faults),
        ("POST", "/faults", control.add_faults),
        ("DELETE", "/faults", control.clear_faults),
        ("DELETE", "/faults/{rule_id}", control.remove_fault),
        ("POST", "/clock", control.advance),
        ("GET", "/webhooks", control.webhooks),
        ("POST", "/jobs/{job_id}/webhook", control.send_webhook),
        ("POST", "/reset", control.reset),
    ]
    for method, path, endpoint in routes:
        app.add_api_route(PREFIX + path, endpoint, methods=[method])


class Control:
    """The endpoints.

    Args:
        state: The simulator's parts.
    """

    def __init__(self, state: State) -> None:
        self.state = state

    async def health(self) -> Response:
        """Whether the simulator is up, and how it is set: ``status`` and ``settings``, without keys and secrets."""
        settings = json.loads(self.state.settings.model_dump_json(exclude={"accepted_keys", "webhook_secret"}))
        return JSONResponse({"status": "ok", "settings": settings})

    async def stats(self) -> Response:
        """The counts, by name, as `Simulator.stats` returns them."""
        return JSONResponse(self.state.stats())

    async def requests(self, request: Request) -> Response:
        """The log, a list of `LoggedRequest`.

        The query filters by ``operation``, ``job_id``, ``status``, ``method``, ``seq`` and ``authorization`` (``true``
        or ``false``). With ``wait``, in seconds, it is answered once there are ``count`` (default 1) of them, and with
        408 if they do not come in time.
        """
        filters: dict[str, Any] = dict(request.query_params)
        wait, count = float(filters.pop("wait", 0)), int(filters.pop("count", 1))
        allowed = {"operation", "job_id", "status", "method", "seq", "authorization"}
        if unknown := set(filters) - allowed:
            return _refuse(f"unknown filters: {', '.join(sorted(unknown))}")
        for name in ("status", "seq"):
            if filters.get(name, "").isdecimal():
                filters[name] = int(filters[name])
        if "authorization" in filters:
            filters["authorization"] = filters["authorization"] == "true"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        # Not in a thread, which would keep the simulator from stopping; and the log belongs to no event loop.
        while len(found := self.state.log.find(**filters)) < count and loop.time() < deadline:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        if wait and len(found) < count:
            return JSONResponse({"error": f"{len(found)} of {count} requests after {wait:g} s"}, 408)
        return JSONResponse([entry.as_json() for entry in found])

    async def clear_requests(self) -> Response:
        """Forget the log and its counts."""
        self.state.log.clear()
        return Response(status_code=204)

    async def jobs(self) -> Response:
        """All jobs, a list of `Job`, oldest first."""
        return JSONResponse([job.as_json() for job in self.state.jobs.all()])

    async def finish(self, request: Request, job_id: str) -> Response:
        """End a job now, and return it.

        The body may be empty, or have ``outcome`` (default ``completed``) and ``error``. 404 for no such job, 409 for
        one that is over.
        """
        try:
            body = Finish.model_validate_json(await request.body() or "{}")
            job = self.state.jobs.finish(job_id, body.outcome, body.error)
        except ValidationError as error:
            return _explain(error)
        except UnknownJobError:
            return JSONResponse({"error": f"there is no job {job_id}"}, 404)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse(job.as_json())

    async def faults(self) -> Response:
        """All rules, with the number of requests each has hit."""
        return JSONResponse(self.state.faults.describe())

    async def add_faults(self, request: Request) -> Response:
        """Add one rule or a list of them, each a `Rule`: all, or none if one is wrong.

        201 with the rules and their ids.
        """
        try:
            rules = parse_rules(await request.json())
        except ValidationError as error:
            return _explain(error)
        except ValueError:
            return _refuse("the body is not JSON")
        added = [self.state.faults.add(rule) for rule in rules]
        return JSONResponse([rule.as_json() for rule in added], 201)

    async def clear_faults(self) -> Response:
        """Remove all rules."""
        self.state.faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, rule_id: str) -> Response:
        """Remove one rule; 404 for no such rule."""
        if not self.state.faults.remove(rule_id):
            return JSONResponse({"error": f"there is no rule {rule_id}"}, 404)
        return Response(status_code=204)

    async def advance(self, request: Request) -> Response:
        """Let time pass at once: ``seconds`` in the body, at least 0.

        The answer has ``epoch``, the clock's time in unix seconds.
        """
        try:
            seconds = Advance.model_validate_json(await request.body()).seconds
        except ValidationError as error:
            return _explain(error)
        self.state.advance(seconds)
        return JSONResponse({"epoch": self.state.clock.epoch()})

    async def webhooks(self, request: Request) -> Response:
        """The webhooks that were sent, a list of `LoggedWebhook`.

        The query filters by ``job_id``. With ``wait``, in seconds, it is answered once ``count`` (default 1) of them
        are done, and with 408 if they are not in time.
        """
        filters = dict(request.query_params)
        wait, count = float(filters.pop("wait", 0)), int(filters.pop("count", 1))
        if unknown := set(filters) - {"job_id"}:
            return _refuse(f"unknown filters: {', '.join(sorted(unknown))}")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while len(found := self.state.courier.find(**filters)) < count and loop.time() < deadline:  # noqa: ASYNC110 - as for requests
            await asyncio.sleep(0.01)
        if wait and len(found) < count:
            return JSONResponse({"error": f"{len(found)} of {count} webhooks after {wait:g} s"}, 408)
        return JSONResponse([entry.as_json() for entry in found])

    async def send_webhook(self, job_id: str) -> Response:
        """Send the webhook of a job that is over once more; 202. 404 for no such job, 409 for one that has none."""
        try:
            job = self.state.jobs.get(job_id)
            self.state.courier.send(job)
        except UnknownJobError:
            return JSONResponse({"error": f"there is no job {job_id}"}, 404)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 409)
        return Response(status_code=202)

    async def reset(self) -> Response:
        """Forget jobs, faults and the log."""
        self.state.reset()
        return Response(status_code=204)


def _refuse(text: str) -> Response:
    return JSONResponse({"error": text}, 400)


def _explain(error: ValidationError) -> Response:
    """What a person needs to correct a rule."""
    problems = [f"{'.'.join(map(str, item['loc'])) or 'rule'}: {item['msg']}" for item in error.errors()]
    return _refuse("; ".join(problems))
