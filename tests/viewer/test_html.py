"""The page is one file, whole, and holds the numbers that went in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import posemend.viewer
from posemend.body.catalogue import COCO_17, H36M_17, SKELETONS
from posemend.body.pose import Pose3D
from posemend.errors import InputError
from posemend.viewer import Layer, Scene, write_html
from posemend.viewer import html as page_module
from posemend.viewer.html import drawn_bones, pack, page
from tests.viewer.clips import FPS, scene, walk

ROOM = Path(posemend.viewer.__file__).parent


def embedded(text: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="posemend-data">(.*?)</script>', text, re.DOTALL)
    assert found
    scenes: list[dict[str, Any]] = json.loads(found[1])
    return scenes


def positions(packed: dict[str, Any], size: int) -> NDArray[np.float64]:
    kind = {"int16": "<i2", "float32": "<f4"}[packed["type"]]
    numbers = np.frombuffer(base64.b64decode(packed["positions"]), kind).astype(float) * packed["scale"]
    return numbers.reshape(-1, len(packed["joints"]), size)


def test_round_trip(tmp_path: Path) -> None:
    shown = scene()
    path = write_html(tmp_path / "view.html", shown)
    (data,) = embedded(path.read_text(encoding="utf-8"))
    assert (data["frames"], data["stride"], data["fps"], data["title"]) == (50, 1, FPS, "walk")
    for layer, packed in zip(shown.layers, data["layers"], strict=True):
        wanted = layer.pose.root_relative().positions
        assert np.abs(positions(packed, 3) - wanted).max() < 0.00005
        flags = np.frombuffer(base64.b64decode(packed["flags"]), np.uint8).reshape(50, 17)
        np.testing.assert_array_equal(flags & 1, layer.pose.visible)
        assert (flags & 6 == 6).all()
    assert shown.keypoints is not None
    assert np.abs(positions(data["keypoints"], 2) - shown.keypoints.positions).max() < 0.2


def test_haloes_are_as_large_as_the_stated_regions() -> None:
    shown = scene()
    radii = np.array([[0.5, 0.7, 0.6], [0.9, 2.0, 1.5]])
    layers = tuple(replace(layer, pose=replace(layer.pose, radii=radii)) for layer in shown.layers)
    for drawn in (shown, replace(shown, layers=layers)):
        for layer, packed in zip(drawn.layers, pack(drawn)["layers"], strict=True):
            if layer.pose.sigma is None:
                assert packed["region"] is None
                continue
            found = np.frombuffer(base64.b64decode(packed["region"]), np.uint8).reshape(layer.pose.sigma.shape)
            wanted = np.minimum(layer.pose.radius(0.9), 255 * packed["region_step"])
            np.testing.assert_allclose(found * packed["region_step"], wanted, atol=0.51 * packed["region_step"])


def test_wild_joints_do_not_spoil_the_others() -> None:
    wild = walk(10)
    wild[4, 16] = [300, 0, 0]
    packed = pack(Scene([Layer(Pose3D(wild, H36M_17, fps=FPS), "raw", "raw")]))["layers"][0]
    assert packed["type"] == "float32"
    np.testing.assert_allclose(positions(packed, 3), wild, atol=1e-4)


def test_page_is_self_contained() -> None:
    text = page([scene()])
    assert not re.search(r"\s(src|srcset|action)\s*=\s*[\"']", text.split("<script>")[0])
    assert not re.search(r"@import|url\(", text.split("</style>")[0])
    assert re.findall(r"<link[^>]*>", text) == ['<link rel="icon" href="data:,">']
    assert "default-src 'none'" in text  # and the browser is told so
    # the name of the XHTML namespace, which nothing fetches
    assert set(re.findall(r"(?:https?|wss?)://[^\"'`\s]*", text)) <= {"http://www.w3.org/1999/xhtml"}
    assert text.count("</script>") == 2
    assert "{{" not in text.split("<script")[0]


def test_licence_of_three_travels_with_the_page() -> None:
    licence = (ROOM / "static" / "LICENSE-three.txt").read_text(encoding="utf-8").strip()
    assert licence.startswith("The MIT License")
    assert licence in page([scene(2)])


def test_hostile_titles_and_labels_stay_text() -> None:
    evil = '</script><script>alert(1)</script><!-- & " {{data}}'
    shown = Scene([Layer(Pose3D(walk(2), H36M_17), evil, "raw")], title=evil)
    text = page([shown])
    assert "<script>alert" not in text
    (data,) = embedded(text)
    assert data["title"] == data["layers"][0]["label"] == evil


def test_long_clips_are_thinned_and_small(tmp_path: Path) -> None:
    frames = 45_000
    rng = np.random.default_rng(0)
    long = np.tile(walk(50), (frames // 50, 1, 1))
    truth = Pose3D(long, H36M_17, fps=FPS)
    raw = Pose3D(long + rng.normal(0, 0.02, long.shape), H36M_17, fps=FPS)
    path = write_html(tmp_path / "long.html", Scene([Layer(raw, "raw", "raw"), Layer(truth, "truth", "truth")]))
    assert path.stat().st_size < 8_000_000
    (data,) = embedded(path.read_text(encoding="utf-8"))
    assert (data["frames"], data["stride"]) == (frames, 3)
    packed = data["layers"][0]
    np.testing.assert_allclose(positions(packed, 3), raw.root_relative().positions[::3], atol=5e-5)
    errors = np.linalg.norm(raw.root_relative().positions - truth.root_relative().positions, axis=-1)[:, 1:]
    assert packed["means"]["all"] == pytest.approx(1000 * errors.mean(), abs=1e-3)  # over all frames, not a third


def test_many_people_share_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MAX_FRAMES_ALL", 60)
    data = embedded(page([scene(50), scene(50, 1), scene(50, 2)]))
    assert [one["stride"] for one in data] == [3, 3, 3]


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "view.html"
    target.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page_module.os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        write_html(target, scene(2))
    assert [path.name for path in tmp_path.iterdir()] == ["view.html"]
    assert target.read_text() == "before"


def test_impossible_targets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_html(tmp_path, scene(2))
    with pytest.raises(InputError, match="folder does not exist"):
        write_html(tmp_path / "no" / "view.html", scene(2))
    with pytest.raises(InputError, match="at least one scene"):
        write_html(tmp_path / "view.html", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SKELETONS)
def test_left_and_right_are_joined_on_every_skeleton(name: str) -> None:
    skeleton = SKELETONS[name]
    bones = drawn_bones(skeleton)
    reached = {skeleton.index("l_hip")}
    for _ in skeleton.joints:
        reached |= {joint for bone in bones if reached & set(bone) for joint in bone}
    assert {skeleton.index("r_hip"), skeleton.index("l_wrist"), skeleton.index("r_ankle")} <= reached


def test_bars_are_drawn_only_where_the_sides_fall_apart() -> None:
    assert drawn_bones(H36M_17) == [list(bone) for bone in H36M_17.bone_indices]
    added = drawn_bones(COCO_17)[len(COCO_17.bones) :]
    assert added == [[COCO_17.index(f"{side}_{joint}") for side in "lr"] for joint in ("shoulder", "hip")]


def test_bundle_was_built_from_these_sources() -> None:
    source = ROOM / "src"
    if not source.is_dir():
        pytest.skip("the sources of the page's program are not installed, only its bundle")
    digest = hashlib.sha256()
    names = sorted([*(path.name for path in source.glob("*.js")), "package.json", "package-lock.json"])
    for name in names:
        digest.update(name.encode() + b"\0" + (source / name).read_bytes() + b"\0")
    first = (ROOM / "static" / "viewer.js").read_text(encoding="utf-8").split("\n", 1)[0]
    assert digest.hexdigest() in first, "posemend/viewer/static/viewer.js is stale: see posemend/viewer/src/README.md"
