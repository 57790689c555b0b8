"""read(write(x)) is x; writing is all or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posemend.body.catalogue import SKELETONS
from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import FormatError, InputError
from posemend.formats import WRITERS, read, write, write_people, writing


def assert_same(one: Pose2D | Pose3D, other: Pose2D | Pose3D, whole: bool = True) -> None:
    assert type(one) is type(other)
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.visible, other.visible)
    assert one.skeleton == other.skeleton
    assert one.fps == other.fps
    if isinstance(one, Pose3D) and isinstance(other, Pose3D):
        assert one.frame == other.frame
        for key in ("root", "sigma", "provenance", "radii"):
            mine, theirs = getattr(one, key), getattr(other, key)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine, theirs)
    elif isinstance(one, Pose2D) and isinstance(other, Pose2D):
        assert (one.width, one.height) == (other.width, other.height)
        if whole and one.camera is not None:
            assert other.camera is not None
            assert (one.camera.focal, one.camera.centre, one.camera.width) == (
                other.camera.focal, other.camera.centre, other.camera.width,
            )  # fmt: skip
            np.testing.assert_array_equal(one.camera.rotation, other.camera.rotation)
            np.testing.assert_array_equal(one.camera.translation, other.camera.translation)
    if whole:
        assert one.name == other.name


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_everything_survives(tmp_path: Path, pose2d: Pose2D, pose3d: Pose3D, suffix: str) -> None:
    for pose in (pose2d, pose3d):
        path = write(tmp_path / f"out{suffix}", pose)
        assert_same(pose, read(path), whole=suffix != ".csv")
        assert_same(pose, read(path.rename(tmp_path / "no_suffix")), whole=suffix != ".csv")


@pytest.mark.parametrize("suffix", sorted(WRITERS))
@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_skeleton_and_one_frame(tmp_path: Path, suffix: str, name: str) -> None:
    skeleton = SKELETONS[name]
    rng = np.random.default_rng(2)
    flat = Pose2D(rng.normal(300, 99, (1, len(skeleton), 2)), skeleton)
    assert_same(flat, read(write(tmp_path / f"flat{suffix}", flat)))
    deep = Pose3D(rng.normal(0, 1, (1, len(skeleton), 3)), skeleton, fps=1 / 3)
    assert_same(deep, read(write(tmp_path / f"deep{suffix}", deep)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    positions=hnp.arrays(np.float32, (2, 15, 3), elements=st.floats(-1e6, 1e6, width=32)),
    score=hnp.arrays(np.float32, (2, 15), elements=st.floats(np.float32(0.001).item(), 1, width=32)),
    fps=st.floats(0.01, 10_000),
)
def test_any_number_survives(tmp_path: Path, positions: np.ndarray, score: np.ndarray, fps: float) -> None:
    pose = Pose3D(positions, SKELETONS["itop_15"], score, fps=fps)
    for suffix in WRITERS:
        assert_same(pose, read(write(tmp_path / f"any{suffix}", pose)))


def test_same_pose_same_bytes(tmp_path: Path, pose3d: Pose3D) -> None:
    first, second = (write(tmp_path / name, pose3d).read_bytes() for name in ("a.npz", "b.npz"))
    assert first == second


def test_plain_numpy_opens_it(tmp_path: Path, pose3d: Pose3D) -> None:
    with np.load(write(tmp_path / "a.npz", pose3d), allow_pickle=False) as table:
        assert table["positions_3d"].dtype == np.float32
        assert str(table["skeleton"]) == "h36m_17"
        assert table["joints"].tolist() == list(SKELETONS["h36m_17"].joints)


def test_arguments_win_over_the_file(tmp_path: Path, pose2d: Pose2D) -> None:
    for suffix in WRITERS:
        again = read(write(tmp_path / f"a{suffix}", pose2d), fps=12, width=99, height=77)
        assert isinstance(again, Pose2D)
        assert (again.fps, again.width, again.height) == (12, 99, 77)


def test_several_people(tmp_path: Path, pose3d: Pose3D) -> None:
    assert [path.name for path in write_people(tmp_path / "out.npz", [pose3d])] == ["out.npz"]
    paths = write_people(tmp_path / "out.npz", [pose3d, pose3d[:3]])
    assert [path.name for path in paths] == ["out.p0.npz", "out.p1.npz"]
    assert len(read(paths[1])) == 3
    with pytest.raises(InputError, match="nobody"):
        write_people(tmp_path / "out.npz", [])


def test_bad_places(tmp_path: Path, pose3d: Pose3D) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(FormatError, match="suffix"):
        write(tmp_path / "out.xyz", pose3d)
    with pytest.raises(InputError, match="no folder"):
        write(tmp_path / "no" / "out.npz", pose3d)
    with pytest.raises(InputError):
        write(tmp_path / "a\0b.npz", pose3d)
    (tmp_path / "dir.npz").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write(tmp_path / "dir.npz", pose3d)
    (tmp_path / "dir.npz").rmdir()
    assert set(tmp_path.iterdir()) == before
    path = write(tmp_path / "out.npz", pose3d)
    with pytest.raises(InputError, match="exists"):
        write(path, pose3d, overwrite=False)


def test_nothing_half_written(tmp_path: Path, pose3d: Pose3D, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "out.npz", pose3d)
    before = path.read_bytes()

    def fails(pose: object, stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(writing.WRITERS, ".npz", fails)
    with pytest.raises(InputError, match="No space left"):
        write(path, pose3d[:2])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.npz"]
