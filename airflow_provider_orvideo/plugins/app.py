"""The application below ``/orvideo``. Built in API servers only.

==========================================================  =========================================================
``GET /pages/gallery``, ``GET /pages/video``                pages; without a session, to Airflow's login
``GET /static/…``                                           their scripts and styles, for anybody
``GET /api/settings``                                       whether the preview is on, for anybody who is logged in
``GET /api/preview/{dag}/{run}/{task}/{map_index}/{index}`` a landed video, with Range; HEAD too
``GET /api/poster/{dag}/{run}/{task}/{map_index}/{index}``  its still image; HEAD too
``POST /webhook/{nonce}``                                   OpenRouter's call at the end of a job; signed, no session
==========================================================  =========================================================

Preview and poster need the right to read the DAG's XComs. They answer 401 without a session, 403 without that right or
for a file that may not be read, 404 for nothing landed, 409 while the preview is off, 416 for a bad range, 502 where
the storage cannot be read, 503 while too many videos are played. No request names a file.

The webhook alone changes something, see ``webhook.py``. It answers 200 with ``{"kept": …}``, also to a repetition; 401
without a good signature, whatever is wrong with it; 404 while webhooks are off or for an address that was never drawn;
400 for a signed body that is no event; 408 and 413 for a body that takes too long or is too long; 503 with Retry-After
where it is not set up or the storage fails.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.plugins.config import HOW_TO_ENABLE, preview_config
from airflow_provider_orvideo.plugins.landed import TaskInstance
from airflow_provider_orvideo.plugins.preview import Preview
from airflow_provider_orvideo.plugins.webhook import Webhook

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC: Final = FilePath(__file__).parent / "static"
#: Headers of every answer.
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Answers that are no page: should a browser show one, nothing in it runs.
_CSP_OF_DATA: Final = "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'self'; sandbox"

Index = Annotated[int, Path(ge=0)]
MapIndex = Annotated[int, Path(ge=-1)]


def create_app() -> FastAPI:
    """Build the application."""
    # The machine's own table of media types may say anything; a module that is no JavaScript does not run.
    mimetypes.add_type("text/javascript", ".js")
    app = FastAPI(title="OpenRouter Video", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(_SecurityHeaders)
    app.add_exception_handler(HTTPException, _answer_error)
    _add_pages(app)
    _add_preview(app, Preview())
    app.add_api_route("/webhook/{nonce}", Webhook().receive, methods=["POST"])
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    return app


def _add_pages(app: FastAPI) -> None:
    @app.get("/pages/{name}")
    async def page(name: Literal["gallery", "video"], _user: GetUserDep) -> Response:
        return FileResponse(STATIC / f"{name}.html", media_type="text/html")

    @app.get("/api/settings")
    async def settings(_user: GetUserDep) -> dict[str, Any]:
        return {"preview": preview_config().is_on, "version": __version__, "how_to_enable": HOW_TO_ENABLE}


def _add_preview(app: FastAPI, preview: Preview) -> None:
    may_read_xcom = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.XCOM))
    place = "{dag_id}/{run_id}/{task_id}/{map_index}/{index}"

    @app.api_route(f"/api/preview/{place}", methods=["GET", "HEAD"], dependencies=[may_read_xcom])
    async def video(
        request: Request, dag_id: str, run_id: str, task_id: str, map_index: MapIndex, index: Index
    ) -> Response:
        return await preview.video(request, TaskInstance(dag_id, run_id, task_id, map_index), index)

    @app.api_route(f"/api/poster/{place}", methods=["GET", "HEAD"], dependencies=[may_read_xcom])
    async def poster(
        request: Request, dag_id: str, run_id: str, task_id: str, map_index: MapIndex, index: Index
    ) -> Response:
        return await preview.poster(request, TaskInstance(dag_id, run_id, task_id, map_index), index)


async def _answer_error(request: Request, error: Exception) -> Response:
    """Answer as FastAPI does; who opens a page without a valid session is sent to Airflow's login, and back after."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these only
    unknown = error.status_code in {status.HTTP_401_UNAUTHORIZED, status.HTTP_403_FORBIDDEN}
    if unknown and _path(request.scope).startswith("/pages/"):
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        login = f"{request.scope.get('app_root_path', '').rstrip('/')}/api/v2/auth/login?next={quote(asked, safe='')}"
        return RedirectResponse(login, headers={"Cache-Control": "no-store"})
    return await http_exception_handler(request, error)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class _SecurityHeaders:
    """Adds headers that keep a browser from doing more with an answer than to show it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = _policy_of_pages() if _path(scope).startswith("/pages/") else _CSP_OF_DATA

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers["Content-Security-Policy"] = policy
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _policy_of_pages() -> str:
    # A redirect to a signed URL leaves for the store, whatever its address is.
    media = "'self' https:" if preview_config().redirect else "'self'"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src {media}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
