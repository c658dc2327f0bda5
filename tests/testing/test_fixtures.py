"""The fixtures at work, in a pytest of their own: the tests lie in ``inside``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

INSIDE = Path(__file__).parent / "inside"


@pytest.mark.parametrize(("module", "count"), [("check_connection", 16), ("check_faults", 27), ("check_runs", 12)])
def test_the_fixtures_do_what_they_say(
    run_pytest: Callable[..., Any], request: pytest.FixtureRequest, module: str, count: int
) -> None:
    if module != "check_connection":  # whose tests call operators themselves
        request.getfixturevalue("_dag_test")
    assert run_pytest(f"{module}.py", folder=INSIDE).passed(count)
