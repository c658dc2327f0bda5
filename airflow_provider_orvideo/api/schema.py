"""The API's request and answers as frozen pydantic models.

Requests are strict: an argument that the API does not know is refused before anything is sent. Answers are lenient: the
server may add fields, statuses and values at any time, and nothing it adds breaks parsing.

Source of the fields: OpenRouter's OpenAPI document of 2026-08-22 with the later additions of its official SDK 1.3.84.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from airflow_provider_orvideo.api.lenient import (
    Bool,
    ErrorText,
    Int,
    Ints,
    Lenient,
    Money,
    OddStatus,
    Strings,
    Text,
    Texts,
)
from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import RequestInvalidError, ResponseInvalidError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT", bound=BaseModel)


# ── The request ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Strict(BaseModel):
    """Frozen; an unknown argument is an error. Input values never show in a validation error's text."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, coerce_numbers_to_str=True, allow_inf_nan=False
    )


class MediaUrl(_Strict):
    """Where a medium lies.

    Attributes:
        url: HTTPS, or for images ``data:image/…``. Not shown in repr: it may be signed, or megabytes long.

    Source: OpenRouter's OpenAPI document of 2026-08-22. Which kinds of URL are taken: answers of the live API recorded
    in September and October 2026.
    """

    url: Annotated[str, Field(min_length=1, repr=False)]


class FrameImage(_Strict):
    """One entry of ``frame_images``: an image that the video starts or ends with.

    Attributes:
        type: ``image_url``, which is all that the API takes here.
        image_url: the image.
        frame_type: ``first_frame`` or ``last_frame``.

    Source: OpenRouter's OpenAPI document of 2026-08-22.
    """

    type: Literal["image_url"] = "image_url"
    image_url: MediaUrl
    frame_type: Literal["first_frame", "last_frame"]


class ImageReference(_Strict):
    """One entry of ``input_references``: an image to take style or content from.

    Attributes:
        type: ``image_url``.
        image_url: the image.

    Source: OpenRouter's OpenAPI document of 2026-08-22.
    """

    type: Literal["image_url"] = "image_url"
    image_url: MediaUrl


class AudioReference(_Strict):
    """One entry of ``input_references``: an audio file; models that cannot use it ignore it silently.

    Attributes:
        type: ``audio_url``.
        audio_url: the file, by HTTPS only.

    Source: OpenRouter's OpenAPI document of 2026-08-22. HTTPS only: answers of the live API to videos, recorded in
    September and October 2026.
    """

    type: Literal["audio_url"] = "audio_url"
    audio_url: MediaUrl


class VideoReference(_Strict):
    """One entry of ``input_references``: a video file; models that cannot use it ignore it silently.

    Attributes:
        type: ``video_url``.
        video_url: the file, by HTTPS only.

    Source: OpenRouter's OpenAPI document of 2026-08-22. HTTPS only: answers of the live API recorded in September and
    October 2026.
    """

    type: Literal["video_url"] = "video_url"
    video_url: MediaUrl


InputReference = Annotated[ImageReference | AudioReference | VideoReference, Field(discriminator="type")]


class ProviderOptions(_Strict):
    """``provider``: passthrough parameters.

    Attributes:
        options: by provider slug. The API drops keys that it does not recognise.

    Source: OpenRouter's OpenAPI document of 2026-08-22.
    """

    options: dict[str, dict[str, Any]]


