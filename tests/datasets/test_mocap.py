"""Raw files to Human3.6M's joints in metres, z up, on one clock: the packs' own samples, and files written here."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemend.body.catalogue import H36M_17
from posemend.datasets import cmu, markers, mocap, packs, rigs
from posemend.datasets.mocap import Settings
from posemend.errors import InputError, SkeletonError
from posemend.formats import c3d
from posemend.formats.c3d import Markers
from tests.datasets.raw_files import (
    DAZ,
    H36M,
    MIXAMO,
    OTHERS,
    RIGIFY,
    XSENS,
    Bvh,
    Walk,
    plug_in_gait,
    write_amc,
    write_asf,
    write_c3d,
    z_up,
)

FPS = 50.0
WALK = Walk.steps(60, FPS)
AT_50 = Settings(rate=50)


def expected(walk: Walk) -> dict[str, np.ndarray]:
    at = walk.positions()
    found = {joint: z_up(at[name]) for joint, name in H36M.items()}
    return found | {"pelvis": (found["l_hip"] + found["r_hip"]) / 2}


def assert_joints(piece: np.ndarray, truth: dict[str, np.ndarray], atol: float = 2e-5) -> None:
    for joint, places in truth.items():
        np.testing.assert_allclose(piece[:, H36M_17.index(joint)], places, atol=atol, err_msg=joint)


# ---- the packs' own samples

FAMILIES = {
    "cmu_asfamc": ("cmu_asfamc/*.amc", Settings(), "{}", 4),
    "cmu_mb_bvh": ("cmu_mb_bvh/0[58]_*.bvh", Settings(), "{}", 5),
    "cmu_daz_bvh": ("cmu_daz_bvh/1[03]_*.bvh", Settings(), "{}", 2),
    "cmu_aclstm_bvh": ("cmu_dance_bvh/0*.bvh", Settings(skip=4), "martial_{}", 2),
    "reactidle": ("reactidle/*.bvh", Settings(rate=25), "{}", 1),
    "bandai1": ("bandai/dataset-1*.bvh", Settings(rate=25), "{}", 5),
    "bandai2": ("bandai/dataset-2*.bvh", Settings(rate=25), "{}", 14),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_reproduce_the_packs(shared_data: Path, family: str) -> None:
    """To 0.2 mm, of which the packs' rounding is 0.09; the task was 1 mm."""
    pattern, settings, name, count = FAMILIES[family]
    pack: dict[str, list[packs.Motion]] = {}
    for motion in packs.read(shared_data / "motion" / "packs" / f"{family}.npz"):
        pack.setdefault(motion.name, []).append(motion)
    files = sorted((shared_data / "motion" / "raw").glob(pattern))
    assert len(files) == count
    for file in files:
        pieces, wanted = mocap.convert(file, settings).pieces, pack[name.format(file.stem)]
        assert [len(piece) for piece in pieces] == [len(motion) for motion in wanted], file.name
        for piece, motion in zip(pieces, wanted, strict=True):
            assert np.linalg.norm(piece - motion.positions, axis=-1).max() < 2e-4, file.name


def test_the_thorax_that_was_put_back_is_the_asfs(shared_data: Path) -> None:
    raw = shared_data / "motion" / "raw"
    truth = mocap.convert(raw / "cmu_asfamc" / "03_01.amc", Settings(rate=120)).pieces[0]
    found = mocap.convert(raw / "cmu_mb_bvh" / "03_01.bvh", Settings(rate=120))
    assert any("thorax" in remark for remark in found.remarks)
    gap = np.linalg.norm(found.pieces[0] - truth, axis=-1)
    assert gap[:, :8].max() < 1e-4 and gap.max() < 2e-3  # legs and spine, and all that sits on the thorax


