"""Under which protocols ``ObjectStoragePath`` reaches which kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

LOCAL: Final = frozenset({"file", "local"})
S3: Final = frozenset({"s3", "s3a", "s3n"})
GCS: Final = frozenset({"gs", "gcs"})
AZURE: Final = frozenset({"abfs", "abfss", "adl"})


def connection_of(path: ObjectStoragePath) -> str | None:
    """Return the id of the connection that a path names, None for none.

    Airflow 3.1 keeps it among the options of the store; since 3.2 it is an attribute, and those have it no more.
    """
    named: str | None = getattr(path, "conn_id", None) or path.storage_options.get("conn_id")
    return named
