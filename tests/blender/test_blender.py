"""The bridge to Blender. What needs Blender is skipped without one (POSEMEND_BLENDER names it)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from posemend.blender import launch
from posemend.blender.exchange import write_exchange
from posemend.body.catalogue import H36M_17
from posemend.datasets import blendmimic3d
from posemend.datasets.extracted import finish
from posemend.datasets.scene import to_toml
from posemend.datasets.scene_presets import draw
from posemend.datasets.staging import Library, stage
from posemend.errors import BlenderError, FormatError, InputError
from posemend.occlusion.depth_sensor import depth_map
from posemend.occlusion.figure import PARTS
from posemend.occlusion.labels import KINDS, label_joints
from posemend.occlusion.meshes import first_hits, tessellate
from posemend.occlusion.solids import entries

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def blender() -> Path:
    try:
        return launch.find()
    except BlenderError:
        pytest.skip("needs Blender (set POSEMEND_BLENDER)")


@pytest.fixture(scope="module")
def staged():
    return stage(draw("rig-objects", 3, 0, seconds=0.12), Library())


@pytest.fixture(scope="module")
def walk(blender: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rig")
    subprocess.run(launch.command(blender, HERE / "make_rig.py", folder), check=True, capture_output=True)
    return folder


def test_meshes_are_closed_turned_outwards_and_as_large_as_their_solids(staged) -> None:
    for mesh in tessellate(staged.solids, around=48, up=12):
        edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), 1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all(), mesh.part
        a, b, c = mesh.vertices[0][mesh.faces].transpose(1, 0, 2)
        assert np.einsum("ij,ij->", a - a.mean(0), np.cross(b - a.mean(0), c - a.mean(0))) > 0, mesh.part
    thigh = tessellate(staged.solids, 48, 12)[staged.solids.part.index("l_thigh")].vertices[0]
    n = staged.solids.part.index("l_thigh")
    start, end = staged.solids.start[0, n], staged.solids.end[0, n]
    axis = end - start
    share = np.clip(((thigh - start) @ axis) / (axis @ axis), 0, 1)
    gap = np.linalg.norm(thigh - start - share[:, None] * axis, axis=-1)
    assert gap == pytest.approx(np.full(len(gap), staged.solids.radius[0, n]), abs=1e-4)


def test_embree_meets_what_the_closed_form_meets(staged) -> None:
    pytest.importorskip("embreex")
    meshes = tessellate(staged.solids, 48, 12)
    view = staged.views["Cam_1"]
    way = staged.people[0][0] - view.eyes[0]
    number, share = first_hits(meshes, 0, view.eyes[0], way)
    met = entries(staged.solids.frames(slice(0, 1)), view.eyes[:1], way[None])[0]
    ours = np.where(np.isfinite(met.min(-1)), met.argmin(-1), -1)
    assert (number == ours).mean() > 0.9
    assert share == pytest.approx(met.min(-1), abs=2e-3)


def test_no_blender_and_a_blender_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BlenderError, match="Install Blender"):
        launch.find(tmp_path / "nothing")
    liar = tmp_path / "python"
    liar.write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    liar.chmod(0o755)
    with pytest.raises(BlenderError, match="code 7.*broken"):
        launch.run("scene", {}, liar)
    named = launch.command(Path("/x/blender-4.5"), Path("s.py"), Path("j"))
    assert "--background" in named and "--disable-autoexec" in named
    assert launch.command(Path("/x/python3"), Path("s.py"), Path("j")) == ["/x/python3", "s.py", "--", "j"]


def test_extracted_arrays_become_a_data_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = stage(draw("rig", 2, 0, seconds=0.1), Library())
    views = list(made.views.values())
    frames = made.scene.frames
    kind = rng.integers(0, 3, (1, 4, frames, 17)).astype(np.int8)
    k = np.array([[[v.camera.focal[0], 0, 500], [0, v.camera.focal[1], 501], [0, 0, 1]] for v in views], float)
    arrays = {
        "positions_3d": made.people[0][None], "positions_2d": np.zeros((1, 4, frames, 17, 2), np.float32), "kind": kind,
        "K": k, "R": np.stack([v.rotation for v in views]), "t": np.stack([v.translation for v in views]),
        "size": np.array([[1000, 1002]] * 4), "fps": np.array(24.0), "joints": np.array(H36M_17.joints),
        "cameras": np.array(["a", "b", "c", "d"]), "people": np.array(["x"]),
    }  # fmt: skip
    np.savez(tmp_path / "in.npz", **arrays)
    written = finish(tmp_path / "in.npz", tmp_path / "set", "shot")
    assert len(written) == 5
    take = blendmimic3d.read(tmp_path / "set", cameras=[1])[0]
    assert take.truth.fps == 24 and take.action == "shot"
    assert not (take.truth.visible & (kind[0, 1] > 0)).any()
    with pytest.raises(InputError, match="--name"):
        finish(tmp_path / "in.npz", tmp_path / "set", "Greeting")
    np.savez(tmp_path / "in.npz", **{**arrays, "joints": np.array(list("abcdefghijklmnopq"))})
    with pytest.raises(FormatError, match="fit together"):
        finish(tmp_path / "in.npz", tmp_path / "set", "shot")


def test_blenders_own_rays_say_the_same(blender: Path, staged, tmp_path: Path) -> None:
    write_exchange(tmp_path / "in.npz", staged.people, H36M_17, staged.solids, staged.views, 50, around=48)
    for rule in ("anatomy", "first-part"):
        job = {"exchange": str(tmp_path / "in.npz"), "out": str(tmp_path / "out.npz"), "slack": 0.08, "rule": rule}
        launch.run("scene", job, blender)
        theirs = np.load(tmp_path / "out.npz")["blocker"]
        labels = [label_joints(staged.people, H36M_17, staged.solids, v, rule=rule) for v in staged.views.values()]
        ours = np.stack([one[0].blocker for one in labels])
        assert ((ours >= 0) == (theirs >= 0)).mean() > 0.99
        assert (theirs >= 0).any()


def test_blenders_depth_is_ours(blender: Path, staged, tmp_path: Path) -> None:
    write_exchange(tmp_path / "in.npz", staged.people, H36M_17, staged.solids, staged.views, 50, around=48)
    job = {"exchange": str(tmp_path / "in.npz"), "out": str(tmp_path / "out"), "cameras": ["Cam_0"], "every": 1,
           "most": 1, "engine": "cycles", "samples": 1, "metres": 1.0, "parts": PARTS}  # fmt: skip
    launch.run("render", job, blender)
    with np.load(tmp_path / "out" / "Cam_0" / "passes.npz") as passes:
        depth, index = passes["depth"][0] / 1000, passes["index"][0]
        part, parts = passes["part"][0], ["", *PARTS]
        assert list(passes["parts"]) == parts and list(passes["people"]) == ["person 1"]
    exact = depth_map(staged.solids, staged.views["Cam_0"].at(0), 0)
    near = (exact.depth > 0) & (exact.depth < 30) & (depth > 0)
    assert np.percentile(np.abs(depth - exact.depth)[near], 90) < 2e-3
    assert (index - 1 == exact.solid)[exact.solid >= 0].mean() > 0.99
    want = np.array([parts.index(name) if name in PARTS else 0 for name in staged.solids.part])
    assert (part == want[exact.solid])[exact.solid >= 0].mean() > 0.99 and (part[exact.solid < 0] > 0).mean() < 1e-3
    assert (tmp_path / "out" / "Cam_0" / "000000.png").read_bytes()[:4] == b"\x89PNG"


def test_extract_from_a_rig(blender: Path, walk: Path, call, tmp_path: Path) -> None:
    out = tmp_path / "set"
    said = call("blender", "extract", str(walk / "walk.blend"), "-o", str(out), "--blender", str(blender), "--json")
    assert said.code == 0, said.err
    truth = json.loads((walk / "truth.json").read_text())
    with np.load(out / "labels" / "walk.npz") as found:
        data = {key: found[key] for key in found.files}
    assert data["fps"] == 25 and list(data["size"][0]) == [640, 480]
    assert list(data["cameras"]) == [f"Camera_{n}" for n in range(4)]
    place = {name: H36M_17.index(name) for name in ("pelvis", "l_knee", "r_wrist", "head_top", "nose")}
    bone = {"pelvis": "Hips", "l_knee": "LeftLeg", "r_wrist": "RightHand", "head_top": "HeadTop_End", "nose": "Head"}
    for frame in range(6):
        for joint, number in place.items():
            want = truth["heads"][frame][bone[joint]]
            assert data["positions_3d"][0, frame, number] == pytest.approx(want, abs=1e-5)
            for camera in range(4):
                x, y, _ = truth["seen"][frame][camera][bone[joint]]
                pixel = data["positions_2d"][0, camera, frame, number]
                assert pixel == pytest.approx((640 * x, 480 * (1 - y)), abs=0.02)
    kind = data["kind"][0]
    knee, ankle = H36M_17.index("l_knee"), H36M_17.index("l_ankle")
    assert (kind[0, :, ankle] == KINDS["object"]).all()  # the crate, whatever it is called
    assert (kind[2, :, ankle] == KINDS["visible"]).all() and (kind[2, :, knee] == KINDS["visible"]).all()
    assert (kind[0, :, H36M_17.index("nose")] == KINDS["visible"]).all()
    assert (kind[3, :, H36M_17.index("l_elbow")] == KINDS["self"]).any()  # behind the trunk
    assert {take.camera for take in blendmimic3d.read(out)} == {f"Cam_{n}" for n in range(4)}
    again = call("blender", "extract", str(walk / "walk.blend"), "-o", str(out), "--blender", str(blender),
                 "--armatures", "Nobody")  # fmt: skip
    assert again.code == 2 and "There are: Actor" in again.err


def test_render_verb(blender: Path, walk: Path, call, tmp_path: Path) -> None:
    scene = tmp_path / "scene.toml"
    scene.write_text(to_toml(draw("rig", 5, 0, seconds=0.1)))
    for source, name in ((scene, "Cam_2"), (walk / "walk.blend", "Camera_2")):
        out = tmp_path / source.stem
        words = ["blender", "render", source, "-o", out, "--most", 1, "--samples", 1, "--blender", blender]
        said = call(*words, "--cameras", name)
        assert said.code == 0, said.err
        assert (out / name / "passes.npz").is_file() and len(list((out / name).glob("*.png"))) == 1
    said = call("blender", "render", scene, "-o", tmp_path / "x", "--cameras", "Nope", "--blender", blender)
    assert said.code == 2 and "Cam_0" in said.err
