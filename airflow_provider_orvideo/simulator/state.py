"""Everything that one simulator knows: shared by the API, the control endpoints and the test's own thread."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_orvideo.simulator.catalogue import Catalogue
from airflow_provider_orvideo.simulator.courier import Courier
from airflow_provider_orvideo.simulator.faults import FaultBook
from airflow_provider_orvideo.simulator.jobs import Clock, Job, JobStore
from airflow_provider_orvideo.simulator.log import RequestLog
from airflow_provider_orvideo.simulator.offered import MODELS
from airflow_provider_orvideo.simulator.render import Shot, Studio, fit
from airflow_provider_orvideo.simulator.settings import SimulatorSettings


@dataclass(slots=True)
class State:
    """The parts of a running simulator.

    Args:
        settings: How it behaves.
        log: The request log.
        storage_port: The port of the second origin; None where there are no signed URLs.
    """

    settings: SimulatorSettings
    log: RequestLog
    clock: Clock
    jobs: JobStore
    studio: Studio
    courier: Courier
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(MODELS))
    faults: FaultBook = field(default_factory=FaultBook)
    storage_port: int | None = None

    @classmethod
    def build(cls, settings: SimulatorSettings, log_file: Path | None = None) -> "State":
        """The state of a simulator that has just started."""
        clock, faults = Clock(), FaultBook()
        courier = Courier(settings, faults)
        return cls(
            settings=settings,
            log=RequestLog(settings.log_size, log_file),
            clock=clock,
            jobs=JobStore(clock, settings.in_progress_after, courier.notice),
            studio=Studio(settings.render_workers, settings.cache_bytes),
            courier=courier,
            faults=faults,
        )

    def shot(self, job: Job, index: int) -> Shot:
        """What the video of one output shows."""
        order, fps = job.order, self.settings.fps
        width, height = fit(order.width, order.height, self.settings.max_pixels)
        sound = "with sound" if order.audio else "silent"
        return Shot(
            job_id=job.id,
            index=index,
            prompt=order.prompt or "(no prompt)",
            caption=f"{order.model.id}   {order.width}x{order.height}   {order.seconds} s   {sound}",
            width=width,
            height=height,
            fps=fps,
            frames=order.seconds * fps + order.model.extra_frames,
            audio=order.audio,
        )

    def stats(self) -> dict[str, int]:
        """The counts that tests ask for most."""
        return self.log.counts() | {
            "jobs_created": self.jobs.created,
            "videos_rendered": self.studio.rendered,
            "webhooks": self.courier.sent,
        }

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self.clock.advance(seconds)
        self.courier.wake()

    def outputs_gone(self, job: Job) -> bool:
        """Whether the outputs of a completed job cannot be read any more."""
        age = 0.0 if job.finished is None else self.clock.now() - job.finished
        return job.gone or age > self.settings.output_seconds

    def reset(self) -> None:
        """Forget jobs, faults and the log."""
        self.faults.clear()
        self.jobs.clear()
        self.log.clear()
        self.courier.clear()

    def close(self) -> None:
        """Stop rendering and close the log file."""
        self.studio.close()
        self.log.close()

    def find_target(self, job_id: str | None) -> dict[str, Any]:
        """What fault rules may ask about a job that a request names."""
        job = self.jobs.find(job_id)
        if job is None:
            return {"job_id": job_id}
        return {"job_id": job_id, "model": job.order.model.id, "prompt": job.order.prompt}
