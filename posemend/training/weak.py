"""Batches of people of whom some have 3D labels and others only keypoints.

WS-GCN (weakly supervised SemGCN) and VideoPose3D's semi-supervised training
(Pavllo et al., CVPR 2019, section 4): labelled and unlabelled samples in one
batch, one forward pass for both. What the unlabelled ones are compared with is
in `teaching`. People are split by performer, never by clip: who is labelled, who
is not, and who is only watched, are three lists of names.

An unlabelled sample holds what a camera gave and nothing else. Its truth is in
the batch for two measurements that say so by name: ``supervision = "full"`` (the
ceiling) and ``root = "true"`` (what the published code's leak is worth).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.body.pose import Pose2D
from posemend.contract.codec import encode, turn
from posemend.datasets import blendmimic3d
from posemend.datasets.packs import Motion
from posemend.errors import InputError, RecipeError
from posemend.formats import read
from posemend.training.batches import Source
from posemend.training.footage import Footage, Windows, film_motions, film_takes, mirrored, of_keypoints, windows
from posemend.training.hiding import Hiding, spans
from posemend.training.motions import Pool
from posemend.training.pseudo import pseudo_labels
from posemend.training.recipe import Recipe
from posemend.training.refining import filled
from posemend.training.sources import motions, training_takes, variety_of
from posemend.training.views import Views

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

FRAME_BY_FRAME = ("semgcn", "martinez")  # networks that see one frame and the image's own coordinates
ROOM = 0.03  # by which a bone may leave the range of labelled people, relative
KINDS = ("labelled", "unlabelled", "watched")


@dataclass(frozen=True)
class WeakBatch:
    """One step's data; B samples, of which the last are unlabelled.

    Attributes:
        joints: (B, T, 17, 3) codec output.
        clip: (B, T, 5) codec output.
        target: (B, T, 17, 3) truth or pseudo-label, virtual-camera axes; 0 where there is none.
        truth: (B, T, 17) 1 where ``target`` is truth that may be used.
        pseudo: (B, T, 17) weight of ``target`` as a pseudo-label.
        hidden: (B, T, 17) which joints were hidden.
        rotation: (B, T, 3, 3) camera to virtual camera.
        image: (B, T, 17, 2) keypoints as the virtual camera sees them, masked or not.
        score: (B, T, 17) their scores, before masks.
        root: (B, T, 3) the true root, virtual-camera axes; only there to measure its leak.
        rays: (B, T, 17, 2) what frame-by-frame networks are given, over half the image's width, gaps filled.
        labelled: (B,) whose truth is used.
        lengths: (3, 16) mean, lowest and highest bone lengths of labelled people.
        number: Which batch.
        frame_joints: 0 for networks of clips; how many joints a frame-by-frame network takes.
        teacher: Input of the teacher (of the unlabelled, unmasked): joints, clip or rays.
        to_student: (U, T, 3, 3) teacher's axes to those of ``target``.
        lesson: What the teacher answered.
    """

    joints: Floats
    clip: Floats
    target: Floats
    truth: Floats
    pseudo: Floats
    hidden: Bools
    rotation: Floats
    image: Floats
    score: Floats
    root: Floats
    rays: Floats
    labelled: Bools
    lengths: Floats
    number: int
    frame_joints: int
    teacher: tuple[Floats, ...] = ()
    to_student: Floats | None = None
    lesson: Any = None

    def inputs(self) -> tuple[Floats, ...]:
        """What the network is given."""
        return (frames_of(self.rays, self.frame_joints),) if self.frame_joints else (self.joints, self.clip)


_SIXTEEN = np.array([H36M_17.index(name) for name in H36M_16.joints])


def frames_of(rays: Floats, joints: int) -> Floats:
    """(B * T, joints, 2): single frames of 16 or 17 joints."""
    chosen = rays[:, :, _SIXTEEN] if joints == 16 else rays
    return chosen.reshape(-1, joints, 2)


def on_image(rays: Floats, rotation: Floats) -> Floats:
    """(B, T, 17, 2) as the virtual camera sees camera rays."""
    points = np.concatenate([rays, np.ones_like(rays[..., :1])], -1)
    turned = turn(points, rotation)
    far: Floats = np.maximum(turned[..., 2:], 0.1)
    return turned[..., :2] / far


class WeakSource:
    """Makes batches out of labelled and unlabelled footage."""

    def __init__(self, recipe: Recipe, labelled: Footage, unlabelled: Footage | None, lengths: Floats) -> None:
        self._recipe, self._lengths = recipe, lengths
        self._labelled, self._unlabelled = labelled, unlabelled
        self._hiding = Hiding(**recipe.hiding.model_dump())
        self._frame_joints = 0
        if recipe.network.name in FRAME_BY_FRAME:
            usual = 16 if recipe.network.name == "semgcn" else 17
            self._frame_joints = int(recipe.network.options.get("joints", usual))
        weak = recipe.weak
        self._several = round(recipe.optim.batch * weak.part) if unlabelled is not None else 0
        self._source = None
        if weak.augment:
            self._source = Source(
                Pool.of([(world_motions(labelled), 1.0)]), None, 0.0, recipe.optim.batch - self._several,
                recipe.optim.frames, variety_of(recipe), Views(**recipe.views.model_dump()),
                self._hiding, recipe.seed,
            )  # fmt: skip
        self._pseudo = None if weak.pseudo == 0 or unlabelled is None else pseudo_labels(unlabelled)

    def batch(self, number: int) -> WeakBatch:
        """Batch ``number``, always the same."""
        recipe = self._recipe
        rng = np.random.default_rng([recipe.seed, number, 13])
        count = recipe.optim.batch - self._several
        parts = [self._varied(number) if self._source is not None else self._part(self._labelled, rng, count, True)]
        teacher: tuple[Floats, ...] = ()
        to_student = None
        if self._unlabelled is not None and self._several:
            full = recipe.weak.supervision == "full"
            parts.append(self._part(self._unlabelled, rng, self._several, full))
            unmasked = parts[-1].pop("unmasked")
            if recipe.weak.consistency:
                joints, clip, rotation, rays = unmasked
                teacher = (frames_of(rays, self._frame_joints),) if self._frame_joints else (joints, clip)
                to_student = parts[-1]["rotation"] @ np.swapaxes(rotation, -1, -2)
        for part in parts:
            part.pop("unmasked", None)
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return WeakBatch(
            **table, lengths=self._lengths, number=number, frame_joints=self._frame_joints, teacher=teacher,
            to_student=to_student,
        )  # fmt: skip

    def _varied(self, number: int) -> dict[str, Any]:
        """Labelled people, varied and seen by new cameras, as task ``lift`` has them."""
        assert self._source is not None
        made = self._source.batch(number)
        ones = np.ones(made.score.shape, np.float32)
        return {
            "joints": made.joints, "clip": made.clip, "target": made.target, "truth": ones, "pseudo": 0 * ones,
            "hidden": made.hidden, "rotation": made.rotation, "image": on_image(made.rays, made.rotation),
            "score": made.score, "root": np.zeros((*made.score.shape[:2], 3), np.float32),
            "rays": filled(made.rays, made.score) / made.half[:, None, None, None],
            "labelled": np.ones(len(ones), bool),
        }  # fmt: skip

    def _part(self, footage: Footage, rng: np.random.Generator, count: int, labelled: bool) -> dict[str, Any]:
        recipe = self._recipe
        cut = windows(footage, rng, count, recipe.optim.frames)
        score = cut.score
        if recipe.weak.masked:
            fps = float(np.median(cut.fps))
            gone = spans(count, recipe.optim.frames, fps, self._hiding, rng)
            gone &= (rng.random(count) < recipe.weak.masked)[:, None, None]
            gone &= ~(gone | (score == 0)).all((1, 2))[:, None, None]  # never everything
            score = np.where(gone, np.float32(0), score)
        joints, clip, rotation = encoded(cut, score)
        whole = encoded(cut, cut.score) if recipe.weak.consistency and not labelled else (joints, clip, rotation)
        given = filled(cut.rays, score) / cut.half[:, None, None, None]
        unmasked = (*whole, filled(cut.rays, cut.score) / cut.half[:, None, None, None])
        truth = np.full(score.shape, float(labelled), np.float32)
        points, pseudo = cut.camera, np.zeros_like(truth)
        if self._pseudo is not None and footage is self._unlabelled and not labelled:
            points = mirrored(self._pseudo[0][cut.rows], cut.flipped)
            pseudo = self._pseudo[1][cut.rows]
            pseudo[cut.flipped] = pseudo[cut.flipped][:, :, list(H36M_17.mirror)]
        elif not labelled:
            points = np.zeros_like(points)
        target = turn(points - points[:, :, :1], rotation)
        leak = cut.camera[:, :, :1] if recipe.weak.root == "true" else np.zeros_like(cut.camera[:, :, :1])
        return {
            "joints": joints, "clip": clip, "target": target, "truth": truth, "pseudo": pseudo, "hidden": cut.hidden,
            "rotation": rotation, "image": on_image(cut.rays, rotation), "score": cut.score,
            "root": turn(leak, rotation)[:, :, 0], "rays": given,
            "labelled": np.full(count, labelled), "unmasked": unmasked,
        }  # fmt: skip


def encoded(cut: Windows, score: Floats) -> tuple[Floats, Floats, Floats]:
    """The codec's joints, clip and rotation; frame rates are encoded each by itself, as in use."""
    joints = np.empty((*score.shape, 3), np.float32)
    clip = np.empty((*score.shape[:2], 5), np.float32)
    rotation = np.empty((*score.shape[:2], 3, 3), np.float32)
    for fps in np.unique(cut.fps):
        at = cut.fps == fps
        code = encode(cut.rays[at], score[at], float(fps), cut.known[at])
        joints[at], clip[at], rotation[at] = code.joints, code.clip, code.rotation
    return joints, clip, rotation


