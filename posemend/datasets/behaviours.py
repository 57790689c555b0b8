"""What the made-up person does: legs, pelvis and spine of each behaviour.

Every behaviour fills the controls of ``mannequin`` for a number of frames,
starting at the origin and looking along x. Feet that stand stay where they
stand. All numbers are the author's own estimates, drawn anew for every use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemend.body.kinematics import quaternion, quaternion_matrix, rotate
from posemend.datasets import hands
from posemend.datasets.hands import keyed
from posemend.datasets.mannequin import SIDES, Array, Controls, Person

Key = tuple[float, dict[str, object]]  # second, {control: value}


@dataclass(frozen=True)
class Stage:
    """Who acts, for how long, and with what dice."""

    rng: np.random.Generator
    person: Person
    frames: int
    fps: float

    def draw(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def coin(self, chance: float = 0.5) -> bool:
        return bool(self.rng.random() < chance)

    def mood(self, names: str) -> str:
        choice = names.split(",")
        return choice[int(self.rng.integers(len(choice)))]


def blank(stage: Stage) -> Controls:
    """Somebody standing: pelvis over the feet, arms hanging."""
    person, frames = stage.person, stage.frames
    width, ahead = stage.draw(0.75, 2.2) * person.hip_half, stage.draw(-0.1, 0.1) * person.leg * stage.coin()
    out = stage.draw(0.05, 0.45)
    c = {
        "yaw": np.zeros(frames),
        "pelvis": np.tile([0.0, 0.0, person.standing], (frames, 1)),
        "tilt": np.tile(quaternion(), (frames, 1)),
        "spine": np.zeros((frames, 3)),
        "head": np.zeros((frames, 3)),
        "ankle": np.tile([[ahead, width, person.ankle], [-ahead, -width, person.ankle]], (frames, 1, 1)),
        "knee": np.tile([[1.0, out, 0.0], [1.0, -out, 0.0]], (frames, 1, 1)),
        "shrug": np.zeros((frames, 2, 2)),
        "hand": np.tile([0.08, 0.12, -0.95], (frames, 2, 1)),
        "swivel": np.zeros((frames, 2)),
    }
    c["pelvis"][:, 2] -= 0.3 * abs(ahead) ** 2 / person.leg + 0.2 * width**2 / person.leg
    return c


def poses(stage: Stage, c: Controls, keys: list[Key]) -> None:
    """Move controls through key poses (second, {control: value}); a key that says nothing repeats the last."""
    at = [key[0] * stage.fps for key in keys]
    for name in {name for _, values in keys for name in values}:
        last, row = c[name][0], []
        for _, values in keys:
            last = np.asarray(values.get(name, last), np.float64)
            row.append(last)
        if name == "tilt":
            for number in range(1, len(row)):
                row[number] = row[number] * (1 if row[number] @ row[number - 1] >= 0 else -1)
        c[name] = keyed(stage.frames, at, np.stack(row))


def legs(stage: Stage, pelvis: Array, tilt: Array, local: Array, poles: Array) -> dict[str, Array]:
    """Feet and knees given in the pelvis' own axes (forward, outward, up), in leg lengths from each hip."""
    person, base = stage.person, quaternion_matrix(np.asarray(tilt))
    outward = np.stack([[1.0, s, 1.0] for s in SIDES])
    hips = np.stack([[0, s * person.hip_half, -person.hip_drop] for s in SIDES])
    ankles = np.asarray(pelvis) + rotate(base, hips + np.asarray(local) * outward * person.leg)
    ankles[:, 2] = np.maximum(ankles[:, 2], 0.035 * person.height)
    return {"ankle": ankles, "knee": rotate(base, np.asarray(poles) * outward)}


