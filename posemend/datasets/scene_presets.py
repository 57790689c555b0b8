"""Scenes drawn from a seed: kinds of cameras, obstacles and company that belong together.

The scenes of one seed share their still cameras, as the takes of one recording
day do, so that a set of them fits BlendMimic3D's layout (one rig a subject).
``rig`` and ``rig-objects`` imitate that data set's two training subjects in
how many joints are hidden and for how long (``benchmarks/presets.py`` measures
it); the others go where it does not.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.datasets.scene import FURNITURE, Obstacle, Person, Scene, SceneCamera
from posemend.datasets.staging import PROCEDURAL, PROCEDURAL_SECONDS, REPERTOIRES, Library, chance, placed
from posemend.errors import InputError

Rng = np.random.Generator
_TRIES = 40
MADE_UP = (PROCEDURAL.rstrip(":"), *(PROCEDURAL + name for name in REPERTOIRES))  # sources that need no pack
_APART = 0.55  # metres between the pelvises of two people, at least


@dataclass(frozen=True)
class Preset:
    """What is drawn; pairs are lowest and highest.

    Attributes:
        cameras: Draws the cameras.
        people: How many.
        kinds: Obstacles to choose from.
        obstacles: How many.
        near: Distance of an obstacle from the person towards a camera, metres.
        moving: Chance that an obstacle moves (at 0.2 to 1 m/s across the view).
        girth: Of people.
        rule, slack: What counts as hidden.
        seconds: Length.
        says: One line for people.
    """

    cameras: Callable[[Rng], tuple[SceneCamera, ...]]
    says: str
    people: tuple[int, int] = (1, 1)
    kinds: tuple[str, ...] = ()
    obstacles: tuple[int, int] = (0, 0)
    near: tuple[float, float] = (0.5, 1.8)
    moving: float = 0.0
    girth: tuple[float, float] = (0.9, 1.2)
    rule: str = "anatomy"
    slack: float = 0.08
    seconds: float = 20.0


def _rounded(*numbers: float) -> tuple[float, ...]:
    return tuple(round(float(x), 4) for x in numbers)


def _camera(
    name: str,
    eye: Sequence[float],
    target: Sequence[float],
    focal: float,
    size: tuple[int, int],
    **more: Any,
) -> SceneCamera:
    return SceneCamera(name, _rounded(*eye), _rounded(*target), round(float(focal), 2), *size, **more)  # type: ignore[arg-type]


def _rig(rng: Rng) -> tuple[SceneCamera, ...]:
    """BlendMimic3D's: the corners of a long rectangle, 1.75 to 2 m high, 1000 x 1002 pixels."""
    x, y, z = rng.uniform(1.4, 1.75), rng.uniform(3.6, 4.4), rng.uniform(1.7, 2.05)
    corners = ((x, y), (x, -y), (-x, y), (-x, -y))
    target = (0.0, 0.0, 0.95)
    return tuple(
        _camera(f"Cam_{n}", (*(c + rng.normal(0, 0.1, 2)), z), target, rng.choice([695.83, 835.0]), (1000, 1002))
        for n, c in enumerate(corners)
    )