def test_frame_rates_are_those_of_the_index(shared_data: Path) -> None:
    with (shared_data / "motion" / "raw" / "cmu_index.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert cmu.frame_rate(int(row["Subject"]), int(row["Trial #"])) == float(row["framerate"])
    assert (len(rows), sum(row["framerate"] == "60" for row in rows)) == (2435, 326)


@pytest.mark.parametrize(
    ("name", "rig", "height"),
    [
        ("bvh_rigs/cmu_iclone_142_joints.bvh", "thigh", 1.80),
        ("bvh_rigs/mocapnet_212_joints.bvh", "anatomical", 1.62),
        ("bvh_rigs/cmu_12_01_walk.bvh", "cmu_motionbuilder", 1.52),
        ("bvh_rigs/bvh_test2.bvh", "anatomical", 1.65),
        ("c3d/Movement_trial.c3d", "plug_in_gait markers", 1.65),
    ],
)
def test_odd_real_files_give_people_who_stand(shared_data: Path, name: str, rig: str, height: float) -> None:
    if name.endswith(".c3d"):
        pytest.importorskip("ezc3d")
    result = mocap.convert(shared_data / "formats" / name, Settings(shortest=0.3))
    assert result.facts["rig"] == rig
    piece = result.pieces[0]
    at = {joint: piece[:, H36M_17.index(joint)] for joint in H36M_17.joints}
    stature = np.linalg.norm(at["head_top"] - (at["l_ankle"] + at["r_ankle"]) / 2, axis=-1).max()
    assert abs(stature - height) < 0.1
    for bone in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        left, right = (
            np.median(np.linalg.norm(at[f"{s}_{bone[0]}"] - at[f"{s}_{bone[1]}"], axis=-1)) for s in "lr"
        )  # fmt: skip
        assert abs(left - right) < 0.03, bone
    assert (at["thorax"] - at["pelvis"])[:, 2].mean() > 0.3  # z is up


# ---- files written here

RIGS: dict[str, tuple[Bvh, str, float]] = {
    "Mixamo, centimetres": (Bvh(MIXAMO), "upleg", 0.01),
    "Mixamo, millimetres": (Bvh(MIXAMO, 1000.0), "upleg", 0.001),
    "Blender, metres": (Bvh(RIGIFY, 1.0, positions="all"), "thigh", 1.0),
    "Xsens, inches": (Bvh(XSENS, 1 / 0.0254), "anatomical", 0.0254),
    "DAZ": (Bvh(DAZ, positions="added"), "daz", 0.01),
    "z up": (Bvh(MIXAMO, turned=Rotation.from_euler("x", 90, degrees=True)), "upleg", 0.01),
}


@pytest.mark.parametrize(("dialect", "rig", "metres"), RIGS.values(), ids=RIGS)
def test_any_rig_gives_the_same_person(tmp_path: Path, dialect: Bvh, rig: str, metres: float) -> None:
    result = mocap.convert(dialect.write(tmp_path / "walk.bvh", WALK, FPS), AT_50)
    assert (result.facts["rig"], result.facts["metres_per_unit"], result.facts["fps"]) == (rig, metres, FPS)
    assert len(result.pieces) == 1 and result.dropped == []
    assert_joints(result.pieces[0], expected(WALK))


@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS)
def test_other_tools_names_are_known(tmp_path: Path, names: dict[str, str]) -> None:
    result = mocap.convert(Bvh(names).write(tmp_path / "walk.bvh", WALK, FPS), AT_50)
    assert_joints(result.pieces[0], expected(WALK))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("LeftUpLeg", "lupleg"), ("mixamorig:LeftUpLeg", "lupleg"), ("mixamorig1_RightArm", "rarm"),
        ("upper_arm.L", "lupperarm"), ("Bip01 R Calf", "rcalf"), ("Bip001_R_Calf", "rcalf"),
        ("CC_Base_L_Hand", "lhand"), ("thigh_r", "rthigh"), ("lfemur", "lfemur"), ("LHipJoint", "lhipjoint"),
        ("LowerBack", "lowerback"), ("forearm.R_end", "rforearm_end"),
        ("Kim:Hips", "hips"), ("Left Hip", "lhip"), ("HeadTop_End", "headtopend"),
    ],
)  # fmt: skip
def test_plain_names(name: str, plain: str) -> None:
    assert rigs.plain_name(name) == plain


