"""Fifteen entries of the live catalogue as it was in June 2026, quirks included; descriptions are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_orvideo.api.schema import VideoModel, parse_models


@pytest.fixture(scope="session")
def catalogue() -> tuple[VideoModel, ...]:
    """Every entry."""
    return parse_models(json.loads((Path(__file__).parent / "models.json").read_text()))


@pytest.fixture(scope="session")
def models(catalogue: tuple[VideoModel, ...]) -> dict[str, VideoModel]:
    """Every entry by its id."""
    return {model.id: model for model in catalogue}
