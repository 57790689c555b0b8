"""Labelled scenes as files: the project's own, BlendMimic3D's published layout, COCO keypoints, depth maps.

    OUT/labels/<scene>.npz         everything, written last: its presence says that the scene is done
    OUT/S{1,2,3}/...               BlendMimic3D's layout: person n is subject S(n+1), the scene is the action
    OUT/coco/<scene>.json          COCO keypoints, v = 0 outside the image, 1 hidden, 2 seen
    OUT/depth/<scene>/<camera>.npz uint16 millimetres, 0 = hole

BlendMimic3D's ``camera_params_S*.npz`` holds pickled Python objects and is not
written: ``matrices_S*.npz`` and the text files say the same (K, RT, P), and
nothing of this project writes pickles. One addition: ``matrices_S*.npz`` also
carries ``fps``, which the published files leave to the reader.

The same scene gives the same bytes, whoever writes it and when.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import BLENDMIMIC3D_17, COCO_17, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D
from posemend.datasets.blendmimic3d import ACTIONS
from posemend.datasets.scene import Scene, to_toml
from posemend.datasets.staging import Seen, Stage, chance
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.occlusion.depth_sensor import SensorModel, depth_map, sense
from posemend.occlusion.labels import KINDS, OUT_OF_FRAME, VISIBLE

FORMATS = ("blendmimic3d", "coco")
_RIG = ("Cam_0", "Cam_1", "Cam_2", "Cam_3")


def write_whole(path: Path, content: bytes) -> None:
    """A file whole or not at all, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def npz_bytes(compressed: bool = False, **arrays: Any) -> bytes:
    """The bytes of an ``.npz``, which depend on the arrays alone."""
    buffer = BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # zip entries are dated 1980: no clock in them
    return buffer.getvalue()


