"""Takes the result of an identical earlier order instead of ordering."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
from airflow_provider_orvideo.landing.earlier import ResultCache, bring
from airflow_provider_orvideo.operators.announcing import announce
from airflow_provider_orvideo.operators.bringing import where_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.land import LandingOptions
    from airflow_provider_orvideo.manifests import LandedManifest

log = logging.getLogger(__name__)


class EarlierResult(Exception):  # noqa: N818 - no error: it leads out of an order that is not needed
    """The video is there already.

    Args:
        manifest: of the earlier result, at this task's destination.
    """

    def __init__(self, manifest: LandedManifest) -> None:
        super().__init__(manifest.job_id)
        self.manifest = manifest


def reuse(
    folder: str,
    order: str,
    destination: object,
    options: LandingOptions,
    outlets: Iterable[object],
    context: Context,
    conn_id: str,
) -> None:
    """Return if the video must be ordered.

    Args:
        folder: of the cache.
        order: fingerprint of the order.
        destination: as the author wrote it.
        options: how to land.
        outlets: the operator's.
        context: the task's.
        conn_id: Airflow connection that would pay.

    Raises:
        EarlierResult: an identical order was landed earlier, and its files are at the destination now.
        LedgerUnavailableError: the cache cannot be read.
        LandingError: the earlier files cannot be stored at the destination.
    """
    earlier = ResultCache(folder).find(order)
    if earlier is None:
        log.info("No identical order is known to the cache of results %s.", folder)
        return
    where = where_to(destination, earlier, context)
    manifest = bring(earlier, where, options)
    if manifest is None:
        return
    log.info("Nothing is ordered: job %s of %s was an identical order.", manifest.job_id, manifest.reused_from)
    announce(manifest, where, outlets, context, OrVideoHook(conn_id))
    raise EarlierResult(manifest)
