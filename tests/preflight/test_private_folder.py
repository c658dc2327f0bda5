"""A folder of one user's own: what its files are after something went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_orvideo.preflight.private_folder import PrivateFolder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_that_is_gone_is_told_as_such(tmp_path: Path) -> None:
    with PrivateFolder(tmp_path, "ours") as folder:
        (place,) = tmp_path.iterdir()
        place.rmdir()
        with pytest.raises(FileNotFoundError):
            folder.replace("a.json", b"{}")
        assert folder.read("a.json", limit=10) is None


def test_a_file_is_read_up_to_its_limit_and_no_byte_beyond(tmp_path: Path) -> None:
    with PrivateFolder(tmp_path, "ours") as folder:
        folder.replace("a.json", b"0123456789")
        assert folder.read("a.json", limit=10) == b"0123456789"
        assert folder.read("a.json", limit=9) is None
