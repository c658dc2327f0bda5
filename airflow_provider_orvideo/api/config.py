"""How to reach the API: base URL, key, headers, timeouts. Checked once, before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.retry import READ_POLICY, SUBMIT_POLICY, RetryPolicy
from airflow_provider_orvideo.exceptions import ConfigurationError

DEFAULT_BASE_URL: Final = "https://openrouter.ai/api/v1"
USER_AGENT: Final = f"airflow-provider-orvideo/{__version__}"

MAX_CATEGORIES: Final = 2
_CATEGORY = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MAX_CATEGORY_LENGTH: Final = 30
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


def origin(url: str) -> Origin:
    """Return scheme, host and port of an absolute URL, defaults filled in: what decides who gets the key."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(scheme, 0)


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine for certain, without asking a resolver."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """Settings of a client; hashable, and silent about its secrets.

    Args:
        api_key: OpenRouter API key, sent as a bearer token to the origin of ``base_url`` and nowhere else.
        base_url: where the API lies, without a trailing slash needed. In-region hosts: ``https://eu.openrouter.ai/api/v1``
            and ``https://us.openrouter.ai/api/v1``.
        http_referer: your site, for attribution (``HTTP-Referer``).
        title: your application's name, for attribution (``X-OpenRouter-Title``).
        categories: at most two marketplace categories (``X-OpenRouter-Categories``), each lower case with hyphens and
            at most 30 characters.
        connect_timeout: seconds to reach the server, above 0.
        read_timeout: seconds between two pieces of an answer to a read, above 0.
        submit_timeout: seconds to wait for the answer to the paid POST, above 0. Generous, since giving up early leaves
            the outcome unknown; live answers take 2.4 to 3.6 s.
        proxy: URL of an HTTP proxy; without it the environment's proxy variables hold.
        allow_insecure_http: let the key travel over plain http to a host that is not loopback.
        max_connections: size of the connection pool, at least 1.
        max_requests_per_second: most status reads per second that one triggerer makes, above 0; None for no limit but
            the server's own.
        read_retry: retries of free reads. Default: four calls in all, the first pause at most 1 s.
        submit_retry: retries of the paid POST, which happen only where nothing was accepted. Default: three calls in
            all, the first pause at most 2 s.

    Raises:
        ConfigurationError: a value cannot work; the message names it (secrets excepted).

    Source: base URL and key, OpenRouter's OpenAPI document of 2026-08-22; in-region hosts, headers and their limits,
    its documentation; how long answers take, the live API in September and October 2026.
    """

    api_key: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    http_referer: str | None = None
    title: str | None = None
    categories: tuple[str, ...] = ()
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    submit_timeout: float = 120.0
    proxy: str | None = field(default=None, repr=False)
    allow_insecure_http: bool = False
    max_connections: int = 10
    max_requests_per_second: float | None = None
    read_retry: RetryPolicy = READ_POLICY
    submit_retry: RetryPolicy = SUBMIT_POLICY

    def __post_init__(self) -> None:
        """Check everything that can be checked without the network."""
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        _check_key(self.api_key)
        _check_base_url(self.base_url, allow_insecure_http=self.allow_insecure_http)
        for name in ("http_referer", "title"):
            _check_header(name, getattr(self, name))
        _check_categories(self.categories)
        _check_proxy(self.proxy)
        for name in ("connect_timeout", "read_timeout", "submit_timeout"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"Connection field '{name}' is {getattr(self, name)!r}; it must be a number of seconds above 0."
                )
        if self.max_requests_per_second is not None and not self.max_requests_per_second > 0:
            raise ConfigurationError(
                f"Connection field 'max_requests_per_second' is {self.max_requests_per_second!r}; it must be a number "
                "above 0, or empty for no limit."
            )
        if self.max_connections < 1:
            raise ConfigurationError(f"'max_connections' is {self.max_connections!r}; it must be at least 1.")

    @property
    def origin(self) -> Origin:
        """The only origin that gets the key."""
        return origin(self.base_url)

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers for a request to ``url``: the key and who we are only go to the configured origin."""
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if origin(url) == self.origin:
            headers["Authorization"] = f"Bearer {self.api_key}"
            if self.http_referer:
                headers["HTTP-Referer"] = self.http_referer
            if self.title:
                headers["X-OpenRouter-Title"] = self.title
            if self.categories:
                headers["X-OpenRouter-Categories"] = ",".join(self.categories)
        return headers


def _check_key(key: str) -> None:
    """Refuse what cannot stand in a header: the HTTP library's own complaint would print the key."""
    if not key:
        raise ConfigurationError("The connection has no API key; put it into the password field.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            "The API key in the connection's password field holds white space, line breaks or characters outside "
            "ASCII; copy it again from https://openrouter.ai/keys."
        )


def _check_base_url(url: str, *, allow_insecure_http: bool) -> None:
    # Also without a scheme, what stands before the "@" or after the "?" may be secret.
    shown = redact(re.split(r"[?#]", url, maxsplit=1)[0].rpartition("@")[2])
    try:
        parts: SplitResult = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
        httpx.URL(url)  # whose idea of a URL is stricter: a space or a line break would only show at the first request
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigurationError(f"Connection field 'host' is {shown!r}, which is no URL: {error}.") from None
    if parts.scheme not in _DEFAULT_PORTS or not host or re.search(r"\s", url):
        raise ConfigurationError(
            f"Connection field 'host' is {shown!r}; it must be an http(s) URL such as {DEFAULT_BASE_URL}."
        )
    if parts.username is not None or parts.password is not None or "?" in url or "#" in url:
        raise ConfigurationError(
            f"Connection field 'host' is {shown!r}; it must not hold credentials, a query or a fragment. "
            "The API key belongs into the password field."
        )
    if parts.scheme == "http" and not is_loopback(host) and not allow_insecure_http:
        raise ConfigurationError(
            f"Connection field 'host' is {shown!r}: the API key would travel unencrypted. Use https, "
            "or set the connection's 'allow_insecure_http' if this network may see the key."
        )


def _check_header(name: str, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and value == value.strip()):
        raise ConfigurationError(
            f"Connection field '{name}' is {redact(ascii(value))}; only printable ASCII without white space around it "
            "can stand in an HTTP header."
        )


def _check_proxy(proxy: str | None) -> None:
    """Refuse what the HTTP library would refuse later, with words that may show the proxy's password."""
    if proxy is None:
        return
    try:
        usable = httpx.URL(proxy).scheme in _DEFAULT_PORTS and bool(httpx.URL(proxy).host)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise ConfigurationError(
            "Connection field 'proxy' is no URL of an HTTP proxy, such as http://proxy.example:3128."
        )


def _check_categories(categories: tuple[str, ...]) -> None:
    odd = [name for name in categories if len(name) > _MAX_CATEGORY_LENGTH or not _CATEGORY.fullmatch(name)]
    if odd or len(categories) > MAX_CATEGORIES:
        raise ConfigurationError(
            f"Connection field 'categories' is {redact(ascii(','.join(categories)))}; allowed are at most "
            f"{MAX_CATEGORIES}, comma separated, each lower case with hyphens and at most {_MAX_CATEGORY_LENGTH} "
            "characters, for example video-gen."
        )
