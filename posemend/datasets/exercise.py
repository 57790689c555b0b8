"""What the made-up person does for exercise: knee bends, bowing, lunges, jumps, punches and kicks.

The same rules as in ``behaviours``: every function fills the controls for a
number of frames, from the origin, looking along x.
"""

from __future__ import annotations

import numpy as np

from posemend.body.kinematics import quaternion
from posemend.datasets import hands
from posemend.datasets.behaviours import Key, Stage, blank, poses, stand, sway
from posemend.datasets.mannequin import SIDES, Array, Controls


def squat(stage: Stage) -> Controls:
    """Knee bends, shallow to deep, held or repeated."""
    c = blank(stage)
    person, draw, ankle = stage.person, stage.draw, blank(stage)["ankle"][0]
    ankle[:, 1] = SIDES * draw(1.2, 3.2) * person.hip_half
    keys: list[Key] = [(0.0, {"ankle": ankle})]
    clock, tempo = 0.3, draw(0.5, 1.5)
    while clock < stage.frames / stage.fps + 1:
        depth = draw(0.2, 0.72)
        lean = depth * draw(0.6, 1.3)
        lifted = ankle + [[0, 0, draw(0, 0.08) * (depth > 0.5)]] * 2
        low: dict[str, object] = {
            "pelvis": [-0.25 * depth * person.leg, 0, person.standing - depth * person.leg],
            "tilt": quaternion(draw(-0.06, 0.06), 0.6 * lean, 0),
            "spine": [draw(-0.1, 0.1), 0.5 * lean, draw(-0.2, 0.2)],
            "head": [0, -0.5 * lean + draw(-0.2, 0.3), draw(-0.4, 0.4)],
            "knee": [[1.0, s * draw(0.1, 0.9), 0.2] for s in SIDES],
            "ankle": lifted,
        }
        keys.append((clock + tempo, low))
        if stage.coin(0.6):
            keys.append((clock + tempo + draw(0.2, 2.0), low))
        if stage.coin(0.7):
            keys.append(
                (
                    keys[-1][0] + tempo,
                    {
                        "pelvis": [0, 0, person.standing - 0.02],
                        "tilt": quaternion(),
                        "spine": [0, 0.1, 0],
                        "ankle": ankle,
                    },
                )
            )
        clock = keys[-1][0]
    poses(stage, c, keys)
    sway(stage, c, 0.3)
    hands.play(stage.rng, person, c, stage.fps, stage.mood("carry,rest,floor,reach,crossed,cheer,floor,seated"))
    return c


def bend(stage: Stage) -> Controls:
    """Bowing, tying a shoe, picking things off the floor, hanging the trunk; legs straight or bent."""
    c = blank(stage)
    person, draw, fps = stage.person, stage.draw, stage.fps
    keys: list[Key] = [(0.0, {})]
    arms: list[list[tuple[float, str, Array]]] = [[(0.0, "chest", np.array([0.08, 0.13, -0.95]))] for _ in SIDES]
    clock = draw(0.2, 0.6)
    while clock < stage.frames / fps + 1:
        fold, soft, bearing = draw(0.5, 2.3), draw(0.0, 0.35), draw(-0.7, 0.7) * stage.coin(0.6)
        keys.append((clock + draw(0.7, 1.3), {
            "pelvis": [-0.12 * min(fold, 1.6) * person.leg, 0.08 * bearing,
                       person.standing - (soft + 0.03) * person.leg],
            "tilt": quaternion(-0.1 * bearing, 0.52 * fold, 0.3 * bearing),
            "spine": [-0.25 * bearing, 0.45 * fold, 0.5 * bearing],
            "head": [0, draw(-0.6, 0.4), draw(-0.5, 0.5)],
        }))  # fmt: skip
        at = keys[-1][0]
        way = stage.mood("floor,floor,dangle,shins,hips,chest")
        for side in range(2):
            place = np.array(
                [draw(0.12, 0.28) * person.height, (0.25 * bearing + SIDES[side] * draw(0, 0.16)), draw(0.03, 0.35)]
            )
            if way == "floor" and stage.coin(0.75):
                arms[side].append((at * fps, "world", place))
            elif way == "shins":
                arms[side].append((at * fps, "thigh", np.array([draw(0.8, 1.2), 0.0, draw(-0.03, 0.05)])))
            else:
                point = {"hips": (0.06, 0.16, -0.6), "chest": (0.35, -0.2, -0.3)}.get(way, (draw(0.2, 1.0), 0.1, -0.6))
                arms[side].append((at * fps, "chest", np.asarray(point)))
        keys.append((at + draw(0.1, 1.5), {}))
        if stage.coin(0.75):
            up = keys[-1][0] + draw(0.7, 1.2)
            keys.append(
                (up, {"pelvis": [0, 0, person.standing], "tilt": quaternion(), "spine": [0, 0.1, 0], "head": [0, 0, 0]})
            )
            for side in range(2):
                arms[side].append((up * fps, "chest", np.array([draw(0.05, 0.5), 0.1, draw(-0.9, -0.5)])))
        clock = keys[-1][0]
    poses(stage, c, keys)
    sway(stage, c, 0.3)
    c["hand"] = np.stack([hands.chain(person, c, side, arms[side], 0.9 * fps, fps) for side in range(2)], 1)
    return c


