"""What landing asks of a store, asked of every store, and looked at through the store's own API."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.exceptions import DestinationError
from airflow_provider_orvideo.landing import upload
from airflow_provider_orvideo.landing.publish import (
    Publisher,
    digest_of,
    publish_bytes,
    read_bytes,
    remove,
    require_usable,
    size_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.conftest import Bucket, Store, Worker

# aiohttp would rather have a file than bytes; what the file systems give it is theirs to decide.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

#: What no message may hold: passwords of these tests, as they are and as Azure's connection string has them.
SECRETS = ("c0rrect-h0rse", "YzBycmVjdC1oMHJzZQ", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq")


def publish(path: Path, uri: str) -> None:
    """Bring a copy of a file to its address: on this machine, the original would be gone."""
    copy = path.with_suffix(".copy")
    copy.unlink(missing_ok=True)
    copy.hardlink_to(path)
    Publisher(uri).publish_file(copy, uri, "video/mp4")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A small file that compresses to nothing less."""
    path = tmp_path / "spooled"
    path.write_bytes(bytes(range(256)) * 400)
    return path


@pytest.fixture
def long_film(tmp_path: Path, store: Store) -> Path:
    """A file that the store gets in more than one piece."""
    path = tmp_path / "spooled-long"
    piece = os.urandom(2**20)
    with path.open("wb") as file:
        for number in range(store.in_pieces // len(piece) + 1):
            file.write(number.to_bytes(4, "big") + piece[4:])
    return path


def test_what_was_published_is_there_whole(store: Store, film: Path) -> None:
    uri = f"{store.root}/deep/er/film 1 (final).mp4"
    assert (read_bytes(uri), size_of(uri), store.read(uri)) == (None, None, None)
    publish(film, uri)
    publish_bytes(b"{}", f"{uri}.json")
    assert store.read(uri) == read_bytes(uri) == film.read_bytes()
    assert store.read(f"{uri}.json") == read_bytes(f"{uri}.json") == b"{}"
    assert size_of(uri) == film.stat().st_size
    assert store.names() == ["deep/er/film 1 (final).mp4", "deep/er/film 1 (final).mp4.json"]
    assert store.leftovers() == []


def test_a_media_type_arrives_where_the_store_keeps_one(store: Store, film: Path) -> None:
    if not store.is_typed:
        pytest.skip("a folder of this machine keeps no media types")
    publish(film, f"{store.root}/film.mp4")
    publish_bytes(b"\xff\xd8\xff", f"{store.root}/film.jpg", content_type="image/jpeg")
    publish_bytes(b"{}", f"{store.root}/film.mp4.json")
    found = {name: store.content_type(f"{store.root}/{name}") for name in store.names()}
    assert found == {"film.jpg": "image/jpeg", "film.mp4": "video/mp4", "film.mp4.json": "application/json"}


def test_a_file_in_many_pieces_is_put_together_right(store: Store, long_film: Path) -> None:
    uri = f"{store.root}/film.mp4"
    publish(long_film, uri)
    landed = store.read(uri)
    assert landed is not None
    assert hashlib.sha256(landed).hexdigest() == _sha256(long_film) == digest_of(uri)
    assert store.leftovers() == []
    if store.is_typed:
        assert store.content_type(uri) == "video/mp4"


@pytest.mark.parametrize("before", [None, b"older"], ids=["nothing there", "an older one"])
def test_an_upload_that_breaks_off_changes_nothing(store: Store, long_film: Path, before: bytes | None) -> None:
    uri = f"{store.root}/film.mp4"
    if before is not None:
        publish_bytes(before, uri)
    with store.breaking_off(), pytest.raises(DestinationError, match="can be landed again"):
        publish(long_film, uri)
    assert store.read(uri) == before
    assert store.names() == ([] if before is None else ["film.mp4"])
    assert store.leftovers() == ([] if store.takes_back else ["film.mp4"])
    publish(long_film, uri)
    assert size_of(uri) == long_film.stat().st_size
    assert store.leftovers() == []


@pytest.mark.parametrize("before", [None, b"older"], ids=["nothing there", "an older one"])
def test_a_worker_that_is_killed_between_two_pieces_changes_nothing(
    store: Store, long_film: Path, before: bytes | None, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.name == "file":
        pytest.skip("a file is copied on this machine in one go; see the landing's contract")
    bucket: Bucket = store  # type: ignore[assignment]
    uri = f"{store.root}/film.mp4"
    if before is not None:
        publish_bytes(before, uri)
    with bucket.hanging_between_pieces() as hangs:
        worker.begin(halt=None, job=None, path=str(long_film), uri=uri)
        assert hangs.wait(60), worker.log.read_text()
        # Azure's pieces go up side by side: the first may get there after the second is seen.
        deadline = time.monotonic() + 60
        while not store.leftovers():
            assert time.monotonic() < deadline, worker.log.read_text()
            time.sleep(0.05)
        worker.kill()
    assert store.read(uri) == before
    assert store.leftovers() == ["film.mp4"]
    # As if an hour had passed.
    monkeypatch.setattr(upload, "ABANDONED", -10.0)
    publish(long_film, uri)
    assert digest_of(uri) == _sha256(long_film)
    assert store.leftovers() == (["film.mp4"] if store.keeps_dead_uploads else [])


def test_a_shorter_film_leaves_nothing_of_a_longer_one(store: Store, film: Path) -> None:
    uri = f"{store.root}/film.mp4"
    publish_bytes(b"x" * (film.stat().st_size + 1000), uri)
    publish(film, uri)
    assert store.read(uri) == film.read_bytes()
    publish_bytes(b"", uri)
    assert (store.read(uri), read_bytes(uri), size_of(uri)) == (b"", b"", 0)


def test_what_is_removed_is_gone_and_its_neighbour_is_not(store: Store) -> None:
    publish_bytes(b"1", f"{store.root}/film.mp4")
    publish_bytes(b"2", f"{store.root}/film.mp4.json")
    remove(f"{store.root}/film.mp4")
    assert store.names() == ["film.mp4.json"]
    remove(f"{store.root}/film.mp4")


def test_what_was_stored_after_a_listing_is_seen(store: Store, film: Path) -> None:
    publish_bytes(b"so that there is something to list", f"{store.root}/other.txt")
    folder = ObjectStoragePath(store.root)
    assert [path.name for path in folder.iterdir()] == ["other.txt"]
    listed = {name: list(found) for name, found in folder.fs.dircache.items()}
    uri = f"{store.root}/film.mp4"
    publish(film, uri)

    def as_elsewhere() -> None:
        # As if another machine had stored it: this one's listing is not told.
        folder.fs.dircache.update(listed)

    as_elsewhere()
    assert read_bytes(uri) == film.read_bytes()
    as_elsewhere()
    assert size_of(uri) == film.stat().st_size
    as_elsewhere()
    assert digest_of(uri) == _sha256(film)


def test_a_bucket_that_is_not_there_is_named(store: Store, film: Path) -> None:
    if store.nowhere is None:
        pytest.skip("a folder of this machine is made")
    uri = f"{store.nowhere}/film.mp4"
    with pytest.raises(DestinationError, match=r"no-such-films.*(FileNotFoundError|NoSuchBucket)") as caught:
        publish(film, uri)
    _assert_says_what_to_do(caught.value)
    with pytest.raises(DestinationError, match="no-such-films"):
        publish_bytes(b"{}", uri)
    if store.name != "gcs":  # gcsfs does not tell what it was that Cloud Storage did not find
        with pytest.raises(DestinationError, match="there is no bucket or container 'no-such-films'"):
            read_bytes(uri)


def test_a_store_that_turns_us_away_is_not_an_empty_one(store: Store, film: Path) -> None:
    uri = f"{store.locked}/film.mp4"
    with pytest.raises(DestinationError) as caught:
        publish(film, uri)
    _assert_says_what_to_do(caught.value)
    with pytest.raises(DestinationError) as caught:
        publish_bytes(b"{}", uri)
    _assert_says_what_to_do(caught.value)
    with pytest.raises(DestinationError):
        read_bytes(uri)
    with pytest.raises(DestinationError):
        size_of(uri)
    with pytest.raises(DestinationError):
        digest_of(uri)
    assert store.names() == []


# ── Whether it can be used at all ────────────────────────────────────────────────────────────────────────────────────


def test_a_place_that_can_be_used_passes_and_nothing_is_put_there(store: Store) -> None:
    require_usable(f"{store.root}/deep/er/film.mp4")
    assert store.names() == []


def test_a_bucket_that_is_not_there_is_found_before_anything_is_sent(store: Store) -> None:
    if store.nowhere is None:
        pytest.skip("a folder of this machine is made")
    with pytest.raises(DestinationError, match="no-such-films") as caught:
        require_usable(f"{store.nowhere}/film.mp4")
    _assert_says_what_to_do(caught.value)
    assert _sent(store) == []


def test_credentials_that_are_refused_are_found_before_anything_is_sent(store: Store) -> None:
    with pytest.raises(DestinationError) as caught:
        require_usable(f"{store.locked}/film.mp4")
    _assert_says_what_to_do(caught.value)
    assert _sent(store) == []


def test_a_role_that_may_put_and_not_look_passes(store: Store) -> None:
    if store.name == "file":
        pytest.skip("a folder of this machine can be looked at")
    bucket: Bucket = store  # type: ignore[assignment]
    with bucket.blind():
        require_usable(f"{store.root}/film.mp4")


def _sent(store: Store) -> list[object]:
    """What the store was asked to do, without questions."""
    return [asked for asked in store.asked if asked.method not in {"GET", "HEAD"}]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _assert_says_what_to_do(error: DestinationError) -> None:
    text = str(error)
    assert "credentials" in text
    assert not [secret for secret in SECRETS if secret in text]
