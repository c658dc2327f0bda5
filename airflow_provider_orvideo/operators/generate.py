"""The generate operator: from a prompt to a landed video, in one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_orvideo.operators.failures import airflow_failures
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from airflow.sdk import XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.land import Expect, OnExisting
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.manifests import JobManifest
    from airflow_provider_orvideo.operators.typed import OrderTask


class OrVideoGenerateOperator(OrVideoSubmitOperator):
    """Orders one video, waits for it, and lands it.

    What `OrVideoSubmitOperator` and `OrVideoDownloadOperator` do one after the other. A retry after a landing that
    failed finds the paid job on record and lands it; it never orders. Before the first order leaves, the destination is
    asked whether it can be written.

    Args:
        model: as at `OrVideoSubmitOperator`, and so are all arguments that are not told here, but for
            ``wait_for_completion``: this task always waits.
        prompt: what to show. A template.
        destination: where the video goes, as at `OrVideoDownloadOperator`. A template.
        on_existing: where something lies at the destination: ``verify`` (default), ``overwrite``, ``fail`` or ``skip``,
            as at `OrVideoDownloadOperator`.
        expect: where what came is not what was ordered: ``warn`` (default), ``fail`` or ``off``, as at
            `OrVideoDownloadOperator`.
        poster: put a still image beside each video (needs the ``media`` extra). Default: False.
        look_up_cost: where the job does not tell what it cost, ask for its accounting record once. Default: False.
        max_concurrent_downloads: outputs of the job that are downloaded at the same time, at least 1. Default: 4.
        result_cache: folder in object storage that keeps results by the fingerprints of their orders. An order that is
            identical to an earlier one, of any run and any DAG with the same connection, is not ordered: the earlier
            video is copied to the destination. Default: no such thing, each order gives a new video. A template.
        **kwargs: all other arguments of `OrVideoSubmitOperator`, with its defaults.

    Returns:
        A `LandedManifest` as a dict.

    Raises:
        TypeError: at parse time: ``wait_for_completion`` was given.
        ValueError: at parse time: as at `OrVideoSubmitOperator`.
        ConfigurationError: at parse time: as at `OrVideoSubmitOperator`.
        AirflowFailException: what a retry cannot mend, or must not answer by paying again.
        OrVideoError: what a retry may mend. It re-attaches, and lands; it orders nothing that was ordered.
    """

    template_fields: Sequence[str] = (*OrVideoSubmitOperator.template_fields, "destination", "result_cache")
    ui_color = "#ede6ff"

    def __init__(
        self,
        *,
        model: str | Sequence[str] | XComArg,
        destination: str | XComArg,
        prompt: str | XComArg | None = None,
        on_existing: OnExisting = "verify",
        expect: Expect = "warn",
        poster: bool = False,
        look_up_cost: bool = False,
        max_concurrent_downloads: int = 4,
        result_cache: str | None = None,
        **kwargs: Unpack[OrderTask],
    ) -> None:
        if "wait_for_completion" in kwargs:
            raise TypeError(
                "'wait_for_completion' is no argument of OrVideoGenerateOperator, which lands what it waited for; use "
                "OrVideoSubmitOperator to order without waiting."
            )
        # Said here, or a DAG's default_args would say it for the submit operator.
        super().__init__(model=model, prompt=prompt, wait_for_completion=True, **kwargs)
        self.destination = destination
        self.on_existing = on_existing
        self.expect = expect
        self.poster = poster
        self.look_up_cost = look_up_cost
        self.max_concurrent_downloads = max_concurrent_downloads
        self.result_cache = result_cache

    def _obtain(self, context: Context, *, goes_on: bool = False) -> dict[str, Any]:
        from airflow_provider_orvideo.operators.reusing import EarlierResult  # noqa: PLC0415

        try:
            return super()._obtain(context, goes_on=goes_on)
        except EarlierResult as found:
            self._manifest = found.manifest
            return found.manifest.to_json()

    def _before_first_order(self, context: Context, order: str) -> None:
        """Find out what can be known before money is spent: is there a place to land, is there such a video?"""
        from airflow_provider_orvideo.operators.bringing import options_of, require_place  # noqa: PLC0415
        from airflow_provider_orvideo.operators.reusing import reuse  # noqa: PLC0415

        options = options_of(self)
        require_place(self.destination, context)
        if self.result_cache:
            reuse(self.result_cache, order, self.destination, options, self.outlets, context, self.orvideo_conn_id)

    def _hand_over(self, context: Context, manifest: JobManifest, record: Record) -> dict[str, Any]:
        """Land what was ordered."""
        from airflow_provider_orvideo.hooks.orvideo import OrVideoHook  # noqa: PLC0415
        from airflow_provider_orvideo.landing.earlier import ResultCache  # noqa: PLC0415
        from airflow_provider_orvideo.operators.bringing import bring_home, options_of, where_to  # noqa: PLC0415

        with airflow_failures(self._policies), OrVideoHook(self.orvideo_conn_id) as hook:
            where = where_to(self.destination, manifest, context)
            landed = bring_home(hook, manifest, where, options_of(self), self.outlets, context)
        self._manifest = landed
        is_ours = not record.adopted and not any(file.skipped for file in landed.files)
        if self.result_cache and record.fingerprint and is_ours:
            ResultCache(self.result_cache).keep(record.fingerprint, landed)
        return landed.to_json()
