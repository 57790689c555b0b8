"""Where the shared recordings are, for the tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_data_folder() -> Path | None:
    """The folder of real recordings, or ``None`` where there is none."""
    named = os.environ.get("POSEMEND_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = shared_data_folder()
    if folder is None:
        pytest.skip("needs the shared recordings (set POSEMEND_DATA)")
    return folder
