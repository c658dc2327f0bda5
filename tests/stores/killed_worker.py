"""A worker for the tests to kill: it imports once, makes a process for each task, and says how far that has come.

A task is a line of JSON on stdin. What happens is said line by line on the pipe whose number is the only argument:
``ready``, then for each task ``began <pid>``, ``halted`` where it was told to halt, and ``ended <exit code>``.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.landing import sidecar
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.naming import destination
from airflow_provider_orvideo.landing.publish import Publisher
from airflow_provider_orvideo.manifests import JobManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_orvideo.api.calls import ContentHead


class Killed:
    """One task in a process of its own.

    Args:
        task: what to do, and where to halt.
        say: where to say so.
    """

    def __init__(self, task: dict[str, Any], say: TextIO) -> None:
        self._task = task
        self._say = say

    def run(self) -> None:
        """Do the task, or as much of it as is wanted."""
        for name, value in self._task["environ"].items():
            os.environ[name] = value
        log = logging.getLogger("airflow_provider_orvideo")
        log.setLevel(logging.DEBUG)
        log.addHandler(logging.StreamHandler())
        prepare: dict[str, Callable[[], None]] = {
            "upload": self._in_copy,
            "unheard": self._once_stored,
            "sidecar": self._before_sidecar,
        }
        if self._task["halt"] in prepare:
            prepare[self._task["halt"]]()
        if self._task["job"] is None:
            Publisher(self._task["uri"]).publish_file(Path(self._task["path"]), self._task["uri"], "video/mp4")
            return
        job = JobManifest.model_validate(self._task["job"])
        client = _Client(ClientConfig(api_key=self._task["key"], base_url=self._task["base_url"]))
        client.on_chunk = self._halt if self._task["halt"] == "download" else lambda: None
        options = LandingOptions(spool_dir=self._task["spool_dir"])
        land(client, job, destination(self._task["uri"], {"job_id": job.job_id}), options)

    def _halt(self) -> None:
        print("halted", file=self._say)
        threading.Event().wait()

    def _in_copy(self) -> None:
        real = Path.replace

        def replace(path: Path, target: Path) -> Path:
            if path.suffix == ".part":
                return real(path, target)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        def copyfile(source: Path, target: Path) -> None:
            target.write_bytes(source.read_bytes()[:1000])
            self._halt()

        Path.replace = replace  # type: ignore[method-assign, assignment]
        shutil.copyfile = copyfile  # type: ignore[assignment]

    def _once_stored(self) -> None:
        real = Publisher.publish_file

        def publish_file(publisher: Publisher, spooled: Path, uri: str, content_type: str) -> None:
            real(publisher, spooled, uri, content_type)
            self._halt()

        Publisher.publish_file = publish_file  # type: ignore[method-assign, assignment]

    def _before_sidecar(self) -> None:
        sidecar.write = lambda *_: self._halt()


class _Client(VideoClient):
    """A client whose stream tells of each chunk that was taken."""

    on_chunk: Callable[[], None]

    @contextmanager
    def get_video_content(self, *args: Any, **kwargs: Any) -> Iterator[tuple[ContentHead, Iterator[bytes]]]:  # noqa: ANN401 - passed on
        def told(chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                yield chunk
                self.on_chunk()

        with super().get_video_content(*args, **kwargs) as (head, chunks):
            yield head, told(chunks)


def main() -> None:
    """Serve tasks until stdin ends."""
    with os.fdopen(int(sys.argv[1]), "w", buffering=1) as say:
        # What each landing imports, and Airflow's list of file systems: none of it for each process anew.
        for name in ("boto3", "s3fs", "gcsfs", "adlfs", "airflow.providers.amazon.aws.hooks.s3"):
            with suppress(ImportError):
                __import__(name)
        assert ObjectStoragePath("file:///").fs
        print("ready", file=say)
        for line in sys.stdin:
            if (pid := os.fork()) == 0:
                code = 1
                try:
                    print("began", os.getpid(), file=say)
                    Killed(json.loads(line), say).run()
                    code = 0
                except BaseException:  # noqa: BLE001 - a process of its own: what it dies of is in its log
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            _, status = os.waitpid(pid, 0)
            print("ended", os.waitstatus_to_exitcode(status), file=say)


if __name__ == "__main__":
    main()
