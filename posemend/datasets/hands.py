"""What arms do while the rest of the body is busy: postures, and sequences of postures.

A posture is a place for the wrist (space and point as ``mannequin.hand_target``
takes them) with a spread; a mood is a choice of postures and a pace. Numbers
are the author's own estimates of how people hold their arms.
"""

from __future__ import annotations

import numpy as np

from posemend.datasets.mannequin import Array, Controls, Person, hand_target, trunk

# space, point, spread; chest: arm lengths from the shoulder (forward, outward, up)
POSTURES: dict[str, tuple[str, tuple[float, float, float], tuple[float, float, float]]] = {
    "hang": ("chest", (0.08, 0.13, -0.95), (0.07, 0.07, 0.03)),
    "low": ("chest", (0.28, 0.12, -0.78), (0.10, 0.10, 0.08)),
    "talk": ("chest", (0.45, 0.02, -0.42), (0.18, 0.22, 0.22)),
    "wide": ("chest", (0.40, 0.45, -0.25), (0.20, 0.20, 0.30)),
    "front": ("chest", (0.80, -0.05, -0.10), (0.20, 0.25, 0.30)),
    "down": ("chest", (0.65, 0.00, -0.70), (0.20, 0.20, 0.15)),
    "up": ("chest", (0.25, 0.15, 0.88), (0.25, 0.25, 0.18)),
    "side": ("chest", (0.15, 0.90, -0.05), (0.25, 0.15, 0.35)),
    "across": ("chest", (0.60, -0.45, -0.10), (0.20, 0.15, 0.35)),
    "cross": ("chest", (0.36, -0.40, -0.44), (0.04, 0.06, 0.05)),
    "hips": ("chest", (0.06, 0.16, -0.60), (0.06, 0.05, 0.05)),
    "pocket": ("chest", (0.14, 0.08, -0.80), (0.04, 0.04, 0.03)),
    "back": ("chest", (-0.26, -0.15, -0.70), (0.03, 0.08, 0.08)),
    "belly": ("chest", (0.36, -0.28, -0.68), (0.05, 0.06, 0.08)),
    "heart": ("chest", (0.38, -0.22, -0.22), (0.05, 0.08, 0.08)),
    "carry": ("chest", (0.58, 0.00, -0.50), (0.10, 0.06, 0.12)),
    "clasp": ("chest", (0.45, -0.24, -0.50), (0.10, 0.02, 0.12)),
    "guard": ("chest", (0.38, -0.12, -0.05), (0.06, 0.06, 0.08)),
    "punch": ("chest", (0.93, -0.15, 0.02), (0.05, 0.10, 0.18)),
    "hail": ("chest", (0.22, 0.40, 0.50), (0.10, 0.15, 0.15)),
    "ear": ("head", (0.01, 0.062, -0.015), (0.01, 0.008, 0.015)),
    "chin": ("head", (0.075, 0.015, -0.075), (0.01, 0.015, 0.015)),
    "mouth": ("head", (0.10, 0.01, -0.045), (0.02, 0.02, 0.01)),
    "brow": ("head", (0.085, 0.03, 0.04), (0.01, 0.02, 0.02)),
    "nape": ("head", (-0.075, 0.025, -0.03), (0.01, 0.02, 0.03)),
    "crown": ("head", (0.01, 0.04, 0.10), (0.03, 0.02, 0.02)),
    "thigh": ("thigh", (0.72, 0.00, 0.052), (0.18, 0.02, 0.01)),
    "knee": ("thigh", (1.00, 0.00, 0.045), (0.05, 0.02, 0.01)),
    "shin": ("thigh", (1.05, -0.01, -0.10), (0.04, 0.02, 0.06)),
    "other knee": ("other thigh", (0.90, 0.00, 0.055), (0.10, 0.02, 0.01)),
}

# postures to choose from, share of keys at which both hands do the same, seconds between keys
MOODS: dict[str, tuple[str, float, tuple[float, float]]] = {
    "rest": ("hang hang hang low pocket", 0.6, (1.5, 5.0)),
    "talk": ("talk talk talk wide low clasp front hang heart", 0.6, (0.35, 1.6)),
    "seated": ("thigh thigh thigh knee other_knee clasp belly talk talk wide", 0.6, (0.7, 3.5)),
    "seated talk": ("talk talk wide thigh clasp heart front", 0.5, (0.35, 1.5)),
    "reach": ("front up side down across hang", 0.25, (0.6, 1.8)),
    "face": ("ear chin mouth brow nape crown hang", 0.25, (1.0, 4.0)),
    "phone": ("ear ear ear ear talk", 0.0, (2.0, 6.0)),
    "crossed": ("cross cross cross cross talk", 1.0, (2.0, 6.0)),
    "hips": ("hips hips hips low", 0.75, (2.0, 5.0)),
    "behind": ("back back hang nape", 0.8, (2.0, 5.0)),
    "carry": ("carry carry carry low", 0.95, (1.5, 4.0)),
    "box": ("guard guard punch across front", 0.2, (0.22, 0.6)),
    "cheer": ("up up hail wide clasp", 0.75, (0.3, 1.2)),
    "wild": ("hang low talk wide front down up side across back crown nape hips", 0.3, (0.4, 2.0)),
    "lying": ("hang side belly heart up nape wide crown brow", 0.5, (1.5, 5.0)),
    "floor": ("shin knee thigh clasp other_knee talk", 0.6, (1.0, 4.0)),
}


