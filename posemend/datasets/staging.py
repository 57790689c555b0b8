"""A scene put on stage: motions found and placed, bodies and things made solid, cameras set going, labels taken.

Everything follows from the scene file and the motions that it names; what is
drawn on the way (a hand's sway, a detector's errors) comes from the scene's
seed and the name of what it is drawn for, never from the order of work.
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets import packs, procedural
from posemend.datasets.packs import Motion
from posemend.datasets.scene import PROTOCOL, Person, Scene, SceneCamera
from posemend.datasets.skins import read_rig, read_skin
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.occlusion.detector import OTHER, SELF, simulate_arrays
from posemend.occlusion.detector import VISIBLE as SEEN
from posemend.occlusion.error_draw import definition_shift, draw
from posemend.occlusion.error_model import load
from posemend.occlusion.figure import Build, body_height, figure
from posemend.occlusion.labels import BY_SELF, VISIBLE, Labels, Rule, View, label_joints
from posemend.occlusion.skinned import Skin, wear
from posemend.occlusion.solids import Solids, boxes, together, worn

PROCEDURAL = "procedural:"
PROCEDURAL_SECONDS = 60.0
_ANKLE = 0.045  # height of an ankle over the floor, share of the stature
_LAG_S = 0.8  # how lazily a hand-held camera follows
_SWAY_S = 0.5
REPERTOIRES: dict[str, tuple[str, ...]] = {
    # what people do in rooms: no running, no floor work
    "everyday": (
        "stand", "talk", "phone", "look", "stroll", "turn", "reach", "wave", "sit", "sit_talk", "bend", "squat",
    ),
}  # fmt: skip
_KEPT = 8  # made-up motions held in memory


class Library:
    """Motions by name: made-up ones, and those in a folder of packs; and people's meshes.

    ``procedural:SEED`` draws on all behaviours, ``procedural:SEED:everyday`` on some of them;
    ``PACK/SEQUENCE`` is a sequence of a pack.

    Where a pack has several sequences of one name they are ``NAME``, ``NAME#2``, ...
    """

    def __init__(self, folder: str | Path | None = None, meshes: str | Path = ".") -> None:
        """Make a library.

        Args:
            folder: With motion packs (``*.npz``); ``None`` knows made-up motion alone.
            meshes: Folder that the paths of meshes start from: that of the scene's file.
        """
        self.folder = None if folder is None else Path(folder)
        self.meshes = Path(meshes)
        self._skins: dict[tuple[Path, Path | None], Skin] = {}
        self._packs: dict[str, dict[str, Motion]] = {}
        self._made: dict[str, Motion] = {}

    def pack(self, name: str) -> dict[str, Motion]:
        """All sequences of one pack.

        Raises:
            InputError: No folder was given, or it has no such pack.
        """
        if name not in self._packs:
            if self.folder is None:
                raise InputError(f"Motion of pack '{name}' is wanted, and no folder of packs was named (--packs).")
            path = self.folder / f"{name}.npz"
            if not path.is_file():
                there = ", ".join(sorted(file.stem for file in self.folder.glob("*.npz"))) or "none"
                raise InputError(f"Looked for the motion pack {path}, which is not there. Packs there: {there}.")
            found: dict[str, Motion] = {}
            for motion in packs.read(path):
                number, label = 1, motion.name
                while label in found:
                    number += 1
                    label = f"{motion.name}#{number}"
                found[label] = motion
            self._packs[name] = found
        return self._packs[name]

    def skin(self, mesh: str, rig: str = "") -> Skin:
        """A person's mesh.

        Raises:
            InputError: It cannot be read, has no skin, or its rig is not known.
        """
        path, names = self.meshes / mesh, self.meshes / rig if rig else None
        if (path, names) not in self._skins:
            self._skins[path, names] = read_skin(path, None if names is None else read_rig(names))
        return self._skins[path, names]

    def get(self, name: str) -> Motion:
        """A motion by name.

        Raises:
            InputError: No such motion.
        """
        if name.startswith(PROCEDURAL):
            seed, _, repertoire = name.removeprefix(PROCEDURAL).partition(":")
            if not seed.isdecimal() or int(seed) >= 2**63 or repertoire not in ("", *REPERTOIRES):
                raise InputError(
                    f"'{name}' wants a whole number after '{PROCEDURAL}', and after that nothing or one of: "
                    f"{', '.join(':' + known for known in REPERTOIRES)}."
                )
            if name not in self._made:
                if len(self._made) >= _KEPT:
                    self._made.pop(next(iter(self._made)))
                script = None
                if repertoire:
                    acts = REPERTOIRES[repertoire]
                    script = [acts[k] for k in chance(int(seed), repertoire).integers(0, len(acts), 40)]
                self._made[name] = procedural.generate(int(seed), PROCEDURAL_SECONDS, script=script)
            return self._made[name]
        pack, _, sequence = name.partition("/")
        motions = self.pack(pack)
        if sequence not in motions:
            guess = difflib.get_close_matches(sequence, motions, n=1)
            hint = f" Did you mean '{pack}/{guess[0]}'?" if guess else ""
            raise InputError(f"Pack '{pack}' has no sequence '{sequence}'.{hint} It has {len(motions)}.")
        return motions[sequence]


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene with everything in its place.

    Attributes:
        scene: What was staged.
        people: (T, 17, 3) float32 world metres each, Human3.6M order.
        solids: Everybody's body and all things, over time.
        views: By camera name.
        licences: Of the motions, each once.
    """

    scene: Scene
    people: tuple[NDArray[np.float32], ...]
    solids: Solids
    views: dict[str, View]
    licences: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Seen:
    """One person by one camera: exact poses with flags, labels, and what a detector would have said."""

    person: int
    camera: str
    take: Take
    labels: Labels
    detected: NDArray[np.float32]
    detected_score: NDArray[np.float32]