def lunge(stage: Stage) -> Controls:
    """Long steps held, stretching sideways, standing on one leg."""
    c = stand(stage, stage.mood("cheer,reach,hips,wild,rest"))
    person, draw = stage.person, stage.draw
    keys: list[Key] = [(0.0, {})]
    clock = draw(0.3, 0.8)
    rest = {name: c[name][0].copy() for name in ("pelvis", "tilt", "spine", "ankle", "knee")}
    while clock < stage.frames / stage.fps + 1:
        way, side = stage.mood("long,long,side,one leg,stretch"), int(stage.rng.integers(2))
        sign = SIDES[side]
        ankle, knee, pelvis = np.array(rest["ankle"]), np.array(rest["knee"]), np.array([0, 0, person.standing])
        spine, tilt = [0, draw(0, 0.3), 0], quaternion(0, draw(-0.1, 0.3), 0)
        if way == "long":
            span = draw(0.35, 0.6) * person.leg
            ankle[side, 0], ankle[1 - side, 0] = span, -span
            ankle[1 - side, 2] += 0.05
            pelvis[2] -= draw(0.2, 0.42) * person.leg
        elif way == "side":
            ankle[side, 1] = sign * draw(0.5, 0.8) * person.leg
            pelvis[1:] = [sign * draw(0.0, 0.4) * person.leg, person.standing - draw(0.15, 0.35) * person.leg]
        elif way == "one leg":
            ankle[side] = [
                draw(-0.5, 0.5) * person.leg,
                sign * draw(0.0, 0.4) * person.leg,
                draw(0.2, 0.6) * person.leg,
            ]
            knee[side, 2] = 0.6 if ankle[side, 0] > 0 else -0.3
            pelvis[1] = -sign * 0.07
        else:
            spine = [-sign * draw(0.3, 0.7), 0, draw(-0.5, 0.5)]
            tilt = quaternion(-sign * draw(0, 0.2), 0, 0)
        now: dict[str, object] = {"pelvis": pelvis, "ankle": ankle, "knee": knee, "spine": spine, "tilt": tilt}
        keys += [(clock + 0.7, now), (clock + 0.7 + draw(0.2, 1.8), now)]
        if stage.coin():
            keys.append((keys[-1][0] + 0.7, rest))
        clock = keys[-1][0]
    poses(stage, c, keys)
    sway(stage, c, 0.3)
    return c


