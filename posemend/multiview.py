"""Several calibrated cameras that watch one person: triangulation of poses, and who is who.

The geometry is `geometry.triangulate`; here keypoints and cameras come
together, people of several cameras are matched, and errors are counted. The
matching tries every combination of one person per camera and keeps the one
whose rays meet best, as Pose2Sim does; then each camera is asked, frame by
frame, which of its people the other cameras mean, since tracks break where
people do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.handedness import handedness
from posemend.body.pose import Pose2D, Pose3D
from posemend.contract.codec import trusted_score
from posemend.errors import InputError
from posemend.formats.notes import tell
from posemend.geometry.camera import Camera
from posemend.geometry.lens import Viewpoint
from posemend.geometry.triangulate import LEAST, Points
from posemend.geometry.triangulate import triangulate as triangulate_rays

TOLERANCE = 0.1  # metres beside a joint from which a camera contradicts the others
AGREEING = 0.6  # share of the keypoints that must fit the cameras; below it the two do not belong together
SAMPLE = 40  # frames that decide who is who
COMBINATIONS = 4096
UNSEEN = 0.9  # of the tolerance: what a missing keypoint costs when people are matched
FOLLOWING = 2  # rounds of asking the other cameras whom they mean
SMOOTH = 4  # frames on either side over which that is judged


@dataclass(frozen=True)
class Triangulated:
    """A pose from several cameras, and how well they agree.

    Attributes:
        pose: World axes, metres; joints that no two cameras agree on have
            score 0. ``sigma`` is the expected error, ``score`` falls with it
            (1 for none, about a third at 10 cm), ``visible`` says that at
            least two of the cameras used saw the joint.
        cameras: Names, in the order of the arrays.
        used: (V, T, J) which cameras a joint was made from.
        reported: (V, T, J) which cameras have a keypoint.
        pixels: (V, T, J) distance of keypoint and reprojected joint, NaN without either.
        beside: (V, T, J) the same in metres at the joint's depth.
    """

    pose: Pose3D
    cameras: tuple[str, ...]
    used: NDArray[np.bool_]
    reported: NDArray[np.bool_]
    pixels: NDArray[np.float32]
    beside: NDArray[np.float32]

    def report(self) -> dict[str, Any]:
        """Reprojection errors by camera and by joint, and how much was found.

        ``pixels`` and ``mm`` are medians over the keypoints that were used;
        ``used`` is their share of those reported; ``found`` the share of
        joint-frames that at least two cameras reported.
        """
        twice = self.reported.sum(0) >= LEAST
        found = self.pose.score > 0
        joints = {
            name: {**self._line(np.s_[:, :, place]), "found": _share(found[:, place], twice[:, place]),
                   "sigma_mm": _median(self.pose.sigma[:, place][found[:, place]] * 1000)}  # type: ignore[index]
            for place, name in enumerate(self.pose.skeleton.joints)
        }  # fmt: skip
        cameras = {name: self._line(np.s_[place]) for place, name in enumerate(self.cameras)}
        return {"all": {**self._line(np.s_[:]), "found": _share(found, twice)}, "cameras": cameras, "joints": joints}

    def _line(self, part: Any) -> dict[str, float | None]:
        used = self.used[part]
        return {
            "pixels": _median(self.pixels[part][used]),
            "mm": _median(self.beside[part][used] * 1000),
            "used": _share(used, self.reported[part]),
        }


def _median(values: NDArray[np.floating]) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None


def _share(part: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    return float((part & of).sum() / of.sum()) if of.any() else None


def viewpoints(keypoints: Sequence[Pose2D], cameras: Sequence[Viewpoint | Camera] | None) -> list[Viewpoint]:
    """The cameras of some keypoints: those given, or those that the keypoints carry.

    Raises:
        InputError: None, or another number than there are keypoints.
    """
    if cameras is None:
        cameras = [pose.camera for pose in keypoints if pose.camera is not None]
        if len(cameras) < len(keypoints):
            raise InputError(
                f"{len(keypoints) - len(cameras)} of {len(keypoints)} keypoint files carry no camera. "
                "Give the calibration (--cameras, or cameras=)."
            )
    if len(cameras) != len(keypoints):
        names = ", ".join(view.name for view in cameras if isinstance(view, Viewpoint))
        raise InputError(
            f"{len(keypoints)} views and {len(cameras)} cameras{f' ({names})' if names else ''}: "
            "give one keypoint file per camera, in the calibration's order."
        )
    return [view if isinstance(view, Viewpoint) else Viewpoint(f"camera {n}", view) for n, view in enumerate(cameras)]


def _checked(keypoints: Sequence[Pose2D]) -> None:
    if len(keypoints) < LEAST:
        raise InputError(f"Triangulation wants the keypoints of at least {LEAST} cameras, got {len(keypoints)}.")
    first = keypoints[0]
    for pose in keypoints:
        if not isinstance(pose, Pose2D):
            raise InputError(f"Triangulation wants 2D keypoints, got {type(pose).__name__}.")
        if pose.skeleton != first.skeleton:
            raise InputError(
                f"The cameras' skeletons differ: '{first.skeleton.name}' and '{pose.skeleton.name}'. "
                f"Convert one of them first (posemend convert --to {first.skeleton.name})."
            )
        if len(pose) != len(first) or abs(pose.fps - first.fps) > 1e-3 * first.fps:
            raise InputError(
                f"The cameras are not frame by frame: {len(first)} frames at {first.fps:g} fps and "
                f"{len(pose)} frames at {pose.fps:g} fps. Cut them to the same frames of the same clock first."
            )
        if not (pose.score > 0).any():
            raise InputError("One of the cameras reports no joint in any frame. Leave that camera out.")


def _rays(keypoints: Sequence[Pose2D], views: Sequence[Viewpoint]) -> NDArray[np.float64]:
    """(V, T, J, 2) undistorted directions."""
    return np.stack([view.rays(pose.positions) for view, pose in zip(views, keypoints, strict=True)])


def _points(
    rays: NDArray[np.float64], score: NDArray[np.floating], views: Sequence[Viewpoint], tolerance: float
) -> Points:
    """Points of all joints of all frames; ``rays``: (V, T, J, 2), ``score``: (V, T, J)."""
    weight = score.astype(np.float64) ** 2
    rotation = np.stack([view.camera.rotation for view in views])
    translation = np.stack([view.camera.translation for view in views])
    flat = rays.reshape(len(views), -1, 2)
    return triangulate_rays(flat, weight.reshape(len(views), -1), rotation, translation, tolerance)


def triangulate(
    keypoints: Sequence[Pose2D],
    cameras: Sequence[Viewpoint | Camera] | None = None,
    tolerance: float = TOLERANCE,
) -> Triangulated:
    """One person's 3D pose from the keypoints of several cameras.

    Args:
        keypoints: One per camera, frame by frame, on one skeleton. Scores are
            weights; joints flagged hidden count little.
        cameras: Calibrated, in the same order; ``None`` takes those that the
            keypoints carry.
        tolerance: Metres beside a joint from which a camera contradicts the
            others and is left out for that joint and frame.

    Raises:
        InputError: Fewer than two cameras, other lengths, clocks or skeletons,
            or cameras that contradict the keypoints as a whole.
    """
    _checked(keypoints)
    views = viewpoints(keypoints, cameras)
    first = keypoints[0]
    shape = (len(keypoints), len(first), len(first.skeleton))
    rays = _rays(keypoints, views)
    reported = np.stack([pose.score > 0 for pose in keypoints]) & np.isfinite(rays).all(-1)
    found = _points(rays, np.stack([trusted_score(pose) for pose in keypoints]), views, tolerance)
    known = np.isfinite(found.sigma).reshape(shape[1:])
    used, beside = found.used.reshape(shape), found.beside.reshape(shape)
    positions: NDArray = np.nan_to_num(found.positions).reshape(*shape[1:], 3)
    pixels = np.stack(
        [np.linalg.norm(view.pixels(positions) - pose.positions, axis=-1)
         for view, pose in zip(views, keypoints, strict=True)]
    )  # fmt: skip
    pixels = np.where(known & reported, pixels, np.nan)
    _consistent(reported, used, views, tolerance)
    sigma = np.nan_to_num(found.sigma).reshape(shape[1:])
    seen = np.stack([pose.visible for pose in keypoints]) & used
    pose = Pose3D(
        positions, first.skeleton, np.where(known, np.maximum(np.exp(-sigma / 0.1), 0.01), 0),
        known & (seen.sum(0) >= LEAST), first.fps, "world", sigma=sigma, name=first.name,
    )  # fmt: skip
    if handedness(pose).verdict == "mirrored":
        tell(
            "The triangulated person bends the wrong way, as in a mirror. Check that the files are in the "
            "calibration's order, and that left and right are the person's own."
        )
    names = tuple(view.name for view in views)
    return Triangulated(pose, names, used, reported, pixels.astype(np.float32), beside.astype(np.float32))


def _consistent(
    reported: NDArray[np.bool_], used: NDArray[np.bool_], views: Sequence[Viewpoint], tolerance: float
) -> None:
    twice = reported.sum(0) >= LEAST
    if not twice.any():
        raise InputError(
            "No joint is reported by two cameras in the same frame: nothing can be triangulated. "
            "Check that the recordings show the same person at the same time."
        )
    reported = reported & twice
    shares = [float(used[place].sum() / max(1, reported[place].sum())) for place in range(len(views))]
    worst = views[int(np.argmin(shares))].name
    total = used.sum() / reported.sum()
    if total < AGREEING:
        raise InputError(
            f"The cameras contradict the keypoints: only {total:.0%} of them lie within {tolerance * 1000:.0f} mm of "
            f"one point (fewest of '{worst}', {min(shares):.0%}). Wanted one keypoint file per camera in the "
            "calibration's order, the same frames in each, the image size that was calibrated, and metres (--unit). "
            "If the detector is that rough, allow more (--tolerance)."
        )
    if min(shares) < 0.5:
        tell(
            f"Camera '{worst}' contradicts the others in {1 - min(shares):.0%} of its keypoints, which were left out. "
            "Check its calibration and its frames."
        )


def undistorted(keypoints: Pose2D, view: Viewpoint) -> Pose2D:
    """Keypoints as the pinhole would have seen them, with their camera; what no pinhole sees is absent."""
    rays = view.rays(keypoints.positions)
    pixels = rays * np.asarray(view.camera.focal) + np.asarray(view.camera.centre)
    known = np.isfinite(pixels).all(-1)
    return replace(
        keypoints,
        positions=np.where(known[..., None], pixels, 0),
        score=np.where(known, keypoints.score, 0),
        camera=view.camera,
        width=view.camera.width,
        height=view.camera.height,
    )


def match_people(
    people: Sequence[Sequence[Pose2D]],
    cameras: Sequence[Viewpoint | Camera] | None = None,
    tolerance: float = TOLERANCE,
) -> list[Pose2D]:
    """One person of each camera: those whose rays meet best, followed over breaks of their tracks.

    With two cameras alone nothing tells who is meant where a track breaks, and tracks are taken as they are.

    Args:
        people: Everybody that each camera sees, one list per camera.
        cameras: As in `triangulate`.
        tolerance: Likewise.

    Raises:
        InputError: A camera without anybody, too many combinations, or cameras that do not fit.
    """
    choices = [range(len(one)) for one in people]
    if not all(choices):
        raise InputError("One of the cameras sees nobody. Leave that camera out.")
    combinations = int(np.prod([len(one) for one in choices]))
    if combinations > COMBINATIONS:
        raise InputError(
            f"{combinations} ways to match the people of {len(people)} cameras are too many. "
            "Choose one person in each file (posemend convert FILE OUT --person NAME)."
        )
    if combinations == 1:
        return [one[0] for one in people]
    views = viewpoints([one[0] for one in people], cameras)
    for one in people:
        _checked([people[0][0], *one])
    rays = [_rays(one, [view] * len(one)) for one, view in zip(people, views, strict=True)]
    scores = [np.stack([trusted_score(pose) for pose in one]) for one in people]
    chosen = _best_combination(rays, scores, views, tolerance)
    own = [np.full(len(people[0][0]), place) for place in chosen]
    if len(people) > LEAST:
        for _ in range(FOLLOWING):
            own = _followed(own, rays, scores, views, tolerance)
    return [_put_together(one, places) for one, places in zip(people, own, strict=True)]


def _best_combination(
    rays: Sequence[NDArray[np.float64]], scores: Sequence[NDArray[np.floating]], views: Sequence[Viewpoint],
    tolerance: float,
) -> tuple[int, ...]:  # fmt: skip
    """One person per camera for the whole clip. ``rays``: per camera (P, T, J, 2); ``scores``: (P, T, J)."""
    step = max(1, rays[0].shape[1] // SAMPLE)
    best, lowest = (0,) * len(rays), np.inf
    for chosen in itertools.product(*(range(len(one)) for one in rays)):
        ray = np.stack([own[place, ::step] for own, place in zip(rays, chosen, strict=True)])
        score = np.stack([own[place, ::step] for own, place in zip(scores, chosen, strict=True)])
        found = _points(ray, score, views, tolerance)
        # a contradicted keypoint costs the tolerance, a missing one a little less,
        # so that a person who is seen in few frames does not win by saying nothing
        cost = np.where(found.used, np.minimum(found.beside, tolerance), tolerance)
        cost[score.reshape(len(views), -1) == 0] = UNSEEN * tolerance
        if cost.sum() < lowest:
            best, lowest = chosen, float(cost.sum())
    return best


def _followed(
    own: Sequence[NDArray[np.int64]], rays: Sequence[NDArray[np.float64]], scores: Sequence[NDArray[np.floating]],
    views: Sequence[Viewpoint], tolerance: float,
) -> list[NDArray[np.int64]]:  # fmt: skip
    """Per camera and frame the person (T,) whom the *other* cameras mean: tracks break, people do not."""
    frames = np.arange(len(own[0]))
    result = list(own)
    for place in range(len(views)):
        if len(rays[place]) == 1:
            continue
        others = [n for n in range(len(views)) if n != place]
        ray = np.stack([rays[n][result[n], frames] for n in others])
        score = np.stack([scores[n][result[n], frames] for n in others])
        found = _points(ray, score, [views[n] for n in others], tolerance)
        points = found.positions.reshape(*score.shape[1:], 3)
        camera = views[place].camera.to_camera(points)
        beside = np.linalg.norm(rays[place] * camera[..., 2:] - camera[..., :2], axis=-1)  # (P, T, J) metres
        cost = np.where(np.isfinite(beside), np.minimum(beside, tolerance), tolerance)
        cost = np.where(scores[place] > 0, cost, UNSEEN * tolerance).mean(-1)
        kernel = np.ones(2 * SMOOTH + 1) / (2 * SMOOTH + 1)
        cost = np.stack([np.convolve(np.pad(row, SMOOTH, mode="edge"), kernel, "valid") for row in cost])
        result[place] = cost.argmin(0)
    return result


def _put_together(people: Sequence[Pose2D], places: NDArray[np.int64]) -> Pose2D:
    """The person of each frame, as one pose."""
    frames = np.arange(len(places))
    parts: dict[str, Any] = {
        name: np.stack([getattr(pose, name) for pose in people])[places, frames]
        for name in ("positions", "score", "visible")
    }
    return replace(people[int(np.bincount(places).argmax())], **parts)
