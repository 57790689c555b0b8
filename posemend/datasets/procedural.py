"""The project's own motion generator: endless labelled motion that nobody else owns.

A made-up person of random proportions walks, turns, reaches, sits, talks with
the hands, bends, kneels, works on the floor. Behaviours are blended through
their controls, then solved for joints once, vectorised over time. It is there
for variety of poses, not to pass for motion capture.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.body.kinematics import unit
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.behaviours import Stage
from posemend.datasets.hands import ease, polar_blend
from posemend.datasets.mannequin import Array, Controls, Person, joints, random_person
from posemend.datasets.packs import Motion
from posemend.datasets.repertoire import BEHAVIOURS, bridges
from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.occlusion.labels import VISIBLE, occlusion_kind
from posemend.occlusion.solids import Box

_PLACES = ("pelvis", "ankle")  # metres in the world
_WAYS = ("knee",)  # directions in the world


def _moved(c: Controls, place: Array, yaw: float) -> Controls:
    """Controls authored at the origin, put at ``place`` (2,) and turned by ``yaw``."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    flat = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    out = dict(c)
    out["yaw"] = c["yaw"] + yaw
    for name in _PLACES + _WAYS:
        out[name] = c[name] @ flat.T
    for name in _PLACES:
        out[name] = out[name] + np.array([place[0], place[1], 0.0])
    return out


def _blend(first: Controls, second: Controls) -> Controls:
    """Cross-fade of two stretches of equal length."""
    share = ease(np.linspace(0, 1, len(first["yaw"]) + 2)[1:-1])
    out = {}
    for name, one in first.items():
        two = second[name]
        weight = share.reshape(-1, *([1] * (one.ndim - 1)))
        if name == "hand":
            out[name] = np.stack([polar_blend(one[:, side], two[:, side], share) for side in range(2)], 1)
            continue
        if name == "tilt":
            two = two * np.where((one * two).sum(-1, keepdims=True) < 0, -1.0, 1.0)
        out[name] = one * (1 - weight) + two * weight
    return out


