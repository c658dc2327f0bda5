"""What webhooks said, kept in a folder and in a bucket: the first wins, and what cannot be read is never nothing."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_orvideo.ledger.callbacks import Callbacks, Reported, is_nonce
from airflow_provider_orvideo.webhooks import WebhookEvent

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://airflow.example.com/orvideo/webhook"
NONCE, OTHER = "ab" * 16, "cd" * 16


@pytest.fixture(params=["local", "s3"])
def callbacks(request: pytest.FixtureRequest, tmp_path: Path) -> Callbacks:
    """Nothing is kept yet: on this machine, and on S3."""
    if request.param == "local":
        return Callbacks(URL, (tmp_path / "state").as_uri())
    bucket: str = request.getfixturevalue("bucket")
    return Callbacks(URL, f"{bucket}/orvideo-state")


@pytest.fixture
def local(tmp_path: Path) -> Callbacks:
    return Callbacks(URL, (tmp_path / "state").as_uri())


@pytest.fixture
def event_of() -> Callable[..., WebhookEvent]:
    def make(job_id: str = "job-1", status: str = "completed", model: str | None = "google/veo-3.1") -> WebhookEvent:
        return WebhookEvent(
            type=f"video.generation.{status}", job_id=job_id, status=status, model=model, cost_usd=0.5, error="secret"
        )

    return make


def files(callbacks: Callbacks) -> list[str]:
    """Return the names of all files, without the folder that they are in."""
    folder = ObjectStoragePath(callbacks.state_path)
    names = sorted(
        str(path).partition("orvideo-state" if "s3" in str(path) else "state")[2] for path in folder.rglob("*.json")
    )
    assert all(name.startswith("/callbacks/") for name in names)
    return [name.removeprefix("/callbacks/") for name in names]


def page(callbacks: Callbacks, nonce: str = NONCE) -> ObjectStoragePath:
    return ObjectStoragePath(f"{callbacks.state_path}/callbacks/{nonce}.json")


# ── Kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_said_can_be_read_by_whoever_has_the_nonce(
    callbacks: Callbacks, event_of: Callable[..., WebhookEvent]
) -> None:
    assert callbacks.reported(NONCE) is None
    assert callbacks.keep(NONCE, event_of(), 1000.5)
    assert callbacks.reported(NONCE) == Reported(
        job_id="job-1", status="completed", model="google/veo-3.1", received_at=1000.5
    )
    assert callbacks.reported(OTHER) is None
    assert json.loads(page(callbacks).read_bytes()) == {
        "schema_version": 1,
        "job_id": "job-1",
        "status": "completed",
        "model": "google/veo-3.1",
        "received_at": 1000.5,
    }


def test_without_the_bucket_nobody_can_tell_whether_a_call_came(bucket: str) -> None:
    with pytest.raises(LedgerUnavailableError, match="no bucket or container"):
        Callbacks(URL, f"{bucket}-elsewhere/state").reported(NONCE)


def test_a_repetition_changes_nothing(callbacks: Callbacks, event_of: Callable[..., WebhookEvent]) -> None:
    assert callbacks.keep(NONCE, event_of(), 1000)
    before = page(callbacks).read_bytes(), files(callbacks)
    assert not callbacks.keep(NONCE, event_of(), 2000)
    assert not callbacks.keep(NONCE, event_of(status="failed"), 3000)
    assert (page(callbacks).read_bytes(), files(callbacks)) == before


def test_another_job_under_the_same_nonce_changes_nothing_and_is_told(
    callbacks: Callbacks, event_of: Callable[..., WebhookEvent], caplog: pytest.LogCaptureFixture
) -> None:
    callbacks.keep(NONCE, event_of(), 1000)
    before = page(callbacks).read_bytes(), files(callbacks)
    assert not callbacks.keep(NONCE, event_of("job-2"), 2000)
    assert (page(callbacks).read_bytes(), files(callbacks)) == before
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "job-2" in warning
    assert "job-1" in warning


def test_a_job_speaks_for_one_nonce_only(
    callbacks: Callbacks, event_of: Callable[..., WebhookEvent], caplog: pytest.LogCaptureFixture
) -> None:
    # The signature does not cover the address: somebody may send a genuine call to another one.
    callbacks.keep(NONCE, event_of(), 1000)
    before = files(callbacks)
    assert not callbacks.keep(OTHER, event_of(), 1001)
    assert callbacks.reported(OTHER) is None
    assert files(callbacks) == before
    assert "another nonce" in caplog.text
    assert NONCE not in caplog.text
    assert callbacks.keep(OTHER, event_of("job-2"), 1002)


def test_a_call_that_was_kept_by_halves_is_kept_when_it_comes_again(
    callbacks: Callbacks, event_of: Callable[..., WebhookEvent]
) -> None:
    callbacks.keep(NONCE, event_of(), 1000)
    page(callbacks).unlink()
    assert callbacks.keep(NONCE, event_of(), 2000)
    assert callbacks.reported(NONCE) is not None


@pytest.mark.parametrize("job_id", ["../../escape", "a/b?c#d", "x" * 256, "con:trol%2F"])
def test_a_jobs_id_is_no_path(local: Callbacks, event_of: Callable[..., WebhookEvent], job_id: str) -> None:
    local.keep(NONCE, event_of(job_id), 1000)
    reported = local.reported(NONCE)
    assert reported is not None
    assert reported.job_id == job_id
    claim, kept = sorted(files(local), key=len, reverse=True)
    assert (kept, re.fullmatch(r"jobs/[0-9a-f]{32}\.json", claim) is not None) == (f"{NONCE}.json", True)


# ── At once ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_many_processes_one_wins(local: Callbacks) -> None:
    command = [sys.executable, str(Path(__file__).parent / "callback_workers.py"), local.state_path, NONCE, "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 8
    (winner,) = [answer["job_id"] for answer in answers if answer["kept"]]
    reported = local.reported(NONCE)
    assert reported is not None
    assert reported.job_id == winner


def test_who_comes_second_between_look_and_write_is_refused(
    callbacks: Callbacks,
    event_of: Callable[..., WebhookEvent],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    create = Callbacks._create

    def slow(self: Callbacks, uri: str, content: object) -> bool:
        # Between our look at the nonce, which found nothing, and our write, another process keeps its call.
        monkeypatch.setattr(Callbacks, "_create", create)
        assert callbacks.keep(NONCE, event_of("job-2"), 999)
        return create(self, uri, content)  # type: ignore[arg-type]

    monkeypatch.setattr(Callbacks, "_create", slow)
    assert not callbacks.keep(NONCE, event_of("job-1"), 1000)
    reported = callbacks.reported(NONCE)
    assert reported is not None
    assert reported.job_id == "job-2"
    (warning,) = caplog.records
    assert "job-1" in warning.getMessage()
    assert "job-2" in warning.getMessage()


def test_of_many_threads_on_one_machine_one_wins(local: Callbacks, event_of: Callable[..., WebhookEvent]) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda index: local.keep(NONCE, event_of(f"job-{index}"), index), range(32)))
    assert sum(kept) == 1
    reported = local.reported(NONCE)
    assert reported is not None
    assert reported.job_id == f"job-{kept.index(True)}"


# ── Not readable, not writable ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"{}", b"\xff", b'{"job_id": 7}'])
def test_what_cannot_be_read_is_never_nothing(
    callbacks: Callbacks, event_of: Callable[..., WebhookEvent], content: bytes
) -> None:
    callbacks.keep(NONCE, event_of(), 1000)
    page(callbacks).write_bytes(content)
    for act in (lambda: callbacks.reported(NONCE), lambda: callbacks.keep(NONCE, event_of(), 1)):
        with pytest.raises(LedgerUnavailableError, match=rf"{NONCE}\.json, cannot be read"):
            act()
    assert page(callbacks).read_bytes() == content


def test_a_newer_version_is_not_guessed_at(local: Callbacks, event_of: Callable[..., WebhookEvent]) -> None:
    local.keep(NONCE, event_of(), 1000)
    page(local).write_text(json.dumps({**json.loads(page(local).read_text()), "schema_version": 2}))
    with pytest.raises(LedgerUnavailableError, match="version 2"):
        local.reported(NONCE)


def test_a_store_that_is_not_there_is_unavailable(bucket: str, event_of: Callable[..., WebhookEvent]) -> None:
    lost = Callbacks(URL, f"{bucket}-elsewhere/state")
    with pytest.raises(LedgerUnavailableError, match="cannot be read or written"):
        lost.keep(NONCE, event_of(), 1000)


def test_a_folder_that_is_a_file_is_unavailable(
    local: Callbacks, event_of: Callable[..., WebhookEvent], tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(LedgerUnavailableError, match="cannot be read or written"):
        local.reported(NONCE)
    with pytest.raises(LedgerUnavailableError, match="cannot be read or written"):
        local.keep(NONCE, event_of(), 1000)


def test_a_full_disk_keeps_nothing_and_leaves_no_litter(
    local: Callbacks, event_of: Callable[..., WebhookEvent], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device.")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(LedgerUnavailableError, match=r": OSError: \[Errno 28\] no space left on device\.$"):
        local.keep(NONCE, event_of(), 1000)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert local.reported(NONCE) is None


def test_a_file_system_without_hard_links_is_refused(
    local: Callbacks, event_of: Callable[..., WebhookEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(ConfigurationError, match=r"no hard links\. Set \[orvideo\] state_path"):
        local.keep(NONCE, event_of(), 1000)


# ── Nonces and addresses ─────────────────────────────────────────────────────────────────────────────────────────────


def test_no_two_nonces_are_alike() -> None:
    nonces = {Callbacks.new_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(map(is_nonce, nonces))


NO_NONCES = [
    "",
    "ab" * 15,
    "ab" * 17,
    "AB" * 16,
    "g" * 32,
    "../" * 10 + "ab",
    f"{NONCE}\n",
    f"{NONCE[:-1]}/",
    "\u0660" * 32,
]


@pytest.mark.parametrize("nonce", NO_NONCES)
def test_what_is_no_nonce_reaches_no_store(
    local: Callbacks, event_of: Callable[..., WebhookEvent], nonce: str, tmp_path: Path
) -> None:
    assert not is_nonce(nonce)
    assert local.reported(nonce) is None
    with pytest.raises(ValueError, match="32 hex digits"):
        local.keep(nonce, event_of(), 1000)
    with pytest.raises(ValueError, match="32 hex digits"):
        local.url(nonce)
    assert list(tmp_path.iterdir()) == []


def test_no_other_file_of_the_folder_can_be_read_under_its_name(
    local: Callbacks, event_of: Callable[..., WebhookEvent]
) -> None:
    local.keep(NONCE, event_of(), 1000)
    page(local).rename(page(local).with_name("another.json"))
    assert local.reported("another") is None


def test_the_address_ends_with_the_nonce(local: Callbacks) -> None:
    assert local.url(NONCE) == f"{URL}/{NONCE}"


# ── From Airflow's configuration ─────────────────────────────────────────────────────────────────────────────────────


def configure(monkeypatch: pytest.MonkeyPatch, url: str, state_path: str) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__WEBHOOK_URL", url)
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", state_path)


def test_webhooks_are_off_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Callbacks.configured() is None
    configure(monkeypatch, "", tmp_path.as_uri())
    assert Callbacks.configured() is None


@pytest.mark.parametrize("state_path", ["file:///srv/state/", "s3://aws_default@bucket/state/"])
def test_the_options_are_read(monkeypatch: pytest.MonkeyPatch, state_path: str) -> None:
    configure(monkeypatch, f" {URL}/ ", state_path)
    callbacks = Callbacks.configured()
    assert callbacks == Callbacks(URL, state_path.rstrip("/"))


def test_of_the_options_ends_only_slashes_are_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, "https://a.example/HOOKX//", "file:///srv/stateX//")
    assert Callbacks.configured() == Callbacks("https://a.example/HOOKX", "file:///srv/stateX")


@pytest.mark.parametrize(
    "url",
    [
        "http://airflow.example.com/orvideo/webhook", "airflow.example.com/orvideo/webhook", "https:///orvideo/webhook",
        "https://localhost/orvideo/webhook", "https://10.0.0.7/hook", "https://127.1/hook", "https://airflow/hook",
        "https://[::1]/hook", "https://[::1/hook", "https://airflow.internal/hook", "https://a.example:99999/hook",
        "https://me:s3cret@a.example/hook", "https://a.example/hook?token=s3cret", "https://a.example/hook#s3cret",
        "https://a.example/ho ok", "/orvideo/webhook",
    ],
)  # fmt: skip
def test_an_address_that_openrouter_cannot_call_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    configure(monkeypatch, url, tmp_path.as_uri())
    with pytest.raises(ConfigurationError, match=r"\[orvideo\] webhook_url") as caught:
        Callbacks.configured()
    assert "s3cret" not in str(caught.value)


def test_webhooks_without_a_place_to_keep_them_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, URL, "")
    with pytest.raises(ConfigurationError, match=r"\[orvideo\] state_path is not"):
        Callbacks.configured()


@pytest.mark.parametrize("state_path", ["memory://x/state", "nosuch://x/state", "/srv/state"])
def test_a_store_of_which_nothing_is_known_is_refused(monkeypatch: pytest.MonkeyPatch, state_path: str) -> None:
    configure(monkeypatch, URL, state_path)
    with pytest.raises(ConfigurationError, match=r"\[orvideo\] state_path"):
        Callbacks.configured()
