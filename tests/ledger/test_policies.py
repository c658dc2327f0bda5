"""Policies about money: the defaults do not pay twice, and a value that is misspelt falls back to nothing."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args, get_type_hints

import pytest

from airflow_provider_orvideo.exceptions import ConfigurationError
from airflow_provider_orvideo.ledger.policies import DEFAULT_POLICIES, Policies

NAMES = [field.name for field in fields(Policies)]
ALLOWED: dict[str, tuple[str, ...]] = {
    "on_ambiguous_submit": ("fail", "resubmit"),
    "on_changed_request": ("submit", "fail"),
    "on_job_failure": ("fail", "resubmit"),
    "on_clear": ("reuse", "submit"),
    "fallback_on": ("capacity", "failure", "refusal"),
}


def policies(**values: Any) -> Policies:  # noqa: ANN401 - wrong values are the point
    return Policies(**values)


def test_the_default_is_the_first_of_the_documented_values() -> None:
    assert list(ALLOWED) == NAMES
    assert {name: getattr(DEFAULT_POLICIES, name) for name in NAMES} == {
        name: values[0] for name, values in ALLOWED.items()
    }
    assert Policies() == DEFAULT_POLICIES


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_values_are_those_that_type_checkers_know_and_all_of_them_work(name: str) -> None:
    assert get_args(get_type_hints(Policies)[name]) == ALLOWED[name]
    for value in ALLOWED[name]:
        assert getattr(policies(**{name: value}), name) == value


@pytest.mark.parametrize(
    "value", ["Fail", "resubmit ", "retry", "", None, True, False, 0, ["fail"], {"fail"}], ids=repr
)
@pytest.mark.parametrize("name", NAMES)
def test_any_other_value_is_refused_and_the_message_names_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policies(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"'{name}' is {value!r};")
    for each in ALLOWED[name]:
        assert repr(each) in text
    assert text.endswith(f"default {ALLOWED[name][0]!r}.")


def test_values_of_one_policy_are_not_values_of_another() -> None:
    with pytest.raises(ConfigurationError):
        policies(on_ambiguous_submit="submit")
    with pytest.raises(ConfigurationError):
        policies(on_clear="resubmit")


def test_policies_are_given_by_name_and_never_change() -> None:
    with pytest.raises(TypeError):
        Policies("resubmit")  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        DEFAULT_POLICIES.on_clear = "submit"  # type: ignore[misc]
