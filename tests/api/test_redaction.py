"""Foreign text is fit for a log: no key, no signature, no media bytes, on one line, and not endless."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from airflow_provider_orvideo.api.redaction import MAX_TEXT, is_clean, redact, redact_tree

SECRET = "5ec2e7d0"

SECRETS = {
    "key": f"key sk-or-v1-{SECRET} is disabled",
    "key in quotes": f'{{"key":"sk-or-v1-{SECRET}"}}',
    "management key": f"sk-or-mgmt-{SECRET}_x",
    "bearer": f"Authorization: Bearer {SECRET}",
    "bearer in small letters": f"authorization: bearer   {SECRET}",
    "bearer in JSON": f'{{"Authorization": "Bearer {SECRET}"}}',
    "query": f"GET https://h.example/v.mp4?X-Goog-Signature={SECRET} failed",
    "query after a port": f"https://h.example:8443/v.mp4?a=1&sig={SECRET}&b=2",
    "query without a path": f"https://h.example?sig={SECRET}",
    "fragment": f"https://h.example/v.mp4#token={SECRET}",
    "user": f"https://{SECRET}@h.example/x",
    "password": f"https://user:{SECRET}@h.example/x",
    "password with an @": f"https://user:p@{SECRET}@h.example/x",
    "password with an apostrophe": f"https://user:p'{SECRET}@h.example/x",
    "path with an apostrophe": f"https://h.example/rock'n'roll.mp4?sig={SECRET}",
    "query with an apostrophe": f"https://h.example/v.mp4?name=o'neil&sig={SECRET}",
    "query right behind an apostrophe": f"https://h.example/rock'?sig={SECRET}",
    "fragment right behind an apostrophe": f"https://h.example/rock'#token={SECRET}",
    "punctuation behind an apostrophe": f"https://h.example/v?name=o'(x)&sig={SECRET}",
    "two apostrophes": f"https://h.example/v?name=''&sig={SECRET}",
    "many apostrophes": f"https://h.example/v?name={'x' + 99 * chr(39)}!&sig={SECRET}",
    "apostrophe in a quotation": f"opened 'https://h.example/o',n?sig={SECRET}' twice",
    "data URL with an apostrophe": f"data:text/plain,it's{SECRET}",
    "data URL with punctuation behind an apostrophe": f"data:text/plain,it'!{SECRET}",
    "plain http": f"http://h.example/v.mp4?sig={SECRET}",
    "upper case": f"HTTPS://H.EXAMPLE/V.MP4?SIG={SECRET}",
    "proxy": f"socks5://user:{SECRET}@proxy.example:1080",
    "ftp": f"ftp://user:{SECRET}@h.example",
    "slashes escaped": f'{{"url":"https:\\/\\/h.example\\/v.mp4?sig={SECRET}"}}',
    "ampersand escaped": f'{{"url":"https://h.example/v.mp4?a=1\\u0026sig={SECRET}"}}',
    "in brackets": f"(https://h.example/v?sig={SECRET})",
    "in Markdown": f"[v](https://h.example/v?sig={SECRET})",
    "two URLs": f"https://a.example/x then https://b.example/y?sig={SECRET}",
    "data URL": f"data:image/png;base64,{SECRET}",
    "data URL with a charset": f"data:image/svg+xml;charset=utf-8,{SECRET}",
    "data URL with a quoted charset": f'data:text/plain;charset="utf-8";base64,{SECRET}',
    "data URL without a type": f"data:;base64,{SECRET}",
    "data URL without anything": f"data:,{SECRET}",
    "data URL in capitals": f"DATA:IMAGE/PNG;BASE64,{SECRET}",
    "data URL after an escape": f'"a\\ndata:image/png;base64,{SECRET}"',
    "data URL in repr": repr({"url": f"data:image/png;base64,{SECRET}"}),
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_secret_is_taken_out(text: str) -> None:
    assert SECRET not in redact(text)
    assert not is_clean(text)


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_secret_is_taken_out_of_any_depth(text: str) -> None:
    tree = {"raw": text, "list": [text, {"deep": (text,)}], text: 1}
    assert SECRET not in repr(redact_tree(tree))


@pytest.mark.parametrize("before", range(9_900, 10_001, 7))
@pytest.mark.parametrize("kind", ["key", "bearer", "query", "data URL"])
def test_secret_on_the_edge_of_what_is_read_does_not_slip_through(kind: str, before: int) -> None:
    # A data URL in front is folded up, so the text's far end comes into view.
    text = "data:image/png;base64," + "A" * (before - 22) + " " + SECRETS[kind]
    assert SECRET[:6] not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Duration 99s is not supported for this model. Supported durations: 1, 2, …, 15s",
        "Invalid reference URL: input_references[0].video_url.url: Only HTTPS URLs are allowed",
        "Insufficient credits. Add more using https://openrouter.ai/credits",
        "see https://medium.example/@author/post",
        "<snapshot> does not support previous_job_id",
        "write to a@b.example, why? #1",
        "metadata: a, b",
        "data: 5, 6",
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
    assert is_clean(text)


def test_where_a_url_points_stays_readable() -> None:
    assert redact("GET https://u:p@h.example:8443/a/b.mp4?sig=1#f now") == "GET https://h.example:8443/a/b.mp4?*** now"


def test_the_end_of_a_quotation_ends_a_url() -> None:
    assert redact(
        "opened 'https://h.example/a?sig=1'. Then 'https://h.example/b?sig=2', and {'u': 'https://h.example/c#x'}"
    ) == ("opened 'https://h.example/a?***'. Then 'https://h.example/b?***', and {'u': 'https://h.example/c?***'}")


def test_result_is_one_line_and_bounded() -> None:
    assert redact("a\n  b\r\n\tc") == "a b c"
    assert len(redact("x" * 10_000)) == MAX_TEXT
    assert redact("x" * 10_000).endswith("…")
    assert redact("x" * 100, limit=10) == "x" * 9 + "…"
    assert redact("x" * 10, limit=10) == "x" * 10


def test_other_json_values_pass() -> None:
    tree: dict[str, object] = {"a": 1, "b": None, "c": [True, 2.5], "d": {}}
    assert redact_tree(tree) == tree


def test_tree_without_a_floor_is_cut_off() -> None:
    tree: object = SECRET
    for _ in range(100_000):
        tree = [tree]
    assert SECRET not in repr(redact_tree(tree))


@pytest.mark.parametrize(
    "piece",
    ["a", "https://", "https://a@", "https://a?", "data:", "data:;", "data:a/b;c", 'data:;"', "data:a/a;a=a;",
     "bearer ", "sk-or-", "a.", "a:/", "a+a-", "@", " ", "'", "'.", "https://'", "https://a'?", "data:,'", "',"],
)  # fmt: skip
def test_megabytes_are_redacted_fast(piece: str) -> None:
    text = piece * (5_000_000 // len(piece))
    started = time.perf_counter()
    assert len(redact(text)) <= MAX_TEXT
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("text", ["https://h.example/", "https://h.example/?", "data:,"])
def test_a_url_of_a_megabyte_is_looked_at_in_little_memory(text: str) -> None:
    text += "a" * 1_000_000
    tracemalloc.start()
    try:
        is_clean(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000
