"""Is this request possible with this model? What the API is known to refuse, or to ignore silently. Pure.

Source: the model's own entry in ``GET /videos/models``, OpenRouter's specification and guide, and answers of the live
API recorded in September and October 2026. A capability that an entry does not tell is unknown, never forbidden. An
entry may contradict its own price list; its capabilities count, for they are what the API compares with.
"""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from airflow_provider_orvideo.exceptions import ConfigurationError, RequestUnsupportedError
from airflow_provider_orvideo.preflight.media_urls import media_violations
from airflow_provider_orvideo.preflight.nearest import (
    SEARCHED,
    nearest_number,
    nearest_ratio,
    nearest_resolution,
    nearest_size,
)
from airflow_provider_orvideo.preflight.passthrough import passthrough_violations
from airflow_provider_orvideo.preflight.violation import REMOVE, Rename, Violation, adjusted, listed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest

__all__ = [
    "REMOVE",
    "OnUnsupported",
    "Rename",
    "Violation",
    "adjusted",
    "check_on_unsupported",
    "find_model",
    "require_possible",
    "resolved",
    "unknown_model",
    "violations",
]

log = logging.getLogger(__name__)

OnUnsupported = Literal["fail", "adjust", "warn"]

#: An adjusted value may show the next thing that is wrong: the model's name first, then what that model supports.
_ROUNDS: Final = 3
#: How many model ids a message suggests, and how much alike they must be, 0 to 1.
_SUGGESTED: Final = 3
_ALIKE: Final = 0.5


def violations(request: VideoRequest, model: VideoModel | None = None) -> tuple[Violation, ...]:
    """Return everything that makes this request impossible or pointless; empty where nothing is known against it.

    Args:
        request: what is to be ordered.
        model: the entry of ``request.model`` in the catalogue; None where it is not known, and only what holds for
            every model is judged.
    """
    return tuple(_violations(request, model))


def require_possible(request: VideoRequest, model: VideoModel | None = None) -> None:
    """Refuse a request that cannot work.

    Raises:
        RequestUnsupportedError: one sentence for each violation; nothing was sent.
    """
    found = violations(request, model)
    if found:
        raise RequestUnsupportedError(tuple(map(str, found)))


def resolved(
    request: VideoRequest, catalogue: Sequence[VideoModel] | None = None, on_unsupported: OnUnsupported = "fail"
) -> VideoRequest:
    """Return the request that may be sent, as ``on_unsupported`` wants it.

    Args:
        request: what is to be ordered.
        catalogue: all models; None where they are not known.
        on_unsupported: ``fail``: refuse what cannot work. ``adjust``: take the nearest allowed values, and log them.
            ``warn``: log what is wrong, and let the API decide.

    Raises:
        RequestUnsupportedError: refused, or some values have none that is near; nothing was sent.
        ConfigurationError: ``on_unsupported`` is none of the three.
    """
    check_on_unsupported(on_unsupported)
    found = _all(request, catalogue)
    rounds = _ROUNDS if on_unsupported == "adjust" else 0
    while found and rounds:
        request = adjusted(request, found)
        for violation in found:
            log.warning("Adjusted the request: %s", violation)
        found = _all(request, catalogue)
        rounds -= 1
    if found and on_unsupported != "warn":
        raise RequestUnsupportedError(tuple(map(str, found)))
    for violation in found:
        log.warning("The API may refuse or ignore this, and it is sent as it is: %s", violation)
    return request


def check_on_unsupported(value: str) -> None:
    """Refuse a policy that is misspelt.

    Raises:
        ConfigurationError: the value is not one of `OnUnsupported`.
    """
    if value not in get_args(OnUnsupported):
        raise ConfigurationError(
            f"'on_unsupported' is {shown(value)}; allowed are {listed(map(repr, get_args(OnUnsupported)))}, "
            "default 'fail'."
        )


def find_model(model_id: str, catalogue: Iterable[VideoModel]) -> VideoModel | None:
    """Return the entry with this id, or with this dated slug; None where there is none."""
    entries = tuple(catalogue)
    by_id = (model for model in entries if model.id == model_id)
    by_slug = (model for model in entries if model.canonical_slug == model_id)
    return next(by_id, None) or next(by_slug, None)


def unknown_model(request: VideoRequest, catalogue: Iterable[VideoModel]) -> Violation:
    """Return the violation for a model that the catalogue does not have, with the ids that look most like it.

    Its nearest value is set only where the same model is meant for certain: the id in another case, or without the
    vendor. Another model would be another video at another price.
    """
    ids = sorted({model.id for model in catalogue})
    wanted = _folded(request.model)
    same = [each for each in ids if wanted in (_folded(each), _folded(each).rpartition("/")[2])]
    likeness = {each: _likeness(wanted, _folded(each)) for each in ids}
    near = [each for each in sorted(ids, key=lambda each: -likeness[each]) if likeness[each] >= _ALIKE]
    if near:
        allowed = f"the catalogue has no such model; the closest ids are {listed(near[:_SUGGESTED])}"
    else:
        allowed = f"the catalogue of {len(ids)} models has none of that name; GET /videos/models lists them"
    if len(same) == 1:
        return Violation("model", shown(request.model), allowed, same[0])
    return Violation("model", shown(request.model), f"{allowed}; choose one")


def _all(request: VideoRequest, catalogue: Sequence[VideoModel] | None) -> tuple[Violation, ...]:
    model = find_model(request.model, catalogue) if catalogue is not None else None
    found = violations(request, model)
    return (unknown_model(request, catalogue), *found) if catalogue is not None and model is None else found


def _folded(name: str) -> str:
    return name[:SEARCHED].strip().casefold().replace("_", "-").replace(" ", "-")


