"""``airflow orvideo models``: what there is to choose from."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.cli.access import read_catalogue
from airflow_provider_orvideo.cli.answer import Answer, listed
from airflow_provider_orvideo.cli.running import command
from airflow_provider_orvideo.preflight.skus import PriceList, Unit

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Mapping

    from airflow_provider_orvideo.api.schema import VideoModel

_FIELDS: Final = (
    "id",
    "name",
    "supported_durations",
    "supported_resolutions",
    "supported_aspect_ratios",
    "supported_sizes",
    "supported_frame_images",
    "generate_audio",
    "seed",
    "creativity",
    "upscale_factor",
    "allowed_passthrough_parameters",
    "pricing_skus",
)
_LISTS: Final = {
    "duration": "supported_durations",
    "resolution": "supported_resolutions",
    "aspect_ratio": "supported_aspect_ratios",
    "size": "supported_sizes",
    "frames": "supported_frame_images",
}
_SWITCHES: Final = {"audio": "generate_audio", "seed": "seed"}
_UNITS: Final = {Unit.SECOND: "s", Unit.TOKEN: "token", Unit.MEGAPIXEL_SECOND: "megapixel s"}
#: From so many whole seconds in a row, a list of durations is shown as a range.
_ROW: Final = 3


@command
def models(args: Namespace) -> Answer:
    """List the models that support all that is asked for."""
    found = [model for model in read_catalogue(args.conn_id) if _supports(model, args.supports)]
    found.sort(key=lambda model: model.id)
    return Answer(
        value=[model.model_dump(mode="json", include=set(_FIELDS)) for model in found],
        rows=[_row(model) for model in found],
    )


def _supports(model: VideoModel, wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether the catalogue says so; what it does not tell, nobody can rely on."""
    for name, value in wanted:
        if name in _SWITCHES:
            if not getattr(model, _SWITCHES[name]):
                return False
        elif _folded(value) not in {_folded(str(each)) for each in getattr(model, _LISTS[name]) or ()}:
            return False
    return True


def _folded(text: str) -> str:
    return (text.lstrip("0") or "0") if text.isdigit() else text.casefold()


def _row(model: VideoModel) -> dict[str, object]:
    return {
        "id": model.id,
        "durations": _durations(model.supported_durations),
        "resolutions": listed(model.supported_resolutions),
        "aspect_ratios": listed(model.supported_aspect_ratios),
        "audio": _switch(model.generate_audio),
        "seed": _switch(model.seed),
        "frames": listed(model.supported_frame_images),
        "price": _price(model.pricing_skus),
    }


def _switch(value: bool | None) -> str:  # noqa: FBT001 - the catalogue's own
    return "?" if value is None else ("yes" if value else "no")


def _durations(seconds: Iterable[int] | None) -> str:
    """Shorten ``4, 5, 6, 7, 8`` to ``4-8``."""
    if seconds is None:
        return "?"
    ordered = sorted(set(seconds))
    rows = [[second for _, second in row] for _, row in groupby(enumerate(ordered), key=lambda each: each[1] - each[0])]
    texts = [[f"{row[0]}-{row[-1]}"] if len(row) >= _ROW else [str(second) for second in row] for row in rows]
    return ", ".join(text for row in texts for text in row) or "-"


def _price(skus: Mapping[str, str] | None) -> str:
    """Shorten a price list to the cheapest and the dearest output; what comes on top is left to the estimate."""
    prices = PriceList.parse(skus)
    texts = []
    for unit, name in _UNITS.items():
        amounts = sorted(sku.price.to_dollars() for sku in prices.outputs if sku.unit is unit)
        if amounts:
            span = dict.fromkeys((str(amounts[0]), str(amounts[-1])))
            texts.append(f"{' to '.join(span)} / {name}")
    texts += ["extras"] * bool(prices.extras) + ["unreadable prices"] * bool(prices.unreadable)
    return ", ".join(texts) or "?"
