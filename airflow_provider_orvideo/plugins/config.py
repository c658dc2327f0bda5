"""The ``[orvideo] preview_*`` options, as the API server reads them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.plugins.allowed import Prefixes

log = logging.getLogger(__name__)

HOW_TO_ENABLE: Final = (
    "The preview is off: no storage may be read. An administrator switches it on for chosen folders by setting "
    "preview_allowed_prefixes in the section [orvideo] of the API server's Airflow configuration, for example "
    "AIRFLOW__ORVIDEO__PREVIEW_ALLOWED_PREFIXES=s3://aws_default@my-bucket/videos/ and restarting the API server, "
    "which needs the storage's Airflow provider installed."
)


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
        redirect=conf.getboolean("orvideo", "preview_redirect", fallback=False),
        max_streams=max(1, conf.getint("orvideo", "preview_max_streams", fallback=32)),
        stall_timeout=max(0.1, conf.getfloat("orvideo", "preview_stall_timeout", fallback=30.0)),
    )


@lru_cache(maxsize=8)
def _prefixes(text: str) -> Prefixes:
    """Read the prefixes; what is wrong with them is logged once."""
    prefixes = Prefixes.parse(text)
    for problem in prefixes.problems:
        log.error("%s", problem)
    return prefixes
