"""One contender of ``bench_download.py`` in a process of its own: gets one file home and prints its figures as JSON.

First a file of 1 MB goes the same way, so that imports, connections and pools are not counted. What is resident then
is idle; the peak is what the kernel noted from there to the end.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from benchmarks.download_film import MB
from benchmarks.download_store import BUCKET, CONN_ID, s3_client
from benchmarks.measuring import KEY, rss_kib

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Name of the small job that goes first.
TINY: Final = "film-1"
PIECE: Final = 8 * MB
CONCURRENCY: Final = 4


@dataclass(frozen=True)
class Errand:
    """What every contender is told.

    Attributes:
        base_url: the fake API.
        endpoint: the S3; empty where none is needed.
        films: folder of the files that the fake API serves, for who uploads only.
        folder: where files go, spools included.
    """

    base_url: str
    endpoint: str
    films: Path
    folder: Path

    @property
    def bucket(self) -> str:
        """The bucket as Airflow's object storage names it."""
        return f"s3://{CONN_ID}@{BUCKET}"


def land_to_file(errand: Errand) -> Callable[[str], int]:
    """This provider, to the file system that it spools on."""
    return _landing(errand, (errand.folder / "videos").as_uri() + "/{job_id}.{ext}")


def land_to_file_unsynced(errand: Errand) -> Callable[[str], int]:
    """The same, but that nobody waits for the disk."""
    act = land_to_file(errand)

    def run(name: str) -> int:
        with mock.patch("os.fsync"):
            return act(name)

    return run


def land_to_s3(errand: Errand) -> Callable[[str], int]:
    """This provider, to S3."""
    return _landing(errand, errand.bucket + "/{job_id}.{ext}")


def _landing(errand: Errand, destination: str) -> Callable[[str], int]:
    from airflow_provider_orvideo.api.client import VideoClient  # noqa: PLC0415 - only this contender's cost
    from airflow_provider_orvideo.api.config import ClientConfig  # noqa: PLC0415
    from airflow_provider_orvideo.landing.land import LandingOptions, land  # noqa: PLC0415
    from airflow_provider_orvideo.landing.naming import Destination  # noqa: PLC0415
    from airflow_provider_orvideo.manifests import JobManifest  # noqa: PLC0415

    client = VideoClient(ClientConfig(api_key=KEY, base_url=errand.base_url))
    options = LandingOptions(spool_dir=str(errand.folder))

    def run(name: str) -> int:
        job = JobManifest(job_id=name, status="completed", outputs=1)
        landed = land(client, job, Destination(destination, {"job_id": name}), options)
        return sum(file.bytes for file in landed.files)

    return run


def publish_to_s3(errand: Errand) -> Callable[[str], int]:
    """This provider's half of a landing that stores a file which is already here."""
    from airflow_provider_orvideo.landing.publish import Publisher, size_of  # noqa: PLC0415 - only this contender's

    def run(name: str) -> int:
        uri = f"{errand.bucket}/{name}.mp4"
        Publisher(uri).publish_file(errand.films / f"{name}.mp4", uri, "video/mp4")
        return size_of(uri) or 0

    return run


def boto3_to_s3(errand: Errand) -> Callable[[str], int]:
    """The transfer manager of the AWS SDK, on a file that is already here."""
    from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]  # noqa: PLC0415

    s3 = s3_client(errand.endpoint)
    config = TransferConfig(multipart_threshold=PIECE, multipart_chunksize=PIECE, max_concurrency=CONCURRENCY)

    def run(name: str) -> int:
        with (errand.films / f"{name}.mp4").open("rb") as file:
            s3.upload_fileobj(file, BUCKET, f"{name}.mp4", Config=config)
        return int(s3.head_object(Bucket=BUCKET, Key=f"{name}.mp4")["ContentLength"])

    return run


def sdk_to_file(errand: Errand) -> Callable[[str], int]:
    """The official SDK and one write."""
    fetch = _sdk(errand)

    def run(name: str) -> int:
        path = errand.folder / f"{name}.mp4"
        path.write_bytes(fetch(name))
        return path.stat().st_size

    return run


def sdk_to_s3(errand: Errand) -> Callable[[str], int]:
    """The official SDK and one PUT."""
    fetch, s3 = _sdk(errand), s3_client(errand.endpoint)

    def run(name: str) -> int:
        s3.put_object(Bucket=BUCKET, Key=f"{name}.mp4", Body=fetch(name))
        return int(s3.head_object(Bucket=BUCKET, Key=f"{name}.mp4")["ContentLength"])

    return run


def _sdk(errand: Errand) -> Callable[[str], bytes]:
    warnings.simplefilter("ignore")
    from openrouter import OpenRouter  # noqa: PLC0415 - only this contender's cost

    sdk = OpenRouter(api_key=KEY, server_url=errand.base_url)
    return lambda name: sdk.video_generation.get_video_content(job_id=name, index=0).read()


CONTENDERS: Final[Mapping[str, Callable[[Errand], Callable[[str], int]]]] = {
    "land-file": land_to_file,
    "land-file-unsynced": land_to_file_unsynced,
    "sdk-file": sdk_to_file,
    "land-s3": land_to_s3,
    "publish-s3": publish_to_s3,
    "boto3-s3": boto3_to_s3,
    "sdk-s3": sdk_to_s3,
}


def peak_kib(pid: int | str = "self") -> float:
    """Return the most memory that a process had resident, since it was started or `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def forget_peak() -> None:
    """Have the kernel note this process's peak from now on; where it does not, imports count as well."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def touch_memory(folder: Path, megabytes: int) -> None:
    """Have the system use as much memory for files as a run will, and free it again.

    A virtual machine gets memory from its host when it first touches it, which takes longer than all else here; whoever
    runs first would pay for it.
    """
    block = bytes(MB)
    with tempfile.TemporaryFile(buffering=0, dir=folder) as scratch:
        for _ in range(megabytes):
            scratch.write(block)


def measure(act: Callable[[str], int], name: str, folder: Path, scratch_mb: int) -> dict[str, Any]:
    """Get the small file home, then the large one; return the latter's figures."""
    act(TINY)
    touch_memory(folder, scratch_mb)
    gc.collect()
    forget_peak()
    idle, used, begun = rss_kib(), time.process_time(), time.perf_counter()
    arrived = act(name)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    return {"seconds": seconds, "cpu": cpu, "idle_kib": idle, "peak_kib": peak_kib(), "arrived": arrived}


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", choices=CONTENDERS, required=True)
    parser.add_argument("--base-url", required=True, help="of the fake API")
    parser.add_argument("--endpoint", default="", help="of the S3")
    parser.add_argument("--films", type=Path, required=True, help="folder of the files that the fake API serves")
    parser.add_argument("--folder", type=Path, required=True, help="where files go")
    parser.add_argument("--name", required=True, help="of the job")
    parser.add_argument("--scratch-mb", type=int, default=0, help="memory to touch beforehand")
    options = parser.parse_args()
    errand = Errand(options.base_url, options.endpoint, options.films, options.folder)
    act = CONTENDERS[options.contender](errand)
    print(json.dumps(measure(act, options.name, options.folder, options.scratch_mb)), flush=True)
    os._exit(0)  # half a gigabyte that is still held need not be given back piece by piece


if __name__ == "__main__":
    main()
