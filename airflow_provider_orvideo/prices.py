"""What a video would cost, for DAGs that decide by the price; nothing is ordered from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_orvideo.preflight.pricing import Estimate

__all__ = ["estimate"]


def estimate(*, orvideo_conn_id: str = "orvideo_default", **request: Any) -> Estimate:  # noqa: ANN401 - request fields
    """Estimate what a request would cost, as the operators do before they order. Call it in a task.

    Args:
        orvideo_conn_id: Airflow connection of type ``orvideo``, by which the price list is asked for where the copy of
            this host is older than ``[orvideo] cache_ttl``. Default: ``orvideo_default``.
        request: the fields of a request, as `OrVideoGenerateOperator` takes them; ``model`` is always needed.

    Returns:
        An `Estimate`; its ``usd`` is the high end in US dollars, None where nobody can tell; then ``reason`` says why.

    Raises:
        RequestInvalidError: the request breaks the API's schema, or its model does not support it.
        ConfigurationError: the connection or an option cannot work.

    Source: OpenRouter's price list, and bills; see `airflow_provider_orvideo.preflight.pricing.estimate`.
    """
    # Imported here: whoever only parses the DAG never gets this far.
    from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
    from airflow_provider_orvideo.operators.orders import request_of  # noqa: PLC0415
    from airflow_provider_orvideo.options import catalogue_settings  # noqa: PLC0415
    from airflow_provider_orvideo.preflight.inspection import Rules, inspect  # noqa: PLC0415
    from airflow_provider_orvideo.preflight.pricing import Estimate  # noqa: PLC0415

    rules = Rules(**catalogue_settings())
    wanted = request_of(request)
    with OrVideoHook(orvideo_conn_id) as hook:
        found = inspect(hook.get_conn(), wanted, rules).estimate
    return found or Estimate(reason="nothing was estimated")
