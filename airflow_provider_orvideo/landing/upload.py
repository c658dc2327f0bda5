"""How a whole file gets into a store so that it shows at once or not at all; one way for each kind of file system.

Measured with 512 MB: S3's own transfer manager is three to four times as fast as ``fs.put_file`` of s3fs and needs a
tenth of the memory. The other stores' ``put_file`` is their SDK's own uploader; left alone, adlfs would hold a large
file in memory, and gcsfs 50 MiB of it.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.landing.protocols import AZURE, GCS, S3, connection_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow.sdk import ObjectStoragePath

    #: Stores a local file at a path of the same store, as a media type.
    Upload = Callable[[Path, ObjectStoragePath, str], None]

log = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024
#: Pieces under way at the same time; with their size, this is what an upload needs of memory.
CONCURRENCY: Final = 4
#: Up to here a file goes up in one request: then there is nothing that a killed worker could leave half done.
S3_ONE_REQUEST: Final = 64 * _MIB
S3_PIECE: Final = 8 * _MIB
GCS_PIECE: Final = 8 * _MIB
#: Seconds after which an unfinished upload to the very key that is about to be written is taken for a dead worker's.
ABANDONED: Final = 3600.0


def uploader(path: ObjectStoragePath) -> Upload:
    """Return how files get into the store of ``path``. Reads its Airflow connection."""
    fs = path.fs
    if path.protocol in S3:
        return _transfer_manager(path) or _put_s3
    if path.protocol in GCS:
        return _put_gcs
    if path.protocol in AZURE:
        return _put_azure
    log.debug("No uploader is known for %s; a file is put under another name and then renamed.", type(fs).__name__)
    return _put_and_rename


def typed(path: ObjectStoragePath, content_type: str) -> dict[str, Any]:
    """Return the arguments by which a file system's own calls are told the media type."""
    if path.protocol in S3:
        return {"ContentType": content_type}
    if path.protocol in GCS:
        return {"content_type": content_type}
    if path.protocol in AZURE:
        return {"content_settings": {"content_type": content_type}}
    return {}


def _transfer_manager(path: ObjectStoragePath) -> Upload | None:
    """Return boto3's transfer manager with the connection's credentials, None where only s3fs can do it.

    The Amazon provider's hook reads the connection as its file system does, but for request signers and proxies of the
    file system's own, and stores without any credentials.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # noqa: PLC0415 - an extra
    from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]  # noqa: PLC0415
    from s3fs import S3FileSystem  # type: ignore[import-untyped]  # noqa: PLC0415

    if type(path.fs) is not S3FileSystem:
        return None  # attached by hand
    hook = S3Hook(aws_conn_id=connection_of(path))
    special = {"signer", "proxy-uri"} & set(hook.service_config or {})
    if special or hook.get_session().get_credentials() is None:
        return None
    client = hook.get_conn()
    config = TransferConfig(
        multipart_threshold=S3_ONE_REQUEST, multipart_chunksize=S3_PIECE, max_concurrency=CONCURRENCY
    )

    def upload(local: Path, to: ObjectStoragePath, content_type: str) -> None:
        bucket, _, key = to.path.lstrip("/").partition("/")
        if local.stat().st_size >= S3_ONE_REQUEST:
            _forget_abandoned(client, bucket, key)
        client.upload_file(str(local), bucket, key, ExtraArgs={"ContentType": content_type}, Config=config)

    return upload


def _forget_abandoned(client: Any, bucket: str, key: str) -> None:  # noqa: ANN401 - boto3 has no types
    """End uploads that killed workers left at this key: they show nowhere, and are billed."""
    with contextlib.suppress(Exception):  # a role that may not list them still may upload
        for found in client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", []):
            if found["Key"] == key and time.time() - found["Initiated"].timestamp() > ABANDONED:
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=found["UploadId"])


def _put_s3(local: Path, to: ObjectStoragePath, content_type: str) -> None:
    to.fs.put_file(str(local), to.path, chunksize=S3_PIECE, max_concurrency=CONCURRENCY, ContentType=content_type)


def _put_gcs(local: Path, to: ObjectStoragePath, content_type: str) -> None:
    to.fs.put_file(str(local), to.path, chunksize=GCS_PIECE, content_type=content_type)


def _put_azure(local: Path, to: ObjectStoragePath, content_type: str) -> None:
    to.fs.put_file(
        str(local),
        to.path,
        overwrite=True,
        max_concurrency=CONCURRENCY,
        content_settings={"content_type": content_type},
    )


def _put_and_rename(local: Path, to: ObjectStoragePath, _content_type: str) -> None:
    """Copy under another name first: an unknown file system may show a file before it is whole."""
    fs, final = to.fs, to.path
    folder, _, name = final.rpartition("/")
    part = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
    try:
        fs.makedirs(folder, exist_ok=True)
        fs.put_file(str(local), part)
        if (arrived := fs.info(part)["size"]) != local.stat().st_size:
            raise OSError(f"{arrived} of {local.stat().st_size} bytes arrived")
        fs.mv(part, final)
    finally:
        with contextlib.suppress(FileNotFoundError):
            if fs.exists(part):
                fs.rm_file(part)
