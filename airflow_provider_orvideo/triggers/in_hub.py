"""How triggers wait for a job: in the hub of its connection, which they all share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import BeforeSendError, ConfigurationError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.polling.decision import GaveUp
from airflow_provider_orvideo.polling.hub import hub_for
from airflow_provider_orvideo.triggers.metrics import send

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.config import ClientConfig
    from airflow_provider_orvideo.polling.decision import Ended, TimedOut, Wait

#: How often the connection is looked up before the wait is given up; over a minute in all.
_LOOKUPS: Final = 7


def _may_pass(error: BaseException) -> bool:
    """Whether another look-up may go better. To be cancelled is no failure: whoever cancels waits for that."""
    for_good = (BeforeSendError, AirflowNotFoundException, ValueError, TypeError)
    return isinstance(error, Exception) and not isinstance(error, for_good)


async def wait_in_hub(conn_id: str, wait: Wait, *, model: str | None) -> Ended | TimedOut | GaveUp:
    """Wait for one job. Whatever goes wrong ends up in the result: the worker must hear of it.

    Args:
        conn_id: Airflow connection that the job belongs to.
        wait: the job and how long to wait for it.
        model: model id that was ordered, None for unknown.
    """

    async def lookup() -> ClientConfig:
        """Look the connection up; a secrets backend that is away for a moment must not end a healthy wait."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(_LOOKUPS),
            wait=wait_exponential(multiplier=0.5, max=30),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return await retrying(OrVideoHook(conn_id).aget_config)

    try:
        return await hub_for(conn_id, send).wait(wait, model=model, lookup=lookup)
    except BeforeSendError as error:
        return GaveUp(error)
    except Exception as error:  # noqa: BLE001 - Airflow's own errors differ by version; the worker must hear of it
        # Airflow's words may quote the connection, and the event goes into the database and a log.
        reason = redact(f"{type(error).__name__} {error}")
        return GaveUp(ConfigurationError(f"The connection '{conn_id}' cannot be read in the triggerer: {reason}"))
