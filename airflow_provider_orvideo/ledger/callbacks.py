"""What OpenRouter's webhook said about an order whose answer was lost: the id of its job.

Before an order leaves, a *nonce* is drawn for it, kept in its record, and sent along in the callback URL. When the job
has ended, OpenRouter calls that URL, and the API server, which sees neither the record nor Airflow's database here,
keeps the job's id in object storage under the nonce. A later attempt that does not know what became of its order looks
there.

What is kept is a hint. Whoever follows it reads the job with the key first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf
from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_orvideo.landing.reading import whole
from airflow_provider_orvideo.ledger import exclusive
from airflow_provider_orvideo.preflight.media_urls import is_public

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import ObjectStoragePath

    from airflow_provider_orvideo.webhooks import WebhookEvent

T = TypeVar("T")

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
#: Folder below ``[orvideo] state_path``. No DAG's records can lie there: their names have other shapes.
FOLDER: Final = "callbacks"

_NONCE: Final = re.compile(r"[0-9a-f]{32}")


class Reported(BaseModel):
    """What a genuine call said, as it lies in object storage.

    Attributes:
        schema_version: version of this schema.
        job_id: the API's job id.
        status: of the job when the call was made.
        model: model id, None where the call did not say.
        received_at: epoch seconds at which the call came.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    job_id: str
    status: str
    model: str | None = None
    received_at: float


