"""Scenes: files that read back, seeds that repeat, layouts that other readers read, builds that resume."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.datasets import blendmimic3d, packs, procedural, scene_files
from posemend.datasets.packs import Motion
from posemend.datasets.producing import Order, produce_all
from posemend.datasets.scene import FURNITURE, Obstacle, Person, Scene, SceneCamera, read_scene, to_toml
from posemend.datasets.scene_presets import PRESETS, draw
from posemend.datasets.staging import Library, label_stage, stage, takes
from posemend.errors import FormatError, InputError
from posemend.occlusion.depth_sensor import SENSORS
from posemend.occlusion.labels import KINDS


@pytest.fixture(scope="module")
def rig() -> list[Scene]:
    """Two short scenes that share a rig, the second with company."""
    first = draw("rig-objects", 4, 0, seconds=0.4)
    second = draw("rig-objects", 4, 1, seconds=0.4)
    friend = replace(second.people[0], place=(1.0, 1.0), motion="procedural:77")
    return [first, replace(second, people=(*second.people, friend), soft_rays=4)]


@pytest.fixture
def files(rig: list[Scene], tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for scene in rig:
        (folder / f"{scene.name}.toml").write_text(to_toml(scene), encoding="utf-8")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("name", PRESETS)
def test_a_seed_is_a_scene_and_its_file_reads_back(name: str, tmp_path: Path) -> None:
    scene = draw(name, 11, 2, seconds=0.2)
    assert scene == draw(name, 11, 2, seconds=0.2)
    assert scene != draw(name, 12, 2, seconds=0.2)
    path = tmp_path / "scene.toml"
    path.write_text(to_toml(scene), encoding="utf-8")
    assert read_scene(path) == scene
    still = [c for c in scene.cameras if c.kind == "still"]
    assert still == [c for c in draw(name, 11, 0, seconds=0.2).cameras if c.kind == "still"]
    seen = label_stage(stage(scene, Library()))
    assert len(seen) == len(scene.people) * len(scene.cameras)
    kinds = np.concatenate([one.labels.kind.ravel() for one in seen])
    assert set(np.unique(kinds)) <= set(KINDS.values())
    assert 0 < (kinds > 0).mean() < 1


def test_things_stand_on_the_floor_and_turn() -> None:
    for kind in FURNITURE:
        boxes = Obstacle(kind, (2.0, -1.0), 0.7).boxes()
        assert min(box.centre[2] - box.size[2] / 2 for box in boxes) >= -1e-9
        assert all(np.hypot(b.centre[0] - 2, b.centre[1] + 1) <= Obstacle(kind, (2.0, -1.0)).reach() for b in boxes)


def test_takes_have_true_flags_and_a_detector_that_errs(rig: list[Scene]) -> None:
    for take in takes(rig[0], Library()):
        camera = take.keypoints.camera
        assert camera is not None and take.truth.root is not None
        again = camera.project(take.truth.positions + take.truth.root[:, None])
        assert np.abs(again - take.keypoints.positions).max() < 0.05
        assert np.array_equal(take.keypoints.visible, take.truth.visible)
    one = label_stage(stage(rig[0], Library()))[0]
    off = np.linalg.norm(one.detected - one.take.keypoints.positions, axis=-1)
    assert 1 < np.median(off) < 40 and (one.detected_score > 0).all()


def test_a_scene_may_have_a_real_detectors_errors(rig: list[Scene], tmp_path: Path) -> None:
    scene = replace(rig[0], detector="mediapipe")
    path = tmp_path / "scene.toml"
    path.write_text(to_toml(scene), encoding="utf-8")
    assert read_scene(path) == scene
    fixed, real, again = (label_stage(stage(s, Library()))[0] for s in (rig[0], scene, read_scene(path)))
    assert np.array_equal(real.detected, again.detected) and np.array_equal(real.detected_score, again.detected_score)
    assert not np.array_equal(real.detected, fixed.detected)
    assert np.array_equal(real.labels.kind, fixed.labels.kind)
    off = np.linalg.norm(real.detected - real.take.keypoints.positions, axis=-1)
    assert 1 < np.median(off) < 40
    hips = [H36M_17.index(name) for name in ("l_hip", "r_hip")]
    assert off[:, hips].min() > 1, "it means other hips"
    with pytest.raises(InputError, match="has detector 'openpose'; known: protocol, mediapipe"):
        replace(rig[0], detector="openpose")


def test_hand_held_cameras_move_by_their_seed(rig: list[Scene]) -> None:
    camera = replace(rig[0].cameras[0], kind="hand-held", sway=0.03)
    scene = replace(rig[0], cameras=(camera,))
    one, two, other = (stage(s, Library()).views["Cam_0"] for s in (scene, scene, replace(scene, seed=1)))
    assert one.moves and np.array_equal(one.rotation, two.rotation)
    assert not np.array_equal(one.rotation, other.rotation)
    assert np.abs(one.rotation @ one.rotation.swapaxes(-1, -2) - np.eye(3)).max() < 1e-9
    assert label_stage(stage(scene, Library()))[0].take.keypoints.camera is None


def test_same_bytes_on_any_number_of_workers_and_after_a_break(files: Path, rig: list[Scene], tmp_path: Path) -> None:
    formats = ("blendmimic3d", "coco")
    one, two = tmp_path / "one", tmp_path / "two"
    assert all(row["done"] for row in produce_all([files], Order(one, formats=formats, every=7)))
    # the second: the first scene alone, then all, in two processes
    produce_all([files / f"{rig[0].name}.toml"], Order(two, formats=formats, every=7))
    (two / "labels" / f".{rig[1].name}.npz.123.part").write_bytes(b"half of a file")  # killed here
    report = produce_all([files], Order(two, formats=formats, every=7), workers=2)
    assert [row["new"] for row in report] == [False, True]
    assert digests(one) == digests(two)
    (two / "coco" / f"{rig[1].name}.json").unlink()  # a format that was not asked for before
    assert [row["new"] for row in produce_all([files], Order(two, formats=formats, every=7))] == [False, True]
    assert digests(one) == digests(two)
    changed = replace(rig[1], seed=5)
    (files / f"{rig[1].name}.toml").write_text(to_toml(changed), encoding="utf-8")
    assert produce_all([files], Order(two, formats=formats, every=7))[1]["new"]
    assert digests(one) != digests(two)
    assert len(digests(one)) == 2 * 2 + 1 + 5 * 2 + 4 * 3  # labels and coco, report, cameras of S1, S2, takes


def test_blendmimic3d_layout_reads_back(files: Path, rig: list[Scene], tmp_path: Path) -> None:
    out = tmp_path / "set"
    produce_all([files], Order(out))
    read = blendmimic3d.read(out)
    assert {take.name for take in read} == {
        f"S{p + 1}/{s.name}/{c.name}" for s in rig for p in range(len(s.people)) for c in s.cameras
    }
    ours = {take.name: take for scene in rig for take in takes(scene, Library())}
    for take in read:
        mine = ours[take.name]
        assert take.truth.fps == 50
        assert np.abs(take.truth.positions - mine.truth.positions).max() < 1e-5
        assert np.array_equal(take.keypoints.visible, mine.keypoints.visible)
    assert blendmimic3d.read(out, ["S1"], [rig[0].name], [2])[0].camera == "Cam_2"
    with pytest.raises(InputError, match="no action 'Dancing'"):
        blendmimic3d.read(out, actions=["Dancing"])
    raw = np.load(out / "S1" / "Occlusions" / rig[0].name / "occluded_kpt.npz")
    assert raw["Cam_0"].dtype == np.float64 and set(np.unique(raw["Cam_0"])) <= {0.0, 1.0}
    text = np.loadtxt(out / "S1" / "D3_Positions" / rig[0].name / "data3D.txt")
    world = np.load(out / "S1" / "D3_Positions" / rig[0].name / f"{rig[0].name}.npz")["positions_3d"]
    assert np.abs(text.reshape(17, 3, -1).transpose(2, 0, 1) - world).max() < 1e-5
    with np.load(out / "S1" / "Cameras" / "matrices_S1.npz") as matrices:
        views = [np.loadtxt(out / "S1" / "Cameras" / f"CamView{n}_P3x4.txt") for n in range(4)]
        assert np.abs(views - matrices["P"]).max() < 1e-6


def test_coco_says_outside_hidden_seen(rig: list[Scene], tmp_path: Path) -> None:
    scene = replace(rig[0], cameras=(replace(rig[0].cameras[0], focal=4000.0), *rig[0].cameras[1:]))
    staged = stage(scene, Library())
    seen = label_stage(staged)
    scene_files.write_coco(tmp_path, staged, seen, every=5)
    found = json.loads((tmp_path / "coco" / f"{scene.name}.json").read_text())
    assert found["categories"][0]["keypoints"] == list(COCO_17.joints)
    assert len(found["images"]) == 4 * 4
    frames = {image["id"]: image for image in found["images"]}
    shared = [name for name in COCO_17.joints if name in H36M_17.joints and name != "nose"]
    for annotation in found["annotations"]:
        image = frames[annotation["image_id"]]
        one = next(s for s in seen if s.camera == image["camera"])
        kind = one.labels.kind[image["frame"]]
        points = np.array(annotation["keypoints"]).reshape(17, 3)
        for name in shared:
            x, y, v = points[COCO_17.index(name)]
            k = kind[H36M_17.index(name)]
            assert v == (0 if k == KINDS["out_of_frame"] else 2 if k == 0 else 1)
            assert v == 0 or (0 <= x <= image["width"] and 0 <= y <= image["height"])
        assert annotation["num_keypoints"] == (points[:, 2] > 0).sum()
        x, y, w, h = annotation["bbox"]
        assert w > 0 and h > 0 and x + w <= image["width"] + 0.1
    kinds = np.concatenate([s.labels.kind.ravel() for s in seen])
    assert (kinds == KINDS["out_of_frame"]).any()  # or nothing above was tried


def test_depth_maps_on_disk(rig: list[Scene], tmp_path: Path) -> None:
    scene = replace(rig[0], cameras=rig[0].cameras[:1])
    scene_files.write_depth(tmp_path, stage(scene, Library()), "itop", every=10)
    with np.load(tmp_path / "depth" / scene.name / "Cam_0.npz") as found:
        assert found["depth"].shape == (2, SENSORS["itop"].height, SENSORS["itop"].width)
        assert found["depth"].dtype == np.uint16 and list(found["frame"]) == [0, 10]
        assert 0 < (found["depth"] == 0).mean() < 0.9
        assert (found["solid"] >= 0).any()


def test_one_bad_scene_does_not_stop_the_rest(files: Path, rig: list[Scene], tmp_path: Path) -> None:
    base = rig[0]
    inside = replace(base, name="inside", cameras=(
        replace(base.cameras[0], eye=(0.0, 0.0, 1.0), target=(1.0, 0.0, 1.0)), *base.cameras[1:]),
        obstacles=(Obstacle("pillar", (0.0, 0.0)),))  # fmt: skip
    (files / "s-inside.toml").write_text(to_toml(inside))
    short = replace(base, name="short", people=(Person("procedural:1", first=2999),))
    (files / "t-short.toml").write_text(to_toml(short))
    (files / "u-broken.toml").write_text("people = [")
    (files / "v-typo.toml").write_text(to_toml(base).replace("girth", "grith"))
    crowd = to_toml(replace(base, name="x")) + "\n[[people]]\nmotion = 'procedural:1'\n" * 100
    (files / "w-crowd.toml").write_text(crowd)
    report = {row["file"]: row for row in produce_all([files], Order(tmp_path / "out"))}
    wrong = {name: row["error"] for name, row in report.items() if not row["done"]}
    assert "other cameras" in wrong["s-inside.toml"]
    assert "3000 frames" in wrong["t-short.toml"]
    assert "cannot be read" in wrong["u-broken.toml"]
    assert "Did you mean 'girth'" in wrong["v-typo.toml"]
    assert "1 to 3 people, got 101" in wrong["w-crowd.toml"]
    assert sum(row["done"] for row in report.values()) == 2
    (alone,) = produce_all([files / "s-inside.toml"], Order(tmp_path / "alone"))
    assert "Camera 'Cam_0': The camera is inside of" in alone["error"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())


def _pack(folder: Path) -> None:
    """A pack with one good sequence, and others that are no person."""
    good = procedural.generate(1, 4).positions
    stump, giant = good.copy(), good * 3
    stump[:, H36M_17.index("l_ankle")] = stump[:, H36M_17.index("l_knee")]
    table = {"good": good, "stump": stump, "giant": giant / 100, "heap": np.repeat(good[:, :1], 17, 1)}
    packs.write(folder / "mine.npz", [
        Motion(x, H36M_17, 50.0, "kim", name, name, "mine", "CC0") for name, x in table.items()
    ])  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_of_impossible_people_and_files(tmp_path: Path, workers: int) -> None:
    """Each says what is wrong with it by its file's name; the good ones around them are done."""
    raw, out = tmp_path / "scenes", tmp_path / "out"
    raw.mkdir()
    _pack(tmp_path)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:2000])
    base = draw("rig", 4, 0, seconds=0.2)
    kim = replace(base.people[0], motion="mine/good", first=0, place=(0.0, 0.0))
    base = replace(base, people=(kim,))
    made = {name: replace(base, people=(replace(kim, motion=motion),)) for name, motion in {
        "a-good": "mine/good", "stump": "mine/stump", "giant": "mine/giant", "heap": "mine/heap", "torn": "torn/good",
        "nobody": "mine/nobody", "z-good": "procedural:3"}.items()}  # fmt: skip
    body = stage(base, Library(tmp_path)).people[0]
    x, y, z = (float(value) for value in body[3, H36M_17.index("spine")])
    eye = replace(base.cameras[0], eye=(x, y, z), target=(x + 1, y, z))
    made["in-the-body"] = replace(base, cameras=(eye, *base.cameras[1:]))
    for name, scene in made.items():
        (raw / f"{name}.toml").write_text(to_toml(replace(scene, name=name)))
    (raw / "crowd.toml").write_text(to_toml(base) + "\n[[people]]\nmotion = 'procedural:1'\n" * 99)
    (raw / "noise.toml").write_bytes(bytes(range(256)))
    (raw / "deep.json").write_text("[" * 100_000)
    (raw / "list.json").write_text("[1, 2]")
    (raw / "empty.toml").write_text("")
    (raw / "folder.toml").mkdir()
    report = {row["file"]: row for row in produce_all([raw], Order(out, tmp_path, ("coco",)), workers)}
    assert sorted(name for name, row in report.items() if row["done"]) == ["a-good.toml", "z-good.toml"]
    assert (out / "labels" / "a-good.npz").is_file() and (out / "coco" / "z-good.json").is_file()
    for file, word in {
        "stump.toml": "l_knee to l_ankle has no length", "giant.toml": "0.3 to 3", "heap.toml": "has no length",
        "torn.toml": "torn.npz", "nobody.toml": "no sequence 'nobody'", "in-the-body.toml": "inside of person 0",
        "crowd.toml": "1 to 3 people, got 100", "noise.toml": "cannot be read", "deep.json": "cannot be read",
        "list.json": "table of keys", "empty.toml": "lacks people", "folder.toml": "cannot be read",
    }.items():  # fmt: skip
        assert word in report[file]["error"], report[file]
    assert "Traceback" not in (out / "report.json").read_text()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"people": ()}, "1 to 3 people"),
        ({"cameras": ()}, "at least one camera"),
        ({"rule": "magic"}, "rule 'magic'"),
        ({"frames": 0}, "frames"),
        ({"name": "../x"}, "name"),
        ({"obstacles": (Obstacle("tabel", (0, 0)),)}, "Did you mean 'table'"),
        ({"cameras": (SceneCamera("a", (0, 0, 3), (0, 0, 1), 500),)}, "straight down"),
        ({"cameras": (SceneCamera("a", (0, 1, 3), (0, 0, 1), -5),)}, "impossible focal"),
    ],
)
def test_impossible_scenes_are_refused(rig: list[Scene], change: dict, word: str) -> None:
    with pytest.raises(InputError, match=word):
        replace(rig[0], **change)


