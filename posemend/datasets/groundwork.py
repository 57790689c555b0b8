"""What the made-up person does low down: sitting, kneeling, on the floor.

The same rules as in ``behaviours``: every function fills the controls for a
number of frames, from the origin, looking along x.
"""

from __future__ import annotations

import numpy as np

from posemend.body.kinematics import quaternion
from posemend.datasets import hands
from posemend.datasets.behaviours import Key, Stage, blank, legs, poses, sway
from posemend.datasets.mannequin import SIDES, Array, Controls


def _seated(stage: Stage, seat: float, back: float) -> dict[str, object]:
    """One way of sitting on a chair whose seat is ``back`` metres behind the origin."""
    person, draw = stage.person, stage.draw
    pelvis = np.array([-back + draw(-0.05, 0.05), draw(-0.03, 0.03), seat + 0.055 * person.height])
    leaning = draw(-0.35, 0.1) if stage.coin(0.7) else draw(0.1, 0.7)
    slump = draw(0.0, 0.5)
    way = stage.mood("feet,feet,feet,wide,stretched,tucked,ankle over knee,knee over knee,ankles crossed,tiptoe")
    ahead, apart = draw(0.8, 1.15) * person.thigh, draw(0.8, 1.8) * person.hip_half
    knee_out = draw(-0.1, 0.3)
    if way == "wide":
        apart, knee_out = draw(2.0, 3.2) * person.hip_half, draw(0.4, 0.9)
    elif way == "stretched":
        ahead = draw(1.35, 1.75) * person.thigh
    elif way == "tucked":
        ahead = draw(0.35, 0.7) * person.thigh
    ankle = np.array([[pelvis[0] + ahead * draw(0.94, 1.06), s * apart, person.ankle] for s in SIDES])
    knee = np.array([[1.0, s * knee_out, 1.2] for s in SIDES])
    side = int(stage.rng.integers(2))
    sign, knee_height = SIDES[side], pelvis[2] - 0.01
    if way == "ankle over knee":
        ankle[side] = [pelvis[0] + 0.88 * person.thigh, -sign * draw(0.5, 1.3) * person.hip_half, knee_height + 0.1]
        knee[side] = [0.6, sign * 1.4, 0.25]
        ankle[1 - side, :2] = [pelvis[0] + draw(0.85, 1.0) * person.thigh, -sign * 1.1 * person.hip_half]
    elif way == "knee over knee":
        ankle[side] = [
            pelvis[0] + draw(1.25, 1.45) * person.thigh,
            -sign * draw(0.9, 1.9) * person.hip_half,
            knee_height - draw(0.16, 0.3),
        ]
        knee[side] = [1.0, -sign * 0.25, 1.3]
        ankle[1 - side, 1] = -sign * draw(0.2, 0.8) * person.hip_half
    elif way == "ankles crossed":
        ankle[:, 1] *= -0.5
        ankle[:, 0] += draw(0.05, 0.2)
    elif way == "tiptoe":
        ankle[:, 2] += draw(0.05, 0.12)
    return {
        "pelvis": pelvis,
        "tilt": quaternion(draw(-0.12, 0.12), leaning * 0.7 - 0.12, draw(-0.15, 0.15)),
        "spine": [draw(-0.12, 0.12), slump + 0.3 * leaning, draw(-0.25, 0.25)],
        "head": [draw(-0.15, 0.15), draw(-0.25, 0.35) - 0.4 * slump, draw(-0.6, 0.6)],
        "ankle": ankle,
        "knee": knee,
    }


def sit(stage: Stage, mood: str | None = None, rises: bool = True) -> Controls:
    """Down on a chair, several ways of sitting there, and up again."""
    c = blank(stage)
    person, end = stage.person, stage.frames / stage.fps
    seat = stage.draw(0.2, 0.31) * person.height
    back = stage.draw(0.75, 0.95) * person.thigh
    going = {
        "pelvis": np.array([-0.62 * back, 0, 0.55 * person.standing + 0.45 * seat]),
        "tilt": quaternion(pitch=stage.draw(0.35, 0.6)),
        "spine": [0, stage.draw(0.2, 0.5), 0],
        "head": [0, stage.draw(-0.3, 0.1), 0],
        "ankle": c["ankle"][0],
        "knee": c["knee"][0] + [0, 0, 0.4],
    }
    straight = {name: c[name][0] for name in going}
    down = stage.draw(0.9, 1.6)
    keys: list[Key] = [(0.0, straight), (0.45 * down, going)]
    clock = down
    last = end - 1.5 if rises else end + 1.0
    while clock < last or len(keys) < 3:
        now = _seated(stage, seat, back)
        keys += [(clock, now), (clock + stage.draw(0.4, 3.0), now)]
        clock = keys[-1][0] + stage.draw(0.4, 1.0)
    if rises:
        keys = [key for key in keys if key[0] < last] + [(end - 0.75, going), (end, straight)]
    poses(stage, c, keys)
    sway(stage, c, 0.35)
    names = "seated,seated,seated talk,seated talk,face,phone,crossed,reach,cheer,wild"
    hands.play(stage.rng, person, c, stage.fps, mood or stage.mood(names), stage.draw(0.7, 1.3))
    return c