def is_done(out: Path, scene: Scene, formats: Sequence[str] = (), depth: bool = False) -> bool:
    """Whether exactly this scene was written completely to this folder, in all of these formats."""
    wanted = [out / "labels" / f"{scene.name}.npz"]
    if "blendmimic3d" in formats:
        for number in range(len(scene.people)):
            subject = out / f"S{number + 1}"
            wanted += [subject / "Cameras" / f"matrices_S{number + 1}.npz",
                       subject / "Occlusions" / scene.name / "occluded_kpt.npz"]  # fmt: skip
    if "coco" in formats:
        wanted.append(out / "coco" / f"{scene.name}.json")
    if depth:
        wanted += [out / "depth" / scene.name / f"{camera.name}.npz" for camera in scene.cameras]
    if not all(path.is_file() for path in wanted):
        return False
    try:
        with np.load(wanted[0], allow_pickle=False) as archive:
            return str(archive["scene"]) == to_toml(scene)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def write_labels(out: Path, staged: Stage, seen: Sequence[Seen]) -> None:
    """The project's own file: P people, C cameras, T frames, 17 joints of Human3.6M.

    Keys: ``positions_3d`` (P, T, 17, 3) world metres; ``positions_2d`` (P, C, T, 17, 2) exact pixels;
    ``kind`` (P, C, T, 17) by ``kinds``; ``soft`` likewise; ``blocker`` likewise, a place in ``solids`` or -1;
    ``detected_2d``, ``detected_score``: the scene's simulated detector; ``K`` (C, 3, 3), ``R`` (C, T or 1, 3, 3) and
    ``t``: world to camera; ``size`` (C, 2); ``joints``, ``cameras``, ``fps``, ``licence`` and ``scene``, its file.
    """
    scene = staged.scene
    people, cameras = len(staged.people), len(staged.views)

    def table(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
        stacked = np.stack(values)
        return stacked.reshape(cameras, people, *stacked.shape[1:]).swapaxes(0, 1)

    views = list(staged.views.values())
    still = not any(view.moves for view in views)
    arrays: dict[str, Any] = {
        "positions_3d": np.stack(staged.people),
        "positions_2d": table([one.take.keypoints.positions for one in seen]),
        "kind": table([one.labels.kind for one in seen]),
        "soft": table([np.rint(one.labels.soft * 255).astype(np.uint8) for one in seen]),
        "blocker": table([one.labels.blocker for one in seen]),
        "detected_2d": table([one.detected for one in seen]).astype(np.float32),
        "detected_score": table([one.detected_score for one in seen]).astype(np.float16),
        "K": np.stack([_intrinsics(view.camera) for view in views]),
        "R": np.stack([view.rotation[: 1 if still else None] for view in views]),
        "t": np.stack([view.translation[: 1 if still else None] for view in views]),
        "size": np.array([(view.camera.width, view.camera.height) for view in views]),
        "kinds": np.array(sorted(KINDS, key=KINDS.__getitem__)),
        "solids": np.array([f"{'thing' if o < 0 else f'p{o}'}/{part}" for o, part in
                            zip(staged.solids.owner, staged.solids.part, strict=True)]),
        "joints": np.array(H36M_17.joints),
        "cameras": np.array(list(staged.views)),
        "fps": np.array(scene.fps),
        "licence": np.array("; ".join(staged.licences)),
        "scene": np.array(to_toml(scene)),
    }  # fmt: skip
    write_whole(out / "labels" / f"{scene.name}.npz", npz_bytes(compressed=True, **arrays))


def _intrinsics(camera: Camera) -> NDArray[np.float64]:
    return np.array([[camera.focal[0], 0, camera.centre[0]], [0, camera.focal[1], camera.centre[1]], [0, 0, 1]])


def _matrices(staged: Stage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """K (4, 3, 3) and RT (4, 3, 4) of the four still cameras.

    Raises:
        InputError: There are others than these.
    """
    if tuple(staged.views) != _RIG or any(view.moves for view in staged.views.values()):
        raise InputError(
            f"BlendMimic3D's layout wants four still cameras named {', '.join(_RIG)}; scene '{staged.scene.name}' has "
            f"{', '.join(staged.views)}" + (", some moving" if any(v.moves for v in staged.views.values()) else "")
            + ". Use --format coco."
        )  # fmt: skip
    cameras = [view.at(0) for view in staged.views.values()]
    extrinsic = np.stack([np.concatenate([c.rotation, c.translation[:, None]], 1) for c in cameras])
    return np.stack([_intrinsics(camera) for camera in cameras]), extrinsic


def write_blendmimic3d(out: Path, staged: Stage, seen: Sequence[Seen]) -> None:
    """BlendMimic3D's layout (see the module's head); several scenes of one rig share a folder.

    Raises:
        InputError: Other cameras than four still ones, other cameras than the folder has already, a name that the
            published set uses, or a joint behind a camera.
    """
    scene = staged.scene
    if any(scene.name in actions for actions in ACTIONS.values()):
        raise InputError(f"'{scene.name}' is an action of the published BlendMimic3D, whose flaws readers mend by "
                         "name. Give the scene another name.")  # fmt: skip
    intrinsic, extrinsic = _matrices(staged)
    order = [H36M_17.index(name) for name in BLENDMIMIC3D_17.joints]
    for number, world in enumerate(staged.people):
        subject = f"S{number + 1}"
        _write_cameras(out / subject / "Cameras", subject, intrinsic, extrinsic, scene.fps)
        mine = {one.camera: one for one in seen if one.person == number}
        if any((one.take.keypoints.score == 0).any() for one in mine.values()):
            raise InputError(f"Scene '{scene.name}': person {number} has joints behind a camera, which BlendMimic3D's "
                             "layout cannot hold. Use --format coco, or move the cameras back.")  # fmt: skip
        positions = world[:, order].astype(np.float64)
        folder = out / subject / "D3_Positions" / scene.name
        write_whole(folder / f"{scene.name}.npz", npz_bytes(positions_3d=positions))
        text = BytesIO()
        np.savetxt(text, positions.transpose(1, 2, 0).reshape(len(order), -1), fmt="%.6f")
        write_whole(folder / "data3D.txt", text.getvalue())
        pixels: dict[str, Any] = {c: staged.views[c].pixels(positions) for c in mine}
        write_whole(out / subject / "D2_Positions" / scene.name / "2D_positions.npz", npz_bytes(**pixels))
        flags: dict[str, Any] = {c: one.labels.visible[:, order].astype(np.float64) for c, one in mine.items()}
        write_whole(out / subject / "Occlusions" / scene.name / "occluded_kpt.npz", npz_bytes(**flags))


def _write_cameras(
    folder: Path, subject: str, intrinsic: NDArray[np.float64], extrinsic: NDArray[np.float64], fps: float
) -> None:
    content = npz_bytes(K=intrinsic, RT=extrinsic, P=intrinsic @ extrinsic, fps=np.array(fps))
    path = folder / f"matrices_{subject}.npz"
    if path.is_file() and path.read_bytes() != content:
        raise InputError(f"{folder} holds other cameras or another clock. One folder of BlendMimic3D's layout has one "
                         "rig: write scenes with other cameras to another folder.")  # fmt: skip
    for number, matrix in enumerate(intrinsic @ extrinsic):
        text = BytesIO()
        np.savetxt(text, matrix, fmt="%.9f")
        write_whole(folder / f"CamView{number}_P3x4.txt", text.getvalue())
    write_whole(path, content)


def coco_keypoints(seen: Seen, joint_order: Sequence[str] = COCO_17.joints) -> NDArray[np.float64]:
    """(T, 17, 3) x, y, v as COCO counts: 0 not labelled (outside, or no such joint), 1 hidden, 2 seen."""
    keypoints, kind = seen.take.keypoints, seen.labels.kind
    inside = Pose2D(
        keypoints.positions, H36M_17, score=(keypoints.score > 0) & (kind != OUT_OF_FRAME), visible=kind == VISIBLE
    )  # a made-up joint is worth as much as its worst ingredient: outside if one is, else hidden if one is
    pose = to_skeleton(inside, COCO_17)
    order = [COCO_17.index(name) for name in joint_order]
    v = np.where(pose.score > 0, np.where(pose.visible, 2, 1), 0)[:, order]
    return np.concatenate([np.where(v[..., None] > 0, pose.positions[:, order], 0), v[..., None]], -1)


def write_coco(out: Path, staged: Stage, seen: Sequence[Seen], every: int = 1) -> None:
    """COCO keypoints of one scene: an image per camera and frame, an annotation per person in it.

    Boxes hold the joints inside the image plus a tenth of their extent; ``area`` is the box's.
    Image names are those that rendered frames would have. Human3.6M has no eyes and ears: v = 0.
    """
    images, annotations = [], []
    scene = staged.scene
    tables = {(one.camera, one.person): coco_keypoints(one) for one in seen}
    for place, (name, view) in enumerate(staged.views.items()):
        width, height = view.camera.width, view.camera.height
        for frame in range(0, scene.frames, every):
            identity = place * scene.frames + frame
            images.append({"id": identity, "file_name": f"{scene.name}/{name}/{frame:06d}.jpg", "width": width,
                           "height": height, "camera": name, "frame": frame})  # fmt: skip
            for person in range(len(staged.people)):
                rows = tables[name, person][frame]
                labelled = rows[rows[:, 2] > 0]
                if not len(labelled):
                    continue
                lower, upper = labelled[:, :2].min(0), labelled[:, :2].max(0)
                margin = 0.1 * (upper - lower).max()
                lower = np.clip(lower - margin, 0, [width, height])
                upper = np.clip(upper + margin, 0, [width, height])
                extent = upper - lower
                annotations.append({
                    "id": identity * len(staged.people) + person, "image_id": identity, "category_id": 1,
                    "iscrowd": 0, "track_id": person,
                    "keypoints": [x for row in rows for x in (round(row[0], 2), round(row[1], 2), int(row[2]))],
                    "num_keypoints": len(labelled), "bbox": [round(float(x), 2) for x in (*lower, *extent)],
                    "area": round(float(extent.prod()), 2),
                })  # fmt: skip
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(COCO_17.joints),
                "skeleton": [[a + 1, b + 1] for a, b in COCO_17.bone_indices]}  # fmt: skip
    whole = {"info": {"description": f"made-up scene {scene.name}", "fps": scene.fps}, "licenses": [],
             "images": images, "annotations": annotations, "categories": [category]}  # fmt: skip
    write_whole(out / "coco" / f"{scene.name}.json", json.dumps(whole, separators=(",", ":")).encode())


def write_depth(out: Path, staged: Stage, sensor: str, every: int = 1) -> None:
    """Depth maps of every ``every``-th frame, from every camera's place, by a sensor's own lens.

    Keys: ``depth`` uint16 (N, H, W) millimetres, 0 = hole; ``solid`` int16, the solid that is seen
    (see ``solids`` of the labels; -1 nothing, -2 floor); ``frame`` (N,); ``K``, ``R`` and ``t``.
    """
    model = SensorModel.preset(sensor)
    scene = staged.scene
    for name, view in staged.views.items():
        rng = chance(scene.seed, "depth", name)
        frames = np.arange(0, scene.frames, every)
        maps, solids = [], []
        for frame in frames:
            camera = model.camera(view.rotation[frame], view.translation[frame])
            exact = depth_map(staged.solids, camera, int(frame))
            maps.append(np.rint(sense(exact.depth, model, rng) * 1000).clip(0, 65535).astype(np.uint16))
            solids.append(exact.solid)
        content = npz_bytes(
            compressed=True, depth=np.stack(maps), solid=np.stack(solids), frame=frames, K=_intrinsics(camera),
            R=view.rotation[frames], t=view.translation[frames], sensor=np.array(sensor),
        )  # fmt: skip
        write_whole(out / "depth" / scene.name / f"{name}.npz", content)