@dataclass(frozen=True)
class WorldMotion:
    """Positions (T, 17, 3) in world axes, and their clock."""

    positions: Floats
    fps: float


def world_motions(footage: Footage) -> list[WorldMotion]:
    """Each moment once, out of the first camera that saw it."""
    found = []
    for clips in footage.groups_of(1, calibrated=False):  # truth does not ask for the focal length
        first = clips[0]
        rows = slice(footage.start[first], footage.start[first] + footage.length[first])
        outer = footage.outer[first]
        world = (footage.camera[rows] - outer[:, 3]) @ outer[:, :3]
        found.append(WorldMotion(world.astype(np.float32), float(footage.fps[first])))
    return found


def lengths_of(footage: Footage) -> Floats:
    """(3, 16) mean, lowest and highest bone lengths of labelled people, by clip, metres."""
    parents, children = np.array(H36M_17.bone_indices).T
    bones = np.linalg.norm(footage.camera[:, children] - footage.camera[:, parents], axis=-1)
    clips = np.add.reduceat(bones, footage.start) / footage.length[:, None]
    return np.stack([bones.mean(0), clips.min(0) * (1 - ROOM), clips.max(0) * (1 + ROOM)]).astype(np.float32)


def some(footage: Footage, share: float, seed: int) -> tuple[Footage, Footage | None]:
    """The share of the moments that keeps labels, and the rest. The last moment taken is cut to fit."""
    if share >= 1:
        return footage, None
    every = [np.flatnonzero(footage.group == number) for number in range(int(footage.group.max()) + 1)]
    order = np.random.default_rng([seed, 17]).permutation(len(every))
    moments = np.array([footage.length[clips].max() for clips in every])
    wanted = share * moments.sum()
    before = np.cumsum(moments[order]) - moments[order]
    chosen = order[before < wanted]
    rest = order[before >= wanted]
    kept = footage.clips(np.concatenate([every[number] for number in chosen]))
    left = max(8, round(wanted - float(before[before < wanted][-1])))
    last = len(every[chosen[-1]])
    length = kept.length.copy()
    length[-last:] = np.minimum(length[-last:], left)
    table = {field.name: getattr(kept, field.name) for field in fields(Footage)}
    # rows past the cut stay in the arrays and are never drawn
    kept = Footage(**{**table, "length": length})
    kept = kept.clips(np.arange(len(kept)))
    return kept, footage.clips(np.concatenate([every[number] for number in rest])) if len(rest) else None


