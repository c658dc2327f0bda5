"""What landing promises, asked of every store: whole or as it was, whatever breaks, dies or comes at the same time."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.api.config import ClientConfig
from airflow_provider_orvideo.api.retry import RetryPolicy
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import (
    DestinationError,
    DestinationExistsError,
    DownloadIncompleteError,
    LandingError,
    MediaInvalidError,
)
from airflow_provider_orvideo.landing import sidecar
from airflow_provider_orvideo.landing.land import LandingOptions, land
from airflow_provider_orvideo.landing.naming import destination
from airflow_provider_orvideo.landing.publish import Publisher, publish_bytes
from airflow_provider_orvideo.manifests import JobManifest, LandedManifest
from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_orvideo.api.calls import ContentHead
    from tests.stores.conftest import Bucket, Moment, Store, Worker

# aiohttp would rather have a file than bytes; what the file systems give it is theirs to decide.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

KEY = "sk-or-test-7e57ed"
#: Passwords of the stores; see ``conftest.py``.
PASSWORDS = ("c0rrect-h0rse", "YzBycmVjdC1oMHJzZQ", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq")
#: What lay there before.
OLDER = b"an older film"


class Landings:
    """Lands videos of a simulator in one folder of a store, and remembers all that was said.

    Args:
        sim: the simulator.
        store: where to land.
        spool_dir: where downloads go.
    """

    def __init__(self, sim: Simulator, store: Store, spool_dir: Path) -> None:
        self.sim = sim
        self.store = store
        self.spool_dir = spool_dir
        self.said: list[str] = []
        config = ClientConfig(
            api_key=KEY, base_url=sim.base_url, read_timeout=5.0, read_retry=RetryPolicy(attempts=3, base=0.0)
        )
        self.client = VideoClient(config)

    @property
    def film(self) -> str:
        """The address that most videos go to."""
        return f"{self.store.root}/film.mp4"

    def order(self) -> JobManifest:
        """Order a video; it is completed at once."""
        request = VideoRequest.build(
            model="x-ai/grok-imagine-video", prompt="a private red boat", duration=1, resolution="480p"
        )
        made = self.client.generate(request)
        # Its signed URL is a secret from now on.
        assert self.client.get_generation(made.id).urls
        return JobManifest(job_id=made.id, status="completed", model=request.model, outputs=1)

    def land(
        self,
        job: JobManifest,
        uri: str | None = None,
        *,
        client: VideoClient | None = None,
        **options: Any,  # noqa: ANN401 - LandingOptions
    ) -> LandedManifest:
        """Land a video, by default as `film`."""
        where = destination(uri or self.film, {"job_id": job.job_id})
        try:
            landed = land(client or self.client, job, where, LandingOptions(spool_dir=str(self.spool_dir), **options))
        except Exception as error:
            self.said.append("".join(traceback.format_exception(error)))
            raise
        self.said.append(json.dumps(landed.to_json()))
        return landed

    def bytes_of(self, job: JobManifest) -> bytes:
        """Return what the simulator sends for a job."""
        with self.client.get_video_content(job.job_id) as (_, chunks):
            return b"".join(chunks)

    def spoil(self, **rule: Any) -> None:  # noqa: ANN401 - a fault rule
        """Spoil downloads."""
        self.sim.add_fault({"match": {"operation": "listVideosContent"}, **rule})

    def sidecar(self) -> LandedManifest | None:
        """Return what lies beside `film`."""
        data = self.store.read(f"{self.film}.json")
        return None if data is None else LandedManifest.model_validate_json(data)

    def assert_landed(self, *jobs: JobManifest) -> None:
        """Look whether `film` is one of these jobs' videos, whole and vouched for, and nothing else is anywhere."""
        video, vouched = self.store.read(self.film), self.sidecar()
        assert vouched
        assert vouched.job_id in {job.job_id for job in jobs}
        assert video == self.bytes_of(vouched)
        assert [(file.sha256, file.bytes) for file in vouched.files] == [
            (hashlib.sha256(video).hexdigest(), len(video))
        ]
        assert self.store.names() == ["film.mp4", "film.mp4.json"]
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        """Look for what a landing may leave when it ends."""
        assert self.store.leftovers() == []
        assert list(self.spool_dir.iterdir()) == []


@pytest.fixture(scope="session")
def _running() -> Iterator[Simulator]:
    settings = SimulatorSettings(job_seconds=0, signed_urls=True, max_pixels=64 * 48, fps=8, chunk_bytes=1024)
    with Simulator(settings) as running:
        yield running


