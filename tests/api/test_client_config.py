"""Settings are checked once, before anything is sent, and no check prints a secret."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import DEFAULT_BASE_URL, ClientConfig, origin
from airflow_provider_orvideo.exceptions import ConfigurationError

SECRET = "s3cr3t-p4ss"


def test_default_base_url_is_openrouters(key: str) -> None:
    assert ClientConfig(api_key=key).base_url == DEFAULT_BASE_URL == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize(
    "base_url",
    [
        "https://eu.openrouter.ai/api/v1",
        "https://gateway.example:8443/openrouter",
        "HTTPS://openrouter.ai/api/v1",
        "http://127.0.0.1:8791/api/v1",
        "http://127.9.9.9",
        "http://localhost:8791",
        "http://LOCALHOST:8791",
        "http://[::1]:8791/api/v1",
    ],
)
def test_https_anywhere_and_http_to_loopback_are_fine(key: str, base_url: str) -> None:
    assert ClientConfig(api_key=key, base_url=base_url + "/").base_url == base_url


@pytest.mark.parametrize(
    "base_url",
    ["http://openrouter.ai/api/v1", "http://10.0.0.1", "http://0.0.0.0:80", "http://localhost.evil.example",
     "http://127.0.0.1.evil.example", "http://[::ffff:8.8.8.8]/", "http://2130706433", "http://127.1"],
)  # fmt: skip
def test_plain_http_to_anything_but_loopback_is_refused_unless_allowed(key: str, base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        ClientConfig(api_key=key, base_url=base_url)
    assert ClientConfig(api_key=key, base_url=base_url, allow_insecure_http=True).base_url


@pytest.mark.parametrize(
    "base_url",
    ["", "openrouter.ai", "openrouter.ai/api/v1", "//openrouter.ai", "ftp://openrouter.ai", "https://", "https:///api",
     "https://openrouter.ai:port", "https://openrouter.ai:99999", "https://[::1", "https://open router.ai",
     " https://openrouter.ai", "https://openrouter.ai\n", "https://openrouter.ai/api\tv1"],
)  # fmt: skip
def test_what_is_no_url_is_refused(key: str, base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="'host'"):
        ClientConfig(api_key=key, base_url=base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        f"https://user:{SECRET}@openrouter.ai/api/v1",
        f"https://{SECRET}@openrouter.ai",
        f"https://user:p@{SECRET}@openrouter.ai",
        f"https://openrouter.ai/api/v1?key={SECRET}",
        f"https://openrouter.ai/api/v1#{SECRET}",
        f"ftp://user:{SECRET}@openrouter.ai",
        f"user:{SECRET}@openrouter.ai",
        f"openrouter.ai/api/v1?key={SECRET}",
        f"https://user:{SECRET}@openrouter.ai:99999",
        f"http://user:{SECRET}@gateway.example",
        f"https://sk-or-v1-{SECRET}.example@",
        f"sk-or-v1-{SECRET}",
    ],
)
def test_url_with_credentials_query_or_fragment_is_refused_without_printing_them(key: str, base_url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClientConfig(api_key=key, base_url=base_url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("base_url", ["https://openrouter.ai/api/v1?", "https://openrouter.ai/api/v1#"])
def test_empty_query_or_fragment_is_refused_too(key: str, base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="query or a fragment"):
        ClientConfig(api_key=key, base_url=base_url)


@pytest.mark.parametrize(
    "bad",
    [f"{SECRET}\n", f"\n{SECRET}", f"{SECRET}\r\nX-Injected: 1", f" {SECRET}", f"{SECRET} ", f"{SECRET}\t",
     f"sk {SECRET}", f"{SECRET}ü", f"{SECRET}\u200b", f"{SECRET}\x00", f"{SECRET}\x7f", f"“{SECRET}”"],
)  # fmt: skip
def test_key_that_cannot_stand_in_a_header_is_refused_without_printing_it(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="API key") as caught:
        ClientConfig(api_key=bad)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("nothing", ["", None])
def test_missing_key_is_refused_with_the_place_to_put_it(nothing: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigurationError, match="password field"):
        ClientConfig(api_key=nothing)


@pytest.mark.parametrize("name", ["http_referer", "title"])
@pytest.mark.parametrize("value", ["Köln", "a\r\nX-Injected: 1", "a\tb", "\x00", " My DAGs", "My DAGs "])
def test_header_value_that_http_cannot_carry_is_refused(key: str, name: str, value: str) -> None:
    # A blank at an end would only show when the header is written: as a paid submit of unknown outcome.
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"'{name}'"):
        ClientConfig(api_key=key, **settings)


@pytest.mark.parametrize("categories", [(), ("video-gen",), ("video-gen", "etl2"), ("a" * 30,)])
def test_up_to_two_categories_are_fine(key: str, categories: tuple[str, ...]) -> None:
    assert ClientConfig(api_key=key, categories=categories).categories == categories


@pytest.mark.parametrize(
    "categories",
    [("a", "b", "c"), ("a" * 31,), ("Video",), ("video_gen",), ("video gen",), ("-video",), ("video-",), ("",),
     ("a,b",), ("vidéo",), ("a\nb",)],
)  # fmt: skip
def test_other_categories_are_refused(key: str, categories: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="'categories'"):
        ClientConfig(api_key=key, categories=categories)


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "submit_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_timeout_must_be_above_zero(key: str, name: str, seconds: float) -> None:
    settings: dict[str, Any] = {name: seconds}
    with pytest.raises(ConfigurationError, match=f"'{name}'"):
        ClientConfig(api_key=key, **settings)


@pytest.mark.parametrize("number", [0, -1])
def test_pool_must_hold_a_connection(key: str, number: int) -> None:
    with pytest.raises(ConfigurationError, match="'max_connections'"):
        ClientConfig(api_key=key, max_connections=number)


@pytest.mark.parametrize(
    "proxy",
    [f"ftp://user:{SECRET}@proxy.example", f"user:{SECRET}@proxy.example:3128", f"http://user:{SECRET}@", "proxy:3128",
     f"http://user:{SECRET}@proxy:port", f"socks5://user:{SECRET}@proxy.example", ""],
)  # fmt: skip
def test_proxy_that_cannot_work_is_refused_without_printing_it(key: str, proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="'proxy'") as caught:
        ClientConfig(api_key=key, proxy=proxy)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_proxy_with_a_password_works(key: str) -> None:
    VideoClient(ClientConfig(api_key=key, proxy=f"http://user:{SECRET}@proxy.example:3128")).close()


def test_repr_is_silent_about_key_and_proxy(key: str) -> None:
    config = ClientConfig(api_key=key, proxy=f"http://user:{SECRET}@proxy.example:3128")
    for text in (repr(config), str(config), f"{config}"):
        assert key not in text
        assert SECRET not in text
        assert "proxy.example" not in text


def test_config_is_frozen_hashable_and_comparable(key: str) -> None:
    config = ClientConfig(api_key=key)
    assert hash(config) == hash(ClientConfig(api_key=key))
    assert config != ClientConfig(api_key=key + "0")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.api_key = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://h/a", "https://h:443/b", True),
        ("http://h/a", "http://h:80/b", True),
        ("https://H/a", "https://h/a", True),
        ("https://h", "http://h", False),
        ("https://h", "https://h:8443", False),
        ("https://h", "https://h.", False),
        ("https://h", "https://sub.h", False),
        ("http://127.0.0.1", "http://localhost", False),
    ],
)
def test_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert (origin(one) == origin(other)) is same
