"""The batch operator: many videos in one task, each ordered once and landed, with one deferral for all of them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException, conf
from airflow.sdk import BaseOperator

from airflow_provider_orvideo.ledger.policies import (
    FallbackOn,
    OnAmbiguousSubmit,
    OnChangedRequest,
    OnClear,
    OnJobFailure,
    Policies,
)
from airflow_provider_orvideo.links import OpenRouterLink
from airflow_provider_orvideo.operators.arguments import at_least_one, of_attempt, seconds
from airflow_provider_orvideo.operators.failures import airflow_failures, lost_trigger_errors
from airflow_provider_orvideo.operators.media_field import MediaField

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.land import Expect, OnExisting
    from airflow_provider_orvideo.operators.batching.engine import Batch
    from airflow_provider_orvideo.operators.batching.run import Run
    from airflow_provider_orvideo.polling.event import BatchEvent
    from airflow_provider_orvideo.preflight.capabilities import OnUnsupported
    from airflow_provider_orvideo.preflight.inspection import OnUnknownCost, Rules


class OrVideoBatchOperator(BaseOperator):
    """Orders many videos, waits for all of them, and lands each.

    Each item has a record of its own in the task's state store, so whatever crashes, retries or clears happen on the
    way, no item is paid for twice. What became of each is a line of a manifest in object storage; XCom gets a summary.
    One item's failure never stops the others. What all items would meet (a refused key, no credits, a ledger that
    cannot be written) stops new orders, while jobs that exist are followed and landed.

    The whole list is checked before anything is ordered: one wrong row, and the task fails with all that is wrong.

    Args:
        requests: what is wanted: a list (or an XCom) of prompts and of mappings with a request's fields, or the address
            of a ``.jsonl`` or ``.csv`` file, in object storage with the id of its connection. An item may have an
            ``id``, its name in the manifest, and a ``job_id``, an existing job that is followed instead of ordering.
            Without an id, an item is known by a hash of its own fields: rows may move, come and go. A template.
        destination: where the videos go, as the download operator takes it, with the placeholder ``{item}`` too. A
            template.
        model: model id for all items that do not name one, or several of which the first that has room serves each. A
            template.
        defaults: fields of a request for all items that do not set them. A template.
        manifest: address of the manifest, one line of JSON for each item. Default: beside the videos, under the task
            instance's name. A template.
        orvideo_conn_id: Airflow connection of type ``orvideo``. Default: ``orvideo_default``. A template.
        max_in_flight: jobs under way at the same time, at least 1. Default: 100. If all items fit, the task defers
            once.
        max_concurrent_submits: orders under way at the same time, at least 1. Default: 4.
        max_concurrent_downloads: videos that are downloaded at the same time, at least 1. Default: 4.
        fail_on_partial_error: True (default): fail if any item has no landed video, once all is done that can be done.
            False: the summary and the manifest tell, and the task fails only if no item landed.
        budget_usd: US dollars that all items may cost together, by their estimates until their bills are known. What
            does not fit is not ordered. Needs ``preflight``. Default: no such budget. A template.
        deferrable: wait in the triggerer; otherwise the worker slot is held. Default: Airflow's
            ``[operators] default_deferrable``.
        poll_interval: longest pause between two looks at a job, in seconds or as a timedelta, as at
            `OrVideoSubmitOperator`. Default: 30 s.
        timeout: seconds (or a timedelta) to wait for each item's job, counted from its submission, as at
            `OrVideoSubmitOperator`. Default: 3 hours.
        on_ambiguous_submit: for each item, as at `OrVideoSubmitOperator`: ``fail`` (default) or ``resubmit``.
        on_changed_request: as at `OrVideoSubmitOperator`: ``submit`` (default) or ``fail``. It is about items with an
            id, and about ``defaults`` that change.
        on_job_failure: as at `OrVideoSubmitOperator`: ``fail`` (default) or ``resubmit``. Within one attempt nothing is
            bought again; retries do that.
        on_clear: as at `OrVideoSubmitOperator`: ``reuse`` (default) or ``submit``.
        fallback_on: for items with several models, as at `OrVideoSubmitOperator`: ``capacity`` (default), ``failure``
            or ``refusal``. The next one is asked in the same attempt.
        preflight: as at `OrVideoSubmitOperator`. Default: True.
        on_unsupported: as at `OrVideoSubmitOperator`: ``fail`` (default), ``adjust`` or ``warn``.
        max_cost_usd: US dollars, above 0, that each item may cost by its estimate; stands in for a cost that cannot be
            estimated. Default: no limit. A template.
        on_unknown_cost: as at `OrVideoSubmitOperator`: ``allow`` (default) or ``fail``.
        check_budget: before each order, as at `OrVideoSubmitOperator`. Default: False.
        on_existing: as at `OrVideoDownloadOperator`: ``verify`` (default), ``overwrite``, ``fail`` or ``skip``.
        expect: as at `OrVideoDownloadOperator`: ``warn`` (default), ``fail`` or ``off``.
        poster: as at `OrVideoDownloadOperator`. Default: False.
        look_up_cost: as at `OrVideoDownloadOperator`. Default: False.
        **kwargs: as every operator takes them, ``retries`` and ``pool`` for example.

    With ``outlets``, each asset event carries the summary as ``extra``.

    Returns:
        A summary as a dict, with ``schema_version``, ``total``, ``landed``, ``failed``, ``not_ordered``, ``dropped``,
        ``cost_usd``, ``cost_unknown``, ``estimated_cost_usd``, ``manifest``.

    Raises:
        ValueError: at parse time: ``poll_interval`` or ``timeout`` is no span of at most a year, or one of the
            ``max_…`` counts is no whole number from 1.
        ConfigurationError: at parse time: a policy has a value that is not allowed. When the task runs: an argument,
            the connection or the destination cannot work.
        AirflowFailException: the list is wrong, or no open item is of a kind that a retry can mend.
        BatchIncompleteError: items are open that a retry may mend; it pays for none twice.
    """

    template_fields: Sequence[str] = (
        "requests",
        "destination",
        "model",
        "defaults",
        "manifest",
        "orvideo_conn_id",
        "budget_usd",
        "max_cost_usd",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"requests": "json", "defaults": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (OpenRouterLink(),)
    ui_color = "#e6f7ff"
    requests = MediaField()
    defaults = MediaField()

    def __init__(
        self,
        *,
        requests: Sequence[str | Mapping[str, Any]] | str | XComArg,
        destination: str | XComArg,
        model: str | Sequence[str] | XComArg | None = None,
        defaults: Mapping[str, Any] | XComArg | None = None,
        manifest: str | XComArg | None = None,
        orvideo_conn_id: str = "orvideo_default",
        max_in_flight: int = 100,
        max_concurrent_submits: int = 4,
        max_concurrent_downloads: int = 4,
        fail_on_partial_error: bool = True,
        budget_usd: float | str | XComArg | None = None,
        deferrable: bool | None = None,
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta = timedelta(hours=3),
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
        on_existing: OnExisting = "verify",
        expect: Expect = "warn",
        poster: bool = False,
        look_up_cost: bool = False,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.requests = requests
        self.destination = destination
        self.model = model
        self.defaults = defaults
        self.manifest = manifest
        self.orvideo_conn_id = orvideo_conn_id
        self.max_in_flight = at_least_one("max_in_flight", max_in_flight)
        self.max_concurrent_submits = at_least_one("max_concurrent_submits", max_concurrent_submits)
        self.max_concurrent_downloads = at_least_one("max_concurrent_downloads", max_concurrent_downloads)
        self.fail_on_partial_error = fail_on_partial_error
        self.budget_usd = budget_usd
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.timeout = seconds("timeout", timeout)
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
        self.on_existing = on_existing
        self.expect = expect
        self.poster = poster
        self.look_up_cost = look_up_cost
        self._policies = Policies(
            on_ambiguous_submit=on_ambiguous_submit,
            on_changed_request=on_changed_request,
            on_job_failure=on_job_failure,
            on_clear=on_clear,
            fallback_on=fallback_on,
        )
        self._batch: Batch | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check the list, find what earlier attempts ordered, order the rest, and wait."""
        return self._go_on(context, is_resumed=False)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look at the jobs, land what completed, and order or wait on. Reads all else from records and arguments."""
        from airflow_provider_orvideo.polling.event import BatchEvent  # noqa: PLC0415 - not needed to parse a DAG

        return self._go_on(context, is_resumed=True, event=BatchEvent.model_validate(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:  # noqa: ANN401
        """Resume as Airflow does; where the trigger was lost, look at the jobs, and wait for the others once more."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except lost_trigger_errors() as error:
            self.log.warning("The trigger was lost (%s); the jobs are not affected, and are looked at now.", error)
            return self._go_on(context, is_resumed=True)

    def on_kill(self) -> None:
        """Say what a kill does not do: the API knows no cancel."""
        if self._batch is None:
            return
        self._batch.is_stopped = True
        self.log.warning(
            "Detached from %d jobs: the API cannot cancel them, so they are still billing. The next attempt of this "
            "task re-attaches to them. No new orders leave; one whose answer does not arrive any more is on record as "
            "an order with an unknown outcome.",
            len(self._batch.in_flight),
        )

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:  # noqa: ANN401 - OpenLineage's own
        """Name all landed files as output datasets; called by OpenLineage's provider after the task, failed or not."""
        from airflow_provider_orvideo.operators.announcing import batch_lineage  # noqa: PLC0415

        return batch_lineage(() if self._batch is None else self._batch.lines)

    def _go_on(self, context: Context, *, is_resumed: bool, event: BatchEvent | None = None) -> dict[str, Any]:
        # Imported here: whoever only parses the DAG never gets this far.
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.operators.batching.run import prepared  # noqa: PLC0415
        from airflow_provider_orvideo.triggers.deferral import batch_deferral  # noqa: PLC0415

        with (
            airflow_failures(self._policies),
            OrVideoHook(self.orvideo_conn_id) as hook,
            prepared(self, context, hook, is_resumed=is_resumed) as run,
        ):
            batch = self._batch = run.batch
            batch.advance(event)
            while batch.in_flight and not self.deferrable:
                self._pause(self.poll_interval)
                batch.advance()
            run.announce(hook)
            if batch.in_flight:
                self.log.info("Waiting for %d jobs in the triggerer, without a worker slot.", len(batch.in_flight))
                self.defer(
                    method_name="execute_complete",
                    **batch_deferral(
                        batch.waits,
                        conn_id=self.orvideo_conn_id,
                        poll_interval=self.poll_interval,
                        wake_after=batch.wake_after,
                    ),
                )
            return self._concluded(run, context)

    def _concluded(self, run: Run, context: Context) -> dict[str, Any]:
        """Return the summary, or fail with what is open."""
        from airflow_provider_orvideo.operators.batching.outcome import failure, is_failure, summary  # noqa: PLC0415

        lines = run.batch.lines
        if is_failure(lines, fail_on_partial_error=self.fail_on_partial_error):
            error, is_retryable = failure(lines, run.manifest)
            if not is_retryable:
                raise AirflowFailException(str(error)) from error
            raise error
        result = summary(lines, run.manifest)
        run.tell_outlets(result, self.outlets, context)
        return result

    def _pause(self, span: float) -> None:
        time.sleep(span)

    @property
    def policies(self) -> Policies:
        """What to do where a record leaves a choice."""
        return self._policies

    def attempt(self, context: Context) -> tuple[int | None, int | None]:
        """Return Airflow's ``try_number`` and ``max_tries`` of this attempt."""
        return of_attempt(context, "try_number"), of_attempt(context, "max_tries")

    def rules(self) -> Rules:
        """Read the rules for new orders.

        Raises:
            ConfigurationError: one of them cannot be kept.
        """
        from airflow_provider_orvideo.exceptions import ConfigurationError  # noqa: PLC0415
        from airflow_provider_orvideo.operators.orders import rules_of  # noqa: PLC0415
        from airflow_provider_orvideo.preflight.inspection import dollars  # noqa: PLC0415

        if dollars("budget_usd", self.budget_usd) is not None and not self.preflight:
            raise ConfigurationError(
                "'preflight' is False, and so nothing is estimated that could be reserved of 'budget_usd'; leave "
                "preflight on, or leave the budget out."
            )
        return rules_of(self)