def kneel(stage: Stage) -> Controls:
    """On one knee, on both, sitting on the heels; changing between them."""
    c = blank(stage)
    person, draw = stage.person, stage.draw
    keys: list[Key] = []
    clock = 0.0
    while clock < stage.frames / stage.fps + 1 or len(keys) < 2:
        way = stage.mood("one,one,both,heels,heels")
        height = person.thigh + 0.05 * person.height
        lean = draw(-0.05, 0.5)
        sunk = draw(0.35, 0.6) * person.thigh if way == "heels" else draw(0, 0.12) * person.thigh
        pelvis = np.array([-0.55 * sunk, 0, height - sunk + 0.02])
        ankle = np.array(
            [
                [
                    -person.shank + (0.5 * sunk if way == "heels" else 0),
                    s * draw(0.7, 1.4) * person.hip_half,
                    0.045 * person.height,
                ]
                for s in SIDES
            ]
        )
        if way == "heels":
            ankle[:, 0] = pelvis[0] - draw(0.0, 0.12)
        knee = np.array([[1.0, s * draw(0.0, 0.5), -0.35] for s in SIDES])
        if way == "one":
            side = int(stage.rng.integers(2))
            ankle[side] = [draw(0.8, 1.1) * person.thigh, SIDES[side] * draw(0.8, 1.8) * person.hip_half, person.ankle]
            knee[side] = [1.0, SIDES[side] * draw(0, 0.4), 1.0]
        now: dict[str, object] = {
            "pelvis": pelvis, "ankle": ankle, "knee": knee,
            "tilt": quaternion(draw(-0.08, 0.08), 0.5 * lean, draw(-0.1, 0.1)),
            "spine": [draw(-0.15, 0.15), 0.6 * lean + 0.1, draw(-0.3, 0.3)],
            "head": [0, draw(-0.2, 0.4), draw(-0.5, 0.5)],
        }  # fmt: skip
        keys += [(clock, now), (clock + draw(1.0, 4.0), now)]
        clock = keys[-1][0] + draw(0.7, 1.2)
    poses(stage, c, keys)
    sway(stage, c, 0.4)
    hands.play(stage.rng, person, c, stage.fps, stage.mood("seated,talk,reach,wild,carry,seated talk,face,phone,rest"))
    return c


def all_fours(stage: Stage) -> Controls:
    """Hands and knees on the floor: still, rocking, lifting a hand or a leg."""
    c = blank(stage)
    person, draw, fps = stage.person, stage.draw, stage.fps
    height = person.thigh + 0.035 * person.height
    base_pitch = (
        np.arcsin(np.clip((height - draw(0.85, 0.99) * person.arm + 0.02) / person.trunk, -0.4, 0.4)) + np.pi / 2
    )
    hand = np.array(
        [[person.trunk * draw(0.85, 1.05), s * draw(0.8, 1.3) * person.shoulder_half, 0.035] for s in SIDES]
    )
    shins = np.array([[-person.shank, s * draw(0.8, 1.4) * person.hip_half, 0.05 * person.height] for s in SIDES])
    keys: list[Key] = []
    lifts: list[list[tuple[float, str, Array]]] = [[(0.0, "world", hand[side])] for side in range(2)]
    clock = 0.0
    while clock < stage.frames / fps + 1 or len(keys) < 2:
        ankle, knee = shins.copy(), np.array([[1.0, 0.0, -0.5]] * 2)
        if stage.coin(0.2):
            side = int(stage.rng.integers(2))
            ankle[side] = [-person.leg * draw(0.8, 1.0), SIDES[side] * person.hip_half, height * draw(0.3, 1.1)]
            knee[side] = [0.2, 0.0, -1.0]
        arch = draw(-0.3, 0.5)
        keys.append((clock, {
            "pelvis": [draw(-0.35, 0.08) * person.thigh * stage.coin(0.7), draw(-0.04, 0.04), height - draw(0.0, 0.04)],
            "tilt": quaternion(draw(-0.1, 0.1), base_pitch - 0.5 * arch, 0),
            "spine": [draw(-0.1, 0.1), arch, draw(-0.15, 0.15)],
            "head": [draw(-0.2, 0.2), draw(-0.8, 0.3) - 0.4 * arch, draw(-0.6, 0.6)], "ankle": ankle, "knee": knee,
        }))  # fmt: skip
        for side in range(2):
            place = hand[side] + np.array([draw(-0.1, 0.15), draw(-0.06, 0.06), 0])
            space = "world"
            if stage.coin(0.12):
                space, place = "chest", np.array([draw(0.3, 0.9), draw(-0.2, 0.5), draw(-0.2, 0.7)])
            lifts[side].append(((clock + 0.5) * fps, space, place))
        clock += draw(0.7, 2.0)
    poses(stage, c, keys)
    c["hand"] = np.stack([hands.chain(person, c, side, lifts[side], 0.6 * fps, fps) for side in range(2)], 1)
    c["swivel"][:] = draw(0.0, 0.5)
    return c


