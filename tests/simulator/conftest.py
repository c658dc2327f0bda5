"""Simulators and clients for the tests of the simulator itself."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

KEY = "sk-or-test-0001"
# The cheapest and smallest video on offer.
REQUEST = {"model": "x-ai/grok-imagine-video", "prompt": "a red boat", "duration": 1, "resolution": "480p"}

Simulate = Callable[..., Simulator]
Submit = Callable[..., str]


@pytest.fixture
def simulate() -> Iterator[Simulate]:
    """Start simulators with the given settings; small pictures and no waiting unless told otherwise."""
    with ExitStack() as stack:

        def start(log_file: Path | None = None, **settings: object) -> Simulator:
            values: dict[str, Any] = {"job_seconds": 0, "max_pixels": 160 * 90, "fps": 8, **settings}
            return stack.enter_context(Simulator(SimulatorSettings(**values), log_file=log_file))

        yield start


@pytest.fixture
def sim(simulate: Simulate) -> Simulator:
    """One simulator whose jobs are completed at once."""
    return simulate()


@pytest.fixture
def connect() -> Iterator[Callable[..., httpx.Client]]:
    """Open clients of a simulator."""
    with ExitStack() as stack:

        def open_client(sim: Simulator, key: str | None = KEY, **options: Any) -> httpx.Client:  # noqa: ANN401 - httpx.Client's own
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            return stack.enter_context(httpx.Client(base_url=sim.base_url, headers=headers, timeout=10, **options))

        yield open_client


@pytest.fixture
def client(sim: Simulator, connect: Callable[..., httpx.Client]) -> httpx.Client:
    """A client of `sim` with a valid key."""
    return connect(sim)


@pytest.fixture
def order() -> Callable[..., dict[str, Any]]:
    """A request body with some fields changed; None leaves a field out."""

    def build(**changes: object) -> dict[str, Any]:
        return {name: value for name, value in (REQUEST | changes).items() if value is not None}

    return build


@pytest.fixture
def submit(client: httpx.Client, order: Callable[..., dict[str, Any]]) -> Submit:
    """Submit a job to `sim` and return its id."""

    def post(**changes: object) -> str:
        answer = client.post("/videos", json=order(**changes))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return post


@pytest.fixture
def decode() -> Callable[[bytes], dict[str, Any]]:
    """What a player makes of a video."""

    def look(video: bytes) -> dict[str, Any]:
        with av.open(io.BytesIO(video), "r") as container:
            stream = container.streams.video[0]
            audio = container.streams.audio
            assert stream.time_base is not None
            facts: dict[str, Any] = {
                "codec": stream.codec_context.name,
                "pixels": stream.codec_context.pix_fmt,
                "size": (stream.width, stream.height),
                "fps": stream.average_rate,
                "audio": audio[0].codec_context.name if audio else None,
            }
            pictures = [frame.to_image() for frame in container.decode(video=0)]  # type: ignore[no-untyped-call]
            facts |= {"frames": len(pictures), "seconds": float(len(pictures) / facts["fps"]), "pictures": pictures}
        if audio:
            with av.open(io.BytesIO(video), "r") as container:
                facts["samples"] = sum(frame.samples for frame in container.decode(audio=0))
        return facts

    return look