def test_head_and_spine_lie_where_the_rig_has_them(tmp_path: Path) -> None:
    at = WALK.positions()
    piece = mocap.convert(Bvh(MIXAMO).write(tmp_path / "walk.bvh", WALK, FPS), AT_50).pieces[0]
    assert_joints(piece, {"head_top": z_up(at["head_end"]), "spine": z_up(at["chest"])})


def test_amc_with_its_asf(tmp_path: Path) -> None:
    write_asf(tmp_path / "05.asf")
    truth = write_amc(tmp_path / "05_02.amc", 120)
    result = mocap.convert(tmp_path / "05_02.amc", Settings(rate=120))
    assert result.facts["fps"] == 120
    names = {"l_hip": "lfemur", "r_ankle": "rfoot", "thorax": "lclavicle", "nose": "head", "head_top": "head_end",
             "l_shoulder": "lhumerus", "r_elbow": "rradius", "l_wrist": "lwrist", "spine": "upperback"}  # fmt: skip
    assert_joints(result.pieces[0], {joint: z_up(truth[name]) for joint, name in names.items()})


def test_slow_trials_and_files_without_a_clock(tmp_path: Path) -> None:
    write_asf(tmp_path / "33.asf")
    write_amc(tmp_path / "33_01.amc", 120)
    assert mocap.convert(tmp_path / "33_01.amc", Settings()).facts["fps"] == 60
    (tmp_path / "33_01.amc").rename(tmp_path / "take.amc")
    with pytest.raises(InputError, match="--fps"):
        mocap.convert(tmp_path / "take.amc", Settings())
    assert mocap.convert(tmp_path / "take.amc", Settings(fps=100)).facts["fps"] == 100
    slow = Bvh(DAZ, frame_time=".0083333")
    result = mocap.convert(slow.write(tmp_path / "60_03.bvh", WALK, 0), Settings())
    assert result.facts["fps"] == 60 and "CMU's index says 60" in result.remarks[0]
    assert mocap.convert(slow.write(tmp_path / "walk.bvh", WALK, 0), Settings(shortest=0.4)).facts["fps"] == 120


def test_resampling_follows_the_motion(tmp_path: Path) -> None:
    fine, coarse = Walk.steps(181, 120.0), Walk.steps(75, 50.0)
    result = mocap.convert(Bvh(MIXAMO).write(tmp_path / "walk.bvh", fine, 120.0), Settings(rate=50))
    assert len(result.pieces[0]) == 75  # 180 steps of 1/120 s are 75 of 1/50 s; the end itself is left out
    assert_joints(result.pieces[0], expected(coarse), atol=2e-4)


def with_rest_pose(walk: Walk) -> Walk:
    """The first frame with all joints unturned: arms straight out."""
    turns = {name: np.concatenate([np.zeros((1, 3)), values]) for name, values in walk.turns.items()}
    return Walk(np.concatenate([walk.place[:1], walk.place]), turns)


def test_rest_pose_at_the_start_is_left_out(tmp_path: Path) -> None:
    for names, frames in ((MIXAMO, 1), (DAZ, 7)):  # on DAZ figures some frames of blending follow
        path = Bvh(names).write(tmp_path / "walk.bvh", with_rest_pose(WALK), FPS)
        result = mocap.convert(path, AT_50)
        assert result.dropped == [{"frames": [0, frames - 1], "why": "rest pose at the start"}]
        assert_joints(result.pieces[0], {k: v[frames - 1 :] for k, v in expected(WALK).items()})
        assert mocap.convert(path, replace(AT_50, skip=3)).dropped[0]["frames"] == [0, 2]