def _scenes(
    rng: np.random.Generator, script: Sequence[str | tuple[str, float]] | None
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Endless (behaviour, shortest and longest seconds), with the steps between stances put in."""
    names = list(BEHAVIOURS)
    weights = np.array([behaviour.weight for behaviour in BEHAVIOURS.values()])
    before, number = "", 0
    while True:
        drawn = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        scene = script[number % len(script)] if script else drawn
        name, seconds = (scene, BEHAVIOURS[scene].seconds) if isinstance(scene, str) else (scene[0], (scene[1],) * 2)
        for bridge in bridges(before, name) if before else []:
            yield bridge, (0.8, 2.0)
        yield name, seconds
        before, number = name, number + 1


def perform(
    rng: np.random.Generator,
    person: Person,
    frames: int,
    fps: float,
    script: Sequence[str | tuple[str, float]] | None = None,
) -> tuple[Array, list[tuple[str, int]]]:
    """Positions (frames, 17, 3) of a person going through a script, and (behaviour, first frame) of each part.

    Args:
        rng: All chance comes from here.
        person: Who acts.
        frames: Length.
        fps: Frames per second.
        script: Names in ``BEHAVIOURS``, or (name, seconds), repeated as often as needed; ``None`` draws them.
    """
    parts: list[tuple[str, int]] = []
    pieces: list[Controls] = []
    place, yaw, done = np.zeros(2), float(rng.uniform(-np.pi, np.pi)), 0
    for name, (shortest, longest) in _scenes(rng, script):
        behaviour = BEHAVIOURS[name]
        length = max(int(rng.uniform(shortest, longest) * fps), 8)
        fade = max(int(rng.uniform(*behaviour.fade) * fps), 4)
        fade = min(fade, length, len(pieces[-1]["yaw"]) - 1) if pieces else 0
        c = _moved(behaviour.play(Stage(rng, person, length + fade, fps)), place, yaw)
        if fade:
            before = pieces[-1]
            mixed = _blend({k: v[-fade:] for k, v in before.items()}, {k: v[:fade] for k, v in c.items()})
            pieces[-1] = {k: v[:-fade] for k, v in before.items()}
            c = {k: np.concatenate([mixed[k], v[fade:]]) for k, v in c.items()}
            done -= fade
        parts.append((name, done))
        pieces.append(c)
        done += len(c["yaw"])
        if done >= frames:
            break
        last = -max(int(0.4 * fps), 2)
        place, yaw = c["pelvis"][last:, :2].mean(0), float(c["yaw"][last:].mean())
    everything = {name: np.concatenate([piece[name] for piece in pieces])[:frames] for name in pieces[0]}
    return joints(person, everything, fps), parts


def generate(
    seed: int | np.random.Generator, seconds: float = 20, fps: float = 50, script: Sequence[str] | None = None
) -> Motion:
    """One made-up person doing one thing after another.

    Args:
        seed: Number or generator; the same number gives the same motion.
        seconds: Length.
        fps: Frames per second.
        script: Behaviours by name, in order, repeated as needed (see
            ``repertoire.BEHAVIOURS``). ``None`` draws them at random.

    Returns:
        Positions (T, 17, 3) float32 in metres, world axes with z up and the
        floor at 0, Human3.6M order.

    Raises:
        InputError: Unknown behaviour, or an impossible length or frame rate.
    """
    if not (np.isfinite(seconds) and np.isfinite(fps) and 5 <= fps <= 1000 and 0 < seconds <= 86_400):
        raise InputError(f"generate wants 0 < seconds <= 86400 and 5 <= fps <= 1000, got {seconds} and {fps}.")
    if isinstance(seed, int) and seed < 0:
        raise InputError(f"generate wants a seed of 0 or above, got {seed}.")
    for name in script or ():
        if name not in BEHAVIOURS:
            guess = difflib.get_close_matches(name, BEHAVIOURS, n=1)
            hint = f" Did you mean '{guess[0]}'?" if guess else ""
            raise InputError(f"No behaviour is called '{name}'.{hint} Known: {', '.join(BEHAVIOURS)}.")
    rng = np.random.default_rng(seed)
    label = f"seed{seed}" if isinstance(seed, int) else "drawn"
    person = random_person(rng)
    positions, parts = perform(rng, person, max(1, round(seconds * fps)), fps, script)
    return Motion(
        positions=positions.astype(np.float32),
        skeleton=H36M_17,
        fps=float(fps),
        subject=label,
        action="+".join(dict.fromkeys(name for name, _ in parts)),
        name=f"procedural/{label}",
        source="procedural",
        licence="Apache-2.0",
    )


_DEMO = (("stroll", 4.5), ("turn", 2.5), ("reach", 4.5), ("stroll", 3.0), ("sit_talk", 9.0))
# number of the part -> metres towards the camera, aside, (width, depth, height): pillar, counter, table
_OBSTACLES = {0: (0.9, 0.0, (0.22, 0.22, 2.2)), 2: (0.9, 0.15, (0.45, 0.35, 0.75)), 4: (1.1, -0.2, (0.65, 0.5, 0.6))}


def _camera_for(world: Array) -> Camera:
    """A camera at 1.55 m that sees most of a motion from the side of its longest extent."""
    pelvis = world[:, 0]
    middle = (pelvis.min(0) + pelvis.max(0)) / 2
    spread = np.linalg.svd(pelvis[:, :2] - pelvis[:, :2].mean(0), full_matrices=False)[2]
    aside = np.array([spread[1, 0], spread[1, 1], 0.0])
    half = np.ptp((pelvis[:, :2] - middle[:2]) @ spread[0]) / 2
    distance = max(3.9, 1100 / 500 * (half + 0.3))
    eye = middle + aside * distance
    eye[2], middle[2] = 1.55, 0.85
    forward = unit(middle - eye)
    right = unit(np.cross(forward, [0.0, 0.0, 1.0]))
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera((1100.0, 1100.0), (500.0, 500.0), 1000, 1000, rotation, -rotation @ eye)


def _obstacles(world: Array, parts: list[tuple[str, int]], camera: Camera) -> tuple[Box, ...]:
    """A pillar before the walk, a counter before the reaching, a table before the chair."""
    eye = camera.to_world(np.zeros(3))
    ends = [start for _, start in parts[1:]] + [len(world)]
    boxes = []
    for number, ((_, start), end) in enumerate(zip(parts, ends, strict=True)):
        if number in _OBSTACLES:
            near, aside, size = _OBSTACLES[number]
            spot = np.median(world[start:end, 0], axis=0) * [1, 1, 0]
            towards = unit((eye - spot) * [1, 1, 0])
            spot = spot + towards * near + np.cross([0.0, 0.0, 1.0], towards) * aside
            yaw = float(np.arctan2(towards[1], towards[0]) + np.pi / 2)
            boxes.append(Box((float(spot[0]), float(spot[1]), size[2] / 2), size, yaw))
    return tuple(boxes)


def demo_scene(seed: int = 7) -> tuple[Array, Camera, tuple[Box, ...]]:
    """What the built-in clip is made of: positions (1000, 17, 3) in the world, the camera, the obstacles."""
    rng = np.random.default_rng(seed)
    world, parts = perform(rng, random_person(rng), 1000, 50.0, _DEMO)
    world = world.astype(np.float32).astype(np.float64)
    camera = _camera_for(world)
    return world, camera, _obstacles(world, parts, camera)


def demo_clip(seed: int = 7) -> Take:
    """The built-in clip: somebody walks, turns, reaches and sits down behind obstacles; 20 s at 50 fps.

    One camera of 1000 x 1000 pixels. Keypoints are exact; ``visible`` says what
    the body, the obstacles and the edge of the image leave to be seen. The same
    seed gives the same clip.
    """
    world, camera, boxes = demo_scene(seed)
    visible = occlusion_kind(world, camera, boxes) == VISIBLE
    seen = camera.to_camera(world)
    pixels = camera.project(seen).astype(np.float32)
    root = seen[:, 0].astype(np.float32)
    relative = (seen - seen[:, :1]).astype(np.float32)
    truth = Pose3D(relative, H36M_17, visible=visible, fps=50.0, frame="root", root=root, name="demo")
    keypoints = Pose2D(
        pixels,
        H36M_17,
        score=np.asarray(np.isfinite(pixels).all(-1), np.float32),
        visible=visible,
        fps=50.0,
        width=camera.width,
        height=camera.height,
        camera=camera,
        name="demo",
    )
    return Take(keypoints, truth, subject=f"seed{seed}", action="demo", camera="cam0")
