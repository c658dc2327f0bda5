"""Links on the task instance's page. The worker computes them after each segment of a task, deferrals included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import XCom
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

#: Where OpenRouter lists what an account did. A page per job is not documented.
ACTIVITY_URL: Final = "https://openrouter.ai/activity"


class OpenRouterLink(BaseOperatorLink):
    """Opens the account's activity page."""

    name = "OpenRouter"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the activity page, the same for every task."""
        return ACTIVITY_URL


class VideoLink(BaseOperatorLink):
    """Opens the first landed file, if it lies at a web address."""

    name = "Video"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the first file's address, or nothing where a browser could not open it."""
        manifest = XCom.get_value(ti_key=ti_key, key="return_value")
        files = manifest.get("files") if isinstance(manifest, dict) else None
        uri = files[0].get("uri", "") if files else ""
        return uri if uri.startswith(("https://", "http://")) else ""
