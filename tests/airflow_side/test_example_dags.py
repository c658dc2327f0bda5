"""The example DAGs: read without complaint, and each run whole in one process by ``dag.test()``."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import re
import struct
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow
import pytest
from airflow.models import dagrun as dagruns
from airflow.models.asset import AssetEvent
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import ObjectStoragePath
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from airflow_provider_orvideo.manifests import LandedManifest
from airflow_provider_orvideo.testing.running import _one_server  # what `orvideo_run` does before 3.3

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow 3.1 and 3.2 have no task state store
    TaskStateStoreModel = None  # type: ignore[assignment,misc]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Connect, Simulate

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"

# Airflow's in-process API server drags in Starlette's test client, which would rather have another httpx.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")


@pytest.fixture(scope="session")
def _database() -> None:
    """Make the database of this session's Airflow home."""
    if version("apache-airflow") == "3.1.0":
        pytest.skip("dag.test() of Airflow 3.1.0 knows no DAG that a DAG processor has not read")
    airflow = Path(sys.executable).parent / "airflow"
    done = subprocess.run(  # noqa: S603 - our own program
        [airflow, "db", "migrate"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def _server() -> Iterator[None]:
    """Keep Airflow's in-process API server for all runs, as Airflow itself does from 3.3 on."""
    with _one_server():
        yield


@pytest.fixture(scope="module")
def bag(dag_bag: Callable[..., DagBag]) -> DagBag:
    """Return the examples, as a DAG processor reads them."""
    return dag_bag(EXAMPLES)


@dataclass
class World:
    """What an example runs in.

    Attributes:
        sim: the other side.
        dags: the examples by their ids.
        folder: address of the folder that videos land in, with a slash at its end.
        monkeypatch: pytest's.
        tmp_path: pytest's.
    """

    sim: Simulator
    dags: Mapping[str, DAG]
    folder: str
    monkeypatch: pytest.MonkeyPatch
    tmp_path: Path

    def set_variable(self, name: str, value: object) -> None:
        """Set a Variable of Airflow."""
        self.monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", str(value))

    def land_in(self, folder: str) -> None:
        """Choose where videos land."""
        self.folder = folder
        self.set_variable("orvideo_destination", folder)

    def run(self, dag_id: str, *, state: str = "success", **conf: object) -> Ran:
        """Run an example to its end."""
        dag = self.dags[dag_id]
        for task in dag.tasks:
            if hasattr(task, "poll_interval"):
                self.monkeypatch.setattr(task, "poll_interval", 0.05)
            elif isinstance(task, MappedOperator) and "orvideo_conn_id" in task.template_fields:
                self.monkeypatch.setitem(task.partial_kwargs, "poll_interval", 0.05)
        run = dag.test(run_conf=conf or None)
        assert run.state == state
        return Ran(run, self.tmp_path / "state")

    def answer(self, *choices: str) -> list[str]:
        """Let a person answer, who sees the question when nothing else is left to do; returns the questions asked."""
        if choices and not hasattr(TaskInstanceState, "AWAITING_INPUT"):
            # The question waits in the triggerer there; tests/e2e asks a person on every version.
            pytest.skip("dag.test() of Airflow 3.1 and 3.2 cannot hand a person's answer to a task")
        left, asked, sleep, here = list(choices), [], time.sleep, threading.current_thread()

        def pause(seconds: float) -> None:
            if threading.current_thread() != here:
                sleep(seconds)
                return
            # It is `dag.test()` that would wait, until somebody answers from outside.
            assert left, "nobody is there to answer"
            asked.append(respond(left.pop(0)))

        self.monkeypatch.setattr(time, "sleep", pause)
        return asked

    def prompts(self) -> list[str]:
        """Return the prompts that were ordered, in the order of their orders."""
        return [request.body["prompt"] for request in self.sim.requests(operation="createVideos")]


@dataclass(frozen=True)
class Ran:
    """A run that ended.

    Attributes:
        run: Airflow's own.
        state: folder of what the provider keeps where there is no task state store; nothing else wrote into it.
    """

    run: DagRun
    state: Path

    def states(self) -> dict[str, str]:
        """Return each task's state."""
        return {instance.task_id: str(instance.state) for instance in self.run.get_task_instances()}

    def result(self, task_id: str, map_index: int = -1) -> Any:  # noqa: ANN401 - JSON
        """Return what a task handed on."""
        (instance,) = (
            instance
            for instance in self.run.get_task_instances()
            if (instance.task_id, instance.map_index) == (task_id, map_index)
        )
        return instance.xcom_pull(task_ids=task_id, map_indexes=map_index)

    def landed(self, task_id: str, map_index: int = -1) -> LandedManifest:
        """Return the manifest of a task whose one video lies where it says, whole, with its sidecar."""
        manifest = LandedManifest.model_validate(self.result(task_id, map_index))
        check(manifest)
        return manifest

    def records(self) -> list[dict[str, Any]]:
        """Return the run's pay-once records from where this Airflow keeps them; the state store's must never expire."""
        if TaskStateStoreModel is None:
            return [json.loads(path.read_text()) for path in self.state.glob("*/*/*/orvideo_job*.json")]
        with create_session() as session:
            rows = session.scalars(select(TaskStateStoreModel).where(TaskStateStoreModel.run_id == self.run.run_id))
            kept = [(row.key, row.expires_at, json.loads(row.value)) for row in rows]
        assert {expires_at for _, expires_at, _ in kept} <= {None}
        return [value for key, _, value in kept if key.startswith("orvideo_job")]


def check(manifest: LandedManifest) -> None:
    """Compare the one landed file with what the manifest says of it."""
    (file,) = manifest.files
    path = ObjectStoragePath(file.uri)
    data = path.read_bytes()
    assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert data[4:8] == b"ftyp"
    sidecar = LandedManifest.model_validate_json(ObjectStoragePath(f"{file.uri}.json").read_text())
    assert (sidecar.job_id, sidecar.files) == (manifest.job_id, manifest.files)


def respond(choice: str) -> str:
    """Answer the open question by Airflow's own API, and return what was asked."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser  # noqa: PLC0415 - heavy
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload  # noqa: PLC0415
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail  # noqa: PLC0415
    from airflow.models.dagbag import DBDagBag  # noqa: PLC0415
    from airflow.models.hitl import HITLDetail  # noqa: PLC0415

    since_3_4: dict[str, Any] = (
        {"dag_bag": DBDagBag()} if "dag_bag" in inspect.signature(update_hitl_detail).parameters else {}
    )
    with create_session() as session:
        waiting = session.scalars(select(TaskInstance).where(TaskInstance.state == "awaiting_input")).one()
        update_hitl_detail(
            waiting.dag_id,
            waiting.run_id,
            waiting.task_id,
            UpdateHITLDetailPayload(chosen_options=[choice]),
            SimpleAuthManagerUser(username="editor", role="admin"),
            session,
            **since_3_4,
        )
        return str(session.scalars(select(HITLDetail.subject).where(HITLDetail.ti_id == waiting.id)).one())


def png() -> bytes:
    """Return a picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, data)
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0\x20\x40\x80")), (b"IEND", b""))
    )


