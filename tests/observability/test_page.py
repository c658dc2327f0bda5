"""The page that lists every metric, span, attribute and facet lists just those that are sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from airflow_provider_orvideo.observability.names import FACETS, METRICS, SPANS, Failure, Metric, SubmitFailure

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def tables(first: str) -> list[list[str]]:
    """Return the rows, cell by cell, of all tables of the page whose first column has this head."""
    rows: list[list[str]] = []
    inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and not line.startswith("|---"):
            rows.append(cells)
    return rows


def quoted(cell: str) -> list[str]:
    """Return what a cell shows as code."""
    return re.findall(r"`([^`]+)`", cell)


def test_the_metrics_are_those_that_are_sent() -> None:
    def row(metric: Metric) -> tuple[list[str], str, list[str]]:
        return [metric.name], ", ".join(filter(None, (metric.kind, metric.unit))), list(metric.tags)

    assert [(quoted(name), kind, quoted(tags)) for name, kind, tags, _ in tables("name")] == list(map(row, METRICS))


@pytest.mark.parametrize(
    ("name", "reasons"), [("orvideo.job.failed", Failure), ("orvideo.submit.failed", SubmitFailure)]
)
def test_each_reason_is_explained(name: str, reasons: object) -> None:
    (text,) = [cells[3] for cells in tables("name") if quoted(cells[0]) == [name]]
    assert sorted(quoted(text)) == sorted(get_args(reasons))


def test_the_spans_carry_the_attributes_that_are_listed() -> None:
    listed = {quoted(name)[0]: tuple(quoted(attributes)) for name, _, attributes in tables("span")}
    assert listed == SPANS


def test_each_attribute_is_explained_once() -> None:
    explained = [quoted(name)[0] for name, _ in tables("attribute")]
    assert sorted(explained) == sorted({name for names in SPANS.values() for name in names})


def test_the_facets_have_the_fields_that_are_listed() -> None:
    listed = {quoted(name)[0]: tuple(quoted(fields)) for name, _, fields in tables("facet")}
    assert listed == {**FACETS, "outputStatistics": ("size", "fileCount")}
