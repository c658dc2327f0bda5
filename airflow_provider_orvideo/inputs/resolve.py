"""From a request that names media wherever they lie to one that the API can take."""

from __future__ import annotations

import base64
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_provider_orvideo.api.schema import AudioReference, FrameImage, ImageReference, MediaUrl, VideoReference
from airflow_provider_orvideo.exceptions import ConfigurationError, InputUnavailableError, RequestInvalidError
from airflow_provider_orvideo.inputs import storage
from airflow_provider_orvideo.inputs.address import Place, place_of, shown
from airflow_provider_orvideo.inputs.kinds import KNOWN, Kind, describe, recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_orvideo.api.schema import InputReference, VideoRequest
    from airflow_provider_orvideo.inputs.kinds import Family

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_MAX_IMAGE_BYTES: Final = 10 * 1024 * 1024
DEFAULT_URL_TTL: Final = 4 * 3600
#: The longest that S3 and Google Cloud Storage sign for, in seconds.
LONGEST_URL_TTL: Final = 7 * 86_400


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How media get into a request.

    Attributes:
        max_image_bytes: largest file that becomes a ``data:`` URL, in bytes; the URL is a third longer. How much the
            API takes is not documented (it may answer 413).
        url_ttl: seconds for which signed URLs can be used, at most a week. The API fetches media once the job starts.
    """

    max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES
    url_ttl: int = DEFAULT_URL_TTL

    def __post_init__(self) -> None:
        """Refuse options that cannot be kept.

        Raises:
            ConfigurationError: the message names the option, its value and what is allowed.
        """
        if self.max_image_bytes < 1:
            raise ConfigurationError(
                f"'[orvideo] input_image_max_bytes' is {self.max_image_bytes}; it must be a number of bytes above 0."
            )
        if not 1 <= self.url_ttl <= LONGEST_URL_TTL:
            raise ConfigurationError(
                f"'[orvideo] input_url_ttl' is {self.url_ttl}; it must be a number of seconds from 1 to "
                f"{LONGEST_URL_TTL}, a week."
            )


DEFAULTS: Final = InputOptions()


def resolve(request: VideoRequest, options: InputOptions = DEFAULTS) -> VideoRequest:
    """Return the request with media that the API can fetch; the same one where there is nothing to do.

    HTTPS and ``data:`` URLs stay as they are, unread. Of local files and objects, images become ``data:`` URLs, and
    video and audio become URLs that the store signs. What a file is, its first bytes say: a reference whose ``type`` is
    unset (see `written`) gets the one that they tell, any other must agree with them.

    Blocks, and reads Airflow connections: for a worker, in the task's own thread.

    Args:
        request: addresses as `written` takes them.
        options: caps and lifetimes.

    Raises:
        RequestInvalidError: what can never work, one sentence for each input: no address, too large, nothing known, not
            what its field takes, or a video or audio for which no URL can be signed.
        InputUnavailableError: an input cannot be read now.
    """
    inputs = _Inputs(options)
    frames = inputs.each("frame_images", request.frame_images, inputs.frame)
    references = inputs.each("input_references", request.input_references, inputs.reference)
    if inputs.problems:
        raise RequestInvalidError(tuple(inputs.problems))
    changed: dict[str, Any] = {}
    if frames != request.frame_images:
        changed["frame_images"] = frames
    if references != request.input_references:
        changed["input_references"] = references
    return request.model_copy(update=changed) if changed else request


def connect(requests: Iterable[VideoRequest]) -> None:
    """Read the connections of the stores in which these requests' media lie, so that other threads need not.

    What cannot be read shows when the request is resolved.

    Args:
        requests: addresses as `written` takes them.
    """
    for request in requests:
        frames = [frame.image_url.url for frame in request.frame_images or ()]
        for address in frames + [_address(reference) for reference in request.input_references or ()]:
            with suppress(ValueError, storage.UnreadableError):
                storage.connect(address)


class _RefusedError(Exception):
    """What is wrong with one input: a whole sentence."""


@dataclass
class _Inputs:
    """The inputs of one request; each address is read and signed once."""

    options: InputOptions
    problems: list[str] = field(default_factory=list)
    _looked: dict[str, tuple[storage.Stored, Kind]] = field(default_factory=dict)
    _urls: dict[str, str] = field(default_factory=dict)

    def each(self, name: str, entries: tuple[T, ...] | None, act: Callable[[str, T], T]) -> tuple[T, ...] | None:
        """Replace the entries of a field, and note what is wrong with them."""
        if entries is None:
            return None
        replaced = []
        for position, entry in enumerate(entries):
            try:
                replaced.append(act(f"{name}[{position}]", entry))
            except _RefusedError as refused:
                self.problems.append(str(refused))
        return tuple(replaced)

    def frame(self, name: str, frame: FrameImage) -> FrameImage:
        """Replace one entry of ``frame_images``."""
        address = frame.image_url.url
        if _place(name, address) is Place.WEB:
            return frame
        kind = self._kind(name, address, ("image",))
        if kind.family != "image":
            raise _RefusedError(
                f"'{name}' is {shown(address)}, which is {kind}: a frame must be an image; take a still of it, or use "
                "input_references."
            )
        return FrameImage(image_url=MediaUrl(url=self._url(name, address)), frame_type=frame.frame_type)

    def reference(self, name: str, reference: InputReference) -> InputReference:
        """Replace one entry of ``input_references``."""
        address = _address(reference)
        if _place(name, address) is Place.WEB:
            return reference
        kind = self._kind(name, address, ("image", "audio", "video"))
        type_ = f"{kind.family}_url"
        if "type" in reference.model_fields_set and reference.type != type_:
            raise _RefusedError(
                f"'{name}' has the type '{reference.type}', but {shown(address)} is {kind}: use '{type_}', or give the "
                "address alone."
            )
        url = MediaUrl(url=self._url(name, address))
        if kind.family == "video":
            return VideoReference(type="video_url", video_url=url)
        if kind.family == "audio":
            return AudioReference(type="audio_url", audio_url=url)
        return ImageReference(type="image_url", image_url=url)

    def _kind(self, name: str, address: str, allowed: tuple[Family, ...]) -> Kind:
        if address in self._looked:
            return self._looked[address][1]
        stored = _readable(name, address, lambda: storage.look(address))
        takes = "; ".join(f"{family}: {KNOWN[family]}" for family in allowed)
        if not stored.size:
            raise _RefusedError(f"'{name}' is {shown(address)}, which is an empty file; the field takes {takes}.")
        kind = recognise(stored.head)
        if kind is None:
            raise _RefusedError(
                f"'{name}' is {shown(address)}, which holds {describe(stored.head)}; the field takes {takes}."
            )
        self._looked[address] = stored, kind
        return kind

    def _url(self, name: str, address: str) -> str:
        if address not in self._urls:
            stored, kind = self._looked[address]
            make = self._data_url if kind.family == "image" else self._signed_url
            self._urls[address] = make(name, address, stored, kind)
        return self._urls[address]

    def _data_url(self, name: str, address: str, stored: storage.Stored, kind: Kind) -> str:
        if stored.size > self.options.max_image_bytes:
            raise _RefusedError(
                f"'{name}' is {shown(address)}, {kind} of {stored.size} bytes: at most {self.options.max_image_bytes} "
                "are sent with a request ([orvideo] input_image_max_bytes). Make it smaller, or give an HTTPS URL."
            )
        data = _readable(name, address, lambda: storage.read(address, stored.size))
        log.info("%s: %s is %s of %d bytes; it goes with the request.", name, shown(address), kind, stored.size)
        return f"data:{kind.media_type};base64,{base64.b64encode(data).decode('ascii')}"

    def _signed_url(self, name: str, address: str, stored: storage.Stored, kind: Kind) -> str:
        if place_of(address) is Place.LOCAL:
            raise _RefusedError(
                f"'{name}' is {shown(address)}, {kind} on this machine: the API fetches video and audio by HTTPS only. "
                "Put it into object storage whose connection can sign URLs (S3, Google Cloud Storage, Azure Blob), or "
                "give an HTTPS URL."
            )
        try:
            url = storage.sign(address, media_type=kind.media_type, seconds=self.options.url_ttl)
        except storage.UnreadableError as error:
            raise _unavailable(name, address, error) from None
        except storage.UnusableError as error:
            raise _RefusedError(
                f"'{name}' is {shown(address)}, {kind}: the API fetches video and audio by HTTPS only, and no URL can "
                f"be signed for it: {error}. Put it where a connection can sign URLs (S3, Google Cloud Storage with a "
                "service account's key, Azure Blob with an account key), or give an HTTPS URL."
            ) from None
        log.info(
            "%s: %s is %s of %d bytes; the API gets a signed URL for %d s.",
            name,
            shown(address),
            kind,
            stored.size,
            self.options.url_ttl,
        )
        return url


def _address(reference: InputReference) -> str:
    if isinstance(reference, ImageReference):
        return reference.image_url.url
    if isinstance(reference, AudioReference):
        return reference.audio_url.url
    return reference.video_url.url


def _place(name: str, address: str) -> Place:
    try:
        return place_of(address)
    except ValueError as wrong:
        raise _RefusedError(f"'{name}' {wrong}.") from None


def _readable(name: str, address: str, act: Callable[[], T]) -> T:
    try:
        return act()
    except storage.UnreadableError as error:
        raise _unavailable(name, address, error) from None
    except storage.UnusableError as error:
        raise _RefusedError(f"'{name}' is {shown(address)}: {error}; name a file.") from None


def _unavailable(name: str, address: str, error: storage.UnreadableError) -> InputUnavailableError:
    return InputUnavailableError(
        f"The video request was not sent, nothing was spent. '{name}' is {shown(address)}, which cannot be used now: "
        f"{error}. Check the address, the connection and its rights; a retry reads it again."
    )
