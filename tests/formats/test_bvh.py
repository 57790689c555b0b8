"""BVH from many exporters: kinematics against an independent one, and files that are not as they should be."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemend.errors import FormatError
from posemend.formats import bvh
from tests.datasets.raw_files import DAZ, MIXAMO, PERSON, RIGIFY, TIPS, XSENS, Bvh, Walk

FPS = 30.0
WALK = Walk.steps(12, FPS)

DIALECTS = {
    "Mixamo, centimetres": Bvh(MIXAMO),
    "Blender, metres, positions on every joint": Bvh(RIGIFY, 1.0, dict.fromkeys(RIGIFY, "XYZ"), "all"),
    "positions on top of the offsets": Bvh(DAZ, positions="added"),
    "rotations first": Bvh(XSENS, rotation_first=True, positions="all"),
    "an order of its own for each joint": Bvh(
        DAZ, orders=dict(zip(DAZ, ["XYZ", "ZYX", "YZX", "ZXY", "XZY", "YXZ"] * 3, strict=False))
    ),
    "z up": Bvh(MIXAMO, turned=Rotation.from_euler("x", 90, degrees=True)),
}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_kinematics_are_those_of_another_implementation(tmp_path: Path, dialect: Bvh) -> None:
    motion = bvh.read(dialect.write(tmp_path / "walk.bvh", WALK, FPS))
    assert motion.fps == FPS and motion.frames == 12
    assert set(motion.joints) == {*dialect.names.values(), *(f"{dialect.names[tip]}_end" for tip in TIPS)}
    found, truth = motion.positions(), WALK.positions()
    for name, places in truth.items():
        file_name = dialect.names[name.removesuffix("_end")] + ("_end" if name.endswith("_end") else "")
        expected = dialect.turned.apply(places) * dialect.scale
        np.testing.assert_allclose(found[:, motion.index(file_name)], expected, atol=2e-5 * dialect.scale)


def test_only_what_is_asked_for_is_worked_out(tmp_path: Path) -> None:
    motion = bvh.read(Bvh(DAZ).write(tmp_path / "walk.bvh", WALK, FPS))
    places, _ = motion.forward([motion.index("lShin")])
    assert {motion.joints[place] for place in places} == {"hip", "lThigh", "lShin"}


def test_real_file_against_the_kinematics_of_other_software(shared_data: Path) -> None:
    folder = shared_data / "motion" / "raw" / "cmu_daz_bvh"
    motion = bvh.read(folder / "16_01.bvh")
    with (folder / "16_01_worldpos.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    truth = np.array(rows, float)[:, 1:].reshape(len(rows), -1, 3)
    assert len(truth) == motion.frames == 322
    found = motion.positions()
    for place, column in enumerate(head[1::3]):
        name = column.removesuffix(".X").replace("End", "_end")
        np.testing.assert_allclose(found[:, motion.index(name)], truth[:, place], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "joints", "frames"),
    [("cmu_iclone_142_joints", 142, 157), ("mocapnet_212_joints", 212, 40), ("rotation_first_root", 6, 4)],
)
def test_odd_real_rigs(shared_data: Path, name: str, joints: int, frames: int) -> None:
    motion = bvh.read(shared_data / "formats" / "bvh_rigs" / f"{name}.bvh")
    assert (len(motion.joints), motion.frames) == (joints, frames)
    found = motion.positions()
    for joint, parent in enumerate(motion.parents):
        if parent >= 0 and motion.shifts[joint] is None:
            bone = np.linalg.norm(found[:, joint] - found[:, parent], axis=-1)
            np.testing.assert_allclose(bone, np.linalg.norm(motion.offsets[joint]), rtol=1e-9, atol=1e-9)


def test_rotation_before_position_leaves_the_position_where_it_is(shared_data: Path) -> None:
    motion = bvh.read(shared_data / "formats" / "bvh_rigs" / "rotation_first_root.bvh")
    np.testing.assert_allclose(motion.positions()[0, 0], [10, 50, -20])


MESSY = {
    "CRLF": (lambda text: text.replace("\n", "\r\n"), ""),
    "old Macintosh": (lambda text: text.replace("\n", "\r"), ""),
    "byte order mark": (lambda text: "\ufeff" + text, ""),
    "tabs": (lambda text: text.replace("  ", "\t").replace("CHANNELS ", "CHANNELS\t"), ""),
    "braces on the line": (lambda text: text.replace("\n  {", " {"), ""),
    "small letters": (lambda text: text.replace("CHANNELS", "Channels").replace("End Site", "end site"), ""),
    "decimal commas": (lambda text: text.replace(".", ","), ""),
    "wrong frame count": (lambda text: text.replace("Frames: 12", "Frames: 999"), "says 999 frames and has 12"),
    "no frame count": (lambda text: text.replace("Frames: 12\n", ""), ""),
    "blank lines": (lambda text: text.replace("\n", "\n\n"), ""),
    "lines wrapped": (
        lambda text: re.sub(r"(?s)(?<=0.0333333\n).*", lambda m: m[0].replace(" 0.0", "\n0.0"), text),
        "",
    ),
}


@pytest.mark.parametrize(("spoil", "remark"), MESSY.values(), ids=MESSY)
def test_untidy_files_are_read_all_the_same(tmp_path: Path, spoil, remark: str) -> None:
    clean = Bvh(DAZ).write(tmp_path / "clean.bvh", WALK, FPS)
    messy = tmp_path / "messy.bvh"
    messy.write_bytes(spoil(clean.read_text(encoding="utf-8")).encode())
    motion = bvh.read(messy)
    assert remark in " ".join(motion.remarks) and bool(remark) == bool(motion.remarks)
    np.testing.assert_allclose(motion.positions(), bvh.read(clean).positions(), atol=1e-9)


def test_cut_off_last_line_and_words_for_no_number(tmp_path: Path) -> None:
    text = Bvh(DAZ).text(WALK, FPS)
    path = tmp_path / "cut.bvh"
    path.write_text(text[: text.rindex("\n", 0, -1) + 40], encoding="utf-8")
    motion = bvh.read(path)
    assert motion.frames == 11 and any("cut off" in remark for remark in motion.remarks)
    head, _, rest = text.partition("Frame Time: ")
    lines = rest.splitlines()
    for word in ("-1.#IND", "nan", "inf", "1e300"):
        lines[3] = f"{word} " + lines[3].partition(" ")[2]
        path.write_text(f"{head}Frame Time: " + "\n".join(lines), encoding="utf-8")
        motion = bvh.read(path)
        assert np.isnan(motion.positions()).any(axis=(1, 2)).tolist() == [False, False, True, *[False] * 9]
        assert motion.remarks == ("has values that are no numbers",)


def test_frame_times_as_they_are_rounded_in_files(tmp_path: Path) -> None:
    for word, fps in (
        (".0083333", 120.0),
        ("0.041667", 24.0),
        ("0.033333", 30.0),
        ("0.04", 25.0),
        ("0.0160", 62.5),
        (".00833", 120.0),
    ):
        assert bvh.read(Bvh(DAZ, frame_time=word).write(tmp_path / "a.bvh", WALK, FPS)).fps == fps
    ntsc = bvh.read(Bvh(DAZ, frame_time="0.0166833").write(tmp_path / "a.bvh", WALK, FPS))
    assert ntsc.fps == pytest.approx(59.94, abs=1e-3)
    motion = bvh.read(Bvh(DAZ, frame_time="0").write(tmp_path / "a.bvh", WALK, FPS))
    assert motion.fps is None and motion.remarks == ("has no usable frame time",)


GOOD = Bvh(DAZ).text(WALK, FPS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.partition("MOTION")[0], "no line MOTION"),
        (GOOD.partition("Frame Time")[0], "no whole frame"),
        (GOOD.replace("}", "", 1), "braces are open"),
        (GOOD.replace("MOTION", "}\nMOTION"), "never opened"),
        (GOOD.replace("OFFSET 0.000000 0.000000 0.000000", "OFFSET 0 0", 1), "three numbers"),
        (GOOD.replace("  OFFSET", "  ;", 1), "no meaning"),
        (GOOD.replace("CHANNELS 6", "CHANNELS 5"), "a count and as many"),
        (GOOD.replace("Zrotation", "Wrotation", 1), "a count and as many"),
        (GOOD.replace("Yposition", "Xposition", 1), "position twice"),
        (GOOD.replace("ROOT hip", "JOINT hip"), "outside of any ROOT"),
        (GOOD + "nonsense\n", "wants numbers"),
        ("HIERARCHY\nMOTION\nFrames: 1\n", "names no joints"),
        ("just text", "no line MOTION"),
    ],
)
def test_damaged_files_are_refused_with_a_reason(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.bvh"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=words):
        bvh.read(path)


def test_several_roots(tmp_path: Path) -> None:
    one = GOOD.partition("MOTION")
    rows = one[2].splitlines()
    text = one[0] + one[0].replace("HIERARCHY\n", "").replace("ROOT hip", "ROOT prop") + "MOTION\n" + "\n".join(
        [*rows[:3], *(f"{row} {row}" for row in rows[3:])]
    )  # fmt: skip
    path = tmp_path / "two.bvh"
    path.write_text(text, encoding="utf-8")
    motion = bvh.read(path)
    found, half = motion.positions(), len(motion.joints) // 2
    assert motion.parents.count(-1) == 2 and half == len(PERSON) + len(TIPS)
    np.testing.assert_allclose(found[:, :half], found[:, half:])


def test_orders_make_a_difference(tmp_path: Path) -> None:
    """The comparison above can fail: the same angles in another order are another pose."""
    first = bvh.read(Bvh(DAZ).write(tmp_path / "a.bvh", WALK, FPS)).positions()
    text = replace(Bvh(DAZ)).text(WALK, FPS).replace("Zrotation Xrotation", "Xrotation Zrotation")
    (tmp_path / "b.bvh").write_text(text, encoding="utf-8")
    assert np.abs(first - bvh.read(tmp_path / "b.bvh").positions()).max() > 1
