"""Folders for downloads: gone at the end, swept after a kill, and nobody else's ever touched."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_orvideo
from airflow_provider_orvideo.exceptions import DestinationError
from airflow_provider_orvideo.landing.folders import spool_folder
from airflow_provider_orvideo.landing.land import LandingOptions, land

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import JobManifest
    from tests.landing.conftest import Serve

    Where = Callable[[str, JobManifest], Destination]

HOUR = 3600
PROGRAM = """
import sys
from airflow_provider_orvideo.landing.folders import spool_folder
with spool_folder(sys.argv[1]) as folder:
    (folder / "output-0").write_bytes(b"half a video")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def landing(home: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A landing in another process, in the middle of its download; and its folder."""
    root = Path(airflow_provider_orvideo.__file__).parents[1]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        try:
            assert (folder / "output-0").is_file()
            yield process, folder
        finally:
            process.kill()


def left(home: Path, name: str = "orvideo-spool-abcd_123", *, age: float = 0, lock: bytes | None = None) -> Path:
    """A folder as some landing left it, so many seconds ago."""
    folder = home / name
    folder.mkdir(parents=True)
    (folder / "output-0").write_bytes(b"half a video")
    if lock is not None:
        (folder / ".lock").write_bytes(lock)
    then = time.time() - age
    os.utime(folder, (then, then))
    return folder


def visit(home: Path) -> None:
    """Use a folder, as a landing does."""
    with spool_folder(str(home)) as folder:
        assert folder.parent == home


# ── One's own ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_made_below_the_given_one_for_its_owner_alone_and_removed(home: Path) -> None:
    with spool_folder(str(home / "deep" / "er")) as folder:
        assert folder.parent == home / "deep" / "er"
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "output-0").write_bytes(b"x")
    assert list((home / "deep" / "er").iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_folder_is_removed_whatever_ends_its_use(home: Path, error: type[BaseException]) -> None:
    def use() -> None:
        with spool_folder(str(home)) as folder:
            (folder / "output-0").write_bytes(b"x")
            raise error

    with pytest.raises(error):
        use()
    assert list(home.iterdir()) == []


def test_unset_it_is_in_the_systems_folder_for_temporary_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    with spool_folder(None) as folder:
        assert folder.parent == home


def test_two_landings_do_not_disturb_each_other(home: Path) -> None:
    with spool_folder(str(home)) as one, spool_folder(str(home)) as other:
        assert one != other
        assert one.is_dir()
        assert other.is_dir()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("film", ["index last", None], ids=["landed", "failed"])
def test_a_landing_leaves_nothing_in_the_spool(
    serve: Serve, where: Where, tmp_path: Path, home: Path, films: dict[str, bytes], film: str | None
) -> None:
    api, client = serve(films[film] if film else b"no video")
    seen: list[list[str]] = []
    api.before = lambda _: seen.append([path.name for path in home.iterdir()])
    try:
        land(client, api.job(), where(f"{tmp_path}/videos/", api.job()), LandingOptions(spool_dir=str(home)))
    except Exception:
        assert film is None
        if film:
            raise
    assert len(seen[0]) == 1
    assert list(home.iterdir()) == []


def test_a_landing_that_has_nothing_to_download_needs_no_spool(
    serve: Serve, where: Where, tmp_path: Path, films: dict[str, bytes]
) -> None:
    api, client = serve(films["index last"])
    (tmp_path / "wall").write_bytes(b"")
    land(client, api.job(), where(f"{tmp_path}/", api.job()))
    options = LandingOptions(spool_dir=str(tmp_path / "wall"))
    assert len(land(client, api.job(), where(f"{tmp_path}/", api.job()), options).files) == 1


# ── Of the killed ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_folder_of_a_killed_landing_is_swept_by_the_next_one(
    home: Path, landing: tuple[subprocess.Popen[str], Path]
) -> None:
    process, folder = landing
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    assert folder.is_dir()
    visit(home)
    assert list(home.iterdir()) == []


def test_the_folder_of_a_living_landing_is_left_alone_however_old_it_is(
    home: Path, landing: tuple[subprocess.Popen[str], Path]
) -> None:
    process, folder = landing
    then = time.time() - 9 * HOUR
    os.utime(folder, (then, then))
    visit(home)
    assert (folder / "output-0").read_bytes() == b"half a video"
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("lock", [None, b""], ids=["no lock", "a lock that was never taken"])
@pytest.mark.parametrize(("age", "swept"), [(0, False), (HOUR - 60, False), (HOUR + 60, True)])
def test_a_folder_that_nobody_locked_is_swept_after_an_hour(
    home: Path,
    lock: bytes | None,
    age: float,
    swept: bool,  # noqa: FBT001 - parametrized
) -> None:
    folder = left(home, age=age, lock=lock)
    visit(home)
    assert folder.exists() is not swept


def test_a_folder_whose_lock_is_free_is_swept_at_once(home: Path) -> None:
    folder = left(home, lock=b"4711")
    visit(home)
    assert not folder.exists()


def test_nobody_sweeps_a_folder_between_its_making_and_its_locking(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, rivals = fcntl.flock, [1, 1]

    def slow(file: Any, how: int) -> None:  # noqa: ANN401 - a file
        if rivals and file.mode.startswith("w"):  # the one that makes a folder, not the one that sweeps
            rivals.pop()
            visit(home)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with spool_folder(str(home)) as folder:
        assert folder.is_dir()
        assert rivals == []


# ── Not ours ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "orvideo-trailers",
        "orvideo-dags",
        "orvideo-tests-abcd1234",
        "orvideo-spool-films-2026",
        "orvideo-spool-",
        "videos",
    ],
)
@pytest.mark.parametrize("lock", [None, b"4711"])
def test_other_folders_beside_are_nobodys_business(home: Path, name: str, lock: bytes | None) -> None:
    folder = left(home, name, age=99 * HOUR, lock=lock)
    visit(home)
    assert (folder / "output-0").read_bytes() == b"half a video"


def test_a_file_that_is_called_like_one_of_ours_stays(home: Path) -> None:
    home.mkdir()
    (home / "orvideo-spool-abcd_123").write_bytes(b"x")
    visit(home)
    assert (home / "orvideo-spool-abcd_123").read_bytes() == b"x"


def test_a_link_to_another_folder_leads_nowhere(home: Path, tmp_path: Path) -> None:
    folder = left(tmp_path, "precious", age=99 * HOUR)
    home.mkdir()
    (home / "orvideo-spool-abcd_123").symlink_to(folder)
    visit(home)
    assert (folder / "output-0").read_bytes() == b"half a video"


@pytest.mark.parametrize("lock", [None, b"4711"])
def test_another_users_folder_is_left_to_them(home: Path, monkeypatch: pytest.MonkeyPatch, lock: bytes | None) -> None:
    folder = left(home, age=99 * HOUR, lock=lock)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    visit(home)
    assert folder.is_dir()


def test_a_folder_that_vanishes_meanwhile_is_fine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, other = left(home, lock=b"4711"), left(home, "orvideo-spool-zzzz_123", lock=b"4711")
    real = Path.is_dir

    def faster(self: Path) -> bool:
        answer = real(self)
        if self == gone:
            shutil.rmtree(gone, ignore_errors=True)
        return answer

    monkeypatch.setattr(Path, "is_dir", faster)
    visit(home)
    monkeypatch.undo()
    assert not gone.exists()
    assert not other.exists()


# ── Where it does not work ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_system_without_locks_is_used_and_not_swept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left(home, lock=b"4711")

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with spool_folder(str(home)) as mine:
        assert mine.is_dir()
        visit(home)
        assert mine.is_dir()
    assert [path.name for path in home.iterdir()] == [folder.name]


Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as the system's


@pytest.mark.parametrize(("free", "fits"), [(0, False), (16 * 2**20 - 1, False), (16 * 2**20, True)])
def test_a_full_disk_is_told_before_anything_is_downloaded(
    serve: Serve,
    where: Where,
    tmp_path: Path,
    home: Path,
    films: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    fits: bool,  # noqa: FBT001 - parametrized
) -> None:
    api, client = serve(films["index last"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40 - free, free))
    options = LandingOptions(spool_dir=str(home))
    if fits:
        assert len(land(client, api.job(), where(f"{tmp_path}/videos/", api.job()), options).files) == 1
        return
    with pytest.raises(DestinationError) as caught:
        land(client, api.job(), where(f"{tmp_path}/videos/", api.job()), options)
    for part in ("[orvideo] spool_dir", f"only {free} bytes are free in {home}", "paid for", "run this task again"):
        assert part in str(caught.value)
    assert api.reads == []
    assert list(home.iterdir()) == []
    assert not (tmp_path / "videos").exists()


def test_what_a_killed_landing_left_makes_room_for_the_next_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left(home, lock=b"4711")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 0 if folder.exists() else 2**30))
    visit(home)


@pytest.mark.parametrize("name", ["mkdtemp", "gettempdir"])
def test_a_spool_that_may_not_be_written_is_told_with_what_to_set(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(home))

    monkeypatch.setattr(tempfile, name, refuse)
    with pytest.raises(DestinationError, match=r"\[orvideo\] spool_dir.*Permission denied.*Set it to a folder"):
        visit_with(None if name == "gettempdir" else str(home))


def test_a_lock_that_cannot_be_written_leaves_no_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def full(self: Path, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Path.open
        if self.name == ".lock":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DestinationError, match="No space left"):
        visit_with(str(home))
    assert list(home.iterdir()) == []


def visit_with(spool_dir: str | None) -> None:
    with spool_folder(spool_dir):
        pass
