"""Brings the videos of a batch home, each as the download operator does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_orvideo.exceptions import (
    DestinationError,
    DestinationExistsError,
    OrVideoError,
    RequestInvalidError,
)
from airflow_provider_orvideo.landing import media
from airflow_provider_orvideo.landing.land import land
from airflow_provider_orvideo.landing.naming import destination
from airflow_provider_orvideo.landing.publish import Publisher, require_usable, why
from airflow_provider_orvideo.operators.batching.concurrently import each
from airflow_provider_orvideo.operators.failures import is_final
from airflow_provider_orvideo.operators.observing import landing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.manifests import LandedManifest
    from airflow_provider_orvideo.operators.batching.items import Item
    from airflow_provider_orvideo.operators.batching.state import State
    from airflow_provider_orvideo.operators.batching.wishes import Wishes

log = logging.getLogger(__name__)


class Landings:
    """Where the videos go.

    Args:
        client: of the connection that the jobs belong to.
        pattern: the destination, as its author wrote it.
        values: what its placeholders stand for, but for those of an item.
        wishes: what the batch's author wants.
        task_instance: Airflow's.
        on_landed: is told the manifest of each item that lies there, by several threads.
    """

    def __init__(
        self,
        client: VideoClient,
        pattern: str,
        values: Mapping[str, str],
        wishes: Wishes,
        *,
        task_instance: object,
        on_landed: Callable[[LandedManifest], None],
    ) -> None:
        self._client = client
        self._pattern = pattern
        self._values = values
        self._wishes = wishes
        self._task_instance = task_instance
        self._on_landed = on_landed
        #: One for each store. Made in the task's own thread, since Airflow's connections are read there.
        self._publishers: dict[str, Publisher] = {}
        #: The address of each item's first video.
        self._taken: dict[str, str] = {}

    def where(self, key: str, *, job_id: str, model: str) -> Destination:
        """Return where the videos of an item go.

        Raises:
            DestinationError: the pattern cannot be used.
        """
        return destination(self._pattern, {**self._values, "item": key, "job_id": job_id, "model": model})

    def require_places(self, items: Iterable[Item]) -> None:
        """Refuse a destination that cannot be used, or where the videos of two items would lie at the same address.

        Raises:
            DestinationError: the pattern or the store cannot be used.
            RequestInvalidError: two items have one address.
        """
        taken = self._taken
        for item in items:
            # A job's id is each job's own, so that any two will do.
            where = self.where(item.key, job_id=f"job-of-{len(taken)}", model=item.request.model)
            self._require_usable(where)
            uri = where.uri(0, media.MP4.extension, outputs=1)
            other = taken.setdefault(uri, item.key)
            if other != item.key:
                problem = (
                    f"'destination' is {self._pattern!r}, by which items {other!r} and {item.key!r} would lie at the "
                    f"same address, {uri}. Put {{item}} or {{job_id}} into it, or give them other ids."
                )
                raise RequestInvalidError((problem,))

    def _require_usable(self, where: Destination) -> None:
        try:
            self._publisher(where)
        except DestinationError as error:
            raise DestinationError(
                f"The destination {self._pattern} cannot be used: {why(error)}. Nothing is ordered now, and what this "
                "task has paid for before can be landed: check the bucket, the connection's credentials and the "
                "installed file system, then run this task again."
            ) from (error.__cause__ or error)

    def land(self, states: Sequence[State]) -> None:
        """Land the videos of these items, several at a time. What goes wrong with one is noted in its line."""
        ready: list[tuple[State, Destination, Publisher]] = []
        for state in states:
            job = state.manifest()
            try:
                where = self.where(state.item.key, job_id=job.job_id, model=job.model or "unknown")
                self._require_own(state.item.key, where, job.outputs)
                ready.append((state, where, self._publisher(where)))
            except OrVideoError as error:
                self._failed(state, error)
        each(self._land, ready, at_once=self._wishes.max_concurrent_downloads)

    def _require_own(self, key: str, where: Destination, outputs: int) -> None:
        """Refuse to lay a further video of an item where another item's first one goes."""
        for index in range(1, outputs):
            uri = where.uri(index, media.MP4.extension, outputs=outputs)
            if self._taken.get(uri, key) != key:
                raise DestinationExistsError(
                    f"Video {index} of item {key!r} would lie at {uri}, where that of item {self._taken[uri]!r} goes. "
                    "Nothing was overwritten; the video is paid for. Put {index} or {job_id} into 'destination' and "
                    "clear this task."
                )

    def _publisher(self, where: Destination) -> Publisher:
        first = where.uri(0, media.MP4.extension, outputs=1)
        scheme, slashes, rest = first.partition("://")
        store = f"{scheme}{slashes}{rest.partition('/')[0]}"
        if store not in self._publishers:
            require_usable(first)
            self._publishers[store] = Publisher(first)
        return self._publishers[store]

    def _land(self, ready: tuple[State, Destination, Publisher]) -> None:
        state, where, publisher = ready
        job = state.manifest()
        try:
            with landing(self._wishes.conn_id, job, self._task_instance) as watch:
                manifest = land(
                    self._client, job, where, self._wishes.landing, publisher=publisher, on_landed=watch.landed
                )
                watch.done(manifest)
        except (OrVideoError, OSError) as error:
            self._failed(state, error)
        else:
            state.landed(manifest)
            self._on_landed(manifest)

    def _failed(self, state: State, error: Exception) -> None:
        log.warning("The video of item %s did not land: %s", state.item.key, error)
        state.landing_failed(error, retryable=not is_final(error, self._wishes.policies))
