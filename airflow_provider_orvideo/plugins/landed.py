"""Reads what a task landed from its XCom, through Airflow's public API and as the caller.

The request goes to the API server's own application in this process, with the caller's credentials: no network, proxy
or certificate is between, whatever ``[api] base_url`` says, and Airflow decides once more what the caller may read.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
from fastapi import HTTPException, status
from pydantic import ValidationError

from airflow_provider_orvideo.manifests import LandedManifest
from airflow_provider_orvideo.plugins.orvideo import ROOT_APP

if TYPE_CHECKING:
    from fastapi import Request

    from airflow_provider_orvideo.manifests import LandedFile

#: Longest answer that may hold a manifest, in bytes; a long prompt and dozens of files stay far below.
_MAX_BYTES: Final = 1024 * 1024
#: Seconds for Airflow's own answer.
_TIMEOUT: Final = 30.0
#: What says who the caller is.
_CREDENTIALS: Final = ("authorization", "cookie")


@dataclass(frozen=True)
class TaskInstance:
    """Whose XCom is read; ``map_index`` is -1 for a task that is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


async def landed_file(request: Request, task: TaskInstance, index: int) -> LandedFile:
    """Return one output from the manifest that a task instance returned.

    Raises:
        HTTPException: 401 or 403 as Airflow says, 404 where the XCom holds no such output, 502 where Airflow fails.
    """
    manifest = await _manifest(request, task)
    for file in manifest.files:
        if file.index == index:
            return file
    raise HTTPException(status.HTTP_404_NOT_FOUND, f"This task landed no output {index}.")


async def _manifest(request: Request, task: TaskInstance) -> LandedManifest:
    if "~" in {task.dag_id, task.run_id, task.task_id}:  # the public API's word for "any"
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Name one task instance; '~' is none.")
    try:
        # In a task of its own: what Airflow's middlewares bind to the context stays out of ours.
        answer = await asyncio.create_task(_get(request, task))
    except TimeoutError:
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, "Airflow's API did not answer in time.") from None
    code = answer.status_code
    if code in {status.HTTP_401_UNAUTHORIZED, status.HTTP_403_FORBIDDEN}:
        raise HTTPException(code, "Airflow's API does not let you read the XCom of this task.")
    if code in {status.HTTP_400_BAD_REQUEST, status.HTTP_404_NOT_FOUND, 422}:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "This task has returned nothing yet.")
    if answer.is_error:
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, f"Airflow's API answered with HTTP {code}.")
    return _validated(answer)


async def _get(request: Request, task: TaskInstance) -> httpx.Response:
    transport = httpx.ASGITransport(app=request.scope[ROOT_APP], raise_app_exceptions=False)
    base = request.scope.get("app_root_path", "").rstrip("/")
    parts = ("dags", task.dag_id, "dagRuns", task.run_id, "taskInstances", task.task_id, "xcomEntries", "return_value")
    url = f"http://airflow{base}/api/v2/{'/'.join(quote(part, safe='') for part in parts)}"
    headers = {name: request.headers[name] for name in _CREDENTIALS if name in request.headers}
    async with httpx.AsyncClient(transport=transport) as client, asyncio.timeout(_TIMEOUT):
        return await client.get(url, headers=headers, params={"map_index": task.map_index, "deserialize": "true"})


def _validated(answer: httpx.Response) -> LandedManifest:
    problem = "The XCom of this task is not the manifest of a landed video."
    if len(answer.content) > _MAX_BYTES:
        raise HTTPException(status.HTTP_404_NOT_FOUND, problem)
    try:
        value: Any = answer.json()["value"]
        if isinstance(value, str):
            value = json.loads(value)
        return LandedManifest.model_validate(value)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
        raise HTTPException(status.HTTP_404_NOT_FOUND, problem) from None