def ease(share: Array) -> Array:
    """Minimum-jerk step from 0 to 1."""
    share = np.clip(share, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share**2)


def keyed(frames: int, at: list[float], values: Array) -> Array:
    """Values (frames, ...) moving by minimum-jerk steps through ``values`` (K, ...) at frame numbers ``at``."""
    values = np.asarray(values, np.float64)
    places = np.asarray(at, np.float64)
    clock = np.arange(frames)
    if len(places) == 1:
        return np.repeat(values, frames, 0)
    left = np.clip(np.searchsorted(places, clock, side="right") - 1, 0, len(places) - 2)
    step = ease((clock - places[left]) / np.maximum(places[left + 1] - places[left], 1e-6))
    step = step.reshape(-1, *([1] * (values.ndim - 1)))
    return values[left] + (values[left + 1] - values[left]) * step


def polar_blend(first: Array, second: Array, share: Array) -> Array:
    """Between two vectors (T, 3): directions and lengths apart, so that hands move on arcs."""
    share = share[:, None]
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (first, second)]
    one, two = first / np.maximum(lengths[0], 1e-6), second / np.maximum(lengths[1], 1e-6)
    opposed = np.maximum(-(one * two).sum(-1, keepdims=True), 0) ** 2 * share * (1 - share) * 2
    direction = one * (1 - share) + two * share + opposed * np.array([0.8, 0.6, -0.1])  # go round the front
    direction /= np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)
    return direction * (lengths[0] * (1 - share) + lengths[1] * share)


def chain(
    person: Person, c: Controls, side: int, keys: list[tuple[float, str, Array]], move: float, fps: float
) -> Array:
    """``hand`` control (T, 3) through keys of (frame, space, point), each move lasting at most ``move`` frames."""
    body, frames = trunk(person, c, fps), len(c["yaw"])
    targets: dict[int, Array] = {}

    def target(key: int) -> Array:
        if key not in targets:
            targets[key] = hand_target(person, body, c, side, keys[key][1], keys[key][2])
        return targets[key]

    clock, out = np.arange(frames, dtype=np.float64), target(0).copy()
    for number in range(1, len(keys)):
        end, begin = keys[number][0], max(keys[number - 1][0], keys[number][0] - move)
        part = clock >= begin
        if part.any():
            share = ease((clock[part] - begin) / max(end - begin, 1.0))
            out[part] = polar_blend(out[part], target(number)[part], share)
        targets.pop(number - 1, None)
    return out


def play(rng: np.random.Generator, person: Person, c: Controls, fps: float, mood: str, pace: float = 1.0) -> None:
    """Fill ``hand`` and ``swivel`` of the controls with a mood's postures (in place)."""
    frames = len(c["yaw"])
    names, together, (shortest, longest) = MOODS[mood]
    choice = [name.replace("_", " ") for name in names.split()]
    keys: list[list[tuple[float, str, Array]]] = [[], []]
    leading = int(rng.integers(2))
    resting = choice[int(rng.integers(len(choice)))] if rng.random() < 0.5 else "hang"
    if mood.startswith(("seated", "floor")):
        resting = "thigh"
    clock = 0.0
    while clock < frames or not keys[0]:
        one = choice[int(rng.integers(len(choice)))]
        if rng.random() < together:
            pair = [one, one]
        elif rng.random() < 0.6:
            pair = [resting, resting]
            pair[leading] = one
        else:
            pair = [one, choice[int(rng.integers(len(choice)))]]
        shared = rng.normal(size=3)
        for side in range(2):
            space, point, spread = POSTURES[pair[side]]
            own = rng.normal(size=3)
            wobble = 0.8 * shared + 0.6 * own if pair[0] == pair[1] else own
            where = np.asarray(point) + np.asarray(spread) * np.clip(wobble, -2, 2)
            keys[side].append((clock + rng.uniform(0, 0.15) * fps * bool(clock), space, where))
        clock += rng.uniform(shortest, longest) * fps / pace
        if rng.random() < 0.15:
            leading = 1 - leading
    move = rng.uniform(0.35, 0.9) * fps / pace
    c["hand"] = np.stack([chain(person, c, side, keys[side], move, fps) for side in range(2)], 1)
    knots = max(2, int(frames / (1.5 * fps)) + 2)
    lift = np.clip(rng.normal(0.05, 0.3, (knots, 2)), -0.5, 0.9)
    c["swivel"] = keyed(frames, list(np.linspace(0, frames, knots)), lift)
