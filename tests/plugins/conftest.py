"""One Airflow deployment of real processes for the tests of the UI, here and in the folders below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins import deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.deployment import UiDeployment


@pytest.fixture(scope="session")
def ui_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiDeployment]:
    """Start everything; about a minute."""
    with deployment.ui_deployment(tmp_path_factory.mktemp("ui")) as running:
        yield running