def jump(stage: Stage) -> Controls:
    """Jumps on the spot, some with arms and legs thrown apart."""
    c = blank(stage)
    person, draw = stage.person, stage.draw
    ankle, crouch, jack = c["ankle"][0], draw(0.12, 0.4), stage.coin(0.4)
    keys: list[Key] = [(0.0, {})]
    arms: list[tuple[float, str, Array]] = [(0.0, "chest", np.array([0.1, 0.15, -0.9]))]
    clock = draw(0.2, 0.6)
    while clock < stage.frames / stage.fps + 1:
        hop, half = draw(0.08, 0.35), draw(0.26, 0.38)
        low: dict[str, object] = {
            "pelvis": [-0.1 * crouch, 0, person.standing - crouch * person.leg],
            "tilt": quaternion(pitch=crouch),
            "spine": [0, crouch, 0],
            "ankle": ankle,
        }
        apart = ankle * [1, draw(1.5, 3.5) if jack else 1.0, 1] + [draw(-0.1, 0.0), 0, hop + draw(0, 0.12)]
        keys += [
            (clock, low),
            (
                clock + half,
                {
                    "pelvis": [0, 0, person.standing + hop + 0.05],
                    "tilt": quaternion(),
                    "spine": [0, 0, 0],
                    "ankle": apart,
                },
            ),
            (clock + 2 * half, low),
        ]
        up = (draw(0, 0.3), draw(0.2, 0.6), draw(0.4, 0.9)) if jack or stage.coin() else (0.4, 0.2, -0.5)
        arms += [
            (clock * stage.fps, "chest", np.array([-0.1, 0.2, -0.85])),
            ((clock + half) * stage.fps, "chest", np.array(up)),
        ]
        clock += 2 * half + draw(0.25, 0.9)
    poses(stage, c, keys)
    c["hand"] = np.stack([hands.chain(person, c, side, arms, 0.4 * stage.fps, stage.fps) for side in range(2)], 1)
    return c


def _kick(stage: Stage, ankle: Array, side: int, begin: float, quick: float) -> list[Key]:
    """Knee up, foot out, knee up again."""
    person, draw, sign = stage.person, stage.draw, SIDES[side]
    foot, height = ankle.copy(), draw(0.15, 0.95) * person.leg
    foot[side] = [draw(0.5, 0.85) * person.leg, sign * draw(-0.1, 0.6) * person.leg, person.ankle + height]
    knee = np.array([[1, 0.2, 0.0], [1, -0.2, 0.0]])
    knee[side, 2] = 1.0
    chamber = ankle.copy()
    chamber[side] = [0.15 * person.leg, sign * person.hip_half, 0.45 * person.leg]
    out: dict[str, object] = {
        "ankle": foot,
        "knee": knee,
        "pelvis": [-0.05, -sign * 0.05, person.standing - 0.03],
        "tilt": quaternion(sign * 0.15, -0.5 * height / person.leg, -sign * 0.3),
        "spine": [0, 0.2, 0],
    }
    up: dict[str, object] = {"ankle": chamber, "knee": knee}
    return [(begin + 0.7 * quick, up), (begin + 1.4 * quick, out), (begin + 2.1 * quick, up)]


def fight(stage: Stage) -> Controls:
    """Punches and kicks from a guard, with the trunk turning."""
    c = blank(stage)
    person, draw = stage.person, stage.draw
    lead = int(stage.rng.integers(2))
    ankle = np.array(
        [[0.16 if side == lead else -0.16, s * 1.2 * person.hip_half, person.ankle] for side, s in enumerate(SIDES)]
    )
    home: dict[str, object] = {
        "pelvis": [0, 0, person.standing - 0.06],
        "ankle": ankle,
        "tilt": quaternion(0, 0.08, 0),
        "spine": [0, 0.15, 0],
        "head": [0, 0, 0],
        "knee": [[1, 0.2, 0], [1, -0.2, 0]],
    }
    keys: list[Key] = [(0.0, home)]
    clock = draw(0.3, 0.8)
    while clock < stage.frames / stage.fps + 1:
        side, quick = int(stage.rng.integers(2)), draw(0.25, 0.45)
        keys.append((clock, home))
        if stage.coin(0.4):
            keys += _kick(stage, ankle, side, clock, quick)
            clock += 2.9 * quick
        else:
            turned = -SIDES[side] * 0.5
            punch = {"tilt": quaternion(0, 0.15, turned), "spine": [0, 0.2, turned], "head": [0, 0, -1.6 * turned]}
            keys.append((clock + quick, punch))
            clock += 2 * quick
        keys.append((clock, home))
        clock += draw(0.05, 0.6)
    poses(stage, c, keys)
    sway(stage, c, 0.3)
    hands.play(stage.rng, person, c, stage.fps, "box")
    return c
