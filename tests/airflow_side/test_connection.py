"""An Airflow connection in every form in which it can be written, read as a task reads it: from the environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import airflow
import pytest
from airflow.sdk import Connection

from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.exceptions import BeforeSendError, ConfigurationError
from airflow_provider_orvideo.hooks.orvideo import OrVideoHook

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadConnection = Callable[[str], ClientConfig]

KEY = "sk-or-test-5ec2e7"
FULL = "http://127.0.0.1:8791/api/v1"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> ReadConnection:
    """Read the connection that an environment variable holds."""

    def call(value: str) -> ClientConfig:
        monkeypatch.setenv("AIRFLOW_CONN_ORVIDEO_DEFAULT", value)
        return OrVideoHook().get_config()

    return call


@pytest.fixture
def read_extra(read: ReadConnection) -> Callable[[object], ClientConfig]:
    """Read a connection with this extra, written as JSON."""

    def call(extra: object) -> ClientConfig:
        return read(json.dumps({"conn_type": "orvideo", "password": KEY, "extra": extra}))

    return call


def as_json(**fields: object) -> str:
    return json.dumps({"conn_type": "orvideo", "password": KEY, **fields})


# ── Where the API lies ───────────────────────────────────────────────────────────────────────────────────────────────


ADDRESSES = {
    "JSON, only a key": (as_json(), "https://openrouter.ai/api/v1"),
    "JSON, empty host": (as_json(host=" ", schema=""), "https://openrouter.ai/api/v1"),
    "JSON, base URL": (as_json(host="https://eu.openrouter.ai/api/v1"), "https://eu.openrouter.ai/api/v1"),
    "JSON, base URL with a slash at its end": (as_json(host=f"{FULL}/"), FULL),
    "JSON, origin": (as_json(host="https://eu.openrouter.ai"), "https://eu.openrouter.ai/api/v1"),
    "JSON, origin with a slash": (as_json(host="https://eu.openrouter.ai/"), "https://eu.openrouter.ai/api/v1"),
    "JSON, host name": (as_json(host="eu.openrouter.ai"), "https://eu.openrouter.ai/api/v1"),
    "JSON, host, port and schema": (as_json(host="127.0.0.1", port=8791, schema="http"), FULL),
    "JSON, port as text": (as_json(host="127.0.0.1", port="8791", schema="http"), FULL),
    "JSON, host name with its port": (as_json(host="127.0.0.1:8791", schema="http"), FULL),
    "JSON, base URL with a port and a port": (as_json(host=FULL, port=1), FULL),
    "JSON, schema contradicts base URL": (as_json(host=FULL, schema="https"), FULL),
    "JSON, path as schema": (as_json(host="gateway.example", schema="llm/v1"), "https://gateway.example/llm/v1"),
    "JSON, host with a path": (as_json(host="gateway.example/llm/v1"), "https://gateway.example/llm/v1"),
    "URI, only a key": (f"orvideo://:{KEY}@", "https://openrouter.ai/api/v1"),
    "URI, only a key and a slash": (f"orvideo://:{KEY}@/", "https://openrouter.ai/api/v1"),
    "URI, host name": (f"orvideo://:{KEY}@eu.openrouter.ai", "https://eu.openrouter.ai/api/v1"),
    "URI, host and port": (f"orvideo://:{KEY}@gateway.example:8443", "https://gateway.example:8443/api/v1"),
    "URI, host, port and http": (f"orvideo://:{KEY}@127.0.0.1:8791/http", FULL),
    "URI, host, port and https": (f"orvideo://:{KEY}@a.example:8443/https", "https://a.example:8443/api/v1"),
    "URI, IPv6": (f"orvideo://:{KEY}@[::1]:8791/http", "http://[::1]:8791/api/v1"),
    "URI, path": (f"orvideo://:{KEY}@gateway.example/llm/v1", "https://gateway.example/llm/v1"),
    "URI, path encoded": (f"orvideo://:{KEY}@gateway.example/llm%2Fv1", "https://gateway.example/llm/v1"),
    "URI, base URL in the host": (f"orvideo://:{KEY}@{quote(FULL, safe='')}", FULL),
    "URI, base URL in the host, extras": (f"orvideo://:{KEY}@{quote(FULL, safe='')}/?title=Films", FULL),
    "URI, second scheme": (f"orvideo://http://:{KEY}@127.0.0.1:8791", FULL),
    "URI, second scheme, path": (f"orvideo://http://:{KEY}@127.0.0.1:8791/llm/v1", "http://127.0.0.1:8791/llm/v1"),
}


@pytest.mark.parametrize(("value", "base_url"), ADDRESSES.values(), ids=ADDRESSES)
def test_each_way_to_write_the_address_leads_to_it(read: ReadConnection, value: str, base_url: str) -> None:
    config = read(value)
    assert (config.base_url, config.api_key) == (base_url, KEY)


def test_a_uri_that_airflow_writes_is_read_back() -> None:
    written = Connection(conn_id="x", conn_type="orvideo", host=FULL, password=KEY, extra='{"title": "Films"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_ORVIDEO_DEFAULT", written.get_uri())
        config = OrVideoHook().get_config()
    assert (config.base_url, config.api_key, config.title) == (FULL, KEY, "Films")


@pytest.mark.parametrize(
    "value",
    [as_json(host="http://gateway.example/api/v1"), as_json(host="gateway.example", schema="http")],
    ids=["base URL", "schema"],
)
def test_the_key_does_not_travel_unencrypted_unless_allowed(read: ReadConnection, value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'host'.*unencrypted.*'allow_insecure_http'"):
        read(value)
    allowed = json.loads(value) | {"extra": {"allow_insecure_http": True}}
    assert read(json.dumps(allowed)).base_url == "http://gateway.example/api/v1"


@pytest.mark.parametrize("host", ["http://127.0.0.1:8791", "http://localhost:8791/api/v1", "http://[::1]:8791"])
def test_plain_http_to_this_machine_needs_no_leave(read: ReadConnection, host: str) -> None:
    assert read(as_json(host=host)).base_url.startswith(host)


@pytest.mark.parametrize(
    "host",
    [
        "ftp://gateway.example",
        "https://user:pa55word@gateway.example",
        "user:pa55word@gateway.example:8443",
        "https://gateway.example/api/v1?token=pa55word",
        "https://gateway example/",
    ],
)
def test_a_host_that_cannot_work_is_named_without_its_secrets(read: ReadConnection, host: str) -> None:
    with pytest.raises(ConfigurationError, match="'host'") as caught:
        read(as_json(host=host))
    assert "pa55word" not in str(caught.value)


# ── The key ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("password", [None, "", "  "])
def test_a_missing_key_is_said_to_be_missing(read: ReadConnection, password: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"no API key.*password"):
        read(json.dumps({"conn_type": "orvideo", "password": password}))


def test_a_key_copied_with_its_line_break_works(read: ReadConnection) -> None:
    assert read(json.dumps({"conn_type": "orvideo", "password": f" {KEY}\n"})).api_key == KEY


def test_a_key_with_something_odd_inside_is_refused_and_not_shown(read: ReadConnection) -> None:
    with pytest.raises(ConfigurationError, match="password") as caught:
        read(json.dumps({"conn_type": "orvideo", "password": f"{KEY} {KEY}"}))
    assert KEY not in str(caught.value)


def test_neither_key_nor_proxy_show_in_the_settings_text(read_extra: Callable[[object], ClientConfig]) -> None:
    text = repr(read_extra({"proxy": "http://user:pa55word@127.0.0.1:3128"}))
    assert KEY not in text
    assert "pa55word" not in text


# ── The extras ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "extra", [None, {}, dict.fromkeys(("title", "proxy", "read_timeout", "allow_insecure_http", "categories"), "")]
)
def test_without_extras_the_documented_defaults_hold(
    read_extra: Callable[[object], ClientConfig], extra: object
) -> None:
    config = read_extra(extra)
    assert config == ClientConfig(api_key=KEY)
    assert (config.connect_timeout, config.read_timeout, config.submit_timeout) == (10, 30, 120)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("http_referer", " https://films.example ", "https://films.example"),
        ("title", "Films", "Films"),
        ("proxy", "http://user:pw@127.0.0.1:3128", "http://user:pw@127.0.0.1:3128"),
        ("categories", "video-gen, cli-agent", ("video-gen", "cli-agent")),
        ("categories", ["video-gen", " cli-agent "], ("video-gen", "cli-agent")),
        ("connect_timeout", 2, 2.0),
        ("read_timeout", 2.5, 2.5),
        ("submit_timeout", "300", 300.0),
        ("max_requests_per_second", 2.5, 2.5),
        ("max_requests_per_second", "20", 20.0),
        ("max_requests_per_second", "", None),
        ("max_requests_per_second", None, None),
        ("allow_insecure_http", True, True),
        ("allow_insecure_http", False, False),
        ("allow_insecure_http", None, False),
        *[("allow_insecure_http", text, True) for text in ("true", "True", "1", " yes ", "on")],
        *[("allow_insecure_http", text, False) for text in ("false", "FALSE", "0", "no", "off")],
    ],
)
def test_an_extra_is_read(
    read_extra: Callable[[object], ClientConfig], name: str, value: object, expected: object
) -> None:
    assert getattr(read_extra({name: value}), name) == expected


def test_extras_of_a_uri_are_text_and_are_read(read: ReadConnection) -> None:
    host = quote("http://gateway.example/api/v1", safe="")
    query = "title=Films&categories=video-gen&read_timeout=5&allow_insecure_http=true"
    config = read(f"orvideo://:{KEY}@{host}/?{query}")
    assert (config.title, config.categories, config.read_timeout) == ("Films", ("video-gen",), 5.0)
    assert config.allow_insecure_http
    nested = quote(json.dumps({"read_timeout": 7}), safe="")
    assert read(f"orvideo://:{KEY}@/?__extra__={nested}").read_timeout == 7.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_referer", 5),
        ("title", ["Films"]),
        ("title", "Films\r\nX-Other: 1"),
        ("categories", {"a": 1}),
        ("categories", [1]),
        ("categories", "Video Gen"),
        ("categories", "a,b,c"),
        ("proxy", "socks9://127.0.0.1"),
        ("connect_timeout", "soon"),
        ("connect_timeout", []),
        ("read_timeout", 0),
        ("read_timeout", -1),
        *[("submit_timeout", value) for value in ("inf", "nan", "1e999", "0")],
        *[("max_requests_per_second", value) for value in (0, -1, "many", "nan", "inf", [5])],
        ("allow_insecure_http", "maybe"),
        ("allow_insecure_http", 2),
    ],
)
def test_a_bad_extra_is_refused_before_anything_is_sent_and_named(
    read_extra: Callable[[object], ClientConfig], name: str, value: object
) -> None:
    with pytest.raises(BeforeSendError, match=f"'{name}'"):
        read_extra({name: value})


@pytest.mark.skipif(
    airflow.__version__.startswith("3.1."), reason="Airflow 3.1 itself says that such a connection does not exist"
)
@pytest.mark.parametrize("extra", ["{not json", '["title"]', '"title"'])
def test_an_extra_that_is_no_object_is_refused_with_an_example(read: ReadConnection, extra: str) -> None:
    with pytest.raises(ConfigurationError, match="extra is not a JSON object"):
        read(as_json(extra=extra))


def test_an_unknown_extra_does_no_harm(read_extra: Callable[[object], ClientConfig]) -> None:
    assert read_extra({"titel": "Films"}) == ClientConfig(api_key=KEY)
