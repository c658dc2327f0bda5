"""How to land: what is refused, before anything else happens."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.landing.land import LandingOptions

CHOICES = {"on_existing": ("verify", "overwrite", "fail", "skip"), "expect": ("warn", "fail", "off")}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in CHOICES.items() for value in values])
def test_every_choice_is_taken(name: str, value: str) -> None:
    options: dict[str, Any] = {name: value}
    assert getattr(LandingOptions(**options), name) == value


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["", "Verify", "ignore", None, True, [], b"fail"])
def test_no_choice_at_all_is_refused_with_its_name_its_value_and_what_is_allowed(name: str, value: object) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError) as caught:
        LandingOptions(**options)
    text = str(caught.value)
    assert f"'{name}' is {value!r}" in text
    for allowed in CHOICES[name]:
        assert repr(allowed) in text


@pytest.mark.parametrize("value", [0, -1, True, False, 1.0, 2.5, "4", None, float("inf"), []])
def test_how_many_at_a_time_is_a_whole_number_from_one(value: object) -> None:
    options: dict[str, Any] = {"concurrency": value}
    with pytest.raises(ConfigurationError) as caught:
        LandingOptions(**options)
    for part in ("'concurrency'", "'max_concurrent_downloads'", repr(value), "whole number from 1"):
        assert part in str(caught.value)


@pytest.mark.parametrize("value", [1, 2, 100])
def test_any_number_from_one_is_taken(value: int) -> None:
    assert LandingOptions(concurrency=value).concurrency == value


@pytest.mark.parametrize("value", ["no", "False", 0, 1, None])
def test_a_poster_is_wanted_or_not(value: object) -> None:
    options: dict[str, Any] = {"poster": value}
    with pytest.raises(ConfigurationError, match=r"'poster' is .* True or False"):
        LandingOptions(**options)


def test_unset_nothing_is_lost_and_nothing_is_made() -> None:
    options = LandingOptions()
    assert (options.on_existing, options.expect, options.poster, options.spool_dir) == ("verify", "warn", False, None)
    assert options.concurrency == 4