def test_jumps_of_the_whole_body_are_cut_and_quick_limbs_are_not(tmp_path: Path) -> None:
    walk = Walk.steps(120, FPS)
    walk.place[70:] += [0.5, 0, 0]
    walk.turns["l_arm"][20] += [0, 0, 1.5]  # one wild frame of one arm
    result = mocap.convert(Bvh(MIXAMO).write(tmp_path / "walk.bvh", walk, FPS), AT_50)
    assert result.dropped == [{"frames": [66, 73], "why": "the whole body jumps"}]
    assert [len(piece) for piece in result.pieces] == [66, 46]


def test_running_at_a_steady_pace_is_no_jump(tmp_path: Path) -> None:
    walk = Walk.steps(60, FPS)
    walk.place[:, 2] = 9.0 * np.arange(60) / FPS
    assert mocap.convert(Bvh(MIXAMO).write(tmp_path / "run.bvh", walk, FPS), AT_50).dropped == []


def test_who_stands_below_the_floor_is_put_on_it(tmp_path: Path) -> None:
    walk = Walk.steps(60, FPS)
    walk.place[:, 1] -= 0.9
    result = mocap.convert(Bvh(RIGIFY, 1.0).write(tmp_path / "walk.bvh", walk, FPS), AT_50)
    assert "below the floor" in result.remarks[0]
    assert np.percentile(result.pieces[0][..., 2].min(axis=1), 5) == pytest.approx(mocap.ANKLE, abs=1e-6)


def test_what_is_too_short_or_does_not_move_is_dropped(tmp_path: Path) -> None:
    still = Walk.steps(60, FPS)
    still.place[:] = still.place[0]
    still.turns = {name: np.tile(values[:1], (60, 1)) for name, values in still.turns.items()}
    result = mocap.convert(Bvh(MIXAMO).write(tmp_path / "still.bvh", still, FPS), AT_50)
    assert result.pieces == [] and result.dropped[0]["why"] == "nothing moves"
    result = mocap.convert(Bvh(MIXAMO).write(tmp_path / "short.bvh", Walk.steps(29, FPS), FPS), AT_50)
    assert result.pieces == [] and result.dropped == [{"frames": [0, 28], "why": "shorter than 0.6 s"}]


def mirrored(text: str) -> str:
    return text.replace("Left", "?").replace("Right", "Left").replace("?", "Right")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda text: text.replace("UpLeg", "Tentacle"), SkeletonError, "no hips"),
        (lambda text: text.replace("OFFSET 25.000000 0.000000 0.000000", "OFFSET 0 0 0"), InputError, "zero-length"),
        (mirrored, InputError, "left and right"),
        (lambda text: text.replace("Frame Time: 0.0200000", "Frame Time: 0"), InputError, "--fps"),
    ],
)
def test_what_is_no_person_is_refused_with_a_reason(
    tmp_path: Path, spoil: Callable[[str], str], error: type[Exception], words: str
) -> None:
    text = Bvh(MIXAMO).text(WALK, FPS)
    assert spoil(text) != text
    (tmp_path / "walk.bvh").write_text(spoil(text), encoding="utf-8")
    with pytest.raises(error, match=words):
        mocap.convert(tmp_path / "walk.bvh", AT_50)


def test_units_that_make_nobody_want_to_be_told(tmp_path: Path) -> None:
    path = Bvh(MIXAMO, 7.0).write(tmp_path / "walk.bvh", WALK, FPS)
    with pytest.raises(InputError, match="--unit"):
        mocap.convert(path, AT_50)
    with pytest.raises(InputError, match="nobody's"):
        mocap.convert(path, replace(AT_50, unit="mm"))


def test_frames_without_numbers_are_cut_out(tmp_path: Path) -> None:
    lines = Bvh(MIXAMO).text(Walk.steps(100, FPS), FPS).splitlines()
    lines[-50] = "nan " + lines[-50].partition(" ")[2]
    (tmp_path / "walk.bvh").write_text("\n".join(lines), encoding="utf-8")
    result = mocap.convert(tmp_path / "walk.bvh", AT_50)
    assert [len(piece) for piece in result.pieces] == [50, 49]
    assert result.dropped == [{"frames": [50, 50], "why": "positions are missing or no numbers"}]