@pytest.fixture
def landings(store: Store, _running: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Landings]:
    """Landings in each store in turn; whatever the test does, it must not tell a secret anywhere."""
    _running.reset()
    caplog.set_level(logging.DEBUG, "airflow_provider_orvideo")
    made = Landings(_running, store, tmp_path / "spool")
    with made.client:
        yield made
    logged = [
        logging.Formatter().format(record)
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.name.startswith("airflow_provider_orvideo")
    ]
    sidecars = [store.read(f"{store.root}/{name}") or b"" for name in store.names() if name.endswith(".json")]
    secrets = (KEY, "signature=", "/stored/", f":{_running.state.storage_port}/", "private red boat", *PASSWORDS)
    for text in (*made.said, *logged, *(each.decode() for each in sidecars)):
        assert [secret for secret in secrets if secret in text] == [], text


@pytest.fixture(params=["nothing there", "another job's"])
def before(request: pytest.FixtureRequest, landings: Landings) -> bytes | None:
    """What lies at the destination; another job's video has its sidecar beside it."""
    if request.param == "another job's":
        landings.land(landings.order())
    return landings.store.read(landings.film)


# ── All is well ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_video_lands_whole_with_its_sidecar_last(landings: Landings, monkeypatch: pytest.MonkeyPatch) -> None:
    store, job = landings.store, landings.order()
    there: list[list[str]] = []
    write = sidecar.write

    def look_and_write(*args: Any) -> None:  # noqa: ANN401 - passed on
        there.append(store.names())
        write(*args)

    monkeypatch.setattr(sidecar, "write", look_and_write)
    landed = landings.land(job, poster=True)
    video = store.read(landings.film)
    assert video == landings.bytes_of(job)
    (file,) = landed.files
    assert (file.sha256, file.bytes) == (hashlib.sha256(video).hexdigest(), len(video))
    assert (file.uri, file.poster_uri) == (landings.film, f"{store.root}/film.jpg")
    assert there == [["film.jpg", "film.mp4"]]
    assert store.names() == ["film.jpg", "film.mp4", "film.mp4.json"]
    vouched = landings.sidecar()
    assert vouched
    assert (vouched.job_id, vouched.files) == (job.job_id, landed.files)
    if store.is_typed:
        kinds = [store.content_type(f"{store.root}/{name}") for name in store.names()]
        assert kinds == ["image/jpeg", "video/mp4", "application/json"]
    landings.assert_nothing_left()


def test_landing_again_downloads_nothing_and_changes_nothing(landings: Landings) -> None:
    job = landings.order()
    first = landings.land(job)
    there = {name: landings.store.read(f"{landings.store.root}/{name}") for name in landings.store.names()}
    landings.store.asked.clear()
    assert landings.land(job).files == first.files
    assert {name: landings.store.read(f"{landings.store.root}/{name}") for name in landings.store.names()} == there
    assert {asked.method for asked in landings.store.asked} <= {"GET", "HEAD"}
    assert landings.sim.stats()["content_reads"] == 1


def test_a_role_that_sees_only_what_is_there_can_land(landings: Landings) -> None:
    if landings.store.name not in {"s3", "gcs"}:
        pytest.skip("this store tells whoever may read that there is nothing")
    bucket: Bucket = landings.store  # type: ignore[assignment]
    job = landings.order()
    with bucket.tight_lipped():
        landings.land(job)
        landings.land(job)
    assert landings.sim.stats()["content_reads"] == 1
    landings.assert_landed(job)


# ── What comes is broken ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tenth", range(10))
def test_a_stream_that_breaks_every_time_changes_nothing(landings: Landings, tenth: int) -> None:
    publish_bytes(OLDER, landings.film)
    job = landings.order()
    landings.spoil(content={"truncate": tenth / 10})
    for uri in (landings.film, f"{landings.store.root}/new/film.mp4"):
        with pytest.raises(DownloadIncompleteError, match="destination is untouched"):
            landings.land(job, uri)
    assert landings.sim.stats()["content_reads"] == 6
    assert landings.store.read(landings.film) == OLDER
    assert landings.store.names() == ["film.mp4"]
    landings.assert_nothing_left()


@pytest.mark.parametrize("tenth", [0, 5, 9])
def test_a_stream_that_ends_early_as_if_it_were_whole_changes_nothing(landings: Landings, tenth: int) -> None:
    publish_bytes(OLDER, landings.film)
    job = landings.order()
    landings.spoil(content={"truncate": tenth / 10, "clean": True})
    with pytest.raises(MediaInvalidError, match="destination is untouched"):
        landings.land(job)
    assert landings.store.read(landings.film) == OLDER
    assert landings.store.names() == ["film.mp4"]
    landings.assert_nothing_left()


