"""The submit operator: orders one video, waits for it without holding a worker, and returns the job's manifest."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_orvideo.ledger.policies import (
    FallbackOn,
    OnAmbiguousSubmit,
    OnChangedRequest,
    OnClear,
    OnJobFailure,
    Policies,
)
from airflow_provider_orvideo.links import OpenRouterLink, VideoLink
from airflow_provider_orvideo.operators.arguments import REQUEST_FIELDS, job_to_adopt, of_attempt, seconds
from airflow_provider_orvideo.operators.failures import airflow_failures, lost_trigger_errors
from airflow_provider_orvideo.operators.media_field import MediaField, media_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.ledger.stores import Store
    from airflow_provider_orvideo.manifests import JobManifest
    from airflow_provider_orvideo.operators.budgeting import Budgeting
    from airflow_provider_orvideo.operators.following import Following
    from airflow_provider_orvideo.preflight.capabilities import OnUnsupported
    from airflow_provider_orvideo.preflight.inspection import OnUnknownCost


class OrVideoSubmitOperator(BaseOperator):
    """Orders one video and waits for it.

    The purchase is recorded in the task's state store before and after the paid request, so a retry, a cleared task or
    a restarted worker finds the job and waits for it instead of ordering again. A job that ends without a video fails
    the task for good: Airflow's ``retries`` do not buy another.

    Every field of the request is an argument of the same name and a template, so ``.expand(prompt=[…])`` works; what
    they mean, and where that comes from, is told at `VideoRequest`. None, the default, leaves a field to the API.
    Numbers may come as rendered text.

    Args:
        model: model id, for example ``google/veo-3.1``. The only field that is always needed. Of several, the first
            that has room serves; see ``fallback_on``.
        prompt: what to show.
        aspect_ratio: for example ``16:9``.
        callback_url: HTTPS URL for a webhook.
        creativity: upscaling models only; one of the model's list.
        duration: seconds, a whole number; one of the model's supported durations.
        frame_images: an image that the video starts with, or two for its first and last frame: HTTPS URLs, paths or
            object storage URLs such as ``s3://aws_default@bucket/first.png``; or entries as the API writes them.
        generate_audio: sound on or off; unset, the model's default holds, which may double the price.
        input_references: images, audio and videos to take style or content from; addresses as with ``frame_images``.
        previous_job_id: a completed job to continue or edit: its id, or the output of the task that made it.
        provider: passthrough parameters, ``{"options": {"<provider slug>": {…}}}``.
        resolution: for example ``720p``.
        seed: for repeatable results where the model honours it.
        session_id: at most 256 characters, for observability at OpenRouter.
        size: ``WIDTHxHEIGHT`` in pixels, instead of resolution and aspect ratio.
        trace: metadata for OpenRouter's broadcast feature.
        upscale_factor: factor above 0; upscaling models only.
        user: id of your end user.
        orvideo_conn_id: Airflow connection of type ``orvideo``. Default: ``orvideo_default``. A template.
        wait_for_completion: True (default): wait for the job's end. False: return as soon as it is accepted.
        deferrable: wait in the triggerer; otherwise the worker slot is held. Default: Airflow's
            ``[operators] default_deferrable``.
        poll_interval: longest pause between two looks at the job, in seconds or as a timedelta; above 0 and at most a
            year. Only while the API fails are pauses longer, up to 5 minutes. Default: 30 s.
        timeout: seconds (or a timedelta) to wait, above 0 and at most a year, counted from the submission whatever
            restarts in between. The job itself cannot be cancelled: after a timeout it goes on, and a retry looks at it
            once more. Default: 3 hours.
        job_id: id of an existing, paid job to follow instead of ordering one, for example
            ``"{{ dag_run.conf.get('job_id', '') }}"``. Nothing is ordered while it is set. A template.
        on_ambiguous_submit: an earlier POST may have been accepted and billed. ``fail`` (default): stop, a person
            decides. ``resubmit``: retries order again, and perhaps pay twice.
        on_changed_request: the job that exists was ordered with another request. ``submit`` (default): order the new
            one. ``fail``: stop.
        on_job_failure: the job ended without a video. ``fail`` (default): Airflow's retries do not buy another.
            ``resubmit``: they do, unless moderation refused.
        on_clear: a person cleared the task after its job had ended. ``reuse`` (default): its end stands. ``submit``:
            order anew. A job still in flight is always re-attached.
        fallback_on: with several models, after what the next one is ordered. ``capacity`` (default): the order was
            refused by 429, or its job ended for want of room. ``failure``: also after any other job without a video,
            but for what moderation refused. ``refusal``: also after that, and after orders refused by 400, 403 and 404.
        preflight: before an order leaves, hold it against what its model supports and estimate its cost, both from the
            model's entry in ``GET /videos/models``. A job that exists is followed without. False goes only without
            ``max_cost_usd`` and ``on_unknown_cost="fail"``. Default: True.
        on_unsupported: the model does not support the request. ``fail`` (default): say what it supports. ``adjust``:
            take the nearest values, and log them. ``warn``: log it, and let the API decide.
        max_cost_usd: order nothing that is estimated to cost more US dollars than this amount above 0. Default: no
            limit. A template.
        on_unknown_cost: the cost cannot be estimated. ``allow`` (default) or ``fail``.
        check_budget: ask what the key may still spend (``GET /key``), and order nothing that is estimated above it.
            Default: False.
        run_budget_usd: US dollars that the orders of this DAG run which share a budget may cost together, by their
            estimates until they end. Needs ``[orvideo] state_path``. Default: no such budget. A template.
        budget_name: tasks of the run that name the same budget share it. Default: the mapped set of this task does.
        **kwargs: as every operator takes them, ``retries`` and ``pool`` for example.

    Returns:
        A `JobManifest` as a dict, with job id, status, model, cost and number of outputs.

    Raises:
        ValueError: at parse time: ``poll_interval`` or ``timeout`` is no span of at most a year.
        ConfigurationError: at parse time: one of ``on_ambiguous_submit``, ``on_changed_request``, ``on_job_failure``,
            ``on_clear`` and ``fallback_on`` has a value that is not allowed.
        AirflowFailException: what a retry cannot mend, or must not answer by paying again: an invalid request, a
            refusal, a job without a video, an unknown outcome. The message says what may have been spent.
        OrVideoError: what a retry may mend, such as no connection or a timeout of the wait; it re-attaches.

    Source: ``GET /videos/models`` and ``GET /key``, OpenRouter's OpenAPI document of 2026-08-22; that the sound doubles
    a price, its catalogue of October 2026.
    """

    template_fields: Sequence[str] = (*REQUEST_FIELDS, "orvideo_conn_id", "job_id", "max_cost_usd", "run_budget_usd")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "frame_images": "json",
        "input_references": "json",
        "provider": "json",
        "trace": "json",
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (VideoLink(), OpenRouterLink())
    ui_color = "#e6ecff"
    frame_images = MediaField()
    input_references = MediaField()
    provider = MediaField()

    def __init__(
        self,
        *,
        model: str | Sequence[str] | XComArg,
        prompt: str | XComArg | None = None,
        aspect_ratio: str | XComArg | None = None,
        callback_url: str | XComArg | None = None,
        creativity: int | str | XComArg | None = None,
        duration: int | str | XComArg | None = None,
        frame_images: str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any] | XComArg | None = None,
        generate_audio: bool | str | XComArg | None = None,
        input_references: str | Sequence[str | Mapping[str, Any]] | XComArg | None = None,
        previous_job_id: str | Mapping[str, Any] | XComArg | None = None,
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
        job_id: str | XComArg | None = None,
        on_ambiguous_submit: OnAmbiguousSubmit = "fail",
        on_changed_request: OnChangedRequest = "submit",
        on_job_failure: OnJobFailure = "fail",
        on_clear: OnClear = "reuse",
        fallback_on: FallbackOn = "capacity",
        preflight: bool = True,
        on_unsupported: OnUnsupported = "fail",
        max_cost_usd: float | str | XComArg | None = None,
        on_unknown_cost: OnUnknownCost = "allow",
        check_budget: bool = False,
        run_budget_usd: float | str | XComArg | None = None,
        budget_name: str | None = None,
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
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.timeout = seconds("timeout", timeout)
        self.job_id = job_id
        self.on_ambiguous_submit = on_ambiguous_submit
        self.on_changed_request = on_changed_request
        self.on_job_failure = on_job_failure
        self.on_clear = on_clear
        self.fallback_on = fallback_on
        self.preflight = preflight
        self.on_unsupported = on_unsupported
        self.max_cost_usd = max_cost_usd
        self.on_unknown_cost = on_unknown_cost
        self.check_budget = check_budget
        self.run_budget_usd = run_budget_usd
        self.budget_name = budget_name
        self._policies = Policies(
            on_ambiguous_submit=on_ambiguous_submit,
            on_changed_request=on_changed_request,
            on_job_failure=on_job_failure,
            on_clear=on_clear,
            fallback_on=fallback_on,
        )
        self._job_id: str | None = None
        self._store: Store | None = None
        self._manifest: JobManifest | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Order the video, or find the one that an earlier attempt ordered, and wait for it."""
        return self._obtain(context)

    def _obtain(self, context: Context, *, goes_on: bool = False) -> dict[str, Any]:
        # Imported here: whoever only parses the DAG never gets this far.
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.inputs.settings import resolved  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.callbacks import callbacks_of_orders  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.purchase import Attempt, obtain  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.record import Phase  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.stores import store_for  # noqa: PLC0415
        from airflow_provider_orvideo.operators.conclusion import conclude, manifest_of  # noqa: PLC0415
        from airflow_provider_orvideo.operators.observing import ordering  # noqa: PLC0415
        from airflow_provider_orvideo.operators.orders import prepared, rules_of  # noqa: PLC0415

        with airflow_failures(self._policies), OrVideoHook(self.orvideo_conn_id) as hook:
            self._job_id = None  # of an earlier model's job that has ended
            models, wanted = self._wanted_or_why_not(context)
            client = hook.get_conn()
            attempt = Attempt(
                conn_id=self.orvideo_conn_id,
                policies=self._policies,
                try_number=of_attempt(context, "try_number"),
                max_tries=of_attempt(context, "max_tries"),
                adopt=job_to_adopt(self.job_id),
                timeout=self.timeout if self.wait_for_completion else None,
                poll_interval=self.poll_interval,
                models=models,
                goes_on=goes_on,
                callbacks=callbacks_of_orders(),
            )
            self._store = store_for(context)
            budget = self._budget(context, self._store)
            watch = ordering(self.orvideo_conn_id, context.get("ti"))
            with budget.released_if_refused(), watch as order:
                record = obtain(
                    client,
                    wanted,
                    self._store,
                    attempt,
                    resolve=resolved,
                    first=partial(self._before_first_order, context),
                    prepare=partial(prepared, client, partial(rules_of, self), budget, order),
                )
                order.accepted(record)
            self._job_id = record.job_id
            if record.phase == Phase.TERMINAL:
                budget.settle(record)
                manifest = conclude(record, self._store, self._policies)
                return self._hand_over(context, self._with_request(context, manifest, record), record)
            if not self.wait_for_completion:
                self.log.info("Job %s is under way; this task does not wait for it.", record.job_id)
                return self._with_request(context, manifest_of(record), record).to_json()
            following = self._following(record)
            event = following.look(client)
            if event is None and self.deferrable:
                self.defer(method_name="execute_complete", **following.deferral())
            if event is None:
                event = following.here(client)
        return self.execute_complete(context, event)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Record how the wait ended, and return the manifest or fail with what to do. Reads nothing but the event."""
        from airflow_provider_orvideo.ledger.stores import store_for  # noqa: PLC0415
        from airflow_provider_orvideo.operators.conclusion import conclude, is_kept, settle  # noqa: PLC0415
        from airflow_provider_orvideo.operators.observing import waited  # noqa: PLC0415
        from airflow_provider_orvideo.operators.orders import falls_back  # noqa: PLC0415
        from airflow_provider_orvideo.polling.event import WaitEvent  # noqa: PLC0415

        ended = WaitEvent.model_validate(event)
        self._job_id = ended.job_id
        waited(ended, context.get("ti"))
        store = store_for(context, warn=False)
        with airflow_failures(self._policies):
            record = settle(ended, store, max_tries=of_attempt(context, "max_tries"))
            self._budget(context, store).settle(record)
            # The next order is decided by the record: one that does not say how this job ended would order it again.
            if falls_back(record, self._policies, self._models) and is_kept(record, store):
                return self._obtain(context, goes_on=True)
            manifest = conclude(record, store, self._policies)
            return self._hand_over(context, self._with_request(context, manifest, record), record)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:  # noqa: ANN401
        """Resume as Airflow does; where the trigger was lost, look at the job before failing."""
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.record import Phase  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.stores import store_for  # noqa: PLC0415

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except lost_trigger_errors() as error:
            record = store_for(context, warn=False).load()
            if record is None or record.phase != Phase.SUBMITTED:
                raise
            self._job_id = record.job_id
            with OrVideoHook(self.orvideo_conn_id) as hook:
                event = self._following(record).rescue(hook.get_conn(), error)
            return self.execute_complete(context, event)

    def on_kill(self) -> None:
        """Say and record what a kill does not do: the API knows no cancel."""
        if self._store is None:
            return
        from airflow_provider_orvideo.operators.following import detach  # noqa: PLC0415

        detach(self._job_id, self._store)

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:  # noqa: ANN401 - OpenLineage's own
        """Name the job; called by the OpenLineage provider after the task, also after one that failed."""
        from airflow_provider_orvideo.manifests import JobManifest  # noqa: PLC0415
        from airflow_provider_orvideo.operators.announcing import lineage  # noqa: PLC0415

        if self._manifest is None and self._job_id is not None:
            return lineage(JobManifest(job_id=self._job_id, status="unknown", model=str(self.model)))
        return lineage(self._manifest)

    # ── What a subclass does otherwise ───────────────────────────────────────────────────────────────────────────────

    def _wanted(self, _context: Context) -> VideoRequest | Callable[[], VideoRequest]:
        """Return what is to be ordered, or what tells it; the latter is asked at most once in an order's life."""
        return self._request()

    def _models(self) -> tuple[str, ...]:
        """Return the models that may serve, in the order in which they are asked."""
        from airflow_provider_orvideo.operators.orders import models_of  # noqa: PLC0415

        return models_of(self.model, self.previous_job_id)

    def _before_first_order(self, context: Context, order: str) -> None:
        """Look around before money is spent; ``order`` is its fingerprint. What is raised here, the task ends with."""

    def _hand_over(self, _context: Context, manifest: JobManifest, _record: Record) -> dict[str, Any]:
        """Return the task's result once the job has its video."""
        return manifest.to_json()

    def _outline(self, _context: Context) -> dict[str, Any] | None:
        """Return what was ordered, for the manifest; None where that cannot be told any more."""
        from airflow_provider_orvideo.exceptions import RequestInvalidError  # noqa: PLC0415
        from airflow_provider_orvideo.ledger.fingerprint import outline  # noqa: PLC0415

        # A template may find nothing any more when the task resumes; the video is paid for all the same.
        with suppress(RequestInvalidError):
            return outline(self._request())
        return None

    def _wanted_or_why_not(self, context: Context) -> tuple[tuple[str, ...], VideoRequest | Callable[[], VideoRequest]]:
        """Return models and request; a request that cannot be built any more must not hide a paid job."""
        from airflow_provider_orvideo.exceptions import RequestInvalidError  # noqa: PLC0415

        try:
            return self._models(), self._wanted(context)
        except RequestInvalidError as error:
            problem = error

            def tell() -> VideoRequest:
                raise problem

            self.log.warning("What is wanted cannot be told; a job on record is followed all the same. %s", error)
            return (), tell

    # ── Helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _with_request(self, context: Context, manifest: JobManifest, record: Record) -> JobManifest:
        """Return the manifest with what was ordered, where it was this task that ordered it."""
        # A record that was made from the event alone does not know who ordered the job.
        adopted = record.adopted or (not record.fingerprint and job_to_adopt(self.job_id) is not None)
        written = None if adopted else self._outline(context)
        request = None if written is None else written | {"model": record.model} | record.adjusted
        self._manifest = manifest.model_copy(update={"request": request})
        return self._manifest

    def _request(self) -> VideoRequest:
        from airflow_provider_orvideo.operators.orders import request_of  # noqa: PLC0415

        return request_of(self._fields())

    def _fields(self) -> dict[str, Any]:
        return {name: media_of(self, getattr(self, name)) for name in REQUEST_FIELDS}

    def _budget(self, context: Context, store: Store) -> Budgeting:
        from airflow_provider_orvideo.operators.budgeting import Budgeting  # noqa: PLC0415

        return Budgeting(context, store, run_budget_usd=self.run_budget_usd, budget_name=self.budget_name)

    def _following(self, record: Record) -> Following:
        from airflow_provider_orvideo.operators.following import Following  # noqa: PLC0415

        return Following(
            record=record, conn_id=self.orvideo_conn_id, timeout=self.timeout, poll_interval=self.poll_interval
        )
