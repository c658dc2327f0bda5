"""The plugin that Airflow loads in each of its processes, so it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.sdk import conf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

URL_PREFIX: Final = "/orvideo"
#: Where `LazyApp` leaves Airflow's own application in the scope of a request.
ROOT_APP: Final = "orvideo.root_app"


class LazyApp:
    """An ASGI application that is built by its first request: only API servers get one."""

    def __init__(self) -> None:
        self._app: Any = None

    def __str__(self) -> str:
        return "airflow_provider_orvideo.plugins.app"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, with the application that it came through."""
        if self._app is None:
            from airflow_provider_orvideo.plugins.app import create_app  # noqa: PLC0415 - heavy, and only needed here

            self._app = create_app()
        await self._app({**scope, ROOT_APP: scope.get("app")}, receive, send)


def _page(name: str, query: str = "") -> str:
    """Return a page's path, below the path of ``[api] base_url``."""
    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{base}{URL_PREFIX}/pages/{name}{query}"


def _external_views() -> list[dict[str, Any]]:
    views: list[dict[str, Any]] = [
        {
            "name": "Videos",
            "href": _page("gallery"),
            "destination": "nav",
            "category": "browse",
            "url_route": "orvideo-videos",
        },
        {
            "name": "Videos",
            "href": _page("gallery", "?dag_id={DAG_ID}&run_id={RUN_ID}"),
            "destination": "dag_run",
            "url_route": "orvideo-run-videos",
        },
    ]
    if _has_applies_to():
        views.append(
            {
                "name": "Video",
                "href": _page("video", "?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"),
                "destination": "task_instance",
                "url_route": "orvideo-video",
                "applies_to": {"operator_name": _OPERATORS},
            }
        )
    return views


#: Tasks that the video's page is about.
_OPERATORS: Final = [
    "OrVideoSubmitOperator",
    "OrVideoDownloadOperator",
    "OrVideoGenerateOperator",
    "OrVideoJobSensor",
    "@task.orvideo",
]


def _has_applies_to() -> bool:
    """Whether a tab can be kept off other people's tasks (Airflow 3.4); an older Airflow would show it on each one."""
    try:
        from airflow.api_fastapi.core_api.datamodels import plugins  # noqa: PLC0415 - only the API server has it loaded
    except ImportError:
        return False
    view = getattr(plugins, "ExternalViewResponse", None)
    return "applies_to" in getattr(view, "model_fields", {})


class _Views:
    """The external views, made when the UI's own code asks: finding out what Airflow can show is not cheap."""

    def __init__(self) -> None:
        self._views: list[dict[str, Any]] | None = None

    def __get__(self, plugin: object, owner: type) -> list[dict[str, Any]]:
        """Return one and the same list, since Airflow takes out of it what it does not show."""
        if self._views is None:
            self._views = _external_views()
        return self._views


class OrVideoPlugin(AirflowPlugin):
    """Pages and endpoints below ``/orvideo``, and where the UI shows them."""

    name = "orvideo"
    fastapi_apps: list[Any] = [  # noqa: RUF012 - as Airflow declares it
        {"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "OpenRouter Video"}
    ]
    external_views = _Views()
