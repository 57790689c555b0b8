"""One HTML file that shows scenes anywhere, offline: page, style, program and data in one.

Numbers are embedded as base64: positions from the pelvis as int16 with a step
of at most 0.05 mm (0.2 px in 2D), or float32 where a wild joint lies too far
out for that; flags as one byte a joint; points of depth as int16 of a millimetre. Long clips are thinned: at most
``MAX_FRAMES`` frames of a person and ``MAX_FRAMES_ALL`` of all people are
embedded, and the page says so; the means in its table are over every frame.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import InputError
from posemend.viewer.points import Cloud, whereabouts
from posemend.viewer.scene import Layer, Scene, centred, clip_means, counted, shared_roots

MAX_FRAMES = 20_000
MAX_FRAMES_ALL = 60_000
_STEP_3D = 0.00005  # metres
_STEP_2D = 0.2  # pixels
_STEP_SIGMA = 0.002  # metres
_STEP_REGION = 0.004  # metres
REGION = 0.9  # haloes are drawn so large that they hold the truth with this probability
_STEP_POINTS = 0.001  # metres


def write_html(path: str | os.PathLike[str], scenes: Scene | Sequence[Scene]) -> Path:
    """Write one self-contained page; a file that is there already is replaced in one step.

    Args:
        path: The file to write; its folder must exist.
        scenes: One scene, or several people to choose from.

    Returns:
        The path written.

    Raises:
        InputError: No scene, or the file cannot be written (nothing is left behind).
    """
    people = [scenes] if isinstance(scenes, Scene) else list(scenes)
    target = Path(path)
    if not people:
        raise InputError("write_html wants at least one scene, got none.")
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(
            f"Cannot write the page to '{target}': "
            + ("it is a folder. Name a file, e.g. view.html." if target.is_dir() else "its folder does not exist.")
        )
    text = page(people)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, target)
    except OSError as error:
        raise InputError(f"Cannot write the page to '{target}': {error.strerror}. Choose another place.") from error
    finally:
        draft.unlink(missing_ok=True)
    return target


def page(scenes: Sequence[Scene]) -> str:
    """The text of the page."""
    cap = max(1, min(MAX_FRAMES, MAX_FRAMES_ALL // len(scenes)))
    data = json.dumps([pack(scene, cap) for scene in scenes], separators=(",", ":"), allow_nan=False)
    title = scenes[0].title or "posemend"
    parts = {
        "title": html.escape(title if len(scenes) == 1 else f"{title} and {len(scenes) - 1} more"),
        "style": _static("viewer.css"),
        "data": data.replace("<", "\\u003c"),  # no tag can open or close inside the data
        "script": re.sub(r"<(?=/script|!--)", r"\\x3c", _static("viewer.js"), flags=re.IGNORECASE),
    }
    # One pass: what was put in is never searched for further places.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _static("page.html"))


def pack(scene: Scene, cap: int = MAX_FRAMES) -> dict[str, Any]:
    """A scene as plain JSON values.

    Args:
        scene: What to show.
        cap: Most frames to embed; a longer clip keeps every ``stride``-th frame.
    """
    stride = math.ceil(len(scene) / cap)
    truth = scene.truth
    means = clip_means(scene)
    return {
        "title": scene.title,
        "fps": scene.fps,
        "frames": len(scene),
        "stride": stride,
        "flags_from": scene.layers.index(scene.flags_from),
        "layers": [_pack_layer(layer, truth, mean, stride) for layer, mean in zip(scene.layers, means, strict=True)],
        "keypoints": None if scene.keypoints is None else _pack_keypoints(scene.keypoints, stride),
        "cloud": None if scene.cloud is None else _pack_cloud(scene.cloud, scene, stride),
    }


def _pack_cloud(cloud: Cloud, scene: Scene, stride: int) -> dict[str, Any]:
    """Points as int16 of a millimetre, one frame after the other, and where each pose stands among them."""
    kept = np.arange(0, len(scene), stride)
    # for each embedded frame, the latest points; of these, only those that some frame shows
    latest = np.maximum(np.searchsorted(cloud.frames, kept, side="right") - 1, 0)
    used, shown = np.unique(latest, return_inverse=True)
    points = [cloud.points[place] for place in used]
    shifts = []
    for layer in scene.layers:
        place = whereabouts(layer.pose)
        aside = np.zeros((len(kept), 3)) if place is None else (place - cloud.anchors)[kept]
        shifts.append(_bytes(aside.astype("<f4")))
    return {
        "points": _bytes(np.rint(np.concatenate(points) / _STEP_POINTS).clip(-32767, 32767).astype("<i2")),
        "counts": [len(one) for one in points],
        "shown": shown.tolist(),
        "scale": _STEP_POINTS,
        "shifts": shifts,
    }


def _pack_layer(layer: Layer, truth: Layer | None, mean: dict[str, float | None] | None, stride: int) -> dict[str, Any]:
    pose = layer.pose
    positions, known = centred(pose)
    return {
        "label": layer.label,
        "role": layer.role,
        "axes": "z-up" if pose.frame == "world" else "y-down",
        "means": mean,
        "counted": counted(layer).tolist(),
        "roots": None if truth is None else dict(zip(("layer", "truth"), shared_roots(layer, truth), strict=True)),
        "flags": _bytes(_flags(pose, known)[::stride]),
        "sigma": None if pose.sigma is None else _bytes(_steps(pose.sigma[::stride], _STEP_SIGMA)),
        "sigma_step": _STEP_SIGMA,
        "region": None if pose.sigma is None else _bytes(_steps(pose.radius(REGION)[::stride], _STEP_REGION)),
        "region_step": _STEP_REGION,
        **_pack_joints(pose.skeleton, positions[::stride], _STEP_3D),
    }


def _pack_keypoints(pose: Pose2D, stride: int) -> dict[str, Any]:
    positions = pose.positions.astype(np.float64)[::stride]
    return {
        "width": pose.width,
        "height": pose.height,
        "flags": _bytes(_flags(pose, np.ones(len(pose), bool))[::stride]),
        **_pack_joints(pose.skeleton, positions, _STEP_2D),
    }


def _pack_joints(skeleton: Skeleton, positions: NDArray[np.float64], step: float) -> dict[str, Any]:
    largest = float(np.abs(positions).max())
    small = largest <= step * 32767
    scale = max(largest, 1e-6) / 32767 if small else 1.0
    numbers = np.rint(positions / scale).astype("<i2") if small else positions.astype("<f4")
    return {
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "bones": drawn_bones(skeleton),
        "type": "int16" if small else "float32",
        "scale": scale,
        "positions": _bytes(numbers),
    }


def _flags(pose: Pose2D | Pose3D, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(T, J) bits: 1 visible, 2 has a position, 4 its pelvis is known (errors can be measured).

    Above them, times 8: 0 nothing is known of where the joint comes from, else its provenance plus 1.
    """
    flags = pose.visible + 2 * (pose.score > 0) + 4 * known[:, None]
    if isinstance(pose, Pose3D) and pose.provenance is not None:
        flags = flags + 8 * (pose.provenance + 1)
    return flags.astype(np.uint8)


def _steps(lengths: NDArray[np.floating], step: float) -> NDArray[np.uint8]:
    """Lengths (T, J) in metres as steps that fit a byte."""
    return np.clip(np.rint(lengths / step), 0, 255).astype(np.uint8)


def drawn_bones(skeleton: Skeleton) -> list[list[int]]:
    """Bones to draw: the skeleton's own, and bars across hips and shoulders where nothing else joins the sides."""
    group = list(range(len(skeleton)))
    for parent, child in skeleton.bone_indices:
        old, new = group[child], group[parent]
        group = [new if value == old else value for value in group]
    bones = [list(bone) for bone in skeleton.bone_indices]
    for left, right in (("l_shoulder", "r_shoulder"), ("l_hip", "r_hip")):
        if left in skeleton.joints and right in skeleton.joints:
            pair = [skeleton.index(left), skeleton.index(right)]
            if group[pair[0]] != group[pair[1]]:
                bones.append(pair)
    return bones


def _bytes(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _static(name: str) -> str:
    return resources.files("posemend.viewer").joinpath("static", name).read_text(encoding="utf-8")
