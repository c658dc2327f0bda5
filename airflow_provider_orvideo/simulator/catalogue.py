"""What a model is, and how the offered ones are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Args:
        entry: Its public record.
        seconds: The length of a video in seconds when the request names none.
        extra_frames: Frames that it makes beyond the ordered length.
        images_suffice: Whether it needs no prompt when it gets an image or a video.
        continues: Whether it takes ``previous_job_id``.
        bill_factor: Factor of the listed price that it really bills.
    """

    entry: dict[str, Any]
    seconds: int = 5
    extra_frames: int = 0
    images_suffice: bool = False
    continues: bool = False
    bill_factor: Decimal = Decimal(1)

    @property
    def id(self) -> str:
        """The id that requests name."""
        return str(self.entry["id"])

    @property
    def slug(self) -> str:
        """The dated snapshot that error texts and generation records name."""
        return str(self.entry["canonical_slug"])

    @property
    def skus(self) -> dict[str, str] | None:
        """The prices."""
        skus: dict[str, str] | None = self.entry.get("pricing_skus")
        return skus

    @property
    def is_upscaler(self) -> bool:
        """Whether it enlarges a video instead of making one."""
        return self.entry["upscale_factor"] is not None


class Catalogue:
    """The offered models by id."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = {model.id: model for model in models}

    def entries(self) -> list[dict[str, Any]]:
        """The public records, in the order of the list."""
        return [model.entry for model in self._models.values()]

    def get(self, model_id: str) -> Model | None:
        """The model of that id, or of that dated snapshot."""
        found = self._models.get(model_id)
        return found or next((model for model in self._models.values() if model.slug == model_id), None)
