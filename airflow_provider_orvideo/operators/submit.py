"""The submit operator: orders one video, waits for it without holding a worker, and returns the job's manifest."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_orvideo.links import OpenRouterLink
from airflow_provider_orvideo.manifests import iso
from airflow_provider_orvideo.operators.failures import airflow_failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.polling.decision import Ended, GaveUp, TimedOut, Wait

#: What Airflow's own trigger timeout gets on top of the deadline, in seconds: it only catches a trigger that is lost.
_SAFETY_NET: Final = 900.0
#: A year. Without a bound, "for ever" would only show to be no date once the video is ordered.
_LONGEST: Final = 366 * 86_400.0

REQUEST_FIELDS: Final = (
    "model",
    "prompt",
    "aspect_ratio",
    "callback_url",
    "creativity",
    "duration",
    "frame_images",
    "generate_audio",
    "input_references",
    "previous_job_id",
    "provider",
    "resolution",
    "seed",
    "session_id",
    "size",
    "trace",
    "upscale_factor",
    "user",
)


class OrVideoSubmitOperator(BaseOperator):
    """Orders one video and waits for it.

    The purchase is recorded in the task's state store before and after the paid request, so a retry, a cleared task or
    a restarted worker finds the job and waits for it instead of ordering again. A job that ends without a video fails
    the task for good: Airflow's ``retries`` do not buy another.

    Every field of the request is an argument of the same name and a template, so ``.expand(prompt=[…])`` works; what
    they mean is told at `VideoRequest`. None leaves a field to the API's default. Numbers may come as rendered text.

    Args:
        model: model id, for example ``google/veo-3.1``. The only field that is always needed.
        prompt: what to show.
        aspect_ratio: for example ``16:9``.
        callback_url: HTTPS URL for a webhook.
        creativity: upscaling models only.
        duration: whole seconds; one of the model's supported durations.
        frame_images: first and last frame, as the API writes them.
        generate_audio: sound on or off; unset, the model's default holds, which may double the price.
        input_references: images, audio and videos to take style or content from, as the API writes them.
        previous_job_id: a completed job to continue or edit.
        provider: passthrough parameters, ``{"options": {"<provider slug>": {…}}}``.
        resolution: for example ``720p``.
        seed: for repeatable results where the model honours it.
        session_id: for observability at OpenRouter.
        size: ``WIDTHxHEIGHT``, instead of resolution and aspect ratio.
        trace: metadata for OpenRouter's broadcast feature.
        upscale_factor: upscaling models only.
        user: id of your end user.
        orvideo_conn_id: Airflow connection of type ``orvideo``. A template.
        wait_for_completion: wait for the job's end; otherwise return as soon as it is accepted.
        deferrable: wait in the triggerer; otherwise the worker slot is held. Default: Airflow's
            ``[operators] default_deferrable``.
        poll_interval: seconds (or a timedelta) between two looks at the job.
        timeout: seconds (or a timedelta) to wait, counted from the submission whatever restarts in between. The job
            itself cannot be cancelled: after a timeout it goes on, and a retry looks at it once more.

    Returns:
        A `JobManifest` as a dict: job id, status, model, cost, number of outputs.

    Raises:
        AirflowFailException: what a retry cannot mend, or must not answer by paying again: an invalid request, a
            refusal, a job without a video, an unknown outcome. The message says what may have been spent.
        OrVideoError: what a retry may mend, such as no connection or a timeout of the wait; it re-attaches.
    """

    template_fields: Sequence[str] = (*REQUEST_FIELDS, "orvideo_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "frame_images": "json",
        "input_references": "json",
        "provider": "json",
        "trace": "json",
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (OpenRouterLink(),)
    ui_color = "#e6ecff"

    def __init__(
        self,
        *,
        model: str | XComArg,
        prompt: str | XComArg | None = None,
        aspect_ratio: str | XComArg | None = None,
        callback_url: str | XComArg | None = None,
        creativity: int | str | XComArg | None = None,
        duration: int | str | XComArg | None = None,
        frame_images: Sequence[Mapping[str, Any]] | XComArg | None = None,
        generate_audio: bool | str | XComArg | None = None,
        input_references: Sequence[Mapping[str, Any]] | XComArg | None = None,
        previous_job_id: str | XComArg | None = None,
        provider: Mapping[str, Any] | XComArg | None = None,
        resolution: str | XComArg | None = None,
        seed: int | str | XComArg | None = None,
        session_id: str | XComArg | None = None,
        size: str | XComArg | None = None,
        trace: Mapping[str, Any] | XComArg | None = None,
        upscale_factor: float | str | XComArg | None = None,
        user: str | XComArg | None = None,
        orvideo_conn_id: str = "orvideo_default",
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta = timedelta(hours=3),
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.prompt = prompt
        self.aspect_ratio = aspect_ratio
        self.callback_url = callback_url
        self.creativity = creativity
        self.duration = duration
        self.frame_images = frame_images
        self.generate_audio = generate_audio
        self.input_references = input_references
        self.previous_job_id = previous_job_id
        self.provider = provider
        self.resolution = resolution
        self.seed = seed
        self.session_id = session_id
        self.size = size
        self.trace = trace
        self.upscale_factor = upscale_factor
        self.user = user
        self.orvideo_conn_id = orvideo_conn_id
        self.wait_for_completion = wait_for_completion
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self.poll_interval = _seconds("poll_interval", poll_interval)
        self.timeout = _seconds("timeout", timeout)
        self._job_id: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Order the video, or find the one that an earlier attempt ordered, and wait for it."""
        # Imported here: whoever only parses the DAG never gets this far.
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.purchase import obtain  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.record import Phase  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.stores import store_for  # noqa: PLC0415
        from airflow_provider_orvideo.operators.conclusion import conclude, manifest_of  # noqa: PLC0415
        from airflow_provider_orvideo.preflight.capabilities import require_possible  # noqa: PLC0415

        # A setting that cannot be read must show before anything is ordered.
        grace = conf.getfloat("orvideo", "resume_grace", fallback=10.0)
        with airflow_failures(), OrVideoHook(self.orvideo_conn_id) as hook:
            request = self._request()
            require_possible(request)
            client = hook.get_conn()
            self.log.info(
                "One video is wanted: %s, a prompt of %d characters. Connection '%s', %s",
                _summary(request),
                len(request.prompt or ""),
                self.orvideo_conn_id,
                client.config.base_url,
            )
            record = obtain(client, request, store_for(context), conn_id=self.orvideo_conn_id)
            self._job_id = record.job_id
            if record.phase == Phase.TERMINAL:
                return conclude(record).to_json()
            if not self.wait_for_completion:
                self.log.info("Job %s is under way; this task does not wait for it.", record.job_id)
                return manifest_of(record).to_json()
            event = self._wait(client, record, grace=grace)
        return self.execute_complete(context, event)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Record how the wait ended, and return the manifest or fail with what to do. Reads nothing but the event."""
        from airflow_provider_orvideo.ledger.stores import store_for  # noqa: PLC0415
        from airflow_provider_orvideo.operators.conclusion import conclude, settle  # noqa: PLC0415
        from airflow_provider_orvideo.polling.event import WaitEvent  # noqa: PLC0415

        ended = WaitEvent.model_validate(event)
        self._job_id = ended.job_id
        with airflow_failures():
            return conclude(settle(ended, store_for(context))).to_json()

    def on_kill(self) -> None:
        """Say what a kill does not do: the API knows no cancel."""
        if self._job_id:
            self.log.warning(
                "Detached from job %s, which cannot be cancelled: it goes on and bills when it completes. The next "
                "attempt of this task re-attaches to it.",
                self._job_id,
            )

    def _request(self) -> VideoRequest:
        from airflow_provider_orvideo.api.schema import VideoRequest  # noqa: PLC0415

        return VideoRequest.build(**{name: getattr(self, name) for name in REQUEST_FIELDS})

    def _wait(self, client: VideoClient, record: Record, *, grace: float) -> dict[str, Any]:
        """Defer, which does not return, or wait here."""
        from airflow_provider_orvideo.polling.decision import FIRST_POLL, Wait  # noqa: PLC0415
        from airflow_provider_orvideo.polling.waiting import look_once, wait_for_job  # noqa: PLC0415
        from airflow_provider_orvideo.triggers.job import OrVideoJobTrigger  # noqa: PLC0415

        job_id = str(record.job_id)
        submitted_at = record.intent_at if record.submitted_at is None else record.submitted_at
        wait = Wait(
            job_id=job_id,
            submitted_at=submitted_at,
            deadline=submitted_at + self.timeout,
            poll_interval=self.poll_interval,
        )
        if time.time() > submitted_at + FIRST_POLL and (end := look_once(client, wait)):
            return self._event(end, wait, record)
        self.log.info(
            "Waiting for job %s %s, looking every %g s until %s.",
            job_id,
            "in the triggerer, without a worker slot" if self.deferrable else "on this worker",
            self.poll_interval,
            iso(wait.deadline),
        )
        if self.deferrable:
            self.defer(
                trigger=OrVideoJobTrigger(
                    conn_id=self.orvideo_conn_id,
                    job_id=job_id,
                    submitted_at=submitted_at,
                    deadline=wait.deadline,
                    poll_interval=self.poll_interval,
                    model=record.model,
                    not_before=time.time() + grace,
                ),
                method_name="execute_complete",
                timeout=timedelta(seconds=max(0.0, wait.deadline - time.time()) + _SAFETY_NET),
            )
        return self._event(wait_for_job(client, wait), wait, record)

    def _event(self, end: Ended | TimedOut | GaveUp, wait: Wait, record: Record) -> dict[str, Any]:
        from airflow_provider_orvideo.polling.event import event_of  # noqa: PLC0415

        return event_of(end, wait, conn_id=self.orvideo_conn_id, model=record.model, now=time.time()).to_json()


def _summary(request: VideoRequest) -> str:
    """Name the fields that shape the price, for the log; no prompt and no media."""
    shown = ("model", "duration", "resolution", "aspect_ratio", "size", "generate_audio", "upscale_factor")
    values = {name: getattr(request, name) for name in shown}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def _seconds(name: str, value: object) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST:
        raise ValueError(
            f"'{name}' is {value!r}; it must be a number of seconds above 0 and of at most a year, or a timedelta."
        )
    return float(seconds)