def push_up(stage: Stage) -> Controls:
    """Push-ups and planks; hips sag or pike."""
    c = blank(stage)
    person, draw = stage.person, stage.draw
    clock = np.arange(stage.frames) / stage.fps
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * draw(0.25, 0.8) * clock + draw(0, 6))
    shoulder = person.arm * (draw(0.9, 0.98) - beat * draw(0.0, 0.5)) + 0.03
    long = person.leg + person.trunk
    slope = np.arcsin(np.clip((shoulder - 0.05) / long, -0.2, 0.6))
    pike = draw(-0.1, 0.35) * stage.coin(0.6) * (0.6 + 0.4 * np.sin(0.7 * clock))
    c["pelvis"] = np.stack(
        [0 * clock, 0 * clock, 0.06 * person.height + person.hip_drop + np.sin(slope + pike) * person.leg], -1
    )
    c["tilt"] = quaternion(0.0, np.pi / 2 - slope + 1.6 * pike, 0.0)
    toes = -np.cos(slope + pike) * person.leg
    for side, sign in enumerate(SIDES):
        c["ankle"][:, side] = np.stack(
            [toes, np.full(len(clock), sign * person.hip_half * 0.9), np.full(len(clock), 0.06 * person.height)], -1
        )
        c["knee"][:, side] = [0.1, 0.0, -1.0]
    c["head"][:, 1] = draw(-0.7, 0.1)
    reach = np.cos(slope[0] - pike) if np.ndim(pike) == 0 else np.cos(slope[0] - pike[0])
    for side, sign in enumerate(SIDES):
        spot = np.array([person.trunk * reach * draw(0.95, 1.02), sign * (person.shoulder_half * draw(0.9, 1.7)), 0.03])
        c["hand"][:, side] = hands.chain(person, c, side, [(0.0, "world", spot)], 1.0, stage.fps)
    c["swivel"][:] = draw(-0.2, 0.8)
    return c


