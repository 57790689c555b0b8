"""posemend: 2D keypoints to 3D poses that stay right when joints are hidden.

    import posemend

    person = posemend.read("keypoints.json", width=1280, height=720, fps=30)
    raw = posemend.lift(person)
    refined = posemend.refine(raw, person)
    posemend.write("walk.npz", refined)

Importing this loads nothing heavy, not even NumPy: every name arrives on its
first use (PEP 562). Files, models and networks are opened by calls alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from posemend.body.catalogue import skeleton
    from posemend.body.pose import Pose2D, Pose3D
    from posemend.body.skeleton import Skeleton
    from posemend.errors import PosemendError
    from posemend.evaluation.protocol import evaluate
    from posemend.formats import read, read_people, write, write_people
    from posemend.geometry.camera import Camera
    from posemend.geometry.depth import DepthClip
    from posemend.multiview import Triangulated
    from posemend.runtime.apply import lift, refine

    PoseT = TypeVar("PoseT", Pose2D, Pose3D)

__version__ = "0.1.0"

__all__ = [
    "Camera",
    "Pose2D",
    "Pose3D",
    "PosemendError",
    "Skeleton",
    "__version__",
    "convert",
    "evaluate",
    "lift",
    "read",
    "read_people",
    "refine",
    "run",
    "skeleton",
    "triangulate",
    "view",
    "write",
    "write_people",
]

_HOMES = {
    "Camera": "posemend.geometry.camera",
    "Pose2D": "posemend.body.pose",
    "Pose3D": "posemend.body.pose",
    "PosemendError": "posemend.errors",
    "Skeleton": "posemend.body.skeleton",
    "evaluate": "posemend.evaluation.protocol",
    "lift": "posemend.runtime.apply",
    "read": "posemend.formats",
    "read_people": "posemend.formats",
    "refine": "posemend.runtime.apply",
    "skeleton": "posemend.body.catalogue",
    "write": "posemend.formats",
    "write_people": "posemend.formats",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'posemend' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def convert(pose: PoseT, to: str | Skeleton) -> PoseT:
    """The same person on another skeleton, joint by name.

    Args:
        pose: Pixels or metres, on any skeleton.
        to: A skeleton, or its name in the catalogue (``"coco_17"``).

    Raises:
        SkeletonError: No such skeleton, or too few of its joints can be had.
    """
    from posemend.body.catalogue import skeleton
    from posemend.body.convert import to_skeleton

    return to_skeleton(pose, skeleton(to) if isinstance(to, str) else to)


def run(
    source: str | Path | Pose2D | Sequence[Pose2D],
    *,
    bundle: str | Path = "default",
    refine: bool = True,
    **reading: Any,
) -> list[Pose3D]:
    """3D poses of everybody in a keypoint file: read, lift, refine.

    Args:
        source: A keypoint file or folder, one person, or a list of people.
        bundle: ``"default"``, ``"research"`` or a folder with models.
        refine: ``False`` gives what the lifter says.
        **reading: Passed to :func:`read_people` when ``source`` is a path:
            ``kind``, ``skeleton``, ``fps``, ``width``, ``height``, ``trust``.

    Returns:
        One pose per person, metres, camera axes, pelvis at the origin; each on
        the skeleton, the clock and the length of its input.

    Raises:
        InputError: The source cannot be read or is 3D already.
        BundleError: The bundle is missing or damaged.
    """
    from posemend.body.pose import Pose2D
    from posemend.errors import InputError
    from posemend.formats import read_people
    from posemend.runtime.pipeline import run as run_chain

    if isinstance(source, Pose2D):
        people: list[Any] = [source]
    elif isinstance(source, list | tuple):
        people = list(source)
    else:
        people = list(read_people(source, **reading))  # type: ignore[arg-type]
    for person in people:
        if not isinstance(person, Pose2D):
            raise InputError(
                f"run wants 2D keypoints, got {type(person).__name__}. "
                "A 3D pose needs no lifting: refine it (posemend.refine, or `posemend refine`)."
            )
    return [result.refined for result in run_chain(people, bundle, refine)]


def triangulate(
    views: Sequence[str | Path | Pose2D | Sequence[Pose2D]],
    cameras: str | Path | Sequence[Any] | None = None,
    *,
    tolerance: float = 0.1,
    unit: str = "m",
    **reading: Any,
) -> Triangulated:
    """One person's 3D pose from the keypoints of several calibrated cameras; no model is needed.

    Args:
        views: One keypoint file or folder, person or list of people per
            camera, frame by frame. Of several people the one is taken whom
            the other cameras mean.
        cameras: A calibration file (Pose2Sim's ``.toml``, posemend's camera
            JSON, ``.npz`` with K and RT), or cameras, in the order of
            ``views``; ``None`` takes those that the keypoints carry.
        tolerance: Metres beside a joint from which a camera contradicts the
            others and is left out for that joint and frame.
        unit: Of the file's translations: ``"m"``, ``"cm"`` or ``"mm"``.
        **reading: Passed to :func:`read_people` for paths.

    Returns:
        ``pose`` (world axes, metres, expected error in ``sigma``), and which
        cameras were used, by how much they err, and ``report()``.

    Raises:
        InputError: Fewer than two cameras, other lengths, clocks or
            skeletons, or cameras that contradict the keypoints.
    """
    from posemend.body.pose import Pose2D
    from posemend.formats import read_people
    from posemend.formats.calibration import read_cameras
    from posemend.multiview import match_people
    from posemend.multiview import triangulate as from_views

    people: list[Any] = []
    for one in views:
        if isinstance(one, Pose2D):
            people.append([one])
        elif isinstance(one, list | tuple):
            people.append(list(one))
        else:
            people.append(read_people(one, **reading))  # type: ignore[arg-type]
    known = cameras if cameras is None or isinstance(cameras, list | tuple) else read_cameras(cameras, unit)  # type: ignore[arg-type]
    return from_views(match_people(people, known, tolerance), known, tolerance)


def view(
    path: str | Path,
    *poses: Pose3D,
    truth: Pose3D | None = None,
    keypoints: Pose2D | None = None,
    title: str = "",
    depth: DepthClip | None = None,
) -> Path:
    """One self-contained HTML page with up to four 3D poses of one person.

    Args:
        path: The page to write; its folder must exist.
        *poses: Drawn side by side under their ``name``; of several, the last
            one counts as the refined one.
        truth: The true pose, for error curves.
        keypoints: The 2D input, drawn beside.
        title: Heading of the page.
        depth: Maps of the same frames, shown as points round the last pose that says where it is.

    Returns:
        The path that was written.

    Raises:
        InputError: No pose, lengths or clocks that differ, or a path that cannot be written.
    """
    from posemend.viewer import Layer, Scene, cloud, write_html

    layers: list[Layer] = []
    for place, pose in enumerate(poses):
        used = {layer.label for layer in layers} | {"", "truth"}
        label = f"pose {place + 1}" if pose.name in used else pose.name
        layers.append(Layer(pose, label, "refined" if place and place == len(poses) - 1 else "raw"))
    if truth is not None:
        layers.append(Layer(truth, "truth", "truth"))
    points = None if depth is None or not poses else cloud(depth, poses[-1])
    return write_html(path, Scene(layers, keypoints, title, points))
