"""The cached catalogue: when it is fetched, what is used when it cannot be, and which files are trusted."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import random
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import DEFAULT_BASE_URL, ClientConfig
from airflow_provider_orvideo.exceptions import (
    InternalServerError,
    NotSentError,
    ReadInterruptedError,
    ResponseInvalidError,
)
from airflow_provider_orvideo.preflight.catalogue import FOLDER, CatalogueCache, shared_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_orvideo.api.schema import VideoModel

    Start = Callable[..., CatalogueCache]

ENTRIES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "models.json").read_text())["data"]
KEY = "sk-or-test-topsecret"
START = 1_790_000_000.0

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


class Api:
    """Answers with the catalogue, or with whatever it is told to; counts the questions."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, json={"data": ENTRIES})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path.endswith("/videos/models")
        self.asked += 1
        return self.answer()

    def breaks(self) -> None:
        self.answer = lambda: httpx.Response(500, json={"error": {"code": 500, "message": f"oops {KEY}"}})

    def works(self, entries: list[Any] | None = None) -> None:
        self.answer = lambda: httpx.Response(200, json={"data": ENTRIES if entries is None else entries})


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(api: Api) -> Iterator[Callable[..., VideoClient]]:
    opened: list[VideoClient] = []

    def open_client(base_url: str = DEFAULT_BASE_URL) -> VideoClient:
        config = ClientConfig(api_key=KEY, base_url=base_url)
        opened.append(VideoClient(config, transport=httpx.MockTransport(api), sleep=lambda _: None))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Callable[..., VideoClient]) -> VideoClient:
    return connect()


@pytest.fixture
def process(tmp_path: Path, clock: Clock) -> Start:
    """Make the cache of another process on the same host."""

    def start(folder: Path | None = None, **settings: Any) -> CatalogueCache:  # noqa: ANN401 - the cache's own
        return CatalogueCache(folder or tmp_path, clock=clock, **settings)

    return start


def files(folder: Path) -> dict[str, Path]:
    """Every file below, by its ending."""
    return {path.suffix: path for path in folder.rglob("*") if path.is_file()}


# ── How often ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_process_fetches_once_per_time_to_live(process: Start, client: VideoClient, api: Api, clock: Clock) -> None:
    cache = process(ttl=100)
    first = cache.get(client)
    clock.now += 99
    assert cache.get(client) == first
    assert api.asked == 1
    clock.now += 1
    assert cache.get(client).fetched_at == START + 100
    assert api.asked == 2


def test_the_next_process_takes_it_from_the_file(process: Start, client: VideoClient, api: Api, clock: Clock) -> None:
    first = process().get(client)
    clock.now += 3599
    assert process().get(client) == first
    clock.now += 1
    assert process().get(client).fetched_at == START + 3600
    assert api.asked == 2


def test_what_comes_back_is_what_was_fetched(
    process: Start, client: VideoClient, catalogue: tuple[VideoModel, ...]
) -> None:
    assert process().get(client).models == catalogue
    assert process().get(client).models == catalogue


def test_a_process_whose_copy_is_old_takes_a_newer_file(
    process: Start, client: VideoClient, api: Api, clock: Clock
) -> None:
    here, there = process(ttl=100), process(ttl=100)
    here.get(client)
    clock.now += 100
    newer = there.get(client)
    assert here.get(client) == newer
    assert api.asked == 2


def test_a_clock_that_was_set_back_does_not_make_a_copy_eternal(
    process: Start, client: VideoClient, api: Api, clock: Clock
) -> None:
    clock.now += 1_000_000
    process().get(client)
    clock.now = START
    assert process().get(client).fetched_at == START
    assert process().get(client).fetched_at == START
    assert api.asked == 2


def test_each_base_url_has_a_catalogue_of_its_own(
    process: Start, connect: Callable[..., VideoClient], api: Api
) -> None:
    cache = process()
    cache.get(connect())
    api.works(ENTRIES[:1])
    assert len(cache.get(connect("https://eu.openrouter.ai/api/v1")).models) == 1
    assert len(cache.get(connect()).models) == 15
    assert len(process().get(connect("https://eu.openrouter.ai/api/v1/")).models) == 1
    assert api.asked == 2


def test_one_odd_entry_loses_no_other(process: Start, client: VideoClient, api: Api) -> None:
    odd = {"id": "new/model", "supported_durations": "long", "pricing_skus": [1], "created": {}}
    api.works([*ENTRIES[:2], 7, {"name": "no id"}, odd, *ENTRIES[2:]])
    for cache in (process(), process()):
        models = cache.get(client).models
        assert len(models) == 16
        assert models[2].id == "new/model"
        assert models[2].supported_durations is None