def sway(stage: Stage, c: Controls, amount: float = 1.0) -> None:
    """Weight shifts and looking around, as slow key poses."""
    knots = max(2, int(stage.frames / stage.fps / stage.draw(0.8, 2.5)) + 2)
    at = list(np.linspace(0, stage.frames, knots))
    move = stage.rng.normal(size=(knots, 3)) * [0.012, 0.025, 0.0] * amount
    move[:, 2] = -np.abs(move[:, 1]) * 0.3
    c["pelvis"] = c["pelvis"] + keyed(stage.frames, at, move)
    c["spine"] = c["spine"] + keyed(stage.frames, at, stage.rng.normal(size=(knots, 3)) * [0.06, 0.09, 0.12] * amount)
    look = stage.rng.normal(size=(knots, 3)) * [0.1, 0.18, 0.4]
    c["head"] = c["head"] + keyed(stage.frames, at, np.clip(look, -0.9, 0.9))


def stand(stage: Stage, mood: str | None = None) -> Controls:
    c = blank(stage)
    slump = stage.draw(-0.12, 0.3)
    c["tilt"][:] = quaternion(pitch=stage.draw(-0.1, 0.12))
    c["spine"][:, 1] = slump
    c["head"][:, 1] = -0.6 * slump + stage.draw(-0.15, 0.25)
    sway(stage, c)
    c["yaw"] = c["yaw"] + keyed(stage.frames, [0, stage.frames], np.array([0, stage.draw(-0.25, 0.25)]))
    chosen = mood or stage.mood("rest,talk,talk,face,phone,crossed,hips,behind,carry,wild,reach")
    hands.play(stage.rng, stage.person, c, stage.fps, chosen, stage.draw(0.7, 1.4))
    return c


def _path(stage: Stage, speed: Array, bend: Array) -> tuple[Array, Array]:
    heading = np.cumsum(bend) / stage.fps
    step = np.stack([np.cos(heading), np.sin(heading)], -1) * speed[:, None] / stage.fps
    place = np.cumsum(step, 0)
    return place - place[0], heading - heading[0]


def _gait_tables(stance: float, lift: float) -> tuple[Array, Array, Array]:
    """Ankle height and forward slip over one cycle (0 = heel strike), smoothed."""
    grid = np.linspace(0, 1, 201)
    knots = [0, 0.08, stance * 0.55, stance, (1 + 2 * stance) / 3, 0.9, 1]
    height = np.interp(grid, knots, [0.15, 0.0, 0.0, 0.75, 1.0, 0.2, 0.15]) * lift
    kernel = np.hanning(19)
    wide = np.concatenate([height[:-1], height[:-1], height])
    return grid, np.convolve(wide, kernel / kernel.sum(), "same")[200:401], ease_stance(grid, stance)


def ease_stance(grid: Array, stance: float) -> Array:
    """Share of the way to the next footprint over the cycle: 0 in stance, then a smooth step."""
    return hands.ease((grid - stance * 0.92) / (1 - stance * 0.92))


