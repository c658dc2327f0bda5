"""Puts a batch together from the operator's arguments; done anew by each worker that takes it up."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.client import VideoClient
from airflow_provider_orvideo.exceptions import BatchIncompleteError, ConfigurationError, RequestInvalidError
from airflow_provider_orvideo.ledger.callbacks import callbacks_of_orders
from airflow_provider_orvideo.manifests import iso
from airflow_provider_orvideo.operators.announcing import tell_collector, tell_outlets
from airflow_provider_orvideo.operators.batching.engine import Batch
from airflow_provider_orvideo.operators.batching.items import read_items
from airflow_provider_orvideo.operators.batching.landings import Landings
from airflow_provider_orvideo.operators.batching.lines import Line, Owner, default_uri, read_lines
from airflow_provider_orvideo.operators.batching.looking import AT_ONCE
from airflow_provider_orvideo.operators.batching.spending import Spending
from airflow_provider_orvideo.operators.batching.state import State
from airflow_provider_orvideo.operators.batching.stores import stores_for
from airflow_provider_orvideo.operators.batching.wishes import Wishes
from airflow_provider_orvideo.operators.bringing import options_of, placeholders
from airflow_provider_orvideo.operators.media_field import media_of
from airflow_provider_orvideo.preflight.inspection import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.hooks.orvideo import OrVideoHook
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.ledger.stores import Store
    from airflow_provider_orvideo.manifests import LandedManifest
    from airflow_provider_orvideo.operators.batch import OrVideoBatchOperator

#: Connections beside those that are in use at the same time.
_SPARE: Final = 2


@dataclass
class Run:
    """A batch in the hands of one worker.

    Attributes:
        batch: the items and how far they are.
        manifest: where the manifest lies.
        where: an item's destination, for the folder that is the same for all.
        landed: what this worker landed, or found to have landed, and has not told Airflow yet.
    """

    batch: Batch
    manifest: str
    where: Destination
    landed: list[LandedManifest] = field(default_factory=list)

    def announce(self, hook: BaseHook) -> None:
        """Report each file once as what the hook made."""
        while self.landed:
            tell_collector(self.landed.pop().files, hook)

    def tell_outlets(self, summary: dict[str, Any], outlets: Iterable[object], context: Context) -> None:
        """Give each outlet's event the summary."""
        tell_outlets(summary, self.where.folder, outlets, context)


@contextmanager
def prepared(operator: OrVideoBatchOperator, context: Context, hook: OrVideoHook, *, is_resumed: bool) -> Iterator[Run]:
    """Read arguments, manifest and records. Nothing is ordered yet, and all that can be wrong with the list shows.

    Args:
        operator: with its templates rendered.
        context: Airflow's.
        hook: of the connection that pays.
        is_resumed: whether this attempt has done this before.

    Raises:
        OrVideoError: an argument, the list, the destination or the manifest cannot be used.
    """
    requests, defaults = (media_of(operator, value) for value in (operator.requests, operator.defaults))
    try:
        items = read_items(requests, defaults=defaults, model=operator.model)
    except (ConfigurationError, RequestInvalidError) as error:
        if not is_resumed:
            raise
        why = " ".join(error.problems) if isinstance(error, RequestInvalidError) else str(error)
        raise BatchIncompleteError(
            f"The list cannot be used any more: {why} Jobs that this task has ordered go on and bill. Mend the list, "
            "then retry or clear this task: it finds those jobs, and pays for none twice."
        ) from error
    wishes = _wishes(operator, context)
    task_instance = context["ti"]
    values = placeholders(context)
    owner = Owner(**{name: values[name] for name in ("dag_id", "run_id", "task_id", "map_index")})
    config = hook.get_config()
    most = max(config.max_connections, wishes.max_concurrent_downloads + _SPARE, AT_ONCE + _SPARE)
    with VideoClient(replace(config, max_connections=most)) as client:
        landed: list[LandedManifest] = []
        landings = Landings(
            client, str(operator.destination), values, wishes, task_instance=task_instance, on_landed=landed.append
        )
        landings.require_places(items)
        where = landings.where("item", job_id="job", model="model")
        manifest = str(operator.manifest or "") or default_uri(where, owner)
        stores = stores_for(context, (item.key for item in items), warn=not is_resumed)
        batch = Batch(
            [State(item, stores[item.key], owner) for item in items],
            earlier=_with_records(read_lines(manifest, owner), stores, context),
            manifest=manifest,
            client=client,
            wishes=wishes,
            read_rules=operator.rules,
            spending=_spending(operator),
            landings=landings,
            task_instance=task_instance,
            is_resumed=is_resumed,
        )
        batch.begin()
        yield Run(batch, manifest, where, landed)


def _with_records(lines: dict[str, Line], wanted: Mapping[str, Store], context: Context) -> dict[str, Line]:
    """Look after items that left the list: a worker may have died between their orders and the manifest.

    Raises:
        LedgerUnavailableError: a record cannot be read.
    """
    gone = [key for key, line in lines.items() if key not in wanted and not line.is_worth_keeping]
    for key, store in stores_for(context, gone, warn=False).items():
        record = store.load()
        if record is not None:
            shared = ("job_id", "cost_usd", "estimated_cost_usd", "model", "past", "try_number")
            job: dict[str, Any] = {name: getattr(record, name) for name in shared}
            job |= {"job_status": record.status, "lost": tuple(str(iso(at)) for at in record.all_lost())}
            lines[key] = lines[key].model_copy(update=job)
    return lines


def _wishes(operator: OrVideoBatchOperator, context: Context) -> Wishes:
    try_number, max_tries = operator.attempt(context)
    return Wishes(
        conn_id=operator.orvideo_conn_id,
        policies=operator.policies,
        callbacks=callbacks_of_orders(),
        try_number=try_number,
        max_tries=max_tries,
        timeout=operator.timeout,
        poll_interval=operator.poll_interval,
        max_in_flight=operator.max_in_flight,
        max_concurrent_submits=operator.max_concurrent_submits,
        max_concurrent_downloads=operator.max_concurrent_downloads,
        # As many as the author allows are under way already, one for each item.
        landing=replace(options_of(operator), concurrency=1),
    )


def _spending(operator: OrVideoBatchOperator) -> Spending:
    try:
        return Spending(dollars("budget_usd", operator.budget_usd), dollars("max_cost_usd", operator.max_cost_usd))
    except ConfigurationError:
        # The rules for new orders cannot be read either, so that none leaves; what is paid for may still land.
        return Spending(None, None)
