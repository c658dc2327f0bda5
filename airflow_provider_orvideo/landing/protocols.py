"""Under which protocols ``ObjectStoragePath`` reaches which kind of store."""

from __future__ import annotations

from typing import Final

LOCAL: Final = frozenset({"file", "local"})
S3: Final = frozenset({"s3", "s3a", "s3n"})
GCS: Final = frozenset({"gs", "gcs"})
AZURE: Final = frozenset({"abfs", "abfss", "adl"})
