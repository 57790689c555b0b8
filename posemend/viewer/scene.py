"""What is shown together: the same person, raw, refined and true, on one clock.

A scene is checked when it is made, so that a page is never written from layers
that do not belong together. Errors follow the house protocol: millimetres,
both poses minus their own pelvis (of the joints that both have), joints
compared by name, the pelvis left out of every mean. Joints without a position
(score 0) are left out; ``evaluate`` is stricter and charges for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import InputError
from posemend.viewer.points import Cloud

Role = Literal["raw", "refined", "truth"]
MAX_LAYERS = 4  # besides the truth; more panels than that are too narrow to read


@dataclass(frozen=True, eq=False)
class Layer:
    """One pose of a scene.

    Attributes:
        pose: The pose to draw.
        label: What the page calls it; unique in its scene.
        role: ``"raw"``, ``"refined"`` or ``"truth"`` (the ghost that errors are measured from).

    Raises:
        InputError: The role is not known, or the label is empty.
    """

    pose: Pose3D
    label: str
    role: Role

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InputError(f"Layer wants a role out of {', '.join(get_args(Role))}, got '{self.role}'.")
        if not self.label.strip():
            raise InputError("Layer wants a label, got an empty one. Name it, e.g. 'raw'.")


@dataclass(frozen=True, eq=False)
class Scene:
    """One person: up to four poses, at most one truth, and the keypoints they came from.

    Attributes:
        layers: The poses, in the order of their panels. All have the same length and fps.
        keypoints: The 2D input, same length and fps, or ``None``.
        title: Heading of the page; with several people, the name in the selector.
        cloud: Points of a depth camera, same frames, or ``None``.

    Raises:
        InputError: Nothing to show, or the layers do not fit each other.
    """

    layers: Sequence[Layer]
    keypoints: Pose2D | None = None
    title: str = ""
    cloud: Cloud | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        shown = [layer for layer in self.layers if layer.role != "truth"]
        if not self.layers or len(shown) > MAX_LAYERS or len(self.layers) - len(shown) > 1:
            raise InputError(
                f"Scene wants 1 to {MAX_LAYERS} poses and at most one truth, got {len(shown)} poses and "
                f"{len(self.layers) - len(shown)} truths. Show the others in a second page."
            )
        labels = [layer.label for layer in self.layers]
        if len(set(labels)) != len(labels):
            raise InputError(f"Scene wants a different label for each layer, got {', '.join(labels)}.")
        self._check_clock()
        upright = {layer.pose.frame == "world" for layer in self.layers}
        if len(upright) > 1:
            raise InputError(
                f"Scene '{self.title}' mixes world axes (z up) with camera axes (y down). "
                "Bring the world pose into the camera first (Camera.to_camera)."
            )

    def _check_clock(self) -> None:
        first = self.layers[0]
        others: list[tuple[str, Pose2D | Pose3D]] = [(layer.label, layer.pose) for layer in self.layers[1:]]
        if self.keypoints is not None:
            others.append(("keypoints", self.keypoints))
        for label, pose in others:
            if len(pose) != len(first.pose):
                raise InputError(
                    f"Scene wants layers of one length: '{first.label}' has {len(first.pose)} frames, "
                    f"'{label}' has {len(pose)}. Cut them to the same frames."
                )
            if abs(pose.fps - first.pose.fps) > 1e-3 * first.pose.fps:
                raise InputError(
                    f"Scene wants layers on one clock: '{first.label}' has {first.pose.fps:g} fps, "
                    f"'{label}' has {pose.fps:g}. Resample one of them."
                )

        if self.cloud is not None and len(self.cloud.anchors) != len(first.pose):
            raise InputError(
                f"Scene wants depth of the frames of its poses: there are {len(self.cloud.anchors)} of depth and "
                f"{len(first.pose)} of '{first.label}'."
            )

    def __len__(self) -> int:
        return len(self.layers[0].pose)

    @property
    def fps(self) -> float:
        """Frames per second of all layers."""
        return self.layers[0].pose.fps

    @property
    def truth(self) -> Layer | None:
        """The layer that errors are measured from."""
        return next((layer for layer in self.layers if layer.role == "truth"), None)

    @property
    def flags_from(self) -> Layer:
        """The layer whose ``visible`` says which joints count as hidden.

        The truth where it marks any joint hidden (true flags beat estimated
        ones), else the first refined, else the first raw layer that does.
        """
        order = sorted(self.layers, key=lambda layer: ("truth", "refined", "raw").index(layer.role))
        return next((layer for layer in order if not layer.pose.visible.all()), order[0])


def centred(pose: Pose3D) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(T, J, 3) metres from the pose's own pelvis, and (T,) whether that pelvis is known.

    Where a root joint is absent (score 0), a root-frame pose is taken at its
    word (the origin is the pelvis); any other pose is centred on the joints
    that it has, for drawing only.
    """
    positions = pose.positions.astype(np.float64)
    roots = list(pose.skeleton.root_indices)
    present = pose.score > 0
    known: NDArray[np.bool_] = np.all(present[:, roots], axis=1)
    centre = positions[:, roots].mean(1)
    if pose.frame == "root":
        centre[~known] = 0
        known = np.ones_like(known)
    else:
        weight = present[~known, :, None]
        centre[~known] = (positions[~known] * weight).sum(1) / np.maximum(weight.sum(1), 1)
    return (positions - centre[:, None]) * present[..., None], known


