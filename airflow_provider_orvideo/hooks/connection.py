"""Reads an Airflow connection of type ``orvideo``, however it was written: form, JSON or URI."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_orvideo.api.config import DEFAULT_BASE_URL, ClientConfig
from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_API_PATH: Final = "/api/v1"
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})


class ConnectionLike(Protocol):
    """What is needed of an Airflow connection; both the SDK's and the server's class have it."""

    host: str | None
    schema: str | None
    port: int | None
    password: str | None
    extra: str | None


def config_from_connection(connection: ConnectionLike) -> ClientConfig:
    """Build the client's settings.

    Args:
        connection: password holds the API key. Host holds the base URL, or only a host name, with ``schema`` http or
            https as Airflow's HTTP connections have it. Extras hold the rest, named as in the connection form.

    Raises:
        ConfigurationError: a field cannot work; the message names it.
    """
    extras = _extras(connection.extra)
    return ClientConfig(
        api_key=(connection.password or "").strip(),
        base_url=_base_url(connection),
        http_referer=_text("http_referer", extras.get("http_referer")),
        title=_text("title", extras.get("title")),
        categories=_list("categories", extras.get("categories")),
        proxy=_text("proxy", extras.get("proxy")),
        max_requests_per_second=_limit("max_requests_per_second", extras.get("max_requests_per_second")),
        allow_insecure_http=_flag("allow_insecure_http", extras.get("allow_insecure_http")),
        connect_timeout=_seconds("connect_timeout", extras.get("connect_timeout"), ClientConfig.connect_timeout),
        read_timeout=_seconds("read_timeout", extras.get("read_timeout"), ClientConfig.read_timeout),
        submit_timeout=_seconds("submit_timeout", extras.get("submit_timeout"), ClientConfig.submit_timeout),
    )


def _base_url(connection: ConnectionLike) -> str:
    """Put the base URL together; Airflow's URI form spreads it over host, port and schema."""
    host = (connection.host or "").strip().rstrip("/")
    schema = (connection.schema or "").strip().strip("/")
    if not host:
        return DEFAULT_BASE_URL
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = (schema if schema in {"http", "https"} else "https"), host
    path = "" if schema in {"http", "https"} else schema
    netloc, slash, own_path = rest.partition("/")
    if netloc.count(":") > 1 and not {"[", "@"} & set(netloc):
        netloc = f"[{netloc}]"  # an IPv6 address, whose brackets Airflow's URI form takes away
    if connection.port and ":" not in netloc.rpartition("]")[2]:
        netloc = f"{netloc}:{connection.port}"
    if slash:
        return f"{scheme}://{netloc}/{own_path}"
    return f"{scheme}://{netloc}{'/' + path if path else _API_PATH}"


def _extras(extra: str | None) -> Mapping[str, Any]:
    if not extra or not extra.strip():
        return {}
    try:
        value = json.loads(extra)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigurationError(
            'The connection\'s extra is not a JSON object; write it as {"title": "…"} or leave it empty.'
        )
    return value


def _text(name: str, value: Any) -> str | None:  # noqa: ANN401 - whatever stands in the extras
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"Connection field '{name}' is of type {type(value).__name__}; it must be text.")
    return value.strip() or None


def _list(name: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(item.strip() for item in value)
    return tuple(item.strip() for item in (_text(name, value) or "").split(",") if item.strip())


def _seconds(name: str, value: Any, default: float) -> float:  # noqa: ANN401
    return default if value is None or value == "" else _number(name, value, "a number of seconds")


def _limit(name: str, value: Any) -> float | None:  # noqa: ANN401
    return None if value is None or value == "" else _number(name, value, "a number, or empty for no limit")


def _number(name: str, value: Any, what: str) -> float:  # noqa: ANN401
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigurationError(f"Connection field '{name}' is {redact(repr(value), limit=80)}; it must be {what}.")
    return number


def _flag(name: str, value: Any) -> bool:  # noqa: ANN401
    text = str("" if value is None else value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ConfigurationError(
            f"Connection field '{name}' is {redact(repr(value), limit=80)}; it must be true or false."
        )
    return text in _TRUE
