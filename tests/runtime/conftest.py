"""The models that ship, and a clip to try them on."""

from __future__ import annotations

import pytest

from posemend.body.pose import Take
from posemend.datasets.procedural import demo_clip


@pytest.fixture(scope="session")
def clip() -> Take:
    return demo_clip()
