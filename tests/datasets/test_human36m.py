"""Human3.6M: made-up files in the layouts of VideoPose3D, SemGCN and the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_16, H36M_17
from posemend.body.handedness import handedness
from posemend.datasets import human36m
from posemend.datasets import human36m_cameras as calibration
from posemend.errors import FormatError, InputError

from .person import walking

FRAMES = 30
SYMMETRY = {
    "h36m_17": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    "h36m_16": [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]],
    "coco_17": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
}
CLIPS = {"S1": ("Walking",), "S9": ("Directions", "Walking", "Walking 1"), "S11": ("Directions", "Photo 1")}


def source_32(world: np.ndarray) -> np.ndarray:
    """(F, 32, 3): the moving joints in their places, the others far from everything."""
    full = np.full((len(world), 32, 3), 7.7)
    full[:, [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]] = world
    return full


def save_3d(folder: Path, joints: int = 32) -> None:
    order = {32: source_32, 17: lambda world: world, 16: lambda world: np.delete(world, 9, 1)}[joints]
    poses = {who: {action: order(walking(FRAMES)).astype("float32") for action in actions}
             for who, actions in CLIPS.items()}  # fmt: skip
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=poses)


def projected(subject: str) -> list[np.ndarray]:
    return [
        calibration.distorted(calibration.camera(subject, number).to_camera(walking(FRAMES)), number)
        for number in range(4)
    ]


def save_2d(folder: Path, name: str, skeleton: str = "h36m_17", extra_frames: int = 0, noise: float = 0.0) -> None:
    rng = np.random.default_rng(0)
    clips: dict = {}
    for who, actions in CLIPS.items():
        for action in actions:
            views = []
            for pixels in projected(who):
                if skeleton == "h36m_16":
                    pixels = np.delete(pixels, 9, 1)
                if skeleton == "coco_17":
                    at = [H36M_17.joints.index(j) if j in H36M_17.joints else 10 for j in COCO_17.joints]
                    pixels = pixels[:, at]
                pixels = pixels + noise * rng.normal(size=pixels.shape)
                pixels = np.concatenate([pixels, np.repeat(pixels[-1:], extra_frames, 0)])
                views.append(pixels.astype("float32"))
            clips.setdefault(who, {})[action] = views
    metadata = {"layout_name": "x", "num_joints": len(pixels[0]), "keypoints_symmetry": SYMMETRY[skeleton]}
    np.savez_compressed(folder / f"data_2d_h36m_{name}.npz", positions_2d=clips, metadata=metadata)


@pytest.fixture
def folder(tmp_path) -> Path:
    save_3d(tmp_path)
    return tmp_path


def test_the_table_holds_single_precision_numbers_and_proper_rotations() -> None:
    assert len(calibration.PLACES) == 7
    for places in calibration.PLACES.values():
        for quaternion, centre in places:
            for value in (*quaternion, *centre):
                assert abs(float(np.float32(value)) - value) <= 1e-15 * max(1, abs(value)), "a mistyped digit"
            assert np.linalg.norm(quaternion) == pytest.approx(1, abs=1e-6)
    for lens in calibration.LENSES:
        for value in (*lens.focal, *lens.centre, *lens.radial, *lens.tangential):
            assert float(np.float32(value)) == value


@pytest.mark.parametrize("subject", human36m.SUBJECTS)
def test_cameras_stand_in_the_corners_and_look_at_the_middle(subject: str) -> None:
    corners = set()
    for number in range(4):
        camera = calibration.camera(subject, number)
        place = camera.to_world(np.zeros(3))
        assert 1.4 < place[2] < 1.7 and 4 < np.linalg.norm(place[:2]) < 6
        corners.add((place[0] > 0, place[1] > 0))
        middle = camera.project(camera.to_camera([0, 0, 1.0]))
        assert np.abs(middle - 500).max() < 200, "the middle of the room is in the middle of the image"
        above = camera.project(camera.to_camera([[0, 0, 0.5], [0, 0, 1.5]]))
        assert above[1, 1] < above[0, 1], "z up is up in the image"
    assert len(corners) == 4


def test_distortion_by_hand() -> None:
    lens = calibration.LENSES[0]
    point = np.array([0.2, -0.1, 1.0])
    square = 0.05
    k, p = lens.radial, lens.tangential
    bent = 1 + k[0] * square + k[1] * square**2 + k[2] * square**3 + 0.2 * p[0] - 0.1 * p[1]
    wanted = [
        (0.2 * bent + p[0] * square) * lens.focal[0] + lens.centre[0],
        (-0.1 * bent + p[1] * square) * lens.focal[1] + lens.centre[1],
    ]
    np.testing.assert_allclose(calibration.distorted(point, 0), wanted, rtol=1e-12)


@pytest.mark.parametrize("joints", [32, 17])
def test_takes_of_videopose3ds_file(tmp_path, joints: int) -> None:
    save_3d(tmp_path, joints)
    takes = human36m.read(tmp_path, ["S9"], trust=True)
    assert len(takes) == 3 * 4
    assert takes[4].name == "S9/Walking/54138969" and takes[8].action == "Walking 1"
    for number, take in enumerate(takes[:4]):
        assert take.keypoints.skeleton == take.truth.skeleton == H36M_17
        assert (take.truth.frame, take.truth.fps, take.keypoints.width) == ("root", 50, 1000)
        assert (take.truth.positions[:, 0] == 0).all()
        points = take.truth.positions.astype(float) + take.truth.root[:, None]
        np.testing.assert_allclose(take.keypoints.camera.to_world(points), walking(FRAMES), atol=2e-5)
        np.testing.assert_allclose(calibration.distorted(points, number), take.keypoints.positions, atol=0.02)
        assert 0.1 < np.abs(take.keypoints.camera.project(points) - take.keypoints.positions).max() < 30
        assert handedness(take.truth).verdict == "right"
        assert take.detected is None


def test_sixteen_joints_of_the_same_name_are_told_apart(tmp_path) -> None:
    save_3d(tmp_path, 16)
    save_2d(tmp_path, "gt", "h36m_16")
    take = human36m.read(tmp_path, ["S9"], ["Walking"], [0], detections="gt", trust=True)[0]
    assert take.truth.skeleton == take.detected.skeleton == H36M_16
    head = H36M_16.index("head_top")
    assert take.truth.positions[:, head, 1].mean() < -0.5, "half a metre above the pelvis"


def test_sixteen_joints_of_2d_beside_32_of_3d(folder) -> None:
    save_2d(folder, "gt", "h36m_16")
    take = human36m.read(folder, ["S9"], ["Walking"], ["54138969"], detections="gt", trust=True)[0]
    assert take.truth.skeleton == H36M_17 and take.detected.skeleton == H36M_16
    order = [H36M_17.index(joint) for joint in H36M_16.joints]
    np.testing.assert_allclose(take.detected.positions, take.keypoints.positions[:, order], atol=0.02)


@pytest.mark.parametrize("skeleton", ["h36m_17", "coco_17"])
def test_detections_are_cut_to_the_poses(folder, skeleton: str) -> None:
    save_2d(folder, "cpn_ft_h36m_dbb", skeleton, extra_frames=3, noise=6.0)
    take = human36m.read(folder, ["S11"], ["Photo"], [2], detections="cpn_ft_h36m_dbb", trust=True)[0]
    assert take.detected.skeleton.name == skeleton and len(take.detected) == len(take.truth) == FRAMES
    assert take.detected.width == 1000 and take.detected.name == take.name
    by_path = human36m.read(
        folder, ["S11"], ["Photo"], [2], detections=str(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz"), trust=True
    )
    np.testing.assert_array_equal(by_path[0].detected.positions, take.detected.positions)


def test_s11_directions_is_left_out_and_repetitions_are_kept(folder) -> None:
    names = {take.name for take in human36m.read(folder, cameras=[0], trust=True)}
    assert "S9/Directions/54138969" in names and "S11/Directions/54138969" not in names
    assert {name for name in names if "Walking" in name and "S9" in name} == {
        "S9/Walking/54138969", "S9/Walking 1/54138969"
    }  # fmt: skip
    one = human36m.read(folder, ["S9"], ["Walking 1"], [0], trust=True)
    assert [take.action for take in one] == ["Walking 1"]


def save_cdf(path: Path, world: np.ndarray) -> None:
    cdfwrite = pytest.importorskip("cdflib.cdfwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    pose = (source_32(world) * 1000).reshape(1, len(world), 96).astype("float32")
    with_type = {
        "Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Var_Type": "zVariable",
        "Dim_Sizes": [len(world), 96],
    }  # fmt: skip
    file = cdfwrite.CDF(path, cdf_spec={"Majority": "row_major"})
    file.write_var(with_type, var_data=pose)
    file.close()


@pytest.mark.parametrize("archive", ["", "Poses_D3_Positions_S9"])
def test_cdf_files_of_the_source(tmp_path, archive: str) -> None:
    inner = tmp_path / archive / "S9" / "MyPoseFeatures" / "D3_Positions"
    for action in ("TakingPhoto 1", "WalkingDog", "Walking", "_ALL"):
        save_cdf(inner / f"{action}.cdf", walking(FRAMES))
    takes = human36m.read(tmp_path, cameras=[1])
    assert sorted(take.action for take in takes) == ["Photo 1", "WalkDog", "Walking"]
    save_3d(tmp_path)
    (wanted,) = human36m.read(tmp_path, ["S9"], ["Walking 1"], [1], trust=True)
    np.testing.assert_allclose(takes[0].truth.positions, wanted.truth.positions, atol=1e-5)


def test_damaged_cdf_is_refused(tmp_path) -> None:
    pytest.importorskip("cdflib")
    path = tmp_path / "S9" / "MyPoseFeatures" / "D3_Positions" / "Walking.cdf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a cdf file at all")
    with pytest.raises(FormatError, match="not a readable CDF"):
        human36m.read(tmp_path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"subjects": ["S2"]}, "no poses of S2"),
        ({"subjects": ["S5"]}, "no subject S5"),
        ({"actions": ["Jumping"]}, "no action 'Jumping'"),
        ({"cameras": [4]}, "no camera '4'"),
        ({"subjects": ["S1"], "actions": ["Photo"]}, "none"),
        ({"detections": "cpn"}, "not there"),
    ],
)
def test_what_is_not_there_is_named(folder, asked, words) -> None:
    with pytest.raises(InputError, match=words):
        human36m.read(folder, trust=True, **asked)


def test_wrong_folder(tmp_path) -> None:
    with pytest.raises(InputError, match="neither is there"):
        human36m.read(tmp_path)


def test_pickles_need_trust_and_hold_data_only(folder) -> None:
    with pytest.raises(FormatError, match="trust"):
        human36m.read(folder)

    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    np.savez(folder / "data_3d_h36m.npz", positions_3d={"S9": {"Walking": Evil()}})
    with pytest.raises(FormatError, match="forbidden"):
        human36m.read(folder, trust=True)


def test_files_that_do_not_belong_together_are_refused(folder) -> None:
    save_2d(folder, "gt", noise=40.0)
    with pytest.raises(FormatError, match="belong together"):
        human36m.read(folder, ["S9"], detections="gt", trust=True)


def test_swapped_sides_and_strange_shapes_are_refused(tmp_path) -> None:
    def written(world: np.ndarray) -> None:
        np.savez(tmp_path / "data_3d_h36m.npz", positions_3d={"S9": {"Walking": world}})

    written(walking(60)[:, list(H36M_17.mirror)])
    with pytest.raises(FormatError, match="left and right"):
        human36m.read(tmp_path, trust=True)
    written(walking()[:, :15])
    with pytest.raises(FormatError, match="32 or 17 or 16"):
        human36m.read(tmp_path, trust=True)
    written(walking() * 1000)
    with pytest.raises(FormatError, match="metres"):
        human36m.read(tmp_path, trust=True)


def test_splits_are_the_papers() -> None:
    assert human36m.TRAINING_SUBJECTS == ("S1", "S5", "S6", "S7", "S8") and human36m.TEST_SUBJECTS == ("S9", "S11")
    assert len(human36m.ACTIONS) == 15
