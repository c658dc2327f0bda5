"""``provider.options``: which slugs and keys arrive. What does not is dropped by the API without a word. Pure.

Source: OpenRouter's specification of 2026-08-22 ("Unrecognized keys are silently dropped"), its guide, and the provider
slugs that the official SDK 1.3.84 declares. Which provider serves which model, the catalogue does not tell.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.preflight.nearest import SEARCHED, nearest_name
from airflow_provider_orvideo.preflight.violation import REMOVE, Remove, Rename, Violation, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
    from airflow_provider_orvideo.preflight.violation import Path

PROVIDER_SLUGS: Final = frozenset(
    """
    01ai ai21 aion-labs akashml alibaba amazon-bedrock amazon-bedrock/claude-on-aws amazon-nova ambient
    anthropic anthropic/2 anyscale arcee-ai assemblyai atlas-cloud atoma avian azure baidu baseten
    black-forest-labs byteplus centml cerebras chutes cirrascale clarifai claude-on-aws cloudflare cohere
    coreweave cosine crofai crucible crusoe darkbloom databricks decart deepgram deepinfra deepseek dekallm
    digitalocean elevenlabs enfer fake-provider featherless fireworks fish-audio friendli gmicloud
    google-ai-studio google-vertex gopomelo groq heygen huggingface hyperbolic hyperbolic-quantized inception
    inceptron inferact-vllm inference-net infermatic inflection inocloud io-net ionstream klusterai krea
    lambda lepton liquid lynn lynn-private makora mancer mancer-old mara meta minimax mistral modal modelrun
    modular moonshotai morph ncompass near-ai nebius nex-agi nextbit nineteen novita nvidia octoai ollama
    open-inference openai parasail pareto-alpha perceptron perplexity phala poolside primeintellect quiver
    recraft recursal recursive reflection reka relace replicate respan runway sail-research sakana sakana-ai
    sambanova sambanova-cloaked scaledown seed sf-compute siliconflow sourceful stealth stepfun streamlake
    switchpoint targon tencent tenstorrent thinkingmachines together together-lite typesafe ubicloud unbiased
    upstage venice voyageai wafer wandb wandb-legacy xai xiaomi z-ai
    """.split()  # noqa: SIM905 - as a literal, a line for each
)
#: Google's providers take their parameters one level deeper, as the guide's Veo example shows.
_NESTING: Final = ("google-vertex", "google-ai-studio")
_NESTED: Final = "parameters"
_EXAMPLES: Final = ("google-vertex", "byteplus", "atlas-cloud")
#: How much alike a slug must be, 0 to 1, to be suggested.
_ALIKE: Final = 0.5


def passthrough_violations(request: VideoRequest, model: VideoModel | None) -> Iterator[Violation]:
    """Yield the slugs that no provider has and, where the model's list is known, the keys that it does not take."""
    options = request.provider.options if request.provider else {}
    taken = set(options)
    for slug, given in options.items():
        path: Path = ("provider", "options", slug)
        provider = slug
        if slug not in PROVIDER_SLUGS:
            nearest = _renamed(slug, PROVIDER_SLUGS, taken)
            near = difflib.get_close_matches(slug[:SEARCHED].lower(), sorted(PROVIDER_SLUGS), cutoff=_ALIKE)
            yield Violation(
                f"provider.options.{slug}",
                shown(given),
                "no provider has this slug and the API would drop its options silently; allowed are the slugs of its "
                f"specification, such as {listed(near or _EXAMPLES)}",
                nearest,
                path,
            )
            if isinstance(nearest, Remove):
                continue
            provider = nearest.key
        if model is not None and model.allowed_passthrough_parameters is not None:
            nesting = provider in _NESTING
            yield from _keys(path, given, model.id, model.allowed_passthrough_parameters, nesting=nesting)


def _keys(
    path: Path, given: Mapping[str, Any], model_id: str, allowed: Sequence[str], *, nesting: bool
) -> Iterator[Violation]:
    taken = set(given)
    for key, value in given.items():
        if key in allowed:
            continue
        if nesting and key == _NESTED and isinstance(value, dict):
            yield from _keys((*path, key), value, model_id, allowed, nesting=False)
            continue
        yield Violation(
            ".".join(map(str, (*path, key))),
            shown(value),
            f"the API would drop it silently, since {model_id} takes {listed(allowed)} as passthrough parameters",
            _renamed(key, allowed, taken),
            (*path, key),
        )


def _renamed(name: str, allowed: Sequence[str] | frozenset[str], taken: set[str]) -> Remove | Rename:
    """Choose another key which is allowed and not yet taken, and take it."""
    near = nearest_name(name, allowed)
    if near is None or near in taken:
        return REMOVE
    taken.add(near)
    return Rename(near)