@pytest.mark.parametrize("tenth", range(10))
def test_a_stream_that_breaks_twice_lands_whole(landings: Landings, tenth: int) -> None:
    job = landings.order()
    landings.spoil(times=2, content={"truncate": tenth / 10})
    landings.land(job)
    assert landings.sim.stats()["content_reads"] == 3
    landings.assert_landed(job)


def test_an_upload_that_is_refused_changes_nothing(landings: Landings) -> None:
    publish_bytes(OLDER, landings.film)
    job = landings.order()
    with landings.store.refusing(), pytest.raises(DestinationError, match="can be landed again"):
        landings.land(job)
    assert landings.store.read(landings.film) == OLDER
    assert landings.store.names() == ["film.mp4"]
    landings.assert_nothing_left()
    landings.land(job)
    landings.assert_landed(job)


@pytest.mark.parametrize("root", ["locked", "nowhere"])
def test_a_place_that_cannot_be_used_is_found_before_the_download(landings: Landings, root: str) -> None:
    place: str | None = getattr(landings.store, root)
    if place is None:
        pytest.skip("a folder of this machine is made")
    with pytest.raises(DestinationError, match="paid"):
        landings.land(landings.order(), f"{place}/film.mp4")
    assert landings.sim.stats()["content_reads"] == 0


# ── The worker is killed ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("moment", ["download", "upload", "unheard", "sidecar"])
def test_a_killed_worker_leaves_all_or_nothing_and_the_next_landing_tidies_up(
    landings: Landings, before: bytes | None, moment: Moment, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, job = landings.store, landings.order()
    with store.hanging(moment) as hangs:
        worker.begin(
            halt=None if hangs else moment,
            job=job.to_json(),
            key=KEY,
            base_url=landings.sim.base_url,
            spool_dir=str(landings.spool_dir),
            uri=landings.film,
        )
        if hangs is None:
            worker.halted()
        else:
            assert hangs.wait(60), worker.log.read_text()
        worker.kill()
    landings.said.append(worker.log.read_text())
    stored = moment in {"unheard", "sidecar"}
    video, vouched = store.read(landings.film), landings.sidecar()
    assert video == (landings.bytes_of(job) if stored else before)
    if vouched:
        assert video
        assert vouched.files[0].sha256 == hashlib.sha256(video).hexdigest()
    assert len(list(landings.spool_dir.iterdir())) == 1, "a killed worker tidies nothing up: this test shows nothing"
    # As if an hour had passed.
    monkeypatch.setattr("airflow_provider_orvideo.landing.publish.ABANDONED", -10.0)
    with store.apart():
        landings.land(job)
    landings.assert_landed(job)


# ── Two at once ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Together(VideoClient):
    """A client whose download waits until another one has come as far."""

    barrier: threading.Barrier

    @contextmanager
    def get_video_content(self, *args: Any, **kwargs: Any) -> Iterator[tuple[ContentHead, Iterator[bytes]]]:  # noqa: ANN401 - passed on
        self.barrier.wait(30)
        with super().get_video_content(*args, **kwargs) as answer:
            yield answer


def both(landings: Landings, *jobs: JobManifest) -> list[LandedManifest | LandingError]:
    """Land two jobs, or one twice, at one address at the same time; return what came of it."""
    barrier = threading.Barrier(2)

    def one(job: JobManifest) -> LandedManifest | LandingError:
        with _Together(landings.client.config) as client:
            client.barrier = barrier
            try:
                return landings.land(job, client=client)
            except LandingError as error:
                return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, jobs))


def test_two_landings_of_one_job_at_once_end_with_one_whole_video(landings: Landings) -> None:
    job = landings.order()
    outcomes = both(landings, job, job)
    assert all(isinstance(each, LandedManifest | DestinationError) for each in outcomes)
    assert any(isinstance(each, LandedManifest) for each in outcomes)
    landings.assert_landed(job)
    assert landings.sim.posts == 1


def test_two_jobs_at_one_address_at_once_end_with_one_whole_video(landings: Landings) -> None:
    jobs = landings.order(), landings.order()
    films = [landings.bytes_of(job) for job in jobs]
    assert films[0] != films[1]
    outcomes = both(landings, *jobs)
    assert any(isinstance(each, LandedManifest) for each in outcomes)
    assert landings.store.read(landings.film) in films
    for job in jobs:
        landings.land(job)
        landings.assert_landed(job)