def test_a_process_shares_one_cache(tmp_path: Path) -> None:
    assert shared_cache(str(tmp_path)) is shared_cache(str(tmp_path))
    assert shared_cache(str(tmp_path)) is not shared_cache(str(tmp_path), 60.0)
    assert shared_cache(str(tmp_path), 60.0).ttl == 60


def test_without_a_folder_it_lies_in_the_systems_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: VideoClient
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    CatalogueCache().get(client)
    assert files(tmp_path)[".json"].parent == tmp_path / f"{FOLDER}-{os.geteuid()}"


# ── When it cannot be fetched ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["the same process", "another process"])
def test_the_last_good_copy_is_used_and_its_age_told(
    process: Start, client: VideoClient, api: Api, clock: Clock, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    cache = process()
    first = cache.get(client)
    api.breaks()
    clock.now += 90_000
    assert (cache if who == "the same process" else process()).get(client) == first
    assert api.asked == 2  # with a copy at hand, one attempt is enough
    assert "a copy of 90000 s ago" in caplog.text
    assert "HTTP 500" in caplog.text
    assert KEY not in caplog.text


def test_after_a_failure_no_process_tries_again_for_a_while(
    process: Start, client: VideoClient, api: Api, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = process(failure_pause=60)
    first = cache.get(client)
    api.breaks()
    clock.now += 4000
    cache.get(client)
    caplog.clear()
    clock.now += 59
    assert cache.get(client) == first
    assert process(failure_pause=60).get(client) == first
    assert api.asked == 2
    assert caplog.text.count("a copy of 4059 s ago") == 2
    api.works()
    clock.now += 1
    assert process(failure_pause=60).get(client).fetched_at == clock.now
    assert cache.get(client).fetched_at == clock.now
    assert api.asked == 3


def test_without_any_copy_the_failure_is_raised(process: Start, client: VideoClient, api: Api, clock: Clock) -> None:
    api.breaks()
    cache = process()
    with pytest.raises(InternalServerError):
        cache.get(client)
    asked = api.asked
    assert asked == client.config.read_retry.attempts
    clock.now += 30
    for other in (cache, process()):
        with pytest.raises(ReadInterruptedError, match=r"fetched 30 s ago.*60 s.*HTTP 500") as caught:
            other.get(client)
        assert KEY not in str(caught.value)
    assert api.asked == asked
    clock.now += 30
    api.works()
    assert len(process().get(client).models) == 15
    assert len(cache.get(client).models) == 15


def refuse_connection() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: httpx.Response(200, json={"data": []}), ResponseInvalidError),
        (lambda: httpx.Response(200, json={"data": [{"name": "no id"}]}), ResponseInvalidError),
        (lambda: httpx.Response(200, json={"models": []}), ResponseInvalidError),
        (lambda: httpx.Response(200, text="<html>"), ResponseInvalidError),
        (refuse_connection, NotSentError),
    ],
    ids=["no models", "none with an id", "no list", "no JSON", "no connection"],
)
def test_what_is_no_catalogue_replaces_none(
    process: Start,
    client: VideoClient,
    api: Api,
    clock: Clock,
    answer: Callable[[], httpx.Response],
    error: type[Exception],
) -> None:
    api.answer = answer
    with pytest.raises(error):
        process().get(client)
    api.works()
    clock.now += 100
    first = process().get(client)
    api.answer = answer
    clock.now += 4000
    assert process().get(client) == first


# ── The file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_this_user_can_read_or_write_it(process: Start, client: VideoClient, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        process(tmp_path / "new" / "folder").get(client)
    finally:
        os.umask(before)
    found = files(tmp_path)
    assert set(found) == {".json", ".lock"}
    for path in found.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_neither_names_nor_content_show_where_or_as_whom(
    process: Start, connect: Callable[..., VideoClient], tmp_path: Path
) -> None:
    process().get(connect("https://gateway.example.com/topsecret/v1"))
    for path in files(tmp_path).values():
        for text in (str(path.relative_to(tmp_path)), path.read_text()):
            assert "topsecret" not in text
            assert "example" not in text


