"""Keeps a test from the real API, and lets the provider's retries pass without their pauses."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow_provider_orvideo.api.config import ClientConfig, is_loopback
from airflow_provider_orvideo.exceptions import ConfigurationError

if TYPE_CHECKING:
    import pytest

_API_DOMAIN: Final = "openrouter.ai"


def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no client of this provider be made for another machine, and resolve no name of OpenRouter's.

    The first covers every connection id, proxy or not: nothing reaches the API without a `ClientConfig`. The second
    covers other libraries in this process. Neither covers processes that the test starts.
    """
    check = ClientConfig.__post_init__

    def check_and_refuse(config: ClientConfig) -> None:
        check(config)
        host = urlsplit(config.base_url).hostname or ""
        if not is_loopback(host):
            raise ConfigurationError(
                f"Connection field 'host' points to {host!r}, and this test may reach the simulator only "
                "(fixture orvideo_network_guard). Nothing was sent. Name the connection in the test's marker, for "
                "example @pytest.mark.orvideo(conn_ids=['my_connection']), and it points to the simulator, too."
            )

    monkeypatch.setattr(ClientConfig, "__post_init__", check_and_refuse)

    resolve = socket.getaddrinfo

    def resolve_others(host: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the standard library's own
        if _is_the_api(host):
            raise socket.gaierror(
                socket.EAI_FAIL,
                f"{host!r} is not resolved: this test may reach the simulator only (fixture orvideo_network_guard)",
            )
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_others)


def _is_the_api(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return isinstance(name, str) and f".{name.lower().rstrip('.')}".endswith(f".{_API_DOMAIN}")


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients repeat a call as often as they would, at once: the tries stay, the seconds between them go."""
    check = ClientConfig.__post_init__

    def check_and_hurry(config: ClientConfig) -> None:
        check(config)
        for name in ("read_retry", "submit_retry"):
            policy = replace(getattr(config, name), base=0.0, cap=0.0, retry_after_cap=0.0)
            object.__setattr__(config, name, policy)

    monkeypatch.setattr(ClientConfig, "__post_init__", check_and_hurry)