def _who(recipe: Recipe) -> dict[str, list[str]]:
    weak = recipe.weak
    return {"labelled": weak.labelled, "unlabelled": weak.unlabelled, "watched": weak.watched}


def kind_of(person: str, recipe: Recipe) -> str:
    """``labelled``, ``unlabelled`` or ``watched``; whom nobody names is watched.

    Raises:
        RecipeError: Two lists name the person.
    """
    found = [kind for kind, names in _who(recipe).items() if any(fnmatchcase(person, name) for name in names)]
    if len(found) > 1:
        raise RecipeError(f"'{person}' is both {' and '.join(found)} in the recipe's [weak]. Name everybody once.")
    return found[0] if found else "watched"


def watched_footage(recipe: Recipe) -> Footage:
    """People who are only watched, filmed as the recipe hides joints.

    Raises:
        InputError: Nobody is.
    """
    return Footage.joined(_footage(recipe, ["watched"])["watched"])


def _motions(recipe: Recipe) -> dict[str, list[Motion]]:
    """Motion capture by kind."""
    found: dict[str, list[Motion]] = {kind: [] for kind in KINDS}
    packs = {name: share for name, share in recipe.data.packs.items() if name != "blendmimic3d"}
    plain = recipe.data.model_copy(update={"packs": packs, "held_out": 0.0})
    for part, _ in motions(recipe.model_copy(update={"data": plain}), held_out=False) if packs else []:
        for motion in part:
            found[kind_of(f"{motion.source}/{motion.subject}", recipe)].append(motion)
    return found


