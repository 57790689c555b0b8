"""The public names: fixed, complete, and none removed silently."""

from __future__ import annotations

import pytest

import posemend

NAMES = [
    "Camera", "Pose2D", "Pose3D", "PosemendError", "Skeleton", "__version__",
    "convert", "evaluate", "lift", "read", "read_people", "refine", "run", "skeleton", "triangulate",
    "view", "write", "write_people",
]  # fmt: skip


def test_names_are_these() -> None:
    # a name leaves this list only with a line under "Removed" in CHANGELOG.md
    assert posemend.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_name_can_be_had(name: str) -> None:
    value = getattr(posemend, name)
    assert name in dir(posemend)
    if callable(value):
        assert value.__doc__, f"{name} has no docstring"


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lyft'"):
        posemend.lyft  # noqa: B018


def test_version_is_the_packages() -> None:
    from importlib import metadata

    try:
        installed = metadata.version("posemend")
    except metadata.PackageNotFoundError:
        pytest.skip("posemend is not installed, only on the path")
    assert posemend.__version__ == installed