def lie(stage: Stage, way: str | None = None) -> Controls:
    """On the back, the side or the belly, with limbs in many places."""
    c = blank(stage)
    person, draw = stage.person, stage.draw
    keys: list[Key] = []
    clock, way = 0.0, way or stage.mood("back,back,back,side,side")
    sign = 1.0 if stage.coin() else -1.0
    while clock < stage.frames / stage.fps + 1 or len(keys) < 2:
        raised = draw(0.2, 0.9) if stage.coin(0.2) else draw(-0.05, 0.1)  # sit-ups, head off the floor
        if way == "back":
            tilt, pelvis = quaternion(draw(-0.15, 0.15), -np.pi / 2 + 0.3 * raised, 0), [0, 0, 0.06 * person.height]
        elif way == "front":
            tilt, pelvis = quaternion(draw(-0.1, 0.1), np.pi / 2, 0), [0, 0, 0.06 * person.height]
            raised = -0.6 * max(raised, 0)
        else:
            tilt, pelvis = quaternion(0, -np.pi / 2, sign * draw(1.2, 1.9)), [0, 0, 0.1 * person.height]
        local, pole = [], []
        alike, bent = stage.coin(0.5), draw(0.0, 0.75)
        for _ in SIDES:
            bent = bent if alike else draw(0.0, 0.75) * stage.coin(0.6)
            aside = draw(-0.06, 0.3) * (way != "side")
            if way == "front":  # heels towards the seat
                flexed = draw(0.5, 1.0) * 2.4 * bent
                local.append([-0.5 * np.sin(flexed), aside, -0.5 - 0.49 * np.cos(flexed)])
            else:
                length = 0.99 - 0.71 * bent
                lift = draw(0.0, 0.6) if way == "side" else draw(0.0, 1.1) * stage.coin(0.15)
                local.append([length * np.sin(lift), aside, -length * np.cos(lift)])
            pole.append([1.0, draw(-0.2, 0.5), 0.0])
        keys.append((clock, {
            "pelvis": pelvis, "tilt": tilt,
            "spine": [draw(-0.2, 0.2), raised * 0.8 + draw(-0.05, 0.2) * (way == "side"), draw(-0.2, 0.2)],
            "head": [draw(-0.2, 0.2), draw(-0.1, 0.5) - 0.8 * (way == "front") * draw(0, 0.6), draw(-0.7, 0.7)],
            **legs(stage, np.asarray(pelvis), tilt, np.array(local), np.array(pole)),
        }))  # fmt: skip
        clock += draw(1.2, 3.5)
    poses(stage, c, keys)
    hands.play(
        stage.rng,
        person,
        c,
        stage.fps,
        stage.mood("lying,lying,face,wild") if way != "front" else stage.mood("face,cheer,wild"),
    )
    return c


def floor_sit(stage: Stage) -> Controls:
    """Sitting on the floor: cross-legged, legs straight, knees up, legs to the side; hands propped or busy."""
    c = blank(stage)
    person, draw, fps = stage.person, stage.draw, stage.fps
    keys: list[Key] = []
    clock = 0.0
    pelvis = np.array([0, 0, 0.055 * person.height])
    while clock < stage.frames / fps + 1 or len(keys) < 2:
        way = stage.mood("crossed,crossed,long,knees,knees,aside,open")
        ankle, knee, lean = np.zeros((2, 3)), np.zeros((2, 3)), draw(-0.5, 0.3)
        for side, s in enumerate(SIDES):
            spot, pole = {
                "crossed": ([0.3 + 0.07 * side, -s * draw(0.02, 0.14), 0.09], [0.4, s, 0.35]),
                "long": ([draw(0.85, 0.98), s * draw(0.08, 0.3), 0.1], [0.1, s * 0.1, 1.0]),
                "knees": ([draw(0.35, 0.65), s * draw(0.08, 0.25), 0.1], [0.6, s * draw(-0.1, 0.4), 1.0]),
                "aside": ([0.12 - 0.35 * (side == 0), -draw(0.3, 0.5), 0.07], [0.8, s * 0.8 if side else 0.5, 0.15]),
                "open": ([draw(0.7, 0.95), s * draw(0.3, 0.55), 0.1], [0.3, s * 0.3, 1.0]),
            }[way]
            ankle[side] = pelvis * [1, 1, 0] + np.array(spot) * person.leg
            knee[side] = pole
        now: dict[str, object] = {
            "pelvis": pelvis, "ankle": ankle, "knee": knee,
            "tilt": quaternion(draw(-0.1, 0.1), 0.7 * lean - 0.15, draw(-0.1, 0.1)),
            "spine": [draw(-0.15, 0.15), draw(0.1, 0.6) + 0.3 * lean, draw(-0.3, 0.3)],
            "head": [0, draw(-0.4, 0.2), draw(-0.6, 0.6)],
        }  # fmt: skip
        keys += [(clock, now), (clock + draw(1.0, 4.0), now)]
        clock = keys[-1][0] + draw(0.6, 1.4)
    poses(stage, c, keys)
    sway(stage, c, 0.15)
    hands.play(stage.rng, person, c, fps, stage.mood("floor,floor,seated,talk,face,wild,phone"))
    if stage.coin(0.3):  # propped on one or both hands behind
        for side in [0, 1] if stage.coin() else [int(stage.rng.integers(2))]:
            prop = np.array([-draw(0.15, 0.32), SIDES[side] * draw(0.15, 0.4), 0.03])
            c["hand"][:, side] = hands.chain(person, c, side, [(0.0, "world", prop)], 1.0, stage.fps)
    return c
