"""How media get into requests, as this Airflow is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_orvideo.inputs.resolve import (
    DEFAULT_MAX_IMAGE_BYTES,
    DEFAULT_URL_TTL,
    LONGEST_URL_TTL,
    InputOptions,
    resolve,
)
from airflow_provider_orvideo.options import whole_number

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.schema import VideoRequest


def input_options() -> InputOptions:
    """Read ``[orvideo] input_image_max_bytes`` and ``input_url_ttl``.

    Raises:
        ConfigurationError: a value that cannot be kept, or is no whole number.
    """
    return InputOptions(
        max_image_bytes=whole_number(
            "input_image_max_bytes", DEFAULT_MAX_IMAGE_BYTES, allowed="a whole number of bytes above 0"
        ),
        url_ttl=whole_number(
            "input_url_ttl",
            DEFAULT_URL_TTL,
            allowed=f"a whole number of seconds from 1 to {LONGEST_URL_TTL}, a week",
            most=LONGEST_URL_TTL,
        ),
    )


def resolved(request: VideoRequest) -> VideoRequest:
    """Return the request as `resolve` does with these options, which are read only where it names media.

    Raises:
        ConfigurationError: as `input_options`.
        InputUnavailableError, RequestInvalidError: as `resolve`.
    """
    if not request.frame_images and not request.input_references:
        return request
    return resolve(request, input_options())
