"""The record as a file below ``[orvideo] state_path``: on this machine and on S3, and never shared by two tasks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.exceptions import LedgerUnavailableError
from airflow_provider_orvideo.ledger.stores import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.ledger.record import Record

    RecordOf = Callable[..., Record]


@pytest.fixture(params=["local", "s3"])
def state_path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder for records: on this machine, and on S3."""
    if request.param == "local":
        return (tmp_path / "state").as_uri()
    bucket: str = request.getfixturevalue("bucket")
    return f"{bucket}/orvideo-state"


@pytest.fixture
def local(tmp_path: Path) -> str:
    return (tmp_path / "state").as_uri()


def instance(**changes: Any) -> SimpleNamespace:  # noqa: ANN401 - what identifies a task instance
    return SimpleNamespace(
        **{"dag_id": "films", "run_id": "manual__1", "task_id": "submit", "map_index": -1, **changes}
    )


def store_of(state_path: str, item: str | None = None, **changes: Any) -> ObjectStore:  # noqa: ANN401
    return ObjectStore.of(state_path, instance(**changes), item)


def path_of(store: ObjectStore) -> Path:
    return Path(ObjectStoragePath(store.where).path)


# ── Kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_is_kept_replaced_and_forgotten(state_path: str, record_of: RecordOf) -> None:
    store = store_of(state_path)
    assert store.load() is None
    store.delete()  # of nothing
    store.save(record_of("intent"))
    assert store.load() == record_of("intent")
    store.save(record_of())
    # Another worker, another object.
    assert store_of(state_path).load() == record_of()
    store.delete()
    store.delete()
    assert store.load() is None


def test_a_record_that_another_machine_stored_after_a_listing_is_no_absent_one(
    bucket: str, s3_endpoint: str, record_of: RecordOf
) -> None:
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with an extra

    store = store_of(f"{bucket}/state")
    place = ObjectStoragePath(store.where)
    place.with_name("somebody's.txt").write_text("so that there is something to list")
    # Whatever else this process does with the connection; the file system keeps what it was told.
    assert [path.name for path in place.parent.iterdir()] == ["somebody's.txt"]
    machine = boto3.client("s3", endpoint_url=s3_endpoint, aws_access_key_id="a", aws_secret_access_key="b")
    name, _, key = place.path.partition("/")
    machine.put_object(Bucket=name, Key=key, Body=json.dumps(record_of().to_json()))
    assert store.load() == record_of()


def test_a_bucket_that_is_not_there_is_no_absent_record(bucket: str, record_of: RecordOf) -> None:
    store = store_of(f"{bucket}-elsewhere/state")
    with pytest.raises(LedgerUnavailableError, match=r"no bucket or container 'test-.*-elsewhere'.* Nothing was sent"):
        store.load()
    with pytest.raises(LedgerUnavailableError, match="cannot be written"):
        store.save(record_of())


def test_the_next_attempt_finds_it_and_the_attempt_is_no_part_of_the_name(state_path: str, record_of: RecordOf) -> None:
    store_of(state_path, try_number=1, id="uuid-1").save(record_of())
    assert store_of(state_path, try_number=2, id="uuid-2").load() == record_of()


def test_a_person_can_find_and_read_the_file(state_path: str, record_of: RecordOf) -> None:
    store = store_of(state_path)
    assert store.where == f"{state_path}/films/manual__1/submit/orvideo_job.-1.json"
    store.save(record_of())
    text = ObjectStoragePath(store.where).read_text()
    assert json.loads(text) == record_of().to_json()
    assert "\n" in text


def test_a_slash_at_the_end_of_the_setting_changes_nothing() -> None:
    assert store_of("s3://c@b/stateX/").where == store_of("s3://c@b/stateX").where
    assert store_of("s3://c@b/stateX").where.startswith("s3://c@b/stateX/films/")


# ── Identity ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ODD = (
    "a/b",
    "a.b",
    "a..b",
    "..",
    ".",
    "a b",
    "a%2Fb",
    "a%b",
    "a+b",
    "a:b",
    "a?b#c",
    "a\\b",
    "ä",
    "a\u0308",
    "日本",
    "a'\"b",
)
LONG = ("x" * 250, "x" * 249 + "y", "é" * 250, "é" * 249 + "e", "x" * 150, "x" * 151)
INSTANCES: list[dict[str, Any]] = [
    {},
    *({"map_index": index} for index in (0, 1, 10)),
    {"run_id": "manual__2"},
    {"task_id": "submit.-1"},
    {"task_id": "group.submit"},
    {"task_id": "orvideo_job"},
    {"dag_id": "films/manual__1", "run_id": "submit", "task_id": "x"},
    {"dag_id": "films", "run_id": "manual__1/submit", "task_id": "x"},
    *({name: odd} for odd in ODD for name in ("dag_id", "run_id", "task_id")),
    *({name: text} for text in LONG for name in ("dag_id", "run_id", "task_id")),
]
ITEMS = (None, "1", "1.-1", "a/b", "..", "é" * 250)


