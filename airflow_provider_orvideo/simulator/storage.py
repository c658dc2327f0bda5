"""The second origin: signed URLs of stored outputs, on a port of their own, where an API key has no business.

A request that carries an Authorization header is refused and counted as ``leaked_authorizations``.
"""

import asyncio
import hashlib
import hmac
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from airflow_provider_orvideo.simulator.jobs import COMPLETED, Job
from airflow_provider_orvideo.simulator.state import State

_SECRET = b"a simulated signing secret"
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


def signed_urls(state: State, request: Request, job: Job) -> dict[str, Any]:
    """``urls`` and ``expires_at`` of a completed job."""
    expires_at = int((job.finished_at or 0) + state.settings.signed_seconds)
    host = request.url.hostname or "127.0.0.1"
    origin = f"http://{f'[{host}]' if ':' in host else host}:{state.storage_port}"
    return {
        "urls": [
            f"{origin}/stored/{job.id}/{index}.mp4?expires={expires_at}&signature={_sign(job.id, index, expires_at)}"
            for index in range(job.outputs)
        ],
        "expires_at": expires_at,
    }


def build_storage(state: State) -> FastAPI:
    """The application behind the signed URLs."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    async def stored(request: Request, job_id: str, index: int) -> Response:
        entry = state.log.arrive(request, "getStored", job_id)
        status, body = await _read(state, request, job_id, index)
        state.log.finish(entry, status, len(body))
        return Response(body, status, media_type="video/mp4" if status == 200 else "application/xml")  # noqa: PLR2004

    app.add_api_route("/stored/{job_id}/{index:int}.mp4", stored, methods=["GET"])
    return app


def _sign(job_id: str, index: int, expires_at: int) -> str:
    return hmac.new(_SECRET, f"{job_id}/{index}/{expires_at}".encode(), hashlib.sha256).hexdigest()


async def _read(state: State, request: Request, job_id: str, index: int) -> tuple[int, bytes]:
    """Status and body of a stored output."""
    if "authorization" in request.headers:
        return _refuse(400, "InvalidArgument", "Only one authentication mechanism is allowed; this URL is signed.")
    expires = request.query_params.get("expires", "")
    if not expires.isdecimal() or not hmac.compare_digest(
        _sign(job_id, index, int(expires)), request.query_params.get("signature", "")
    ):
        return _refuse(403, "SignatureDoesNotMatch", "The signature does not match.")
    if state.clock.epoch() >= int(expires):
        return _refuse(403, "AccessDenied", "Request has expired.")
    job = state.jobs.find(job_id)
    if job is None or job.status != COMPLETED or state.outputs_gone(job):
        return _refuse(404, "NoSuchKey", "The specified key does not exist.")
    return 200, await asyncio.wrap_future(state.studio.order(state.shot(job, index)))


def _refuse(status: int, code: str, message: str) -> tuple[int, bytes]:
    return status, _ERROR.format(code=code, message=message).encode()
