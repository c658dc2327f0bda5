"""The ``[orvideo] preview_*`` options, as the API server reads them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any, Final

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.options import number_or_default, switch_or_default, written
from airflow_provider_orvideo.plugins.allowed import Prefixes

log = logging.getLogger(__name__)

HOW_TO_ENABLE: Final = (
    "The preview is off: no storage may be read. An administrator switches it on for chosen folders by setting "
    "preview_allowed_prefixes in the section [orvideo] of the API server's Airflow configuration, for example "
    "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES=s3://aws_default@my-bucket/videos/ and restarting the API server, "
    "which needs the storage's Airflow provider installed."
)

#: The options that have a default which will do where they are wrong.
_REST: Final = ("preview_redirect", "preview_max_streams", "preview_stall_timeout")


@dataclass(frozen=True)
class PreviewConfig:
    """How the preview works.

    Attributes:
        prefixes: where it may read.
        redirect: whether to send clients to signed URLs of the store instead of streaming.
        max_streams: videos that one API server process streams at the same time, at least 1.
        stall_timeout: seconds after which a stream whose client takes nothing gives its place to another.
    """

    prefixes: Prefixes
    redirect: bool
    max_streams: int
    stall_timeout: float

    @property
    def is_on(self) -> bool:
        """Whether any storage may be read."""
        return bool(self.prefixes.places)


def preview_config() -> PreviewConfig:
    """Read the options as they are now."""
    return PreviewConfig(
        prefixes=_prefixes(conf.get("orvideo", "preview_allowed_prefixes", fallback="") or ""),
        **_rest(*written(*_REST)),
    )


@lru_cache(maxsize=8)
def _prefixes(text: str) -> Prefixes:
    """Read the prefixes; what is wrong with them is logged once."""
    prefixes = Prefixes.parse(text)
    for problem in prefixes.problems:
        log.error("%s", problem)
    return prefixes


@lru_cache(maxsize=8)
def _rest(*_texts: str) -> dict[str, Any]:
    """Read the options of `_REST`, once for what they say now: what is wrong with them is logged once, too."""
    streams = number_or_default("preview_max_streams", 32, allowed="a number from 1", least=-inf)
    stall = number_or_default("preview_stall_timeout", 30.0, allowed="a number of seconds", least=-inf)
    return {
        "redirect": switch_or_default("preview_redirect"),
        "max_streams": max(1, int(streams)),
        "stall_timeout": max(0.1, stall),
    }