def walk(stage: Stage, low: float = 0.5, high: float = 1.7, bends: float = 0.5, mood: str | None = None) -> Controls:
    """Walking and running on a winding path; feet are planted in the world."""
    person, frames, fps = stage.person, stage.frames, stage.fps
    c = blank(stage)
    pace = stage.draw(low, high)
    knots = max(3, int(frames / fps / 1.5) + 2)
    at = list(np.linspace(0, frames, knots))
    speed = keyed(frames, at, np.maximum(pace * (1 + 0.15 * stage.rng.normal(size=knots)), 0.05))
    bend = keyed(frames, at, stage.rng.normal(size=knots) * bends + stage.draw(-0.4, 0.4) * bends)
    place, heading = _path(stage, speed, bend)
    cadence = (0.55 + 0.32 * np.sqrt(np.maximum(speed, 0.2) / 1.3)) * np.sqrt(0.9 / person.leg) * stage.draw(0.92, 1.1)
    cycle = np.cumsum(cadence) / fps + stage.draw(0, 1)
    running = pace > 2.1
    stance = 0.38 if running else float(np.clip(0.68 - 0.05 * pace, 0.55, 0.68))
    vigour = min(pace / 1.3, 1.6)
    lift = (0.096 if running else 0.06) * person.height * stage.draw(0.85, 1.3) * (0.6 + 0.4 * vigour)
    grid, heights, forward = _gait_tables(stance, lift)
    width = stage.draw(0.45, 1.1) * person.hip_half
    clock = np.arange(frames)
    for side, sign in enumerate(SIDES):
        own = cycle + 0.5 * side
        first, last = int(np.floor(own[0])), int(np.floor(own[-1])) + 1
        middle = np.interp(np.arange(first, last + 2) + stance / 2, own, clock, left=np.nan, right=np.nan)
        late = (np.arange(first, last + 2) + stance / 2 - own[-1]) / cadence[-1] * fps
        early = (np.arange(first, last + 2) + stance / 2 - own[0]) / cadence[0] * fps
        middle = np.where(np.isnan(middle), np.where(late > 0, frames - 1 + late, early), middle)
        prints = _along(place, heading, speed / fps, middle) + np.stack(
            [-np.sin(_at(heading, middle)), np.cos(_at(heading, middle))], -1) * sign * width  # fmt: skip
        number = np.floor(own).astype(int) - first
        share = np.interp(own - np.floor(own), grid, forward)[:, None]
        c["ankle"][:, side, :2] = prints[number] * (1 - share) + prints[number + 1] * share
        c["ankle"][:, side, 2] = person.ankle + np.interp(own - np.floor(own), grid, heights)
        toe_out = stage.draw(0.0, 0.3) * sign
        c["knee"][:, side] = np.stack([np.cos(heading + toe_out), np.sin(heading + toe_out), 0 * heading], -1)
    beat = 2 * np.pi * cycle
    bob = person.leg * (0.022 + 0.012 * vigour) * stage.draw(0.7, 1.3)
    c["yaw"] = heading
    drop = (0.05 if running else 0.006 + 0.018 * vigour) * person.leg * stage.draw(0.8, 1.3)
    c["pelvis"] = np.stack(
        [place[:, 0], place[:, 1], person.standing - drop - bob * np.cos(2 * beat - 2 * np.pi * stance)], -1
    )
    lean = stage.draw(-0.04, 0.12) + (0.15 if running else 0.02) * vigour
    twist = 0.09 * vigour * np.sin(beat - 0.6) * stage.draw(0.5, 1.4)
    c["tilt"] = quaternion(0.045 * vigour * np.sin(beat), lean * 0.5, -twist)
    slump = stage.draw(-0.05, 0.25)
    c["spine"] = np.stack([-0.04 * np.sin(beat), np.full(frames, lean * 0.5 + slump), 2.0 * twist], -1)
    c["head"][:, 1] = -slump * 0.7 + stage.draw(-0.1, 0.2)
    sway(stage, c, 0.3)
    _swing_arms(stage, c, beat, vigour, running)
    if mood or stage.coin(0.4):
        chosen = mood or stage.mood("talk,face,phone,crossed,hips,behind,carry,wild,reach")
        free, free_swivel = c["hand"], c["swivel"]
        hands.play(stage.rng, person, c, fps, chosen)
        if stage.coin(0.4):  # one arm goes on swinging
            side = int(stage.rng.integers(2))
            c["hand"][:, side], c["swivel"][:, side] = free[:, side], free_swivel[:, side]
    return c


def _at(values: Array, frames: Array) -> Array:
    return np.interp(frames, np.arange(len(values)), values)


def _along(place: Array, heading: Array, step: Array, frames: Array) -> Array:
    """Path position (K, 2) at fractional frames, going straight on beyond both ends."""
    inside = np.stack([_at(place[:, 0], frames), _at(place[:, 1], frames)], -1)
    beyond = np.maximum(frames - len(place) + 1, 0) * step[-1] + np.minimum(frames, 0) * step[0]
    way = np.stack([np.cos(_at(heading, frames)), np.sin(_at(heading, frames))], -1)
    return inside + beyond[:, None] * way


def _swing_arms(stage: Stage, c: Controls, beat: Array, vigour: float, running: bool) -> None:
    swing = stage.draw(0.15, 0.6) * vigour
    reach = stage.draw(0.62, 0.72) if running else stage.draw(0.88, 0.98)
    centre = 0.55 if running else stage.draw(0.02, 0.2)
    for side in range(2):
        phase = np.sin(beat + np.pi * side - 0.2) * stage.draw(0.7, 1.2)
        angle = centre + swing * phase
        length = reach - 0.05 * np.maximum(phase, 0)
        c["hand"][:, side] = np.stack(
            [np.sin(angle) * length, np.full(len(beat), stage.draw(0.03, 0.25)), -np.cos(angle) * length], -1
        )
        c["swivel"][:, side] = stage.draw(-0.2, 0.4)