@pytest.fixture
def world(simulate: Simulate, connect: Connect, bag: DagBag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An API whose jobs are not ready at the first look, so that tasks defer, and a folder to land in."""
    simulator = simulate(job_polls=1)
    connect(simulator)
    monkeypatch.setenv("AIRFLOW__ORVIDEO__STATE_PATH", f"file://{tmp_path}/state")
    made = World(simulator, bag.dags, "", monkeypatch, tmp_path)
    made.land_in(f"file://{tmp_path}/videos/")
    return made


# ── The examples ─────────────────────────────────────────────────────────────────────────────────────────────────────


def first_video(world: World) -> None:
    ran = world.run("orvideo_first_video")
    landed, submitted = ran.landed("download"), ran.result("submit")
    assert landed.files[0].uri == f"{world.folder}{landed.job_id}-0.mp4"
    assert {name: ran.result("download")[name] for name in submitted} == submitted
    assert (landed.model, landed.status, landed.files[0].duration_s) == ("google/veo-3.1-lite", "completed", 4.0)
    assert [job.id for job in world.sim.jobs()] == [landed.job_id]
    assert world.sim.posts == 1
    (record,) = ran.records()
    assert (record["job_id"], record["phase"], record["status"]) == (landed.job_id, "terminal", "completed")


def quickstart(world: World) -> None:
    landed = world.run("orvideo_quickstart").landed("paper_boat")
    assert landed.files[0].uri == f"{world.folder}{landed.job_id}-0.mp4"
    assert (landed.files[0].duration_s, landed.estimated_cost_usd, landed.cost_usd) == (4.0, 0.12, 0.12)
    assert world.prompts() == ["A paper boat sails down a rainy street at dusk"]


def campaign(world: World) -> None:
    ran = world.run("orvideo_campaign")
    landed = [ran.landed("trailer", index) for index in range(3)]
    orders = {order.job_id: order.body for order in world.sim.requests(operation="createVideos")}
    assert [orders[manifest.job_id]["trace"]["sku"] for manifest in landed] == ["kettle", "lamp", "chair"]
    assert len({manifest.files[0].uri for manifest in landed}) == world.sim.posts == 3
    names = {instance.map_index: instance.rendered_map_index for instance in ran.run.get_task_instances()}
    assert [names[index] for index in range(3)] == ["kettle", "lamp", "chair"]
    log = sorted((world.tmp_path / "state" / "orvideo_campaign").rglob("orvideo.budgets/*/*.json"))
    newest = json.loads(log[-1].read_text())
    assert float(newest["spent_usd"]) == pytest.approx(0.30)
    assert float(newest["reserved_usd"]) == 0


def image_to_video(world: World, bucket: str) -> None:
    picture = ObjectStoragePath(f"{bucket}/frames/boat.png")
    picture.write_bytes(png())
    world.set_variable("orvideo_first_frame", picture)
    world.land_in(f"{bucket}/videos/")
    landed = world.run("orvideo_image_to_video").landed("animate")
    (file,) = landed.files
    assert file.uri == f"{bucket}/videos/image-to-video/{landed.job_id}-0.mp4"
    assert ObjectStoragePath(str(file.poster_uri)).read_bytes()[:2] == b"\xff\xd8"
    (order,) = world.sim.requests(operation="createVideos")
    (frame,) = order.body["frame_images"]
    assert frame["frame_type"] == "first_frame"
    assert frame["image_url"]["url"].startswith("data:image/png;base64,")


def film(world: World) -> None:
    ran = world.run("orvideo_film")
    shots = [ran.landed(f"shot_{number}") for number in (1, 2, 3)]
    continued = [order.body.get("previous_job_id") for order in world.sim.requests(operation="createVideos")]
    assert continued == [None, shots[0].job_id, shots[1].job_id]
    listed = ObjectStoragePath(ran.result("edit_list"))
    assert listed.read_text() == "file 'shot_1.mp4'\nfile 'shot_2.mp4'\nfile 'shot_3.mp4'\n"
    assert {str(ObjectStoragePath(shot.files[0].uri).parent) for shot in shots} == {str(listed.parent)}


def batch_csv(world: World) -> None:
    ran = world.run("orvideo_batch_csv")
    summary = ran.result("videos")
    assert (summary["total"], summary["landed"], summary["failed"], world.sim.posts) == (3, 3, 0, 3)
    assert summary["cost_usd"] == pytest.approx(0.30)
    lines = [json.loads(line) for line in ObjectStoragePath(summary["manifest"]).read_text().splitlines()]
    assert [line["status"] for line in lines] == ["landed"] * 3
    videos = {path.name: path.read_bytes() for path in (world.tmp_path / "videos" / "batch").glob("*/*.mp4")}
    assert sorted(videos) == ["harbour.mp4", "story.mp4", "street.mp4"]
    assert {data[4:8] for data in videos.values()} == {b"ftyp"}


def batch_csv_of_ones_own(world: World, bucket: str) -> None:
    rows = ObjectStoragePath(f"{bucket}/batch.csv")
    rows.write_text("id,prompt,duration\nmill,A paper mill,1\n")
    world.set_variable("orvideo_batch_csv", rows)
    assert world.run("orvideo_batch_csv").result("videos")["landed"] == 1
    assert world.prompts() == ["A paper mill"]


def trailer(world: World) -> None:
    """The first DAG makes the event; the scheduler is left out, so its part is done here: it hands over the events."""
    landed = world.run("orvideo_trailer").landed("trailer")
    make_run = dagruns.get_or_create_dagrun

    def triggered(**arguments: Any) -> DagRun:  # noqa: ANN401 - Airflow's own
        made = make_run(**arguments)
        session = arguments["session"]
        newest = select(AssetEvent).where(AssetEvent.source_dag_id == "orvideo_trailer").order_by(AssetEvent.id.desc())
        made.consumed_asset_events.append(session.scalars(newest).first())
        session.flush()
        return made

    world.monkeypatch.setattr(dagruns, "get_or_create_dagrun", triggered)
    (entry,) = world.run("orvideo_publishing").result("publish")
    assert entry == f"{world.folder}trailers/published/{landed.job_id}.json"
    (file,) = landed.files
    told = {"title": "A paper boat on a stage, and the curtain rises", "video": file.uri, "sha256": file.sha256}
    assert json.loads(ObjectStoragePath(entry).read_text()) == told
    assert world.sim.posts == 1


def approval_below_the_price(world: World) -> None:
    asked = world.answer()
    ran = world.run("orvideo_approval", seconds=4)
    assert (ran.states()["approve"], asked) == ("skipped", [])
    assert ran.landed("generate").cost_usd == ran.result("price") == 0.32
    assert world.sim.posts == 1


def approval_granted(world: World) -> None:
    asked = world.answer("Approve")
    ran = world.run("orvideo_approval", seconds=8)
    assert asked == ["A video for $0.64?"]
    assert (ran.states()["approve"], ran.landed("generate").cost_usd) == ("success", 0.64)
    assert world.sim.posts == 1


def approval_refused(world: World) -> None:
    asked = world.answer("Reject")
    ran = world.run("orvideo_approval", seconds=8)
    assert len(asked) == 1
    assert ran.states()["generate"] == "skipped"
    assert world.sim.posts == 0


def captions(world: World) -> None:
    ran = world.run("orvideo_captions")
    landed = ran.landed("video")
    folder = ObjectStoragePath(landed.files[0].uri).parent
    assert (folder / "jp.srt").read_text(encoding="utf-8") == (
        "1\n00:00:00,000 --> 00:00:02,000\n紙の船\n\n2\n00:00:02,000 --> 00:00:04,000\n今日、折ってみよう\n"
    )
    told = json.loads(ObjectStoragePath(ran.result("manifest")).read_text())
    assert told["job_id"] == landed.job_id
    assert {region["region"]: region["next"] for region in told["regions"]} == {
        "us": "ffmpeg -i master.mp4 -vf 'subtitles=us.srt' us.mp4",
        "de": "ffmpeg -i master.mp4 -vf 'subtitles=de.srt' de.mp4",
        "jp": "ffmpeg -i master.mp4 -vf 'crop=ih*9/16:ih,subtitles=jp.srt' jp.mp4",
    }
    assert world.sim.posts == 1


#: Each run, and the examples that it runs; one that needs ``bucket`` gets it.
RUNS: list[tuple[Callable[..., None], tuple[str, ...]]] = [
    (first_video, ("orvideo_first_video",)),
    (quickstart, ("orvideo_quickstart",)),
    (campaign, ("orvideo_campaign",)),
    (image_to_video, ("orvideo_image_to_video",)),
    (film, ("orvideo_film",)),
    (batch_csv, ("orvideo_batch_csv",)),
    (batch_csv_of_ones_own, ("orvideo_batch_csv",)),
    (trailer, ("orvideo_trailer", "orvideo_publishing")),
    (approval_below_the_price, ("orvideo_approval",)),
    (approval_granted, ("orvideo_approval",)),
    (approval_refused, ("orvideo_approval",)),
    (captions, ("orvideo_captions",)),
]


@pytest.mark.usefixtures("_database", "_server")
@pytest.mark.parametrize("example", [run for run, _ in RUNS], ids=lambda run: run.__name__)
def test_the_example_runs_from_prompt_to_landed(
    example: Callable[..., None], world: World, request: pytest.FixtureRequest
) -> None:
    needs_s3 = "bucket" in example.__code__.co_varnames[: example.__code__.co_argcount]
    example(world, *([request.getfixturevalue("bucket")] if needs_s3 else []))


def test_each_example_is_run_by_one_of_these_tests(bag: DagBag) -> None:
    assert {dag_id for _, dag_ids in RUNS for dag_id in dag_ids} == {*bag.dags}
    assert {Path(dag.fileloc).name for dag in bag.dags.values()} == {path.name for path in EXAMPLES.glob("*.py")}


def test_the_examples_are_read_without_errors_and_without_warnings(bag: DagBag) -> None:
    assert bag.import_errors == {}
    # Old names that Airflow's own packages use among themselves are not the examples' concern.
    said = itertools.chain.from_iterable(bag.captured_warnings.values())
    own = f"{Path(airflow.__file__).parent}/"
    assert [text for text in said if not (text.startswith(own) and "DeprecatedImportWarning" in text)] == []
    assert all("example" in dag.tags for dag in bag.dags.values())


def test_an_example_that_has_a_schedule_begins_paused(bag: DagBag) -> None:
    scheduled = {dag.dag_id for dag in bag.dags.values() if isinstance(dag.schedule, str)}
    assert scheduled == {dag.dag_id for dag in bag.dags.values() if dag.is_paused_upon_creation} != set()


def test_a_new_users_dag_has_at_most_ten_lines() -> None:
    text = (EXAMPLES / "orvideo_quickstart.py").read_text()
    (_, region, _) = re.split(r"# \[(?:START|END) quickstart\]\n", text)
    assert len([line for line in region.splitlines() if line.strip()]) <= 10