class _Claim(BaseModel):
    """Which nonce a job has reported under; kept under the job's id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    nonce: str


@dataclass(frozen=True)
class Callbacks:
    """Where calls arrive, and where what they say is kept.

    Args:
        webhook_url: public address of the endpoint, without the nonce and without a slash at its end.
        state_path: folder in object storage, as ``ObjectStoragePath`` takes it.
    """

    webhook_url: str
    state_path: str

    @classmethod
    def configured(cls) -> Callbacks | None:
        """Return what Airflow's configuration says; None where webhooks are off, ``[orvideo] webhook_url`` being empty.

        Raises:
            ConfigurationError: an option cannot work.
        """
        url = (conf.get("orvideo", "webhook_url", fallback="") or "").strip()
        if not url:
            return None
        state_path = (conf.get("orvideo", "state_path", fallback="") or "").strip()
        if not state_path:
            raise ConfigurationError(
                "[orvideo] webhook_url is set and [orvideo] state_path is not, so there is no place to keep what a "
                "webhook says. Set state_path to a folder in object storage that the API server and all workers reach, "
                "or webhook_url to nothing."
            )
        _require_store(state_path)
        return cls(_public(url).rstrip("/"), state_path.rstrip("/"))

    def require_usable(self) -> None:
        """Let an order leave: what was configured can work."""

    @staticmethod
    def new_nonce() -> str:
        """Draw a nonce: 128 random bits that nobody guesses, as 32 hex digits."""
        return secrets.token_hex(16)

    def url(self, nonce: str) -> str:
        """Return the ``callback_url`` of an order.

        Raises:
            ValueError: this is no nonce.
        """
        return f"{self.webhook_url}/{_require_nonce(nonce)}"

    def reported(self, nonce: str) -> Reported | None:
        """Return what a genuine call said about the order with this nonce; None for no call so far.

        Raises:
            LedgerUnavailableError: it cannot be read, or is of a newer version; never taken for "no call".
        """
        # Nothing is ever kept under anything else.
        return self._read(self._uri_of(nonce), Reported) if is_nonce(nonce) else None

    def keep(self, nonce: str, event: WebhookEvent, now: float) -> bool:
        """Keep what a call said, unless one has been kept for this nonce, or this job has reported under another one.

        Args:
            nonce: the last part of the address that was called.
            event: of a call whose signature is right.
            now: epoch seconds.

        Returns:
            Whether it was kept by this call. If not, nothing changed.

        Raises:
            ValueError: this is no nonce.
            ConfigurationError: the store cannot keep it safely.
            LedgerUnavailableError: the store refused; the call may be made again.
        """
        uri = self._uri_of(_require_nonce(nonce))
        if (before := self._read(uri, Reported)) is not None:
            _say_known(before, event)
            return False
        # The signature does not cover the address: a genuine call that somebody sends to another address would pass.
        # So each job speaks for one nonce only, the one under which it came first.
        claim = _Claim(nonce=nonce)
        place = self._uri_of_job(event.job_id)
        first = None if self._create(place, claim) else self._read(place, _Claim)
        if first is not None and first != claim:
            log.warning(
                "A webhook of job %s was ignored: the job has reported under another nonce before (it begins with %s), "
                "so somebody sent this call again to another address.",
                event.job_id,
                first.nonce[:6],
            )
            return False
        said = Reported(job_id=event.job_id, status=event.status, model=event.model, received_at=now)
        if self._create(uri, said):
            return True
        if (before := self._read(uri, Reported)) is not None:
            _say_known(before, event)
        return False

    def _uri_of(self, nonce: str) -> str:
        return f"{self.state_path}/{FOLDER}/{nonce}.json"

    def _uri_of_job(self, job_id: str) -> str:
        # A job's id may hold anything; a digest is a name everywhere.
        return f"{self.state_path}/{FOLDER}/jobs/{hashlib.sha256(job_id.encode()).hexdigest()[:32]}.json"

    def _create(self, uri: str, content: BaseModel) -> bool:
        data = json.dumps(content.model_dump(mode="json", exclude_none=True), indent=2).encode()
        return _at(uri, lambda path: exclusive.create(path, data))

    def _read(self, uri: str, kind: type[_Kept]) -> _Kept | None:
        def read(path: ObjectStoragePath) -> bytes | None:
            try:
                return whole(path)
            except FileNotFoundError:
                return None

        data = _at(uri, read)
        if data is None:
            return None
        try:
            kept = kind.model_validate_json(data)
        except ValidationError:
            raise LedgerUnavailableError(
                f"What a webhook said, {uri}, cannot be read. Delete the file to go on as if no call had come."
            ) from None
        if kept.schema_version > SCHEMA_VERSION:
            raise LedgerUnavailableError(
                f"What a webhook said, {uri}, is of version {kept.schema_version}, and cannot be used by this "
                "provider. Upgrade the provider on this machine."
            )
        return kept


_Kept = TypeVar("_Kept", Reported, _Claim)


class UnusableCallbacks:
    """Stands in for callbacks that are meant to be on and cannot work: jobs are followed, and no order leaves.

    Args:
        why: what is wrong.
    """

    def __init__(self, why: ConfigurationError) -> None:
        self._why = str(why)

    def require_usable(self) -> NoReturn:
        """Let no order leave.

        Raises:
            ConfigurationError: what is wrong.
        """
        raise ConfigurationError(f"{self._why} Nothing was sent.")

    def new_nonce(self) -> NoReturn:
        """Let no order leave, as `require_usable`."""
        self.require_usable()

    def url(self, _nonce: str) -> NoReturn:
        """Let no order leave, as `require_usable`."""
        self.require_usable()

    def reported(self, _nonce: str) -> NoReturn:
        """Do not take "cannot be told" for "no call"; as `require_usable`."""
        self.require_usable()


def callbacks_of_orders() -> Callbacks | UnusableCallbacks | None:
    """Return what orders carry, None without webhooks. A wrong option must not stop a paid job from landing."""
    try:
        return Callbacks.configured()
    except ConfigurationError as error:
        log.warning("No new order leaves until this is mended; what was ordered is followed and landed. %s", error)
        return UnusableCallbacks(error)


def is_nonce(text: str) -> bool:
    """Whether this could have come from `Callbacks.new_nonce`."""
    return _NONCE.fullmatch(text) is not None


def _require_nonce(nonce: str) -> str:
    if not is_nonce(nonce):
        raise ValueError("A nonce has 32 hex digits, lower case.")
    return nonce


def _say_known(before: Reported, event: WebhookEvent) -> None:
    if before.job_id != event.job_id:
        log.warning(
            "A webhook of job %s was ignored: job %s has reported under the same nonce before. Two orders never share "
            "one, so look who knows the address.",
            event.job_id,
            before.job_id,
        )


def _public(url: str) -> str:
    """Return the address if OpenRouter can call it, as far as it tells.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        parts: Any = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    fine = parts.scheme == "https" and host and is_public(host) and "@" not in parts.netloc
    if not fine or "?" in url or "#" in url or any(character.isspace() for character in url):
        raise ConfigurationError(
            f"[orvideo] webhook_url is {redact(url)!r}; OpenRouter calls public HTTPS addresses only, without "
            "credentials, query and fragment. Set it to the address under which the world reaches this Airflow's "
            "/orvideo/webhook, for example https://airflow.example.com/orvideo/webhook, or to nothing."
        )
    return url


def _require_store(state_path: str) -> None:
    try:
        _at(state_path, exclusive.require_exclusive)
    except LedgerUnavailableError as error:
        raise ConfigurationError(f"[orvideo] state_path cannot be used: {error}") from error


def _at(uri: str, act: Callable[[ObjectStoragePath], T]) -> T:
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - heavy, and few tasks ask

    try:
        return act(ObjectStoragePath(uri))
    except exclusive.NotExclusiveError as error:
        raise ConfigurationError(
            f"What webhooks say cannot be kept at {uri}: {error}. Set [orvideo] state_path to a folder with hard links "
            "or a bucket of S3, Azure Blob or Cloud Storage."
        ) from error
    except Exception as error:
        # Each store has its own exceptions, and no common base.
        why = redact(f"{type(error).__name__}: {error}").rstrip(".")
        raise LedgerUnavailableError(f"What webhooks say, {uri}, cannot be read or written: {why}.") from error