def test_unknown_motions_are_refused(tmp_path: Path) -> None:
    library = Library()
    for name, word in (("procedural:x", "whole number"), ("procedural:1:dance", "everyday"), ("cmu/01", "--packs")):
        with pytest.raises(InputError, match=word):
            library.get(name)
    with pytest.raises(InputError, match="Packs there: none"):
        Library(tmp_path).get("cmu/01_01")
    with pytest.raises(InputError, match="Did you mean 'rig'"):
        draw("rigg", 0)


def test_layout_wants_four_still_cameras(rig: list[Scene], tmp_path: Path) -> None:
    staged = stage(replace(rig[0], cameras=rig[0].cameras[:2]), Library())
    with pytest.raises(InputError, match="four still cameras"):
        scene_files.write_blendmimic3d(tmp_path, staged, label_stage(staged))
    with pytest.raises(InputError, match="published"):
        staged = stage(replace(rig[0], name="Greeting"), Library())
        scene_files.write_blendmimic3d(tmp_path, staged, label_stage(staged))
    with pytest.raises(FormatError, match="unknown key"):
        from posemend.datasets.scene import from_table

        from_table({"peple": []})


def test_real_packs_can_be_drawn_from(shared_data: Path) -> None:
    library = Library(shared_data / "motion" / "packs")
    scene = draw("rig", 0, 0, library=library, sources=["cmu_asfamc"], seconds=2)
    assert scene.people[0].motion.startswith("cmu_asfamc/")
    assert len(label_stage(stage(scene, library))) == 4
    assert "indian_04#2" in library.pack("cmu_aclstm_bvh")