DEEP = b'{"key":' + b"[" * 100_000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda good: good[: len(good) // 2],
        lambda good: b"\xff\xfe" + good,
        lambda _: b"null",
        lambda _: b"[]",
        lambda _: b"{}",
        lambda _: DEEP,
        lambda good: changed(good, key="another"),
        lambda good: changed(good, fetched_at="soon"),
        lambda good: changed(good, fetched_at=None),
        lambda good: changed(good, fetched_at=float("nan")),
        lambda good: changed(good, fetched_at=float("inf")),
        lambda good: changed(good, data={}),
        lambda good: changed(good, data=[]),
        lambda good: changed(good, data=[7]),
        lambda good: changed(good, failure="x"),
        lambda good: changed(good, failure="x", failed_at=[]),
        lambda good: good + b" " * 5_000_000,
    ],
)
def test_a_file_that_cannot_be_read_is_fetched_anew_and_mended(
    process: Start, client: VideoClient, api: Api, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    first = process().get(client)
    path = files(tmp_path)[".json"]
    path.write_bytes(spoil(path.read_bytes()))
    assert process().get(client) == first
    assert api.asked == 2
    assert process().get(client) == first
    assert api.asked == 2


def test_why_a_file_is_replaced_is_said_once(
    process: Start, client: VideoClient, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    process().get(client)
    path = files(tmp_path)[".json"]
    path.write_bytes(changed(path.read_bytes(), key="another"))
    process().get(client)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "is replaced: it is that of another API or version" in warning


def changed(content: bytes, **fields: object) -> bytes:
    return json.dumps(json.loads(content) | fields).encode()


def test_a_file_that_another_could_have_written_is_not_trusted(
    process: Start, client: VideoClient, api: Api, tmp_path: Path
) -> None:
    process().get(client)
    path = files(tmp_path)[".json"]
    path.write_bytes(changed(path.read_bytes(), data=[{"id": "planted/model"}]))
    path.chmod(0o666)
    assert len(process().get(client).models) == 15
    assert api.asked == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@needs_root
def test_a_file_of_another_user_is_not_trusted(process: Start, client: VideoClient, api: Api, tmp_path: Path) -> None:
    process().get(client)
    path = files(tmp_path)[".json"]
    os.chown(path, 65534, 65534)
    assert len(process().get(client).models) == 15
    assert api.asked == 2
    assert path.stat().st_uid == 0


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(
    process: Start, client: VideoClient, api: Api, tmp_path: Path
) -> None:
    process().get(client)
    path = files(tmp_path)[".json"]
    target = tmp_path / "target"
    path.rename(target)
    before = target.read_bytes()
    path.symlink_to(target)
    process().get(client)
    assert api.asked == 2
    assert not path.is_symlink()
    assert target.read_bytes() == before


@pytest.mark.parametrize("what", ["fifo", "folder"])
def test_something_else_in_place_of_the_file_stops_nobody(
    process: Start, client: VideoClient, api: Api, tmp_path: Path, what: str
) -> None:
    process().get(client)
    path = files(tmp_path)[".json"]
    path.unlink()
    os.mkfifo(path) if what == "fifo" else path.mkdir()
    assert len(process().get(client).models) == 15
    assert api.asked == 2


def test_what_a_process_that_died_left_half_written_is_cleared_away(
    process: Start, client: VideoClient, api: Api, tmp_path: Path
) -> None:
    first = process().get(client)
    path = files(tmp_path)[".json"]
    path.with_name(path.name + ".part").write_bytes(b'{"key":')
    path.unlink()
    process().get(client)
    assert process().get(client) == first
    assert api.asked == 2
    assert set(files(tmp_path)) == {".json", ".lock"}


# ── The lock ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def held(tmp_path: Path, process: Start, client: VideoClient, api: Api) -> Iterator[bytes]:
    """Hold the lock as another process does that is fetching; what it will write at the end, nothing so far."""
    process().get(client)
    path, content = files(tmp_path)[".json"], files(tmp_path)[".json"].read_bytes()
    path.unlink()
    api.asked = 0
    with files(tmp_path)[".lock"].open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield content


def write(folder: Path, content: bytes) -> None:
    path = files(folder)[".lock"].with_suffix(".json")
    path.write_bytes(content)
    path.chmod(0o600)


def most(low: float, high: float) -> float:
    assert 0 < low < high
    return high


@pytest.mark.usefixtures("held")
def test_who_finds_it_locked_looks_ever_more_seldom_and_then_waits_no_longer(
    process: Start, client: VideoClient, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", most)
    pauses: list[float] = []
    assert len(process(lock_wait=30.0, sleep=pauses.append).get(client).models) == 15
    assert api.asked == 1
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[1] < 2 * pauses[0] < 0.05
    assert pauses[-1] == 0.25
    assert 30.0 <= sum(pauses) < 30.5
    assert set(files(tmp_path)) == {".lock"}, "only who holds the lock writes"


def test_a_current_copy_waits_for_nobody(
    process: Start, client: VideoClient, api: Api, tmp_path: Path, held: bytes
) -> None:
    write(tmp_path, held)
    assert len(process(sleep=lambda _: pytest.fail("it waits")).get(client).models) == 15
    assert api.asked == 0


def test_an_old_copy_is_used_while_another_process_fetches_and_not_waited_for_again_at_once(
    process: Start,
    client: VideoClient,
    api: Api,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    held: bytes,
) -> None:
    write(tmp_path, held)
    clock.now += 4000
    pauses: list[float] = []
    cache = process(lock_wait=1.0, sleep=pauses.append)
    assert cache.get(client).fetched_at == START
    assert "a copy of 4000 s ago" in caplog.text
    assert "Another process has been fetching it for 1 s." in caplog.text
    waited = len(pauses)
    clock.now += 59
    assert cache.get(client).fetched_at == START
    assert len(pauses) == waited > 0
    clock.now += 1
    cache.get(client)
    assert len(pauses) > waited
    assert api.asked == 0


def test_what_another_process_writes_meanwhile_is_taken(
    process: Start, client: VideoClient, api: Api, tmp_path: Path, held: bytes
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            write(tmp_path, held)

    assert len(process(sleep=pause).get(client).models) == 15
    assert (len(pauses), api.asked) == (3, 0)


# ── The folder ───────────────────────────────────────────────────────────────────────────────────────────────────────


def each_for_itself(
    process: Start, client: VideoClient, api: Api, caplog: pytest.LogCaptureFixture, folder: Path
) -> None:
    """Two processes each fetch, and say why once."""
    for asked in (1, 2):
        caplog.clear()
        cache = process(folder, ttl=0)
        assert len(cache.get(client).models) == 15
        assert api.asked == 2 * asked - 1
        cache.get(client)
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert ["each process fetches it for itself" in record.getMessage() for record in warnings] == [True]
        assert "[orvideo] cache_dir" in caplog.text


def test_a_folder_that_cannot_be_made_costs_a_fetch_a_process(
    process: Start, client: VideoClient, api: Api, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    each_for_itself(process, client, api, caplog, tmp_path / "file")


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770, 0o701])
def test_a_folder_that_was_opened_to_others_is_closed_again(
    process: Start, client: VideoClient, api: Api, tmp_path: Path, mode: int
) -> None:
    first = process().get(client)
    folder = files(tmp_path)[".json"].parent
    folder.chmod(mode)
    assert process().get(client) == first
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert api.asked == 1


def test_a_folder_that_cannot_be_closed_to_others_is_not_used(
    process: Start,
    client: VideoClient,
    api: Api,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / f"{FOLDER}-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)  # as file systems without such modes do
    each_for_itself(process, client, api, caplog, tmp_path)
    assert "with mode 777, and is only trusted as" in caplog.text
    assert not files(tmp_path)


def test_a_folder_of_another_user_is_not_used(
    process: Start,
    client: VideoClient,
    api: Api,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One user alone cannot make a folder that is another's; so this process becomes another's instead.
    other = os.geteuid() + 1
    (tmp_path / f"{FOLDER}-{other}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: other)
    each_for_itself(process, client, api, caplog, tmp_path)
    assert f"{FOLDER}-{other} belongs to user " in caplog.text
    assert f"is only trusted as user {other}'s own" in caplog.text
    assert not files(tmp_path)


def test_a_link_in_place_of_the_folder_is_not_followed(
    process: Start, client: VideoClient, api: Api, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (tmp_path / f"{FOLDER}-{os.geteuid()}").symlink_to(target)
    each_for_itself(process, client, api, caplog, tmp_path)
    assert not files(tmp_path)


def test_a_full_disk_costs_a_fetch_a_process(
    process: Start,
    client: VideoClient,
    api: Api,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    each_for_itself(process, client, api, caplog, tmp_path)
    assert "No space left on device" in caplog.text
    assert set(files(tmp_path)) == {".lock"}


def test_a_file_system_without_locks_costs_a_fetch_a_process(
    process: Start,
    client: VideoClient,
    api: Api,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    each_for_itself(process, client, api, caplog, tmp_path)
    assert set(files(tmp_path)) == {".lock"}


def test_even_then_one_process_keeps_it_for_itself(
    process: Start, client: VideoClient, api: Api, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = process(tmp_path / "file")
    first = cache.get(client)
    assert cache.get(client) == first
    assert api.asked == 1
    api.breaks()
    clock.now += 4000
    assert cache.get(client) == first
    assert cache.get(client) == first
    assert api.asked == 2