class VideoRequest(_Strict):
    """``VideoGenerationRequest``: what ``POST /videos`` takes. Only ``model`` is always needed.

    Build it with `build`, whose error is made for people. What only the live catalogue can judge (which durations a
    model supports, say) is not judged here.

    Attributes:
        model: model id, for example ``google/veo-3.1``.
        prompt: what to show; optional for models that work from an image alone.
        aspect_ratio: ``16:9``, ``9:16``, ``1:1``, … (open list).
        callback_url: HTTPS URL that gets a webhook at the end of the job; overrides the workspace's default.
        creativity: upscaling models only; one of the model's list.
        duration: whole seconds, at least 1; one of the model's supported durations.
        frame_images: first and last frame. If ``input_references`` are given too, the API uses only these.
        generate_audio: sound on or off. Unset, the model's own default holds, which may double the price.
        input_references: images, audio and videos to take style or content from.
        previous_job_id: id of a completed job to continue or edit, on models that can.
        provider: passthrough parameters: ``{"options": {"<provider slug>": {…}}}``.
        resolution: ``480p``, ``720p``, ``1080p``, … (open list).
        seed: for repeatable results where the model honours it.
        session_id: at most 256 characters, for observability only.
        size: ``WIDTHxHEIGHT`` in pixels, instead of resolution and aspect ratio.
        trace: metadata for OpenRouter's broadcast feature (``trace_id``, ``span_name``, … and any other key).
        upscale_factor: factor by which width and height grow, above 0; upscaling models only.
        user: id of your end user; not sent to the provider.

    None, the default of all fields but ``model``, is not sent and leaves the field to the API.

    Source: OpenRouter's OpenAPI document of 2026-08-22; ``previous_job_id``, ``session_id``, ``trace`` and ``user`` are
    newer and come from its official SDK 1.3.84. What happens to frames beside references: OpenRouter's guide.
    """

    model: Annotated[str, Field(min_length=1)]
    prompt: Annotated[str | None, Field(pattern=r"\S")] = None
    aspect_ratio: str | None = None
    callback_url: Annotated[str | None, Field(pattern=r"^https://", repr=False)] = None
    creativity: int | None = None
    duration: Annotated[int | None, Field(ge=1)] = None
    frame_images: tuple[FrameImage, ...] | None = None
    generate_audio: bool | None = None
    input_references: tuple[InputReference, ...] | None = None
    previous_job_id: Annotated[str | None, Field(min_length=1)] = None
    provider: ProviderOptions | None = None
    resolution: str | None = None
    seed: int | None = None
    session_id: Annotated[str | None, Field(max_length=256)] = None
    size: Annotated[str | None, Field(pattern=r"^[1-9]\d*x[1-9]\d*$")] = None
    trace: dict[str, Any] | None = None
    upscale_factor: Annotated[float | None, Field(gt=0)] = None
    user: str | None = None

    @classmethod
    def build(cls, **arguments: Any) -> VideoRequest:  # noqa: ANN401 - validated right here
        """Build a request; None means "not set". Numbers, booleans and JSON may come as text, as templates render them.

        Args:
            **arguments: the fields, by name.

        Returns:
            The request; whether its model supports it is not judged here.

        Raises:
            RequestInvalidError: one sentence for each wrong field: its name, its value, what is allowed.
        """
        try:
            given = {name: _decoded(name, value) for name, value in arguments.items() if value is not None}
            request = cls.model_validate(given)
        except ValidationError as error:
            # Without "from None" the traceback would print pydantic's own text next to ours.
            raise RequestInvalidError(tuple(_explain(problem) for problem in error.errors())) from None
        _check_writable(request)
        return request

    def to_wire(self) -> dict[str, Any]:
        """Make the JSON body for ``POST /videos``.

        Returns:
            The fields that are set; no other.
        """
        return self.model_dump(mode="json", exclude_none=True)


#: Fields that are lists or objects; a template renders them as JSON text.
_NESTED: Final = frozenset({"frame_images", "input_references", "provider", "trace"})


def _decoded(name: str, value: Any) -> Any:  # noqa: ANN401 - validated by the caller
    """Read a nested field that a template rendered to text; what is no JSON is left for the validation to name."""
    if name in _NESTED and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _check_writable(request: VideoRequest) -> None:
    """Refuse what JSON in UTF-8 cannot carry: half a surrogate pair, or odd objects in ``trace`` and ``provider``."""
    wrong = []
    for name in request.model_fields_set:
        try:
            value = request.model_dump(mode="json", include={name})
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            wrong.append(f"'{name}' cannot be written as JSON ({redact(ascii(str(error)), limit=120)}); change it.")
    if wrong:
        raise RequestInvalidError(tuple(wrong))


#: What stands inside frame images, references and provider options.
_NESTED_FIELDS: Final = ("type", "frame_type", "image_url", "audio_url", "video_url", "url", "options")
#: What a pattern means, in words.
_ALLOWED: Final = {
    "callback_url": "it must begin with https://",
    "prompt": "it must not be blank; leave it out for a model that works from an image alone",
    "size": "it must be WIDTHxHEIGHT in pixels, for example 1280x720",
}