def _footage(recipe: Recipe, kinds: Sequence[str]) -> dict[str, list[Footage]]:
    """Footage of people of these kinds."""
    hiding, views = Hiding(**recipe.hiding.model_dump()), Views(**recipe.views.model_dump())
    found: dict[str, list[Footage]] = {kind: [] for kind in kinds}
    for kind, chosen in _motions(recipe).items():
        if chosen and kind in found:
            found[kind].append(film_motions(chosen, recipe.weak.cameras, views, hiding, recipe.seed))
    if "blendmimic3d" in recipe.data.packs:
        for kind, takes in _takes(recipe).items():
            if takes and kind in found:
                found[kind].append(film_takes(takes, hiding, recipe.seed, "blendmimic3d"))
    return found


def _takes(recipe: Recipe) -> dict[str, list[Any]]:
    """BlendMimic3D's training actions by kind; its validation actions are watched, whoever performs them."""
    root = Path(recipe.data.root)
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    try:
        for take in training_takes(root):
            found[kind_of(f"blendmimic3d/{take.subject}", recipe)].append(take)
        found["watched"] = blendmimic3d.read(root / "blendmimic3d", ["S1", "S2"], blendmimic3d.VALIDATION_ACTIONS)
    except InputError as error:
        raise RecipeError(f"The recipe wants BlendMimic3D under data.root: {error}") from None
    return found


def _files(recipe: Recipe) -> list[Footage]:
    people = []
    for file in recipe.weak.files:
        pose = read(file)
        if not isinstance(pose, Pose2D):
            raise RecipeError(f"'{file}' in weak.files holds a 3D pose; unlabelled people are 2D keypoints.")
        people.append(pose)
    moments = recipe.weak.moments
    if moments and len(moments) != len(people):
        raise RecipeError(f"weak.moments wants one number for each of the {len(people)} files, got {len(moments)}.")
    return [of_keypoints(people, moments or None)] if people else []


def weak_source(recipe: Recipe, held_out: bool = False) -> WeakSource:
    """What makes the batches of task ``weak``.

    Raises:
        RecipeError: Nobody is labelled, nobody is unlabelled though they should teach, or data is missing.
        InputError: Footage cannot be used (nothing seen, cameras that contradict the 2D).
    """
    if held_out:
        plain = recipe.model_copy(update={"weak": recipe.weak.model_copy(update={"augment": False, "masked": 0.0})})
        watched = watched_footage(recipe)
        return WeakSource(plain, watched, None, lengths_of(watched))
    found = _footage(recipe, ["labelled", "unlabelled"])
    if not found["labelled"]:
        raise RecipeError(
            f"Nobody is labelled: weak.labelled = {recipe.weak.labelled} names nobody in data.packs "
            f"({', '.join(recipe.data.packs) or 'none'}). Without any 3D labels there is neither scale nor depth to "
            "learn from; name at least one performer as pack/performer, or 'procedural/*'."
        )
    labelled, rest = some(Footage.joined(found["labelled"]), recipe.weak.share, recipe.seed)
    others = found["unlabelled"] + _files(recipe) + ([rest] if rest is not None else [])
    if recipe.weak.supervision == "labelled":
        return WeakSource(recipe, labelled, None, lengths_of(labelled))
    if not others:
        raise RecipeError(
            f"Nobody is unlabelled: weak.unlabelled = {recipe.weak.unlabelled} names nobody, there are no weak.files, "
            'and every label is kept. Name some people, or set supervision = "labelled".'
        )
    if recipe.weak.supervision == "full" and recipe.weak.files:
        raise RecipeError('supervision = "full" wants labels of everybody; keypoint files (weak.files) have none.')
    return WeakSource(recipe, labelled, Footage.joined(others), lengths_of(labelled))


def any_watched(recipe: Recipe) -> bool:
    """Whether anybody is watched."""
    return "blendmimic3d" in recipe.data.packs or bool(_motions(recipe)["watched"])
