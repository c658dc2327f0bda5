"""How media get into requests, as this Airflow is configured."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.inputs.resolve import DEFAULT_MAX_IMAGE_BYTES, DEFAULT_URL_TTL, InputOptions


def input_options() -> InputOptions:
    """Read ``[orvideo] input_image_max_bytes`` and ``input_url_ttl``.

    Raises:
        ConfigurationError: a value that cannot be kept.
        AirflowConfigException: a value that is no whole number.
    """
    return InputOptions(
        max_image_bytes=conf.getint("orvideo", "input_image_max_bytes", fallback=DEFAULT_MAX_IMAGE_BYTES),
        url_ttl=conf.getint("orvideo", "input_url_ttl", fallback=DEFAULT_URL_TTL),
    )
