"""The error tree is the one that its module draws, and each class says whether a retry helps."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_provider_orvideo import exceptions

CLASSES: dict[str, type[BaseException]] = {
    name: thing
    for name, thing in vars(exceptions).items()
    if inspect.isclass(thing) and issubclass(thing, BaseException) and thing.__module__ == exceptions.__name__
}


def drawn() -> dict[str, str]:
    """Read child and parent off the drawing: the column of a name tells its depth."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (exceptions.__doc__ or "").splitlines():
        found = re.match(r"(?P<lead>[ │]*(?:[├└]── )?)(?P<name>OrVideoError|\w+Error)\b", line)
        if not found or not (found["lead"].rstrip().endswith("──") or found["name"] == "OrVideoError"):
            continue
        column = len(found["lead"])
        while above and above[-1][0] >= column:
            above.pop()
        parents[found["name"]] = above[-1][1] if above else "Exception"
        above.append((column, found["name"]))
    return parents


def test_drawing_is_read_at_all() -> None:
    assert drawn()["GoneError"] == "ClientStatusError"
    assert len(drawn()) > 35


def test_drawing_and_classes_agree() -> None:
    written = {name: kind.__bases__[0].__name__ for name, kind in CLASSES.items()}
    assert drawn() == written


def test_every_class_has_one_parent() -> None:
    assert {name for name, kind in CLASSES.items() if len(kind.__bases__) != 1} == set()


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_a_docstring_of_its_own(name: str) -> None:
    assert CLASSES[name].__dict__.get("__doc__")


LEAVES = [name for name, kind in CLASSES.items() if not kind.__subclasses__()]


@pytest.mark.parametrize("name", LEAVES)
def test_docstring_of_each_error_that_is_raised_says_whether_a_retry_helps(name: str) -> None:
    said = (CLASSES[name].__doc__ or "").lower()
    assert re.search(r"\bretry\b|reading again", said), said


def test_phases_do_not_mix() -> None:
    phases = [
        exceptions.BeforeSendError, exceptions.NotSentError, exceptions.OutcomeUnknownError,
        exceptions.ReadInterruptedError, exceptions.ResponseInvalidError, exceptions.StatusError,
        exceptions.JobError, exceptions.LedgerError, exceptions.WebhookError, exceptions.LandingError,
        exceptions.BatchIncompleteError,
    ]  # fmt: skip
    for name, kind in CLASSES.items():
        if name != "OrVideoError":
            assert sum(issubclass(kind, phase) for phase in phases) == 1, name


def test_an_unknown_outcome_ends_with_what_to_do_next() -> None:
    plain = str(exceptions.OutcomeUnknownError("It broke off."))
    assert plain.startswith("The outcome of the paid submit is unknown: It broke off. A job may exist")
    assert plain.endswith("Check https://openrouter.ai/activity before submitting this request anew.")
    told = exceptions.OutcomeUnknownError("It broke off.", advice="Ask the captain.")
    assert str(told) == plain.partition("Check")[0] + "Ask the captain."
    assert told.evidence == "It broke off."


def test_whoever_waits_for_failed_jobs_hears_of_refused_ones_too() -> None:
    assert issubclass(exceptions.JobRefusedError, exceptions.JobFailedError)