def turn(stage: Stage) -> Controls:
    """Turning on the spot with small steps."""
    c = walk(stage, 0.05, 0.3, 1.6, mood=stage.mood("rest,talk,phone,wild") if stage.coin(0.5) else None)
    return c


def reach(stage: Stage) -> Controls:
    """Reaching for things all around, with the trunk helping."""
    c = stand(stage, mood="rest")
    person, fps = stage.person, stage.fps
    keys: list[list[tuple[float, str, Array]]] = [[(0.0, "chest", np.array([0.08, 0.13, -0.95]))] for _ in range(2)]
    body: list[Key] = [(0.0, {})]
    clock, home = stage.draw(0.2, 0.8), c["pelvis"][0].copy()
    ankle = c["ankle"][0]
    while clock < stage.frames / fps + 0.5:
        height = stage.draw(0.05, 1.25) * person.height
        distance, bearing = stage.draw(0.25, 0.62) * person.height * 0.9, stage.draw(-1.5, 1.5)
        target = np.array([np.cos(bearing) * distance, np.sin(bearing) * distance, height])
        low = max(0.0, 0.62 * person.height - height) / person.height  # how far to go down
        knees = stage.draw(0.0, 1.0)
        pelvis = home + [
            0.35 * low * np.cos(bearing) * (knees - 0.5),
            0.12 * np.sin(bearing),
            -low * knees * 0.75 * person.leg,
        ]
        lean = low * (1.9 - 0.8 * knees)
        body.append((clock, {
            "pelvis": pelvis, "tilt": quaternion(-0.15 * np.sin(bearing), lean * 0.6, bearing * 0.25),
            "spine": [-0.45 * np.sin(bearing) * stage.draw(0.2, 1), lean * 0.55 - 0.12 * (height > person.height),
                      bearing * 0.3],
            "head": [0, np.clip(0.9 - height / person.height * 0.9, -0.5, 0.6), bearing * 0.3], "ankle": ankle,
        }))  # fmt: skip
        sides = [0, 1] if stage.coin(0.3) else [0 if (bearing > 0) != stage.coin(0.15) else 1]
        for side in (0, 1):
            if side in sides:
                keys[side].append(
                    (clock * fps, "world", target + [0, (0.12 if len(sides) > 1 else 0) * SIDES[side], 0])
                )
            elif stage.coin(0.7):
                keys[side].append((clock * fps, "chest", np.array([0.1, 0.2, -0.9]) + 0.08 * stage.rng.normal(size=3)))
        clock += stage.draw(0.7, 2.2)
    poses(stage, c, body)
    sway(stage, c, 0.3)
    c["hand"] = np.stack(
        [hands.chain(person, c, side, keys[side], stage.draw(0.5, 0.9) * fps, fps) for side in range(2)], 1
    )
    return c


def wave(stage: Stage) -> Controls:
    c = stand(stage, mood=stage.mood("rest,hips,behind,rest"))
    clock = np.arange(stage.frames) / stage.fps
    for side in [0, 1] if stage.coin(0.2) else [int(stage.rng.integers(2))]:
        rate, wide = stage.draw(1.0, 2.6), stage.draw(0.08, 0.25)
        base = np.array([stage.draw(0.1, 0.4), stage.draw(0.25, 0.55), stage.draw(0.25, 0.8)])
        hail = base + np.stack(
            [0 * clock, wide * np.sin(2 * np.pi * rate * clock), -0.1 * np.cos(4 * np.pi * rate * clock)], -1
        )
        there = hands.ease((clock - 0.2) / 0.6) * hands.ease((clock[-1] - 0.1 - clock) / 0.6)
        c["hand"][:, side] = hands.polar_blend(c["hand"][:, side], hail, there)
        c["swivel"][:, side] *= 1 - there
    return c
