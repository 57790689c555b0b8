"""Importing posemend, and asking it for help, loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("torch", "onnxruntime", "onnx", "scipy", "pydantic", "numpy", "matplotlib")


def loaded_after(code: str) -> set[str]:
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_import_posemend() -> None:
    loaded = loaded_after("import posemend")
    assert "posemend" in loaded
    assert loaded.isdisjoint({*HEAVY, "rich", "cyclopts"})


def test_help() -> None:
    loaded = loaded_after("from posemend.cli.main import main\nassert main(['--help']) == 0")
    assert "cyclopts" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_poses_need_numpy_alone() -> None:
    loaded = loaded_after("from posemend import Camera, Pose2D, Pose3D, Skeleton, convert, skeleton")
    assert "numpy" in loaded
    assert loaded.isdisjoint({*HEAVY, "rich", "cyclopts"} - {"numpy"})


def test_running_needs_no_torch() -> None:
    loaded = loaded_after("from posemend import lift, refine, read, write, evaluate\nimport posemend.viewer")
    assert "torch" not in loaded