def test_no_two_task_instances_and_no_two_items_share_a_file() -> None:
    names = [store_of("file:///s", item, **each).where for each in INSTANCES for item in ITEMS]
    assert len(set(names)) == len(names)


def test_no_name_leaves_the_folder_or_is_too_long_for_a_file_system() -> None:
    for each in INSTANCES:
        for item in ITEMS:
            name = store_of("file:///s", item, **each).where.removeprefix("file:///s/")
            parts = name.split("/")
            assert len(parts) == 4
            # Beside the record, a longer name is written first and renamed.
            assert all(0 < len(part) <= 255 - 50 and part.isascii() for part in parts)
            assert not {"", ".", ".."} & set(parts)
            assert not set("?#\\: \"'") & set(name)


def test_odd_names_keep_their_records_apart_in_a_real_store(state_path: str, record_of: RecordOf) -> None:
    stores = [store_of(state_path, run_id=odd) for odd in (*ODD, *LONG)]
    for number, store in enumerate(stores):
        assert store.load() is None
        store.save(record_of(job_id=f"job-{number}"))
    assert [store.load() for store in stores] == [record_of(job_id=f"job-{number}") for number in range(len(stores))]


def test_each_item_has_a_record_of_its_own(state_path: str, record_of: RecordOf) -> None:
    whole, first, second = (store_of(state_path, item) for item in (None, "0", "1"))
    first.save(record_of(job_id="job-first"))
    assert second.load() is whole.load() is None
    second.save(record_of(job_id="job-second"))
    first.delete()
    assert first.load() is None
    assert second.load() == record_of(job_id="job-second")


# ── What cannot be read is never nothing ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"0",
        b"false",
        b'""',
        b"{}",
        b"\xff\xfe\x00",
        b'{"phase": "submitted"}',
        b'{"phase": "paid"}',
        b'{"schema_version": 99}',
    ],
)
def test_a_damaged_file_stops_the_attempt(state_path: str, content: bytes) -> None:
    store = store_of(state_path)
    path = ObjectStoragePath(store.where)
    if path.protocol == "file":
        path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(LedgerUnavailableError, match="Nothing was sent"):
        store.load()


def test_a_damaged_file_can_be_mended_or_deleted(state_path: str, record_of: RecordOf) -> None:
    store = store_of(state_path)
    store.save(record_of())
    ObjectStoragePath(store.where).write_bytes(b"{")
    with pytest.raises(LedgerUnavailableError):
        store.load()
    store.delete()
    assert store.load() is None
    store.save(record_of())
    assert store.load() == record_of()


class Refusing:
    """A file system that refuses everything, as one does without rights or without a network."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        def refuse(*_: object, **__: object) -> None:
            raise self.error

        return refuse


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("Forbidden, see https://s3.example/x?X-Amz-Signature=5ec2e7"),
        TimeoutError("no answer"),
        OSError("input/output error"),
        RuntimeError("a bug of the file system"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("method", ["load", "save", "delete"])
def test_a_store_that_refuses_is_unavailable_and_the_message_says_why_and_speaks_of_no_video(
    record_of: RecordOf, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    store = store_of("s3://aws_test@refusing/state")
    monkeypatch.setattr(ObjectStoragePath, "fs", Refusing(error))
    with pytest.raises(LedgerUnavailableError) as caught:
        getattr(store, method)(*([record_of()] if method == "save" else []))
    text = str(caught.value)
    assert store.where in text
    assert type(error).__name__ in text
    assert str(error).split(",")[0] in text
    assert "5ec2e7" not in text
    assert "video" not in text.replace("orvideo", "")
    assert "landed" not in text
    assert ("Nothing was sent." in text) == (method == "load")


def test_a_folder_in_the_place_of_the_file_is_unavailable(local: str, record_of: RecordOf) -> None:
    store = store_of(local)
    store.save(record_of())
    file = path_of(store)
    file.unlink()
    file.mkdir()  # even root, who may read everything else, cannot read this
    for act in (store.load, store.delete, lambda: store.save(record_of())):
        with pytest.raises(LedgerUnavailableError):
            act()


def test_a_bucket_that_does_not_exist_cannot_be_written(bucket: str, record_of: RecordOf) -> None:
    store = store_of(f"{bucket}-elsewhere")
    with pytest.raises(LedgerUnavailableError):
        store.save(record_of())


# ── Replaced in one step ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_write_that_breaks_off_leaves_the_former_record_and_no_litter(
    local: str, record_of: RecordOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(local)
    store.save(record_of("intent"))
    real = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        real(path, data[: len(data) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(LedgerUnavailableError, match="no space left"):
        store.save(record_of())
    monkeypatch.undo()
    assert store.load() == record_of("intent")
    assert [each.name for each in path_of(store).parent.iterdir()] == ["orvideo_job.-1.json"]


def test_the_file_that_is_replaced_is_never_opened_for_writing(local: str, record_of: RecordOf) -> None:
    store = store_of(local)
    store.save(record_of("intent"))
    with path_of(store).open() as reader:  # another process, in the midst of reading
        store.save(record_of())
        assert json.loads(reader.read()) == record_of("intent").to_json()
    assert store.load() == record_of()