def shared_roots(layer: Layer, truth: Layer) -> tuple[list[int], list[int]]:
    """Joints of the layer and of the truth whose means both are measured from.

    The pelvis where both name it, else the hips; empty lists where a pose's
    own pelvis is meant (it is the same thing, or nothing better is shared).
    """
    both = set(layer.pose.skeleton.joints) & set(truth.pose.skeleton.joints)
    names = next((names for names in (("pelvis",), ("l_hip", "r_hip")) if set(names) <= both), None)
    roots = []
    for skeleton in (layer.pose.skeleton, truth.pose.skeleton):
        own = names is None or set(names) == set(skeleton.root)
        roots.append([] if own or names is None else [skeleton.index(name) for name in names])
    return roots[0], roots[1]


def _measured(pose: Pose3D, roots: list[int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    positions, known = centred(pose)
    if not roots:
        return positions, known
    known = np.all(pose.score[:, roots] > 0, axis=1)
    return positions - positions[:, roots].mean(1, keepdims=True), known


def joint_errors(layer: Layer, truth: Layer) -> NDArray[np.float64]:
    """(T, J) mm between a layer and the truth, on the layer's joints.

    NaN where either side has no such joint, no position or no pelvis.
    """
    here_roots, there_roots = shared_roots(layer, truth)
    here, here_known = _measured(layer.pose, here_roots)
    there, there_known = _measured(truth.pose, there_roots)
    target = truth.pose.skeleton
    errors = np.full(here.shape[:2], np.nan)
    for place, joint in enumerate(layer.pose.skeleton.joints):
        if joint not in target.joints:
            continue
        twin = target.index(joint)
        good = here_known & there_known & (layer.pose.score[:, place] > 0) & (truth.pose.score[:, twin] > 0)
        errors[good, place] = 1000 * np.linalg.norm(here[good, place] - there[good, twin], axis=-1)
    return errors


def counted(layer: Layer) -> NDArray[np.bool_]:
    """(J,) the layer's joints that enter means: all but the pelvis, whose error is zero by construction."""
    return np.array([joint != "pelvis" for joint in layer.pose.skeleton.joints])


def clip_means(scene: Scene) -> list[dict[str, float | None] | None]:
    """Mean error in mm of each layer over every frame: ``all``, ``visible``, ``hidden`` joints.

    ``None`` for the truth, and for all layers where there is no truth; a mean over no joint is ``None``.
    """
    truth = scene.truth
    flags = scene.flags_from.pose
    means: list[dict[str, float | None] | None] = []
    for layer in scene.layers:
        if truth is None or layer is truth:
            means.append(None)
            continue
        errors = joint_errors(layer, truth)
        errors[:, ~counted(layer)] = np.nan
        hidden = np.zeros(errors.shape, bool)
        for place, joint in enumerate(layer.pose.skeleton.joints):
            if joint in flags.skeleton.joints:
                hidden[:, place] = ~flags.visible[:, flags.skeleton.index(joint)]
        parts = {"all": np.ones_like(hidden), "visible": ~hidden, "hidden": hidden}
        means.append({name: _mean(errors[part]) for name, part in parts.items()})
    return means


def _mean(values: NDArray[np.float64]) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
