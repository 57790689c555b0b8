"""TRC files: tabs and commas, metres and millimetres, y up and z up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.errors import FormatError, InputError, SkeletonError
from posemend.formats.trc import joint_name, read_markers

LINES = [
    "PathFileType\t4\t(X/Y/Z)\twalk.trc",
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
    "50\t50\t2\t2\tmm\t50\t0\t2",
    "Frame#\tTime\tRHip\t\t\tLKnee\t\t",
    "\t\tX1\tY1\tZ1\tX2\tY2\tZ2",
    "",
    "1\t0.00\t100\t900\t-20\t110\t450\t-25",
    "2\t0.02\t101\t901\t-21",
]


def put(folder: Path, lines: list[str]) -> Path:
    (folder / "walk.trc").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "walk.trc"


def test_markers(tmp_path: Path) -> None:
    found = read_markers(put(tmp_path, LINES))
    assert found.names == ("RHip", "LKnee") and found.fps == 50 and found.name == "walk"
    # y up becomes z up: (x, y, z) of the file is (y, z, x) of the world
    np.testing.assert_allclose(found.positions[0], [[-0.020, 0.100, 0.900], [-0.025, 0.110, 0.450]])
    assert np.isnan(found.positions[1, 1]).all() and found.positions[1, 0, 2] == pytest.approx(0.901)
    upright = read_markers(put(tmp_path, LINES), up="z")
    np.testing.assert_allclose(upright.positions[0, 0], [0.1, 0.9, -0.02])


def test_names_become_joints() -> None:
    names = ["RBigToe", "LSmallToe", "Head", "Neck", "RHip", "Nose", "Hip", "l_knee", "LHeel"]
    wanted = ["r_big_toe", "l_small_toe", "head_top", "neck", "r_hip", "nose", "pelvis", "l_knee", "l_heel"]
    assert [joint_name(name) for name in names] == wanted


@pytest.mark.parametrize(
    ("place", "line", "message"),
    [
        (0, "BEGIN", "no TRC file"), (1, "DataRate\tUnits", "lacks DataRate, Units or NumMarkers"),
        (2, LINES[2].replace("mm", "feet"), "'feet'"), (2, LINES[2].replace("\t2\tmm", "\t3\tmm"), "3 markers"),
        (2, LINES[2].replace("50", "fast", 1), "wanted numbers"), (6, "1\t0\tx\t2\t3\t4\t5\t6", "wanted numbers"),
        (6, "one\t0\t1\t2\t3\t4\t5\t6", "a row that begins"),
    ],
)  # fmt: skip
def test_damaged(tmp_path: Path, place: int, line: str, message: str) -> None:
    lines = list(LINES)
    lines[place] = line
    with pytest.raises(InputError, match=message):
        read_markers(put(tmp_path, lines))


def test_short_and_wrong(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read_markers(put(tmp_path, LINES[:5]))
    with pytest.raises(InputError, match="up wants"):
        read_markers(put(tmp_path, LINES), up="x")
    with pytest.raises(SkeletonError, match="only 2 of the 17"):
        read_markers(put(tmp_path, LINES)).pose("h36m_17")


def test_real_files(shared_data: Path) -> None:
    tabs = read_markers(shared_data / "formats/pose2sim_demo/pose-3d/S00_P00_T01_BalancingTrial_0-100.trc")
    pose = tabs.pose("halpe_26")
    assert pose.positions.shape == (100, 26, 3) and pose.fps == 60 and pose.frame == "world"
    height = pose.positions[:, pose.skeleton.index("head_top"), 2] - pose.positions[:, pose.skeleton.index("l_heel"), 2]
    assert 1.2 < np.median(height) < 1.9
    assert (pose.score[:, pose.skeleton.index("l_eye")] == 0).all()
    with pytest.warns(UserWarning, match="652 frames are promised and 93 are there"):
        commas = read_markers(shared_data / "formats" / "trc" / "comma_separated.trc", up="z")
    assert commas.positions.shape == (93, 51, 3) and commas.names[0] == "ASISl"
    np.testing.assert_allclose(commas.positions[0, 0], [0.7337041, 0.0809832, 0.1918668])
    lstm = read_markers(
        shared_data / "formats/pose2sim_demo/pose-3d/S00_P00_T01_BalancingTrial_0-100_filt_butterworth_LSTM.trc"
    )
    assert lstm.positions.shape == (100, 64, 3)