def _explain(problem: ErrorDetails) -> str:
    """Turn one pydantic complaint into a sentence with field, value, what is allowed and what to do."""
    path = [str(part) for part in problem["loc"]]
    field = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = tuple(VideoRequest.model_fields) if len(path) == 1 else _NESTED_FIELDS
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known fields: {', '.join(known)}."
        return f"'{field}' is not a field of a video request; {hint}"
    if problem["type"] == "missing":
        return f"'{field}' is missing; set it."
    value = redact(repr(problem["input"]), limit=80)
    allowed = _ALLOWED.get(field) or f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"'{field}' is {value}: {allowed}; change it."


# ── The answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class JobStatus(StrEnum):
    """The statuses known today. The field itself is a plain string: the server may invent others.

    Source: OpenRouter's OpenAPI document of 2026-08-22, but for ``dead``.
    """

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    #: Undocumented; OpenRouter's own ai-sdk-provider 3.1.0 treats it as an end without a video.
    DEAD = "dead"


TERMINAL_STATUSES: Final = frozenset(
    {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED, JobStatus.DEAD}
)


class _Answer(BaseModel):
    """Frozen; unknown fields are dropped, for they may hold what must not be kept."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class Usage(_Answer):
    """What a job cost.

    Attributes:
        cost: US dollars; None when unknown (own provider key, failed job), never 0 for unknown.
        is_byok: whether the provider billed the user's own key instead.

    Source: OpenRouter's OpenAPI document of 2026-08-22.
    """

    cost: Money = None
    is_byok: Bool = None


class VideoJob(_Answer):
    """``VideoGenerationResponse``: the answer to a submit and to every poll.

    Attributes:
        id: opaque job id.
        status: one of `JobStatus`, or anything newer.
        polling_url: absolute or relative to the API's origin; informative, since polls are built from ``id``.
        error: why the job ended without a video, secrets removed.
        generation_id: id for ``GET /generation``; None until the job was processed.
        unsigned_urls: content URLs that need the API key; not shown in repr.
        urls: signed URLs, each a secret; None where no stored copy exists.
        expires_at: unix seconds until which the stored copy is kept.
        usage: cost, once completed.

    Source: OpenRouter's OpenAPI document of 2026-08-22; ``urls`` and ``expires_at`` are newer and come from its
    official SDK 1.3.84.
    """

    id: Annotated[str, Field(min_length=1)]
    status: Annotated[str, OddStatus] = "unknown"
    polling_url: Annotated[Text, Field(repr=False)] = None
    error: ErrorText = None
    generation_id: Text = None
    unsigned_urls: Annotated[tuple[str, ...], Strings, Field(repr=False)] = ()
    urls: Annotated[tuple[SecretStr, ...], Strings, Field(repr=False)] = ()
    expires_at: Int = None
    usage: Annotated[Usage | None, Lenient] = None

    @property
    def is_terminal(self) -> bool:
        """Whether the status can no longer change. An unknown status is not terminal."""
        return self.status in TERMINAL_STATUSES

    @property
    def output_count(self) -> int:
        """Number of videos of the job; at least 1 once completed, since the content endpoint serves index 0."""
        listed = max(len(self.unsigned_urls), len(self.urls))
        return max(listed, 1) if self.status == JobStatus.COMPLETED else listed


class UpscaleRange(_Answer):
    """Allowed ``upscale_factor``.

    Attributes:
        min: least factor, None for unknown.
        max: largest factor, None for unknown.

    Source: OpenRouter's OpenAPI document of 2026-08-22.
    """

    min: Money = None
    max: Money = None


class VideoModel(_Answer):
    """One entry of ``GET /videos/models``. None means unknown, never forbidden.

    Attributes:
        id: model id, as a request names it.
        canonical_slug: the id with the date of its version.
        name: for people.
        created: unix seconds.
        description: for people, often cut short.
        hugging_face_id: of the model's weights.
        supported_resolutions: such as ``720p``.
        supported_aspect_ratios: such as ``16:9``.
        supported_sizes: ``WIDTHxHEIGHT`` in pixels.
        supported_durations: whole seconds.
        supported_frame_images: ``first_frame``, ``last_frame`` or both.
        upscale_factor: for upscaling models.
        creativity: for upscaling models, the values that a request may have.
        generate_audio: whether the model makes sound, and does so unless the request says otherwise.
        seed: whether the model honours one.
        allowed_passthrough_parameters: keys that ``provider.options`` may have.
        pricing_skus: prices by SKU name, as decimal text: US dollars, or US cents where the name begins with
            ``cents_`` or ``minimum_cents_``.

    Source: OpenRouter's OpenAPI document of 2026-08-22. What the names of SKUs mean: bills of the live API and the
    catalogue, recorded in September and October 2026.
    """

    id: Annotated[str, Field(min_length=1)]
    canonical_slug: Text = None
    name: Text = None
    created: Int = None
    description: Text = None
    hugging_face_id: Text = None
    supported_resolutions: Texts = None
    supported_aspect_ratios: Texts = None
    supported_sizes: Texts = None
    supported_durations: Ints = None
    supported_frame_images: Texts = None
    upscale_factor: Annotated[UpscaleRange | None, Lenient] = None
    creativity: Ints = None
    generate_audio: Bool = None
    seed: Bool = None
    allowed_passthrough_parameters: Texts = None
    pricing_skus: Annotated[Mapping[str, str] | None, Lenient] = None


class KeyInfo(_Answer):
    """``GET /key``: what the key may do. ``label`` is left out, for it shows part of the key.

    Attributes:
        limit: spending limit in US dollars, None for none.
        limit_remaining: US dollars left under the limit, None for no limit. Lags by minutes.
        limit_reset: how often the limit begins anew: ``daily``, ``weekly``, ``monthly``; None for never.
        usage: US dollars spent with this key. Lags by minutes.
        is_free_tier: whether the account has never bought credits.
        is_management_key: such a key reads accounts and may not generate.
        is_provisioning_key: an older name for the same.
        expires_at: ISO 8601, None for never.

    Source: OpenRouter's OpenAPI document of 2026-08-22.
    """

    limit: Money = None
    limit_remaining: Money = None
    limit_reset: Text = None
    usage: Money = None
    is_free_tier: Bool = None
    is_management_key: Bool = None
    is_provisioning_key: Bool = None
    expires_at: Text = None


class GenerationRecord(_Answer):
    """``GET /generation``: the accounting record of a job, minutes after it ended.

    Attributes:
        id: of the record, the job's ``generation_id``.
        model: id of the model's version that served.
        provider_name: who served it.
        api_type: kind of API that was called.
        created_at: ISO 8601.
        total_cost: US dollars.
        usage: US dollars that count as usage of the account.
        is_byok: whether the provider billed the user's own key instead.
        generation_time: milliseconds the provider took.
        latency: milliseconds until the provider answered first.
        finish_reason: as the provider tells it.
        data_region: where the request was processed.

    Source: OpenRouter's OpenAPI document of 2026-08-22. When the record appears: the live API, October 2026.
    """

    id: Annotated[str, Field(min_length=1)]
    model: Text = None
    provider_name: Text = None
    api_type: Text = None
    created_at: Text = None
    total_cost: Money = None
    usage: Money = None
    is_byok: Bool = None
    generation_time: Annotated[float | None, Lenient] = None
    latency: Annotated[float | None, Lenient] = None
    finish_reason: Text = None
    data_region: Text = None


def parse_answer(kind: type[AnswerT], payload: Any, *, operation: str) -> AnswerT:  # noqa: ANN401
    """Build ``kind`` from decoded JSON.

    Raises:
        ResponseInvalidError: the payload lacks what the model cannot do without.
    """
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        missing = ", ".join(".".join(map(str, problem["loc"])) or "the body" for problem in error.errors())
        shown = redact(str(payload), limit=200)
        raise ResponseInvalidError(
            f"{operation} was answered with a 2xx that is not the API's: {missing} missing or malformed in {shown}"
        ) from None


def parse_models(payload: Any) -> tuple[VideoModel, ...]:  # noqa: ANN401 - decoded JSON
    """Read the catalogue entry by entry: an entry that cannot be read is left out and logged, the rest stays.

    Raises:
        ResponseInvalidError: there is no list at all.
    """
    entries = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(entries, list):
        raise ResponseInvalidError(
            f"listVideosModels was answered with a 2xx without a list under 'data': {redact(str(payload), limit=200)}"
        )
    models = []
    for position, entry in enumerate(entries):
        try:
            models.append(VideoModel.model_validate(entry))
        except ValidationError:
            log.warning("Left out entry %d of the video model catalogue: it has no id.", position)
    return tuple(models)