def chance(seed: int, *names: str | int) -> np.random.Generator:
    """Randomness that depends on the seed and on what it is for."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def resampled(motion: Motion, first: int, frames: int, fps: float) -> NDArray[np.float32]:
    """(frames, 17, 3) of a motion at another clock, from its frame ``first`` on.

    Raises:
        InputError: The motion is too short.
    """
    at = first + np.arange(frames) * (motion.fps / fps)
    if first < 0 or at[-1] > len(motion) - 1 + 1e-6:
        raise InputError(
            f"Motion '{motion.name}' has {len(motion)} frames at {motion.fps:g} fps; wanted {frames} at {fps:g} fps "
            f"from frame {first} on. Choose fewer frames or another motion."
        )
    low = np.minimum(at.astype(np.int64), len(motion) - 1)
    part = (at - low).astype(np.float32)[:, None, None]
    return motion.positions[low] * (1 - part) + motion.positions[np.minimum(low + 1, len(motion) - 1)] * part


def placed(person: Person, motion: Motion, frames: int, fps: float) -> NDArray[np.float32]:
    """Where a person's joints are in the scene: on the floor, turned, the middle of the path at ``place``."""
    world = resampled(motion, person.first, frames, fps)
    height = body_height(world, H36M_17)
    if person.height:
        world = world * np.float32(person.height / height)
        height = person.height
    path = world[:, 0, :2]
    middle = (path.min(0) + path.max(0)) / 2
    lowest = np.percentile(world[..., 2].min(1), 1)
    moved = world - np.array([*middle, lowest - _ANKLE * height], np.float32)
    cos, sin = np.cos(person.yaw), np.sin(person.yaw)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    return (moved @ turn + np.array([*person.place, 0], np.float32)).astype(np.float32)


def look_at(eye: ArrayLike, target: ArrayLike, roll: ArrayLike = 0.0) -> NDArray[np.float64]:
    """(..., 3, 3) world-to-camera rotations of cameras that look at a target; roll in radians, clockwise."""
    forward = np.asarray(target, np.float64) - np.asarray(eye, np.float64)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-9)
    down = np.cross(forward, right)
    cos, sin = np.cos(np.asarray(roll))[..., None], np.sin(np.asarray(roll))[..., None]
    return np.stack([cos * right + sin * down, -sin * right + cos * down, forward], -2)


def view_of(camera: SceneCamera, scene: Scene, middle: NDArray[np.floating]) -> View:
    """A camera over the scene's frames. ``middle``: (T, 3) what a hand-held camera follows."""
    frames = scene.frames
    eye = np.broadcast_to(np.array(camera.eye), (frames, 3))
    target = np.broadcast_to(np.array(camera.target), (frames, 3))
    roll = np.full(frames, camera.roll)
    if camera.kind == "hand-held":
        rng = chance(scene.seed, "sway", camera.name)
        width = _SWAY_S * scene.fps
        drift = gaussian_filter1d(rng.normal(0, 1, (frames, 7)), width, axis=0, mode="reflect")
        drift *= np.sqrt(2 * np.sqrt(np.pi) * width)  # back to unit variance
        eye = eye + camera.sway * drift[:, :3]
        followed = gaussian_filter1d(np.asarray(middle, np.float64), _LAG_S * scene.fps, axis=0, mode="nearest")
        target = target + (followed - followed[:1]) * [1, 1, 0.3] + 2 * camera.sway * drift[:, 3:6]
        roll = roll + 0.3 * camera.sway * drift[:, 6]
    rotation = look_at(eye, target, roll)
    size = (camera.width / 2, camera.height / 2)
    lens = Camera((camera.focal,) * 2, size, camera.width, camera.height, rotation[0], -rotation[0] @ eye[0])
    return View(lens, rotation, -np.einsum("tij,tj->ti", rotation, eye))


