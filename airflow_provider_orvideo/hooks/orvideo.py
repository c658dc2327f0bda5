"""The hook: an Airflow connection in, the API's operations out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_orvideo.api.client import AsyncVideoClient, VideoClient
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.exceptions import (
    AuthenticationError,
    NotFoundError,
    NotSentError,
    OrVideoError,
    ReadInterruptedError,
)
from airflow_provider_orvideo.get_provider_info import get_provider_info
from airflow_provider_orvideo.hooks.connection import config_from_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from airflow_provider_orvideo.api.calls import ContentHead
    from airflow_provider_orvideo.api.config import ClientConfig
    from airflow_provider_orvideo.api.schema import GenerationRecord, KeyInfo, VideoJob, VideoModel, VideoRequest


def _connection_type() -> dict[str, Any]:
    """Return the form as provider info declares it, so that there is one place to change it."""
    declared: dict[str, Any] = get_provider_info()["connection-types"][0]
    return declared


class OrVideoHook(BaseHook):
    """OpenRouter's video API with the key, base URL and settings of an Airflow connection.

    The connection is looked up at the first call, never in the constructor. Use the hook in a ``with`` block, or call
    `close`, to give its connections back.

    Args:
        orvideo_conn_id: id of a connection of type ``orvideo``: password is the API key; host is the base URL, without
            one ``https://openrouter.ai/api/v1``; see the connection's form for the rest. Default: ``orvideo_default``.
        **kwargs: Airflow's own, for ``BaseHook``.

    Raises:
        ConfigurationError: at the first call, where the connection cannot work.
        AirflowNotFoundException: at the first call, where there is no such connection.

    Source: operations and their names are those of OpenRouter's OpenAPI document of 2026-08-22 and of its official SDK
    1.3.84.
    """

    conn_name_attr = "orvideo_conn_id"
    default_conn_name = "orvideo_default"
    conn_type = "orvideo"
    hook_name = "OpenRouter Video"

    def __init__(self, orvideo_conn_id: str = default_conn_name, **kwargs: Any) -> None:  # noqa: ANN401 - BaseHook's own
        super().__init__(**kwargs)
        self.orvideo_conn_id = orvideo_conn_id
        self._client: VideoClient | None = None

    def __enter__(self) -> Self:
        """Enter a block that closes the client at its end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the client's connections; the hook may be used again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # ── Clients ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_config(self) -> ClientConfig:
        """Look the connection up. Blocks: for workers.

        Returns:
            The client's settings, key included; they do not show it.

        Raises:
            ConfigurationError: the connection cannot work; the message names the field.
            AirflowNotFoundException: there is no such connection.
        """
        return config_from_connection(self.get_connection(self.orvideo_conn_id))

    async def aget_config(self) -> ClientConfig:
        """Look the connection up without blocking the event loop: for triggers.

        Returns:
            The client's settings, key included; they do not show it.

        Raises:
            ConfigurationError: the connection cannot work; the message names the field.
            AirflowNotFoundException: there is no such connection.
        """
        return config_from_connection(await self.aget_connection(self.orvideo_conn_id))

    def get_conn(self) -> VideoClient:
        """Return the blocking client, made at the first call.

        Returns:
            The one client of this hook, which `close` closes.

        Raises:
            ConfigurationError: the connection, or the environment's proxy variables, cannot work.
            AirflowNotFoundException: there is no such connection.
        """
        if self._client is None:
            self._client = VideoClient(self.get_config())
        return self._client

    async def aget_conn(self) -> AsyncVideoClient:
        """Return a new asynchronous client, which the caller closes.

        Returns:
            A client of its own for each call.

        Raises:
            ConfigurationError: the connection, or the environment's proxy variables, cannot work.
            AirflowNotFoundException: there is no such connection.
        """
        return AsyncVideoClient(await self.aget_config())

    # ── The API's operations, under its own names ────────────────────────────────────────────────────────────────────

    def generate(self, request: VideoRequest) -> VideoJob:
        """Order one video (``POST /videos``). This costs money and keeps no record: operators go through the ledger.

        Args:
            request: what to make.

        Returns:
            The job as it was accepted, with its id.

        Raises:
            ConfigurationError: the connection cannot work; nothing was sent.
            NotSentError: no connection; nothing was spent.
            ClientStatusError: refused; nothing was spent.
            RedirectError: the base URL leads elsewhere; nothing was accepted.
            OutcomeUnknownError: a job may exist and bill.
        """
        return self.get_conn().generate(request)

    def get_generation(self, job_id: str) -> VideoJob:
        """Read a job's status (``GET /videos/{jobId}``); free.

        Args:
            job_id: the API's opaque job id.

        Returns:
            The job as it is now.

        Raises:
            OrVideoError: as `VideoClient.get_generation`, after four calls in all; or the connection cannot work.
        """
        return self.get_conn().get_generation(job_id)

    def get_video_content(
        self, job_id: str, index: int = 0
    ) -> AbstractContextManager[tuple[ContentHead, Iterator[bytes]]]:
        """Open one output of a completed job as a stream (``GET /videos/{jobId}/content``); free.

        Args:
            job_id: the job.
            index: output, counted from 0. Default: 0.

        Returns:
            What the headers say, and the bytes as they come, to be opened by ``with``.

        Raises:
            OrVideoError: as `VideoClient.get_video_content`; or the connection cannot work.
        """
        return self.get_conn().get_video_content(job_id, index)

    def list_videos_models(self) -> tuple[VideoModel, ...]:
        """Read the catalogue of video models (``GET /videos/models``); free.

        Returns:
            The models, in the order of the answer.

        Raises:
            OrVideoError: as `VideoClient.list_videos_models`; or the connection cannot work.
        """
        return self.get_conn().list_videos_models()

    def get_current_key(self) -> KeyInfo:
        """Read what the key may do and spend, in US dollars (``GET /key``); free.

        Returns:
            The key's limits and kind, never the key.

        Raises:
            OrVideoError: as `VideoClient.get_current_key`; or the connection cannot work.
        """
        return self.get_conn().get_current_key()

    def get_generation_record(self, generation_id: str) -> GenerationRecord:
        """Read a job's accounting record (``GET /generation``); free. 404 for minutes after the job ended.

        Args:
            generation_id: of the job, which it tells once it was processed.

        Returns:
            What the job cost and who served it.

        Raises:
            OrVideoError: as `VideoClient.get_generation_record`; or the connection cannot work.
        """
        return self.get_conn().get_generation_record(generation_id)

    # ── The connection form ──────────────────────────────────────────────────────────────────────────────────────────

    def test_connection(self) -> tuple[bool, str]:
        """Check the key with ``GET /key``, which is free. The catalogue would not do: it answers to any key.

        Returns:
            Whether a video could be ordered with this connection, and a sentence that never holds the key.
        """
        try:
            with VideoClient(self.get_config()) as client:
                key = client.get_current_key(retry=NO_RETRY)
        except AuthenticationError as error:
            return False, f"OpenRouter does not know this API key ({error.message}). Check the password field."
        except (NotSentError, ReadInterruptedError) as error:
            return False, f"The host cannot be reached, so the key was not tested: {error}"
        except OrVideoError as error:
            hint = " Is the base URL right? It usually ends in /api/v1." if isinstance(error, NotFoundError) else ""
            return False, f"{error}{hint}"
        if key.is_management_key or key.is_provisioning_key:
            return False, "The API key works, but it is a management key, which may not generate. Use an ordinary key."
        left = "no limit" if key.limit_remaining is None else f"${key.limit_remaining} left of its limit"
        usable = key.limit_remaining is None or key.limit_remaining > 0
        return usable, f"The API key works ({left})."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the form's labels for Airflow 3.1, which does not read them from provider info."""
        declared = _connection_type()["ui-field-behaviour"]
        return {
            "hidden_fields": declared["hidden-fields"],
            "relabeling": declared["relabeling"],
            "placeholders": declared["placeholders"],
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields for Airflow 3.1, which does not read them from provider info."""
        # Only that version's form needs wtforms, and it brings it along.
        from wtforms import BooleanField, PasswordField, StringField  # noqa: PLC0415

        kinds = {"boolean": BooleanField, "password": PasswordField}
        return {
            name: kinds.get(field["schema"].get("format", field["schema"]["type"][0]), StringField)(
                field["label"], description=field["description"]
            )
            for name, field in _connection_type()["conn-fields"].items()
        }
