"""Creating a file only where there is none: how each kind of store is asked, and what of its answers means "taken"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.ledger import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = b'{"number": 1}'


class ClientError(Exception):
    """As botocore's: s3fs raises an OSError from it."""

    def __init__(self, response: object) -> None:
        super().__init__("what S3 said")
        self.response = response


@dataclass
class FileSystem:
    """A bucket that refuses what exists only if it is told so in its own way: S3 and Cloud Storage, or Azure Blob."""

    says: BaseException | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", overwrite: bool = True) -> None:  # noqa: FBT001, FBT002 - as fsspec's and adlfs's
        assert mode in {"overwrite", "create"}
        if self.says is not None:
            raise self.says
        if path in self.files and (mode == "create" or overwrite is False):
            raise FileExistsError(path)
        self.files[path] = value


@dataclass
class Place:
    """A path of a store, as far as it is looked at."""

    protocol: str
    fs: FileSystem = field(default_factory=FileSystem)
    path: str = "films/000001.json"


def refusal(code: object, *, fields: Mapping[str, Any] | None = None) -> OSError:
    error = OSError("refused")
    error.__cause__ = ClientError({"Error": {"Code": code}} if fields is None else fields)
    return error


@pytest.mark.parametrize("protocol", ["s3", "s3a", "gs", "gcs", "abfs", "abfss", "adl"])
def test_the_first_is_kept_and_the_second_refused(protocol: str) -> None:
    place: Any = Place(protocol)
    assert exclusive.create(place, DATA) is True
    assert exclusive.create(place, b"another") is False
    assert place.fs.files == {place.path: DATA}


@pytest.mark.parametrize("protocol", ["memory", "http", "hdfs"])
def test_a_store_of_which_nothing_is_known_is_named_and_gets_nothing(protocol: str) -> None:
    place: Any = Place(protocol)
    with pytest.raises(exclusive.NotExclusiveError, match=f"'{protocol}'"):
        exclusive.create(place, DATA)
    assert place.fs.files == {}


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "412", 412, "409"])
def test_s3_has_several_words_for_taken(code: object) -> None:
    place: Any = Place("s3", FileSystem(says=refusal(code)))
    assert exclusive.create(place, DATA) is False


@pytest.mark.parametrize(
    "error",
    [
        refusal("AccessDenied"),
        refusal(None),
        refusal("", fields={}),
        refusal("", fields={"Error": {}}),
        refusal("", fields={"Code": "PreconditionFailed"}),
        OSError("a cable was pulled"),
        PermissionError("Forbidden"),
    ],
    ids=repr,
)
def test_any_other_refusal_is_no_word_for_taken(error: OSError) -> None:
    place: Any = Place("s3", FileSystem(says=error))
    with pytest.raises(type(error)) as caught:
        exclusive.create(place, DATA)
    assert caught.value is error


def test_an_answer_that_is_no_dictionary_is_no_word_for_taken() -> None:
    error = OSError("refused")
    error.__cause__ = ClientError("<Response [412]>")
    place: Any = Place("s3", FileSystem(says=error))
    with pytest.raises(OSError, match="refused"):
        exclusive.create(place, DATA)