# ---- markers


def test_markers_to_joints(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    walk = Walk.steps(60, FPS)
    table = plug_in_gait(walk)
    table["LKNE"] = table["LKNE"].copy()
    table["LKNE"][20:23] = np.nan  # a short gap is bridged
    table["RANK"] = table["RANK"].copy()
    table["RANK"][55:] = np.nan  # a long one is cut
    result = mocap.convert(write_c3d(tmp_path / "walk.c3d", table, FPS, prefix="Kim:"), replace(AT_50, up="z"))
    assert result.facts["rig"] == "plug_in_gait markers" and "bridged" in result.remarks[0]
    assert [len(piece) for piece in result.pieces] == [55]
    truth = {joint: places[:55] for joint, places in expected(walk).items()}
    for joint in ("l_knee", "r_knee", "l_ankle", "r_ankle", "l_wrist", "thorax", "l_shoulder", "l_elbow"):
        gap = np.linalg.norm(result.pieces[0][:, H36M_17.index(joint)] - truth[joint], axis=-1)
        assert gap.max() < 0.045, joint


def test_hip_regression_against_its_formula() -> None:
    """Harrington 2007, by hand for a pelvis 240 mm wide and 160 deep that stands straight."""
    table = plug_in_gait(Walk.steps(2, FPS))
    asis = {"LASI": (0.12, 0, 1), "RASI": (-0.12, 0, 1), "LPSI": (0.05, 0.16, 1), "RPSI": (-0.05, 0.16, 1)}
    table |= {label: np.array([place, place], float) for label, place in asis.items()}
    found = markers.to_h36m(Markers(tuple(table), np.stack(list(table.values()), 1), FPS, None))
    # x is left, y is back: 0.24 * 160 + 9.9 back, 0.30 * 240 + 10.9 down, 0.33 * 240 + 7.3 to the side
    np.testing.assert_allclose(found[0, H36M_17.index("l_hip")], [0.0865, 0.0483, 1 - 0.0829], atol=1e-9)
    np.testing.assert_allclose(found[0, H36M_17.index("r_hip")], [-0.0865, 0.0483, 1 - 0.0829], atol=1e-9)


def test_cmus_names_of_the_waist_markers() -> None:
    table = plug_in_gait(WALK)
    names = {"LASI": "LFWT", "RASI": "RFWT", "LPSI": "LBWT", "RPSI": "RBWT"}
    places = np.stack(list(table.values()), 1)
    ours = markers.to_h36m(Markers(tuple(table), places, FPS, None))
    theirs = markers.to_h36m(Markers(tuple(names.get(label, label) for label in table), places, FPS, None))
    np.testing.assert_array_equal(ours, theirs)


def test_other_marker_sets_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    table = plug_in_gait(WALK)
    path = write_c3d(tmp_path / "a.c3d", {f"X{label}": places for label, places in table.items()}, FPS)
    with pytest.raises(SkeletonError, match="not Plug-in Gait"):
        mocap.convert(path, AT_50)


def test_real_recording_against_vicons_own_joint_centres(shared_data: Path) -> None:
    """Vicon's model (another hip regression, other widths) and ours differ by centimetres, not more."""
    pytest.importorskip("ezc3d")
    recording = c3d.read(shared_data / "formats" / "c3d" / "Sample_Static.c3d")
    found, vicon = markers.to_h36m(recording), recording.named()
    pairs = {"l_hip": "LFEP", "r_hip": "RFEP", "l_knee": "LFEO", "r_knee": "RFEO", "l_ankle": "LTIO",
             "l_shoulder": "LCLO", "l_elbow": "LHUO", "l_wrist": "LRAO"}  # fmt: skip
    for joint, label in pairs.items():
        assert np.linalg.norm(found[:, H36M_17.index(joint)] - vicon[label], axis=-1).max() < 0.04, joint
