"""The models that the simulator offers.

Ids, capabilities and prices are those of real models in autumn 2026; the descriptions are the simulator's own.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_orvideo.simulator.catalogue import Model

WIDE = ("16:9", "9:16")
SQUARE_TOO = (*WIDE, "1:1")
BOTH_FRAMES = ("first_frame", "last_frame")
HD = ("1280x720", "720x1280")
FULL_HD = ("1920x1080", "1080x1920")
UHD = ("3840x2160", "2160x3840")
VEO_OPTIONS = ("personGeneration", "aspectRatio", "negativePrompt", "conditioningScale", "enhancePrompt")
KLING_PRICES = ("text_to_video_{}_480p", "text_to_video_{}_720p", "image_to_video_{}_720p", "text_to_video_{}_1080p")


def _entry(
    model_id: str,
    name: str,
    dated: str,
    created: int,
    description: str,
    skus: Mapping[str, str] | None,
    *,
    resolutions: Sequence[str] | None = None,
    aspects: Sequence[str] | None = None,
    sizes: Sequence[str] | None = None,
    durations: Sequence[int] | None = None,
    frames: Sequence[str] | None = None,
    audio: bool | None = None,
    seed: bool | None = None,
    upscale: Mapping[str, float] | None = None,
    creativity: Sequence[int] | None = None,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """A model's record, in the API's own order of keys."""

    def listed(values: Sequence[Any] | None) -> list[Any] | None:
        return None if values is None else list(values)

    return {
        "id": model_id,
        "canonical_slug": f"{model_id}-{dated}",
        "hugging_face_id": None,
        "name": name,
        "created": created,
        "description": description,
        "supported_resolutions": listed(resolutions),
        "supported_aspect_ratios": listed(aspects),
        "supported_sizes": listed(sizes),
        "supported_durations": listed(durations),
        "supported_frame_images": listed(frames),
        "upscale_factor": None if upscale is None else dict(upscale),
        "creativity": listed(creativity),
        "generate_audio": audio,
        "seed": seed,
        "pricing_skus": None if skus is None else dict(skus),
        "allowed_passthrough_parameters": list(options),
    }


def _kling(price: str) -> dict[str, str]:
    """Kling lists one price under many names."""
    return {name.format("duration_seconds"): price for name in KLING_PRICES}


_SEEDANCE_SIZES = (
    *("864x496", "496x864", "640x640", "752x560", "560x752", "992x432"),
    *("1280x720", "720x1280", "960x960", "1112x834", "834x1112", "1470x630"),
)
_SEEDANCE_ASPECTS = ("1:1", "3:4", "9:16", "4:3", "16:9", "21:9")

MODELS: tuple[Model, ...] = (
    Model(
        _entry(
            "google/veo-3.1",
            "Google: Veo 3.1",
            "20260320",
            1774277148,
            "The largest Veo: cinematic clips of up to eight seconds, with sound, in up to 4K.",
            {
                "duration_seconds_with_audio": "0.40",
                "duration_seconds_with_audio_4k": "0.60",
                "duration_seconds_without_audio": "0.20",
                "duration_seconds_without_audio_4k": "0.40",
            },
            resolutions=("720p", "1080p", "4K"),
            aspects=WIDE,
            sizes=(*HD, *FULL_HD, *UHD),
            durations=(4, 6, 8),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=VEO_OPTIONS,
        ),
        seconds=8,
    ),
    Model(
        _entry(
            "google/veo-3.1-fast",
            "Google: Veo 3.1 Fast",
            "20260320",
            1776994666,
            "The middle Veo: quicker and cheaper, with the same controls.",
            {
                "duration_seconds_with_audio": "0.12",
                "duration_seconds_with_audio_4k": "0.30",
                "duration_seconds_without_audio": "0.10",
                "duration_seconds_with_audio_720p": "0.10",
                "duration_seconds_without_audio_4k": "0.25",
                "duration_seconds_without_audio_720p": "0.08",
            },
            resolutions=("720p", "1080p", "4K"),
            aspects=WIDE,
            sizes=(*HD, *FULL_HD, *UHD),
            durations=(4, 6, 8),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=VEO_OPTIONS,
        ),
        seconds=8,
    ),
    Model(
        _entry(
            "google/veo-3.1-lite",
            "Google: Veo 3.1 Lite",
            "20260331",
            1776978818,
            "The small Veo, for drafts and for many variants of one idea.",
            {
                "duration_seconds_with_audio": "0.08",
                "duration_seconds_without_audio": "0.05",
                "duration_seconds_with_audio_720p": "0.05",
                "duration_seconds_without_audio_720p": "0.03",
            },
            resolutions=("720p", "1080p"),
            aspects=WIDE,
            sizes=(*HD, *FULL_HD),
            durations=(8, 4, 6),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=VEO_OPTIONS,
        ),
        seconds=8,
    ),
    Model(
        _entry(
            "x-ai/grok-imagine-video",
            "xAI: Grok Imagine Video",
            "20260512",
            1778544000,
            "Short clips from text or one image, priced in cents; the cheapest way to see a first result.",
            {
                "cents_per_image_input": "0.2",
                "cents_per_video_output_second_480p": "5",
                "cents_per_video_output_second_720p": "7",
            },
            resolutions=("480p", "720p"),
            aspects=("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3"),
            durations=tuple(range(1, 16)),
            frames=("first_frame",),
            audio=True,
            seed=False,
        ),
        images_suffice=True,
        continues=True,
    ),
    Model(
        _entry(
            "alibaba/wan-2.6",
            "Alibaba: Wan 2.6",
            "20260327",
            1774659190,
            "Text and image to video at separate prices, with sound.",
            {
                "text_to_video_duration_seconds_480p": "0.04",
                "text_to_video_duration_seconds_720p": "0.08",
                "image_to_video_duration_seconds_720p": "0.10",
                "text_to_video_duration_seconds_1080p": "0.12",
                "image_to_video_duration_seconds_1080p": "0.15",
            },
            resolutions=("720p", "1080p"),
            aspects=WIDE,
            sizes=(*HD, *FULL_HD),
            durations=(5, 10),
            frames=("first_frame",),
            audio=True,
            seed=True,
            options=("negative_prompt", "enable_prompt_expansion", "shot_type", "audio", "size"),
        ),
    ),
    Model(
        _entry(
            "alibaba/wan-2.7",
            "Alibaba: Wan 2.7",
            "20260414",
            1776211362,
            "Two to ten seconds from text, from frames or from references, at one price a second.",
            {"duration_seconds": "0.1"},
            resolutions=("720p", "1080p"),
            aspects=("16:9", "9:16", "1:1", "4:3", "3:4"),
            sizes=(*HD, *FULL_HD, "720x720", "1080x1080", "960x720", "720x960", "1440x1080", "1080x1440"),
            durations=tuple(range(2, 11)),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=("negative_prompt", "prompt_extend", "audio", "ratio", "last_image", "video", "videos", "images"),
        ),
        images_suffice=True,
    ),
    Model(
        _entry(
            "alibaba/wan-3.0",
            "Alibaba: Wan 3.0",
            "20260916",
            1789516800,
            "Priced by resolution. The live model once billed twice its listed price and more; this one always does.",
            {"duration_seconds_480p": "0.05", "duration_seconds_720p": "0.1", "duration_seconds_1080p": "0.2"},
            resolutions=("480p", "720p", "1080p"),
            aspects=("16:9", "9:16", "1:1", "4:3", "3:4"),
            durations=tuple(range(2, 16)),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=("negative_prompt", "prompt_extend"),
        ),
        bill_factor=Decimal("2.125"),
    ),
    Model(
        _entry(
            "kwaivgi/kling-v3.0-pro",
            "Kling: Video v3.0 Pro",
            "20260429",
            1777496206,
            "Three to fifteen seconds. Its prices name resolutions that its capabilities do not.",
            {"duration_seconds": "0.112", "duration_seconds_with_audio": "0.168", **_kling("0.112")},
            resolutions=("720p",),
            aspects=SQUARE_TOO,
            sizes=(*HD, "720x720"),
            durations=tuple(range(3, 16)),
            frames=BOTH_FRAMES,
            audio=True,
            seed=False,
            options=("negative_prompt", "cfg_scale"),
        ),
    ),
    Model(
        _entry(
            "bytedance/seedance-2.0",
            "ByteDance: Seedance 2.0",
            "20260414",
            1776211362,
            "Priced by the video token; takes images, sound and video as references.",
            {
                "video_tokens": "0.000007",
                "video_tokens_4k": "0.000004",
                "video_tokens_1080p": "0.0000077",
                "video_tokens_without_audio": "0.000007",
                "video_tokens_with_video_input": "0.0000043",
                "video_tokens_4k_with_video_input": "0.0000024",
                "video_tokens_1080p_with_video_input": "0.0000047",
            },
            resolutions=("480p", "720p", "1080p", "4K"),
            aspects=_SEEDANCE_ASPECTS,
            sizes=(*_SEEDANCE_SIZES, *FULL_HD, "1440x1440", *UHD),
            durations=tuple(range(4, 16)),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=("watermark", "req_key"),
        ),
        extra_frames=1,
        images_suffice=True,
        continues=True,
    ),
    Model(
        _entry(
            "bytedance/seedance-2.0-mini",
            "ByteDance: Seedance 2.0 Mini",
            "20260818",
            1787011200,
            "The small Seedance, at half the price of a token.",
            {"video_tokens": "0.0000035", "video_tokens_without_audio": "0.0000035"},
            resolutions=("480p", "720p"),
            aspects=_SEEDANCE_ASPECTS,
            sizes=_SEEDANCE_SIZES,
            durations=tuple(range(4, 16)),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
            options=("watermark", "req_key"),
        ),
        extra_frames=1,
        images_suffice=True,
    ),
    Model(
        _entry(
            "minimax/hailuo-3",
            "MiniMax: Hailuo 3",
            "20260803",
            1785715200,
            "Silent clips; every reference image costs extra.",
            {"duration_seconds": "0.13", "reference_images": "0.04"},
            resolutions=("768p", "1080p"),
            aspects=("16:9",),
            sizes=("1366x768", "1920x1080"),
            durations=(6, 10),
            frames=("first_frame",),
            audio=False,
            options=("prompt_optimizer", "fast_pretreatment"),
        ),
        seconds=6,
    ),
    Model(
        _entry(
            "openai/sora-2-pro",
            "OpenAI: Sora 2 Pro",
            "20260320",
            1774277521,
            "Up to twenty seconds with sound, from text alone.",
            {"duration_seconds_720p": "0.30", "duration_seconds_1024p": "0.50", "duration_seconds_1080p": "0.50"},
            resolutions=("720p", "1080p"),
            aspects=WIDE,
            sizes=(*HD, *FULL_HD),
            durations=(4, 8, 12, 16, 20),
            audio=True,
            seed=False,
            options=("quality", "style"),
        ),
        seconds=4,
    ),
    Model(
        _entry(
            "runway/gen-4.5",
            "Runway: Gen-4.5",
            "20260702",
            1782950400,
            "Silent clips at one price in cents a second.",
            {"cents_per_second_output": "12"},
            resolutions=("720p",),
            aspects=WIDE,
            sizes=HD,
            durations=tuple(range(2, 11)),
            frames=("first_frame",),
            audio=False,
            seed=True,
        ),
        images_suffice=True,
    ),
    Model(
        _entry(
            "runway/aleph-2",
            "Runway: Aleph 2",
            "20260702",
            1782950401,
            "Edits a referenced video, so it lists almost no capabilities; bills at least a fixed sum a job.",
            {"cents_per_second_output": "28", "minimum_cents_per_generation": "56"},
        ),
        continues=True,
    ),
    Model(
        _entry(
            "black-forest-labs/flux-3-video",
            "Black Forest Labs: FLUX 3 Video",
            "20260909",
            1788912000,
            "Clips that can be continued, at a higher price for the continuation.",
            {
                "cents_per_second_output": "17",
                "cents_per_second_output_720p": "17",
                "cents_per_second_output_1080p": "29",
                "cents_per_second_video_continuation_720p": "41",
                "cents_per_second_video_continuation_1080p": "53",
            },
            resolutions=("720p", "1080p"),
            aspects=SQUARE_TOO,
            durations=tuple(range(1, 11)),
            frames=BOTH_FRAMES,
            audio=True,
            seed=True,
        ),
        continues=True,
    ),
    Model(
        _entry(
            "black-forest-labs/flux-video-upscale",
            "Black Forest Labs: FLUX Video Upscale",
            "20260909",
            1788912001,
            "Enlarges a referenced video by up to three times, faithfully or inventing details.",
            {"cents_per_megapixel_second_precise": "7.5", "cents_per_megapixel_second_creative": "10.5"},
            upscale={"min": 1.5, "max": 3},
            creativity=(0, 1),
        ),
        images_suffice=True,
    ),
)
