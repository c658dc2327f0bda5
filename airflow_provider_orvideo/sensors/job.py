"""The job sensor: waits for a job that somebody else ordered, and returns its manifest."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    conf,
)
from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_orvideo.jobs import job_manifest
from airflow_provider_orvideo.links import OpenRouterLink, VideoLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow.sdk import BaseOperatorLink, XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
    from airflow_provider_orvideo.manifests import JobManifest
    from airflow_provider_orvideo.polling.event import WaitEvent
    from airflow_provider_orvideo.sensors.watching import Watch

#: A year. Without a bound, "for ever" would only show to be no date once the task runs.
_LONGEST: Final = 366 * 86_400.0


class OrVideoJobSensor(BaseSensorOperator):
    """Waits for a job that exists: one that a submit task with ``wait_for_completion=False`` ordered, or any job id.

    It only looks. It orders nothing and keeps no record, so it may be retried, cleared and stopped freely; the job goes
    on all the same, since the API cannot cancel it.

    A look that fails is not a failed job: an API that is busy, broken or away is asked again, at longer intervals, as
    it wishes. A job that ended without a video fails the task for good.

    Args:
        job: the submit task's output, or a job id. A template.
        orvideo_conn_id: Airflow connection of type ``orvideo``. Default: the one in ``job``, else ``orvideo_default``.
            A template.
        deferrable: wait in the triggerer, whatever ``mode`` says. Default: Airflow's
            ``[operators] default_deferrable``.
        poke_interval: longest pause between two looks at the job, in seconds or as a timedelta; above 0 and at most a
            year. Only while the API fails are pauses longer, up to 5 minutes. Default: 30 s.
        **kwargs: as every sensor has them. ``timeout``: seconds (or a timedelta) to wait, by default Airflow's 7 days,
            counted from the first look of this attempt, with ``mode="reschedule"`` from the first of all attempts;
            Airflow does not retry once it has passed. ``mode``, where not deferrable: ``poke`` (default) holds the
            worker slot, ``reschedule`` gives it back between looks. ``soft_fail``: skip instead of failing when the
            time has passed or the job ended without a video. ``never_fail``: skip on every error. Default of both:
            False.

    Returns:
        A `JobManifest` as a dict, with job id, status, model, cost and number of outputs.

    Raises:
        ValueError: at parse time: ``poke_interval`` or ``timeout`` is longer than a year, or no span.
        AirflowFailException: the job ended without a video, or ``job`` is none.
        AirflowSensorTimeout: the job had not ended when the time was over. It goes on.
        AirflowSkipException: in place of these, where ``soft_fail`` or ``never_fail`` says so.
        OrVideoError: what a retry may mend, such as a refused key or a job id that the API does not know.
    """

    template_fields: Sequence[str] = ("job", "orvideo_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (VideoLink(), OpenRouterLink())
    ui_color = "#f3e6ff"

    def __init__(
        self,
        *,
        job: str | Mapping[str, Any] | XComArg,
        orvideo_conn_id: str | None = None,
        deferrable: bool | None = None,
        poke_interval: float | timedelta = 30.0,
        **kwargs: Any,  # noqa: ANN401 - BaseSensorOperator's own
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if not 0 < self.poke_interval <= _LONGEST:
            raise ValueError(f"'poke_interval' is {poke_interval!r}; it must be above 0 seconds and at most a year.")
        if not 0 <= self.timeout <= _LONGEST:
            raise ValueError(f"'timeout' is {self.timeout:g} s; it must be at most a year.")
        self.job = job
        self.orvideo_conn_id = orvideo_conn_id
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self._hook: OrVideoHook | None = None
        self._watch: Watch | None = None

    def execute(self, context: Context) -> Any:  # noqa: ANN401 - BaseSensorOperator's signature
        """Wait for the job and return its manifest."""
        try:
            if not self.deferrable:
                return super().execute(context)
            with self._skipping():
                event, watch = self._look(context)
                # What has ended, or cannot be read, needs no trigger to tell.
                return self._hand_over(watch) if event is None else self._conclude(event, watch.job)
        finally:
            self._let_go()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        event, watch = self._look(context)
        if event is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(event, watch.job))

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002 - Airflow's signature
        event: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the manifest, or fail with what to do."""
        from airflow_provider_orvideo.exceptions import RequestInvalidError  # noqa: PLC0415
        from airflow_provider_orvideo.polling.event import WaitEvent  # noqa: PLC0415

        ended = WaitEvent.model_validate(event)
        try:
            job = job_manifest(self.job)
        except RequestInvalidError:  # the template lost its meaning while the task was deferred; the event suffices
            job = None
        with self._skipping():
            return self._conclude(ended, job)

    def _look(self, context: Context) -> tuple[WaitEvent | None, Watch]:
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415

        if self._watch is None:
            self._watch = self._begin(context)
        if self._hook is None:
            self._hook = OrVideoHook(self._watch.conn_id)
        return self._watch.look(self._hook.get_conn()), self._watch

    def _begin(self, context: Context) -> Watch:
        from airflow_provider_orvideo.exceptions import RequestInvalidError  # noqa: PLC0415
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.sensors.watching import Watch, wait_of  # noqa: PLC0415

        try:
            job = job_manifest(self.job)
        except RequestInvalidError as error:
            raise AirflowFailException(str(error)) from error
        # As the base class counts: rescheduled, the task has been waiting since its first look.
        first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        return Watch(
            job=job,
            conn_id=self.orvideo_conn_id or job.conn_id or OrVideoHook.default_conn_name,
            wait=wait_of(
                job,
                started_at=first.timestamp() if first else time.time(),
                timeout=self.timeout,
                poll_interval=self.poke_interval,
            ),
        )

    def _hand_over(self, watch: Watch) -> NoReturn:
        from airflow_provider_orvideo.triggers.deferral import deferral  # noqa: PLC0415

        handed = deferral(watch.wait, conn_id=watch.conn_id, model=watch.job.model)
        self.defer(method_name="execute_complete", **handed)

    def _conclude(self, event: WaitEvent, job: JobManifest | None) -> dict[str, Any]:
        from airflow_provider_orvideo.sensors.watching import conclude  # noqa: PLC0415

        return conclude(event, job)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Skip where the author wants that, as the base class does in its loop."""
        try:
            yield
        except Exception as error:
            soft = self.soft_fail and isinstance(error, AirflowFailException | AirflowSensorTimeout)
            if soft or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Pause as the base class would, but not less than the API asks for, and not past the end of the wait."""
        pause: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        if self._watch is None:
            return pause
        pause = max(pause, self._watch.pause)
        left = self._watch.wait.deadline - time.time()
        # A moment more than is left: Airflow rounds, and too early a look would not be the last one.
        return min(pause, left + 0.001) if left > 0 else pause

    def _let_go(self) -> None:
        """Forget this attempt: a rescheduled task may come back as the same object."""
        self._watch = None
        if self._hook is not None:
            self._hook.close()
            self._hook = None
