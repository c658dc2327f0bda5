"""The API's endpoints: authentication, the four video operations, and the three small ones around them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from airflow_provider_orvideo.simulator import records
from airflow_provider_orvideo.simulator.answers import ApiError, ZodError, envelope
from airflow_provider_orvideo.simulator.control import add_control
from airflow_provider_orvideo.simulator.faults import Content, Drop, Plan, Respond, Target
from airflow_provider_orvideo.simulator.jobs import COMPLETED, Job
from airflow_provider_orvideo.simulator.log import LoggedRequest, bearer, fingerprint, shorten
from airflow_provider_orvideo.simulator.records import PREFIX
from airflow_provider_orvideo.simulator.state import State
from airflow_provider_orvideo.simulator.storage import signed_urls
from airflow_provider_orvideo.simulator.validation import accept
from airflow_provider_orvideo.simulator.wire import Dropped, VideoStream

KEY_PREFIX = "sk-or-test-"
MANAGEMENT_PREFIX = "sk-or-test-management"
BAD_PREFIX = "sk-or-test-bad"
NO_COOKIE = "No cookie auth credentials found"
NO_HEADER = "Missing Authentication header"

Work = Callable[[Plan, LoggedRequest], Awaitable[Response]]


def build_app(state: State) -> FastAPI:
    """The application of one simulator."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    api = Api(state)
    app.add_api_route(f"{PREFIX}/videos", api.create_videos, methods=["POST"])
    app.add_api_route(f"{PREFIX}/videos/models", api.list_videos_models, methods=["GET"])
    app.add_api_route(f"{PREFIX}/videos/{{job_id}}", api.get_videos, methods=["GET"])
    app.add_api_route(f"{PREFIX}/videos/{{job_id}}/content", api.list_videos_content, methods=["GET"])
    app.add_api_route(f"{PREFIX}/key", api.get_key, methods=["GET"])
    app.add_api_route(f"{PREFIX}/generation", api.get_generation, methods=["GET"])
    app.add_api_route(f"{PREFIX}/credits", api.get_credits, methods=["GET"])
    add_control(app, state)

    async def unrouted(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        return JSONResponse(envelope(error.status_code, error.detail), error.status_code, headers=error.headers)

    app.add_exception_handler(HTTPException, unrouted)
    return app


class Api:
    """The endpoints. Each logs the request, asks the fault rules, does its work, and asks the fault rules again.

    Args:
        state: The simulator's parts.
    """

    def __init__(self, state: State) -> None:
        self.state = state

    async def create_videos(self, request: Request) -> Response:
        """``POST /videos``."""
        entry = self.state.log.arrive(request, "createVideos", None)
        try:
            raw = await request.body()
        except ClientDisconnect:
            self.state.log.finish(entry, "disconnected")
            return Dropped("close")
        body: Any = None
        try:
            body = json.loads(raw)
        except ValueError:
            readable = False
        else:
            readable = True
            self.state.log.update(entry, body=shorten(body))
        fields = body if isinstance(body, dict) else {}
        target = Target("createVideos", model=_text(fields.get("model")), prompt=_text(fields.get("prompt")))

        async def work(plan: Plan, entry: LoggedRequest) -> Response:
            self._require_inference_key(request)
            if len(raw) > self.state.settings.max_body_bytes:
                raise ApiError(413, "Request payload too large")
            if not readable:
                raise ApiError(400, "The request body is not valid JSON")
            order = accept(body, self.state.catalogue, self.state.jobs)
            await asyncio.sleep(self.state.settings.submit_seconds)
            settings = self.state.settings
            details = {"seconds": settings.job_seconds, "polls_needed": settings.job_polls, "outputs": settings.outputs}
            changes = {} if plan.job is None else plan.job.changes()
            cost = None if settings.is_byok else order.cost
            job = self.state.jobs.create(
                order,
                shorten(body),
                **{
                    "cost": cost,
                    "key": fingerprint(bearer(request)),
                    "is_byok": settings.is_byok,
                    "origin": self._origin(request),
                    **details,
                    **changes,
                },
            )
            self.state.log.update(entry, job_id=job.id)
            answer = {"id": job.id, "polling_url": self._polling_url(request, job), "status": "pending"}
            return JSONResponse(answer, 202)

        return await self._handle(entry, target, work)

    async def get_videos(self, request: Request, job_id: str) -> Response:
        """``GET /videos/{jobId}``."""

        async def work(plan: Plan, _: LoggedRequest) -> Response:
            self._require_inference_key(request)
            job = self.state.jobs.poll(job_id)
            if job is None:
                raise ApiError(404, f"Job {job_id} not found")
            if plan.status is None:
                return JSONResponse(self._describe(request, job))
            answer = {"id": job.id, "generation_id": job.id, "polling_url": self._polling_url(request, job)}
            return JSONResponse(answer | {"status": plan.status})

        entry = self.state.log.arrive(request, "getVideos", job_id)
        return await self._handle(entry, Target("getVideos", **self.state.find_target(job_id)), work)

    async def list_videos_content(self, request: Request, job_id: str) -> Response:
        """``GET /videos/{jobId}/content``; a Range header changes nothing."""
        raw_index = request.query_params.get("index", "")
        index = int(raw_index) if raw_index.isdecimal() else 0

        async def work(plan: Plan, entry: LoggedRequest) -> Response:
            self._require_inference_key(request, missing=NO_COOKIE)
            if raw_index and not raw_index.isdecimal():
                message = "Invalid input: expected a whole number of at least 0"
                raise ZodError([{"code": "invalid_type", "expected": "int", "path": ["index"], "message": message}])
            return await self._content(self._readable_job(job_id, index), index, plan, entry)

        entry = self.state.log.arrive(request, "listVideosContent", job_id)
        target = Target("listVideosContent", index=index, **self.state.find_target(job_id))
        return await self._handle(entry, target, work)

    async def list_videos_models(self, request: Request) -> Response:
        """``GET /videos/models``: public, a bad key does no harm."""

        async def work(_: Plan, __: LoggedRequest) -> Response:
            return JSONResponse({"data": self.state.catalogue.entries()})

        return await self._handle(
            self.state.log.arrive(request, "listVideosModels", None), Target("listVideosModels"), work
        )

    async def get_key(self, request: Request) -> Response:
        """``GET /key``: every valid key may ask about itself."""

        async def work(_: Plan, __: LoggedRequest) -> Response:
            key = self._require_key(request)
            spent = self.state.jobs.spent(fingerprint(key))
            return JSONResponse({"data": records.key(spent, is_management=key.startswith(MANAGEMENT_PREFIX))})

        return await self._handle(self.state.log.arrive(request, "getKey", None), Target("getKey"), work)

    async def get_credits(self, request: Request) -> Response:
        """``GET /credits``."""

        async def work(_: Plan, __: LoggedRequest) -> Response:
            key = self._require_key(request)
            if self.state.settings.credits_need_management_key and not key.startswith(MANAGEMENT_PREFIX):
                raise ApiError(403, "Only management keys can perform this operation")
            used = float(self.state.jobs.spent())
            return JSONResponse({"data": {"total_credits": self.state.settings.total_credits, "total_usage": used}})

        return await self._handle(self.state.log.arrive(request, "getCredits", None), Target("getCredits"), work)

    async def get_generation(self, request: Request) -> Response:
        """``GET /generation``: the record appears some time after the job is done."""
        job_id = request.query_params.get("id", "")

        async def work(_: Plan, __: LoggedRequest) -> Response:
            self._require_key(request)
            job = self.state.jobs.find(job_id)
            if job is None or not self._generation_is_known(job):
                raise ApiError(404, f"Generation {job_id} not found")
            return JSONResponse({"data": records.generation(job, user_agent=request.headers.get("user-agent"))})

        entry = self.state.log.arrive(request, "getGeneration", job_id or None)
        return await self._handle(entry, Target("getGeneration", **self.state.find_target(job_id)), work)

    # ── what the endpoints share ────────────────────────────────────────────────────────────────────────────────

    async def _handle(self, entry: LoggedRequest, target: Target, work: Work) -> Response:
        """Answer one request, as the real API would unless a rule says otherwise."""
        plan = self.state.faults.plan(target)
        self.state.log.update(entry, rules=plan.rules)
        await asyncio.sleep(plan.delay_before)
        if (answer := plan.answers("before")) is not None:
            return self._instead(entry, answer)
        try:
            response = await work(plan, entry)
        except ApiError as error:
            # A refused request took no effect, so there is no "after" for it.
            response = error.response()
        else:
            if plan.delay_after:
                await asyncio.sleep(plan.delay_after)
            if (answer := plan.answers("after")) is not None:
                return self._instead(entry, answer)
        if not isinstance(response, VideoStream):
            self.state.log.finish(entry, response.status_code)
        return response

    def _instead(self, entry: LoggedRequest, answer: Respond | Drop) -> Response:
        if isinstance(answer, Drop):
            self.state.log.finish(entry, "dropped")
            return Dropped(answer.how)
        headers = dict(answer.headers)
        if answer.retry_after is not None:
            headers["Retry-After"] = f"{answer.retry_after:g}"
        elif answer.retry_after_date is not None:
            headers["Retry-After"] = formatdate(self.state.clock.epoch() + answer.retry_after_date, usegmt=True)
        content, media_type = answer.content()
        self.state.log.finish(entry, answer.status)
        if media_type is None:
            return JSONResponse(content, answer.status, headers=headers)
        return Response(content, answer.status, headers=headers, media_type=media_type)

    def _require_key(self, request: Request, missing: str = NO_HEADER) -> str:
        """The request's key, if it is valid for anything."""
        key = bearer(request)
        if key is None:
            raise ApiError(401, missing)
        accepted = self.state.settings.accepted_keys
        valid = key.startswith(KEY_PREFIX) if accepted is None else key in accepted
        if key.startswith(BAD_PREFIX) or not (valid or key.startswith(MANAGEMENT_PREFIX)):
            raise ApiError(401, "User not found.")
        return key

    def _require_inference_key(self, request: Request, missing: str = NO_HEADER) -> None:
        if self._require_key(request, missing).startswith(MANAGEMENT_PREFIX):
            raise ApiError(403, "Management keys cannot be used for inference")

    def _origin(self, request: Request) -> str:
        """Where the client believes to be talking to: right behind a proxy and in a container network, too."""
        return f"{request.url.scheme}://{request.url.netloc}"

    def _polling_url(self, request: Request, job: Job) -> str:
        path = f"{PREFIX}/videos/{job.id}"
        return self._origin(request) + path if self.state.settings.absolute_urls else path

    def _describe(self, request: Request, job: Job) -> dict[str, Any]:
        """A job as a poll shows it."""
        answer: dict[str, Any] = {
            "id": job.id,
            "generation_id": job.id,
            "polling_url": self._polling_url(request, job),
            "status": job.status,
        }
        if job.status == COMPLETED:
            answer["unsigned_urls"] = records.content_urls(job, self._origin(request))
            if self.state.storage_port is not None and not self.state.outputs_gone(job):
                answer |= signed_urls(self.state, request, job)
            answer["usage"] = records.usage(job)
        elif job.is_over:
            answer["error"] = job.error
        return answer

    def _readable_job(self, job_id: str, index: int) -> Job:
        """The job, if that output of it can be read."""
        job = self.state.jobs.find(job_id)
        if job is None:
            raise ApiError(404, f"Job {job_id} not found")
        if job.status != COMPLETED:
            raise ApiError(409, f"Job {job_id} is not completed (status: {job.status})")
        if index >= job.outputs:
            raise ApiError(400, f"Video index {index} out of range ({job.outputs} videos available)")
        if self.state.outputs_gone(job):
            raise ApiError(410, f"The output of job {job_id} is no longer available")
        return job

    async def _content(self, job: Job, index: int, plan: Plan, entry: LoggedRequest) -> Response:
        job.content_reads += 1
        video = await asyncio.wrap_future(self.state.studio.order(self.state.shot(job, index)))
        fault = plan.content or Content.model_construct()
        if fault.garbage:
            video = records.garbage(len(video))
        if fault.truncate is not None:
            video = video[: int(len(video) * fault.truncate)]
        elif fault.truncate_bytes is not None:
            video = video[: fault.truncate_bytes]

        def on_end(sent: int, there: bool) -> None:  # noqa: FBT001 - VideoStream's callback
            self.state.log.finish(entry, 200 if there else "disconnected", sent)

        return VideoStream(
            video,
            content_type=fault.content_type or "video/mp4",
            chunk_bytes=self.state.settings.chunk_bytes,
            on_end=on_end,
            cut=fault.is_short and not fault.clean,
            bytes_per_second=fault.bytes_per_second,
        )

    def _generation_is_known(self, job: Job) -> bool:
        if job.status != COMPLETED or job.finished is None:
            return False
        settings = self.state.settings
        if self.state.clock.now() - job.finished < settings.generation_seconds:
            return False
        if job.generation_misses < settings.generation_misses:
            job.generation_misses += 1
            return False
        return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