def _likeness(wanted: str, known: str) -> float:
    """Compare whole ids, and names without their vendors: people forget one, or mistake it."""
    whole = difflib.SequenceMatcher(None, wanted, known).ratio()
    name = difflib.SequenceMatcher(None, wanted.rpartition("/")[2], known.rpartition("/")[2]).ratio()
    return max(whole, 0.9 * name)


# ── The rules ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _violations(request: VideoRequest, model: VideoModel | None) -> Iterator[Violation]:
    if model is not None:
        yield from _choices(request, model)
        yield from _frames_of(request, model)
        yield from _switches(request, model)
        yield from _upscaling(request, model)
    yield from _prompt(request, model)
    yield from _inputs(request, model)
    yield from media_violations(request)
    yield from passthrough_violations(request, model)


def _choices(request: VideoRequest, model: VideoModel) -> Iterator[Violation]:
    """What must be one of the model's list; the API snaps nothing to the nearest by itself."""
    if request.duration is not None and model.supported_durations is not None:
        yield from _choice(model, "duration", request.duration, sorted(set(model.supported_durations)), nearest_number)
    texts: tuple[tuple[str, str | None, Sequence[str] | None, Callable[[str, Sequence[str]], str | None]], ...] = (
        ("resolution", request.resolution, model.supported_resolutions, nearest_resolution),
        ("aspect_ratio", request.aspect_ratio, model.supported_aspect_ratios, nearest_ratio),
        ("size", request.size, model.supported_sizes, nearest_size),
    )
    for name, value, allowed, nearest in texts:
        if value is not None and allowed is not None:
            yield from _choice(model, name, value, allowed, nearest)


def _choice(
    model: VideoModel, name: str, value: object, allowed: Sequence[Any], nearest: Callable[[Any, Sequence[Any]], object]
) -> Iterator[Violation]:
    if value in allowed:
        return
    unit = " s" if name == "duration" and allowed else ""
    text = f"{model.id} supports {listed(allowed)}{unit}"
    found = nearest(value, allowed) if allowed else REMOVE
    yield Violation(name, shown(value), text if found is not None else f"{text}; choose one of these", found)


def _usable_frames(request: VideoRequest, model: VideoModel | None) -> int:
    """Count the frame images that the model may take."""
    known = model.supported_frame_images if model is not None else None
    return sum(known is None or frame.frame_type in known for frame in request.frame_images or ())


def _frames_of(request: VideoRequest, model: VideoModel) -> Iterator[Violation]:
    known = model.supported_frame_images
    for position, frame in enumerate(request.frame_images or ()):
        if known is not None and frame.frame_type not in known:
            yield Violation(
                f"frame_images[{position}].frame_type",
                shown(frame.frame_type),
                f"{model.id} supports {listed(known)} as a frame image",
                REMOVE,
                ("frame_images", position),
            )


def _switches(request: VideoRequest, model: VideoModel) -> Iterator[Violation]:
    """What a model without the capability refuses, even where it only repeats the default."""
    given: dict[str, tuple[object, bool | None]] = {
        "generate_audio": (request.generate_audio, model.generate_audio),
        "seed": (request.seed, model.seed),
    }
    for name, (value, capability) in given.items():
        if value is not None and capability is False:
            yield Violation(name, shown(value), f"{model.id} does not support this field", REMOVE)


def _upscaling(request: VideoRequest, model: VideoModel) -> Iterator[Violation]:
    """The two fields that only upscaling models take."""
    # Neither field in an entry that tells what videos the model makes: it makes them, and enlarges none.
    generates = model.upscale_factor is None and model.creativity is None and _makes_videos(model)
    no_upscaler = f"{model.id} generates videos, and only upscaling models support this field"
    factor, level, limits = request.upscale_factor, request.creativity, model.upscale_factor
    if factor is not None and generates:
        yield Violation("upscale_factor", shown(factor), no_upscaler, REMOVE)
    elif factor is not None and limits is not None:
        low = float(limits.min) if limits.min is not None else 0.0
        high = float(limits.max) if limits.max is not None else float("inf")
        # A range upside down is no range, so nothing is known.
        if low <= high and not low <= factor <= high:
            bounds = [f"at least {low:g}"] * (limits.min is not None) + [f"at most {high:g}"] * (limits.max is not None)
            text = f"{model.id} supports {listed(bounds)}"
            yield Violation("upscale_factor", shown(factor), text, min(max(factor, low), high))
    if level is not None and generates:
        yield Violation("creativity", shown(level), no_upscaler, REMOVE)
    elif level is not None and model.creativity is not None:
        yield from _choice(model, "creativity", level, sorted(set(model.creativity)), nearest_number)


def _makes_videos(model: VideoModel) -> bool:
    return any((model.supported_durations, model.supported_resolutions, model.supported_aspect_ratios))


def _prompt(request: VideoRequest, model: VideoModel | None) -> Iterator[Violation]:
    """A prompt may only be left out where a picture stands in; which models allow that, the catalogue does not tell."""
    if request.prompt is not None or request.previous_job_id is not None:
        return
    references = any(reference.type != "audio_url" for reference in request.input_references or ())
    if not references and not _usable_frames(request, model):
        yield Violation(
            "prompt",
            "not set",
            "only some models do without one, and only with an image or a video to work from; describe the video",
        )


def _inputs(request: VideoRequest, model: VideoModel | None) -> Iterator[Violation]:
    """Input media that the API would pass over."""
    if request.input_references and _usable_frames(request, model):
        yield Violation(
            "input_references",
            f"given together with {len(request.frame_images or ())} frame_images",
            "the API uses frame_images alone and ignores the references, so give one of the two",
            REMOVE,
        )
