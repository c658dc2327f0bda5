"""How a command reaches the API: with an Airflow connection, or without one where only public things are read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import DEFAULT_BASE_URL, ClientConfig
from airflow_provider_orvideo.cli.answer import say
from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.options import catalogue_settings
from airflow_provider_orvideo.preflight.catalogue import shared_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.api.schema import VideoModel


@dataclass(frozen=True, kw_only=True)
class KeylessConfig(ClientConfig):
    """Settings of a client that has no key and sends none: good for the catalogue, which the API gives to anybody.

    Source: live, ``GET /videos/models`` answers 200 without a key. Everything else but that is answered with 401.
    """

    api_key: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        """Check nothing: there is no key, and the rest are defaults of ours."""

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers for a request, without a key."""
        headers = super().headers(url)
        headers.pop("Authorization", None)
        return headers


@contextmanager
def connected(conn_id: str | None, *, public: bool = False) -> Iterator[VideoClient]:
    """Give a client, and close it.

    Args:
        conn_id: id of the connection whose key it uses; default ``orvideo_default``.
        public: where there is no default connection, give one without a key for OpenRouter's own address.

    Raises:
        ConfigurationError: there is no such connection, or it cannot work.
    """
    name = conn_id or OrVideoHook.default_conn_name
    with OrVideoHook(name) as hook:
        client = _client(hook)
        if client is not None:
            yield client
            return
    if conn_id is not None or not public:
        raise ConfigurationError(
            f"There is no Airflow connection '{name}': add one of type 'orvideo' with the API key as its password, or "
            "name another with --conn-id."
        )
    say(f"There is no connection '{name}', so {DEFAULT_BASE_URL} is read without a key.")
    with VideoClient(KeylessConfig(base_url=DEFAULT_BASE_URL)) as keyless:
        yield keyless


def _client(hook: OrVideoHook) -> VideoClient | None:
    try:
        return hook.get_conn()
    except AirflowNotFoundException:
        return None


def read_catalogue(conn_id: str | None) -> tuple[VideoModel, ...]:
    """Return the models on offer, from the copy that all tasks of this host share where it is current.

    Args:
        conn_id: id of the connection; default ``orvideo_default``, and where there is none, OpenRouter's own address.

    Raises:
        ConfigurationError: the named connection does not exist, or cannot work.
        OrVideoError: the catalogue cannot be read, and there is no copy.
    """
    with connected(conn_id, public=True) as client:
        return shared_cache(*cache_settings()).get(client).models


def cache_settings() -> tuple[str | None, float]:
    """Return folder and time to live of the catalogue's copy, as the operators have them.

    Raises:
        ConfigurationError: an option cannot work.
    """
    settings = catalogue_settings()
    return settings["cache_dir"], settings["cache_ttl"]
