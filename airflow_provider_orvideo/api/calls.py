"""What both clients share: which GETs there are, how requests are built, what headers say. No I/O."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx

from airflow_provider_orvideo.api import wire
from airflow_provider_orvideo.api.config import is_loopback
from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError, RequestInvalidError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from airflow_provider_orvideo.api.config import ClientConfig

CONTENT: Final = "listVideosContent"

C = TypeVar("C", httpx.Client, httpx.AsyncClient)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Build the TLS settings once per process: they take about 20 ms of a core, too much for each client."""
    return httpx.create_ssl_context()


class _QuietUrl(httpx.URL):
    """Where a redirect leads, perhaps signed: httpx logs the text of each URL it requests, at INFO."""

    def __str__(self) -> str:
        return redact(super().__str__(), limit=200)


@dataclass(frozen=True)
class Read:
    """One free GET: what it is called, where it goes."""

    operation: str
    path: str
    params: Mapping[str, str | int] | None = None
    accept: str = "application/json"


def poll(job_id: str) -> Read:
    """``GET /videos/{jobId}``."""
    return Read("getVideos", wire.job_path(job_id))


def content(job_id: str, index: int) -> Read:
    """``GET /videos/{jobId}/content``; raises RequestInvalidError for a negative index."""
    if index < 0:
        raise RequestInvalidError((f"'index' is {index}; outputs are counted from 0.",))
    return Read(CONTENT, f"{wire.job_path(job_id)}/content", {"index": index}, accept="video/*, */*;q=0.5")


MODELS: Final = Read("listVideosModels", "/videos/models")
KEY: Final = Read("getCurrentKey", "/key")


def generation(generation_id: str) -> Read:
    """``GET /generation``."""
    return Read("getGeneration", "/generation", {"id": generation_id})


def unwrap(payload: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """Take the record out of its ``data`` envelope."""
    return payload.get("data") if isinstance(payload, dict) else payload


@dataclass(frozen=True)
class ContentHead:
    """What is known of a video before its first byte.

    Attributes:
        content_type: media type as the server says, without parameters; the provider's own, usually ``video/mp4``.
        content_length: bytes to come, where the server says so (today it does not).

    Source: OpenRouter's OpenAPI document of 2026-08-22. No length: the live API, September and October 2026.
    """

    content_type: str
    content_length: int | None

    @property
    def is_json(self) -> bool:
        """Whether this is the API talking instead of a video."""
        return self.content_type == "application/json" or self.content_type.endswith("+json")

    @classmethod
    def of(cls, response: httpx.Response) -> ContentHead:
        """Read the headers."""
        # Of a body that was compressed against our wish, the length says nothing about the video's.
        encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        length = "" if encoded else response.headers.get("Content-Length", "")
        return cls(
            response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            int(length) if length.isascii() and length.isdigit() else None,
        )


def made(kind: Callable[..., C], **settings: Any) -> C:  # noqa: ANN401 - httpx's own
    """Make an httpx client.

    Raises:
        ConfigurationError: the environment's proxy variables cannot be used; nothing was sent.
    """
    try:
        return kind(**settings)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The environment's proxy settings (HTTPS_PROXY, ALL_PROXY, …) cannot be used: {redact(str(error))}. Set "
            "the connection's 'proxy' to an http(s) proxy, or mend or unset them."
        ) from None


class ClientBase:
    """What both clients share: settings, and how requests are built. No I/O."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._host = wire.host_of(config.base_url)

    def _settings(self, *, keep_alive: bool) -> dict[str, Any]:
        """Return the keyword arguments of an httpx client; it never retries and never follows a redirect itself."""
        config = self.config
        return {
            "timeout": self._timeout(config.read_timeout if keep_alive else config.submit_timeout),
            "limits": httpx.Limits(
                max_connections=config.max_connections,
                max_keepalive_connections=config.max_connections if keep_alive else 0,
            ),
            "proxy": config.proxy,
            "follow_redirects": False,
            # The environment's proxy is no part of this machine, and plain http to loopback would show it the key.
            "trust_env": not is_loopback(config.origin[1]),
            "verify": _ssl_context(),
        }

    def _timeout(self, seconds: float) -> httpx.Timeout:
        return httpx.Timeout(seconds, connect=self.config.connect_timeout, pool=self.config.connect_timeout)

    def _request(self, read: Read, *, url: str | None = None) -> httpx.Request:
        """Build the GET; ``url`` is where a redirect leads, which carries its own query."""
        target = url or self.config.base_url + read.path
        headers = {**self.config.headers(target), "Accept": read.accept}
        if read.operation == CONTENT:
            headers["Accept-Encoding"] = "identity"  # video does not compress, and lengths stay comparable
        request = httpx.Request(
            "GET",
            target,
            params=None if url else read.params,
            headers=headers,
            extensions={"timeout": self._timeout(self.config.read_timeout).as_dict()},
        )
        if url:
            request.url = _QuietUrl(request.url)
        return request

    def _redirected(self, read: Read, request: httpx.Request, response: httpx.Response, hop: int) -> str | None:
        target = wire.redirect_target(str(request.url), response, self.config, operation=read.operation)
        if target is not None and hop == wire.MAX_REDIRECTS:
            raise wire.status_error(response, operation=read.operation)
        return target

    def _submit_url(self) -> str:
        return f"{self.config.base_url}/videos"

    def _submit_headers(self) -> dict[str, str]:
        return self.config.headers(self._submit_url())
