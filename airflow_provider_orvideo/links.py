"""Links on the task instance's page. The worker computes them after each segment of a task, deferrals included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

#: Where OpenRouter lists what an account did. A page per job is not documented.
ACTIVITY_URL: Final = "https://openrouter.ai/activity"


class OpenRouterLink(BaseOperatorLink):
    """Opens the account's activity page, https://openrouter.ai/activity; OpenRouter documents none for a single job."""

    name = "OpenRouter"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the activity page, the same for every task.

        Args:
            operator: not looked at.
            ti_key: not looked at.

        Returns:
            Its URL.
        """
        return ACTIVITY_URL


class VideoLink(BaseOperatorLink):
    """Opens the page of this provider's plugin that shows the task instance's video, and before that how far it is."""

    name = "Video"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the page's path, which needs no more than the task instance's name: it is there while it waits.

        It is a path and no URL, since a worker need not know under which name people reach the API server. The path of
        ``[api] base_url`` comes before it, so where that has one, workers must be told.

        Args:
            operator: not looked at.
            ti_key: name of the task instance.

        Returns:
            A path that begins with a slash.
        """
        base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        query = {name: getattr(ti_key, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
        return f"{base}/orvideo/pages/video?{urlencode(query, quote_via=quote)}"
