"""What an attempt wants, found out no earlier than it matters: a job that exists is followed without."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_orvideo.exceptions import ConfigurationError, InputUnavailableError, RequestInvalidError
from airflow_provider_orvideo.ledger.decision import was_cleared
from airflow_provider_orvideo.ledger.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoRequest
    from airflow_provider_orvideo.ledger.purchase import Attempt
    from airflow_provider_orvideo.ledger.record import Record

log = logging.getLogger(__name__)


def unchanged(request: VideoRequest) -> VideoRequest:
    """Return the request as it is."""
    return request


class Wanted:
    """The order of one attempt.

    Args:
        request: what is wanted, or what tells it. The latter is asked once, and only where an order may leave: without
            a record, or after a person cleared the task. Its answer may be another one at each call.
        resolve: replaces addresses that only this worker can read by what the API takes.
        client: of the connection that pays.
        attempt: who asks.
    """

    def __init__(
        self,
        request: VideoRequest | Callable[[], VideoRequest],
        resolve: Callable[[VideoRequest], VideoRequest],
        client: VideoClient,
        attempt: Attempt,
    ) -> None:
        self._given = request
        self._resolve = resolve
        self._base_url = client.config.base_url
        self._attempt = attempt
        #: Kept by itself: what cannot be resolved must not be asked for again.
        self._told: VideoRequest | None = None
        self._request: VideoRequest | None = None

    @property
    def request(self) -> VideoRequest:
        """What is wanted, as the API takes it.

        Raises:
            ConfigurationError: an option says nothing of how media are sent.
            InputUnavailableError: a medium cannot be read now.
            RequestInvalidError: a medium can never be sent.
        """
        if self._request is None:
            if self._told is None:
                self._told = self._given() if callable(self._given) else self._given
            self._request = self._resolve(self._told)
        return self._request

    @property
    def fingerprint(self) -> str:
        """The order's identity, of what `request` is now; raises as it does."""
        return fingerprint(
            self.request, conn_id=self._attempt.conn_id, base_url=self._base_url, models=self._attempt.models
        )

    def identity(self, before: Record | None) -> str:
        """Return the fingerprint by which this order is told from the one on record.

        Args:
            before: what is on record.

        Raises:
            ConfigurationError, InputUnavailableError, RequestInvalidError: as `request`, and no job exists that could
                be followed instead.
        """
        is_told = callable(self._given) and before is not None and not was_cleared(before, self._attempt.max_tries)
        if before is not None and (self._attempt.goes_on or is_told):
            return before.fingerprint
        try:
            return self.fingerprint
        except (ConfigurationError, InputUnavailableError, RequestInvalidError) as error:
            if before is None or before.job_id is None:
                raise
            log.warning(
                "Whether the request changed since job %s was ordered cannot be told; taken for the same. %s",
                before.job_id,
                error,
            )
            return before.fingerprint