def stage(scene: Scene, library: Library) -> Stage:
    """Put a scene on stage.

    Raises:
        InputError: A motion is not there or too short, a body is impossible, or a mesh cannot be used.
    """
    people, solids, licences = [], [], []
    for number, person in enumerate(scene.people):
        motion = library.get(person.motion)
        licences.append(motion.licence)
        world = placed(person, motion, scene.frames, scene.fps)
        people.append(world)
        if person.mesh:
            solids.append(worn(wear(library.skin(person.mesh, person.rig), world, H36M_17, person.girth, number)))
        else:
            solids.append(figure(world, H36M_17, Build(girth=person.girth), owner=number))
    things = [box for thing in scene.obstacles for box in thing.boxes()]
    if things:
        velocity = [(*thing.velocity, 0.0) for thing in scene.obstacles for _ in thing.boxes()]
        solids.append(boxes(things, scene.frames, velocity, scene.fps))
    middle = np.mean([world[:, 0] for world in people], 0)
    views = {camera.name: view_of(camera, scene, middle) for camera in scene.cameras}
    return Stage(scene, tuple(people), together(solids), views, tuple(dict.fromkeys(licences)))


def label_stage(staged: Stage, cameras: Iterable[str] | None = None) -> list[Seen]:
    """Everybody seen by every camera, in the order of cameras, then people.

    Raises:
        InputError: A camera is inside of something.
    """
    scene = staged.scene
    found = []
    for name in staged.views if cameras is None else cameras:
        view = staged.views[name]
        try:
            labels = label_joints(
                staged.people, H36M_17, staged.solids, view,
                rule=cast(Rule, scene.rule), soft_rays=scene.soft_rays, slack=scene.slack,
            )  # fmt: skip
        except InputError as error:
            raise InputError(f"Camera '{name}': {error}") from None
        for number, (world, seen) in enumerate(zip(staged.people, labels, strict=True)):
            found.append(_seen(scene, number, name, view, world, seen))
    return found


def _seen(scene: Scene, number: int, name: str, view: View, world: NDArray[np.float32], labels: Labels) -> Seen:
    points = view.to_camera(world)
    projected = view.camera.project(points)
    there = np.asarray(np.isfinite(projected).all(-1))  # joints behind the camera have no pixels
    exact = np.where(there[..., None], projected, 0).astype(np.float32)
    lens = view.camera
    label = f"{scene.name}/p{number}/{name}"
    keypoints = Pose2D(
        exact, H36M_17, score=there.astype(np.float32), visible=labels.visible, fps=scene.fps,
        width=lens.width, height=lens.height, camera=None if view.moves else view.at(0), name=label,
    )  # fmt: skip
    truth = Pose3D(
        (points - points[:, :1]).astype(np.float32), H36M_17, visible=labels.visible, fps=scene.fps, frame="root",
        root=points[:, 0].astype(np.float32), name=label,
    )  # fmt: skip
    kind = np.select([labels.kind == VISIBLE, labels.kind == BY_SELF], [SEEN, SELF], OTHER).astype(np.int8)
    rng = chance(scene.seed, "detector", name, number)
    if scene.detector == PROTOCOL:
        detected, score = simulate_arrays(exact, kind, lens.width, scene.fps, H36M_17, rng)
    else:
        model = load(scene.detector)
        shift = definition_shift(model, points.astype(np.float32), lens.focal[0])
        detected, score = draw(model, exact, kind, scene.fps, rng, shift, float(np.exp(rng.normal(0, model.spread))))
    score = np.where(there, score, 0).astype(np.float32)
    take = Take(keypoints, truth, f"S{number + 1}", scene.name, name)
    return Seen(number, name, take, labels, np.where(there[..., None], detected, 0).astype(np.float32), score)


def takes(scene: Scene, library: Library) -> list[Take]:
    """A scene's takes, for whatever evaluates or trains on takes."""
    return [seen.take for seen in label_stage(stage(scene, library))]