class Turns:
    """Lets landings in threads take their steps in a given order.

    Args:
        order: a letter for each step, naming whose it is.
    """

    def __init__(self, order: str) -> None:
        self._order = list(order)
        self._changed = threading.Condition()

    def step(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a step of the landing: each thread, called by its letter, takes it when its turn has come."""

        def taken(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
            me = threading.current_thread().name
            with self._changed:
                assert self._changed.wait_for(lambda: self._order[0] == me, 30), f"{me} never had its turn"
                try:
                    return act(*args, **kwargs)
                finally:
                    del self._order[0]
                    self._changed.notify_all()

        return taken

    def leave(self, me: str) -> None:
        """Give up the turns that are left to a landing which is over."""
        with self._changed:
            self._order = [letter for letter in self._order if letter != me]
            self._changed.notify_all()


#: All ways in which two landings can take turns at three steps: taking an old sidecar away, storing, vouching. The
#: first step is always a's: who is called a does not matter.
TURNS = ["".join("a" if step in {0, *more} else "b" for step in range(6)) for more in combinations(range(1, 6), 2)]


#: In the first two, the last to vouch is not the last to store.
MIXED = ["aabbba", "abbaab", "ababab"]


@pytest.mark.parametrize(
    ("store", "turns"),
    [("file", turns) for turns in TURNS] + [(name, turns) for name in ("s3", "azure", "gcs") for turns in MIXED],
    indirect=["store"],
)
def test_however_two_jobs_take_turns_at_one_address_the_next_landing_can_trust_or_mend_it(
    landings: Landings, monkeypatch: pytest.MonkeyPatch, turns: str
) -> None:
    jobs = {"a": landings.order(), "b": landings.order()}
    order = Turns(turns)
    with monkeypatch.context() as patch:
        for owner, name in ((sidecar, "make_way"), (Publisher, "publish_file"), (sidecar, "write")):
            patch.setattr(owner, name, order.step(getattr(owner, name)))

        def run(me: str) -> None:
            try:
                landings.land(jobs[me])
            except DestinationError:
                pass  # told, and landed again below
            finally:
                order.leave(me)

        threads = [threading.Thread(target=run, args=[me], name=me) for me in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert landings.store.read(landings.film) in [landings.bytes_of(job) for job in jobs.values()]
    for job in jobs.values():
        landings.land(job)
        landings.assert_landed(job)


# ── What lies there already ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", ["verify", "overwrite", "fail", "skip"])
def test_this_jobs_file_is_downloaded_again_only_to_overwrite_it(landings: Landings, policy: str) -> None:
    job = landings.order()
    first = landings.land(job)
    assert landings.land(job, on_existing=policy).files == first.files
    assert landings.sim.stats()["content_reads"] == (2 if policy == "overwrite" else 1)
    landings.assert_landed(job)


@pytest.mark.parametrize("policy", ["verify", "overwrite"])
def test_another_file_is_replaced(landings: Landings, policy: str) -> None:
    other, job = landings.order(), landings.order()
    for _ in range(2):  # without a sidecar, then with another job's
        publish_bytes(OLDER, landings.film)
        landings.land(job, on_existing=policy)
        landings.assert_landed(job)
        landings.land(other)


def test_another_file_is_an_error_where_that_was_asked_for(landings: Landings) -> None:
    publish_bytes(OLDER, landings.film)
    with pytest.raises(DestinationExistsError, match="'on_existing' is 'fail'"):
        landings.land(landings.order(), on_existing="fail")
    assert landings.store.read(landings.film) == OLDER
    assert landings.store.names() == ["film.mp4"]
    assert landings.sim.stats()["content_reads"] == 0


def test_another_file_is_left_alone_and_described_where_that_was_asked_for(landings: Landings) -> None:
    publish_bytes(OLDER, landings.film)
    (file,) = landings.land(landings.order(), on_existing="skip").files
    assert (file.skipped, file.bytes, file.sha256) == (True, len(OLDER), hashlib.sha256(OLDER).hexdigest())
    assert landings.store.read(landings.film) == OLDER
    assert landings.store.names() == ["film.mp4"]
    assert landings.sim.stats()["content_reads"] == 0


def test_a_file_that_was_changed_and_is_as_long_as_before_is_noticed_and_replaced(landings: Landings) -> None:
    job = landings.order()
    landings.land(job)
    video = bytearray(landings.bytes_of(job))
    video[len(video) // 2] ^= 1
    publish_bytes(bytes(video), landings.film)
    landings.land(job)
    landings.assert_landed(job)