def _ring(rng: Rng, count: int, far: tuple[float, float], high: tuple[float, float]) -> NDArray[np.float64]:
    """(count, 3) places round the origin, spread over all sides."""
    angle = rng.uniform(0, 2 * np.pi) + (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count
    distance = rng.uniform(*far, count)
    return np.stack([distance * np.cos(angle), distance * np.sin(angle), rng.uniform(*high, count)], -1)


def _surveillance(rng: Rng) -> tuple[SceneCamera, ...]:
    """Under the ceiling, wide, far away."""
    eyes = _ring(rng, 4, (3.5, 7.0), (2.6, 4.2))
    return tuple(
        _camera(
            f"Cam_{n}", eye, (*rng.normal(0, 0.4, 2), 0.8), rng.uniform(700, 1000), (1280, 720),
            roll=round(float(rng.normal(0, 0.02)), 4),
        )
        for n, eye in enumerate(eyes)
    )  # fmt: skip


def _hand_held(rng: Rng) -> tuple[SceneCamera, ...]:
    """Held at the chest or the eye by somebody who follows what happens."""
    eyes = _ring(rng, 4, (2.2, 4.5), (1.2, 1.7))
    return tuple(
        _camera(
            f"Cam_{n}", eye, (*rng.normal(0, 0.2, 2), rng.uniform(0.8, 1.1)), rng.uniform(1000, 1500), (1920, 1080),
            kind="hand-held", sway=round(float(rng.uniform(0.01, 0.05)), 4), roll=round(float(rng.normal(0, 0.03)), 4),
        )
        for n, eye in enumerate(eyes)
    )  # fmt: skip


def _close(rng: Rng) -> tuple[SceneCamera, ...]:
    """So near that the borders of the image cut people off."""
    eyes = _ring(rng, 4, (1.3, 2.2), (1.0, 1.7))
    return tuple(
        _camera(
            f"Cam_{n}", eye, (*rng.normal(0, 0.15, 2), rng.uniform(0.7, 1.4)), rng.uniform(650, 1000), (1280, 720)
        )
        for n, eye in enumerate(eyes)
    )  # fmt: skip


_INDOORS = ("table", "desk", "counter", "sofa", "chair", "shelf", "pole", "crate")

PRESETS: dict[str, Preset] = {
    "rig": Preset(
        _rig, "four still cameras, one person, nothing in the way (as BlendMimic3D S1)", girth=(0.64, 0.82),
        rule="first-part",
    ),
    "rig-objects": Preset(
        _rig, "the same with furniture in the way (as BlendMimic3D S2)", kinds=_INDOORS, obstacles=(1, 3),
        near=(0.5, 1.6), girth=(0.64, 0.82), rule="first-part",
    ),
    "surveillance": Preset(
        _surveillance, "four cameras under the ceiling, one to three people, shelves, poles and moving carts",
        people=(1, 3), kinds=("shelf", "pole", "pillar", "cart", "counter"), obstacles=(2, 5), moving=0.3,
    ),
    "hand-held": Preset(
        _hand_held, "four cameras held by hand that follow one or two people among furniture", people=(1, 2),
        kinds=_INDOORS, obstacles=(1, 4), near=(0.5, 1.4),
    ),
    "close-up": Preset(
        _close, "four cameras so near that the image's borders cut the person off", kinds=("table", "counter", "chair"),
        obstacles=(0, 2), near=(0.4, 0.9),
    ),
    "crowd": Preset(
        _rig, "four still cameras, three people close together, carts passing", people=(3, 3), kinds=("cart", "pole"),
        obstacles=(1, 3), moving=0.7,
    ),
}  # fmt: skip


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        InputError: No such preset.
    """
    if name not in PRESETS:
        guess = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f" Did you mean '{guess[0]}'?" if guess else ""
        raise InputError(f"No preset of scenes is called '{name}'.{hint} There are: {', '.join(PRESETS)}.")
    return PRESETS[name]


def _motion(rng: Rng, library: Library, sources: Sequence[str], seconds: float) -> tuple[str, int]:
    """A motion long enough, and where to begin in it."""
    source = sources[int(rng.integers(len(sources)))]
    if source in MADE_UP:
        room = PROCEDURAL_SECONDS - seconds
        name = f"{PROCEDURAL}{int(rng.integers(1_000_000, 2**31))}{source.removeprefix(MADE_UP[0])}"
        return name, int(rng.uniform(0, max(room, 0)) * 50)
    found = library.pack(source)
    wanted = seconds
    long = {name: len(m) for name, m in found.items() if len(m) > wanted * m.fps + 1}
    if not long:
        most = max(len(m) / m.fps for m in found.values())
        raise InputError(
            f"No sequence of pack '{source}' lasts {seconds:g} s; the longest has {most:.1f} s. "
            "Ask for a shorter scene (--seconds) or another source (--motions)."
        )
    names = list(long)
    weight = np.sqrt([long[name] for name in names])
    name = names[int(rng.choice(len(names), p=weight / weight.sum()))]
    room = long[name] - wanted * found[name].fps - 1
    return f"{source}/{name}", int(rng.uniform(0, max(room, 0)))


def draw(
    name: str,
    seed: int,
    number: int = 0,
    *,
    library: Library | None = None,
    sources: Sequence[str] = ("procedural:everyday",),
    seconds: float | None = None,
    fps: float = 50.0,
    soft_rays: int = 0,
) -> Scene:
    """A scene of a preset; the same arguments give the same scene.

    Args:
        name: One of `PRESETS`.
        seed: Of all chance; scenes of one seed share their cameras.
        number: Which scene of the seed.
        library: Where motions come from; made-up motion alone by default.
        sources: ``"procedural"``, ``"procedural:everyday"`` and names of packs to draw motions from.
        seconds: Length; the preset's by default.
        fps: Frames per second.
        soft_rays: Rays a joint for soft visibility.

    Raises:
        InputError: No such preset or pack, an impossible number, or no motion is long enough.
    """
    chosen = preset(name)
    library = library or Library()
    if seed < 0 or number < 0 or not sources:
        raise InputError(f"A scene wants a seed and a number of 0 or above and a source, got {seed}, {number}.")
    seconds = chosen.seconds if seconds is None else seconds
    if not 0 < seconds <= PROCEDURAL_SECONDS - 1 or not 1 <= fps <= 1000:
        raise InputError(
            f"A scene wants 0 to {PROCEDURAL_SECONDS - 1:g} seconds and 1 to 1000 fps, got {seconds} and {fps}."
        )
    frames = max(1, round(seconds * fps))
    cameras = chosen.cameras(chance(seed, name, "cameras"))
    rng = chance(seed, name, "scene", number)
    people: list[Person] = []
    worlds: list[NDArray[np.float32]] = []
    for _ in range(int(rng.integers(chosen.people[0], chosen.people[1] + 1))):
        motion, first = _motion(rng, library, sources, frames / fps)
        person = Person(
            motion, first, yaw=round(float(rng.uniform(-math.pi, math.pi)), 4),
            height=round(float(rng.uniform(1.5, 1.95)), 3), girth=round(float(rng.uniform(*chosen.girth)), 3),
        )  # fmt: skip
        world = placed(person, library.get(motion), frames, fps)
        person, world = _room_for(person, world, worlds, rng)
        people.append(person)
        worlds.append(world)
    obstacles: list[Obstacle] = []
    for _ in range(int(rng.integers(chosen.obstacles[0], chosen.obstacles[1] + 1)) if chosen.kinds else 0):
        thing = _in_the_way(chosen, cameras, worlds, fps, rng)
        if thing is not None:
            obstacles.append(thing)
    middle = np.mean([world[0, 0, :2] for world in worlds], 0)  # whoever holds a camera aims before filming
    cameras = tuple(
        replace(camera, target=_rounded(*(middle + camera.target[:2]), camera.target[2]))  # type: ignore[arg-type]
        if camera.kind == "hand-held"
        else camera
        for camera in cameras
    )
    return Scene(
        tuple(people), cameras, tuple(obstacles), name=f"{name}-{seed}-{number:04d}", preset=name,
        seed=int(rng.integers(2**31)), fps=fps, frames=frames, rule=chosen.rule, soft_rays=soft_rays,
        slack=chosen.slack,
    )  # fmt: skip


def _room_for(
    person: Person, world: NDArray[np.float32], others: Sequence[NDArray[np.float32]], rng: Rng
) -> tuple[Person, NDArray[np.float32]]:
    """Put somebody where they walk through nobody; further out with every try."""
    spread = 0.25 if not others else 1.0
    for turn in range(_TRIES):
        place = _rounded(*rng.normal(0, spread * (1 + turn / 10), 2))
        moved = world + np.array([*place, 0], np.float32)
        gaps = [np.linalg.norm(moved[:, 0, :2] - other[:, 0, :2], axis=-1).min() for other in others]
        if min(gaps, default=math.inf) > _APART or turn == _TRIES - 1:
            return replace(person, place=place), moved  # type: ignore[arg-type]
    raise AssertionError  # the last try always returns


def _in_the_way(
    chosen: Preset, cameras: Sequence[SceneCamera], worlds: Sequence[NDArray[np.float32]], fps: float, rng: Rng
) -> Obstacle | None:
    """A thing between somebody and a camera that nobody walks into; ``None`` where there is no room."""
    for _ in range(_TRIES):
        camera = cameras[int(rng.integers(len(cameras)))]
        path = worlds[int(rng.integers(len(worlds)))][:, 0, :2]
        spot = path[int(rng.integers(len(path)))]
        away = np.array(camera.eye[:2]) - spot
        distance = np.linalg.norm(away)
        away = away / max(distance, 1e-6)
        aside = np.array([-away[1], away[0]])
        place = spot + away * rng.uniform(*chosen.near) + aside * rng.normal(0, 0.25)
        kind = str(rng.choice(chosen.kinds))
        yaw = math.atan2(aside[1], aside[0]) + rng.normal(0, 0.3)
        velocity = (0.0, 0.0)
        if kind == "cart" or rng.random() < chosen.moving:
            velocity = _rounded(*(aside * rng.uniform(0.2, 1.0) * rng.choice([-1, 1])))  # type: ignore[assignment]
        thing = Obstacle(
            kind, _rounded(*place), round(yaw, 4), round(float(rng.uniform(0.9, 1.1)), 3), velocity  # type: ignore[arg-type]
        )  # fmt: skip
        if _free(thing, cameras, worlds, fps):
            return thing
    return None


def _free(thing: Obstacle, cameras: Sequence[SceneCamera], worlds: Sequence[NDArray[np.float32]], fps: float) -> bool:
    frames = len(worlds[0])
    seconds = (np.arange(frames) - (frames - 1) / 2) / fps
    where = np.array(thing.place) + seconds[:, None] * np.array(thing.velocity)
    cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
    half = np.max([[abs(x) + a / 2, abs(y) + b / 2] for (x, y, _), (a, b, _) in FURNITURE[thing.kind]], 0) * thing.scale

    def clear(points: NDArray[np.floating], gap: float) -> bool:
        flat = points - where
        local = np.stack([flat[:, 0] * cos + flat[:, 1] * sin, -flat[:, 0] * sin + flat[:, 1] * cos], -1)
        return not (np.abs(local) < half + gap).all(-1).any()

    bodies = all(clear(world[:, joint, :2], 0.16) for world in worlds for joint in (0, 3, 6, 13, 16))
    eyes = all(clear(np.broadcast_to(camera.eye[:2], (frames, 2)), 0.3 + 4 * camera.sway) for camera in cameras)
    return bodies and eyes
