"""Made-up scenes for the depth networks: people in rooms, behind things, before a depth camera.

Each sample is one frame of some motion, its own body (stature, build), its own
room and its own camera. People of the held-out part are never trained on:
whole persons are held out, not pieces of their motion.

Left out on purpose: other people in the scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17, ITOP_15
from posemend.body.convert import weights_matrix
from posemend.contract.depth import ITOP_CAMERA, LIFT_QUANTILE, LIFT_WINDOW, lift_fine, reference_step
from posemend.geometry.camera import Camera
from posemend.geometry.depth import project, unproject
from posemend.occlusion.depthmap import (
    PARTS,
    SENSORS,
    Scenes,
    capsules_of,
    cast_windows,
    draw,
    grid_rays,
    hidden,
    spoiled,
)
from posemend.training.motions import Pool
from posemend.training.vary import Variety, rotation, vary

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

TO_ITOP = weights_matrix(H36M_17, ITOP_15)[0]
HEIGHT_OF_LIMBS = 0.492  # thigh and shank together as a share of the stature (Drillis and Contini)
BOXES = 5
MOST_HIDDEN = 9  # of the 15 joints, by the body itself and by things, in most scenes;
BURIED = 0.25  # the share of scenes with more where it stays so: expected errors are learned there, if nothing else


@dataclass(frozen=True, eq=False)
class Looks:
    """B frames as a depth camera sees them.

    Attributes:
        camera: Of all frames.
        joints: (B, 15, 3) truth, metres, camera axes.
        hidden: (B, 15) joints behind something else or outside the picture.
        maps: (B, H, W) metres, or ``None`` where scenes make them.
        scenes, sensor, seed: What maps are drawn from.
    """

    camera: Camera
    joints: Floats
    hidden: Bools
    maps: Floats | None = None
    scenes: Scenes | None = None
    sensor: str = "xtion"
    seed: int = 0

    def __len__(self) -> int:
        return len(self.joints)

    def again(self, times: int) -> Looks:
        """The same frames several times, drawn once."""
        if times == 1:
            return self
        return Looks(
            self.camera, np.tile(self.joints, (times, 1, 1)), np.tile(self.hidden, (times, 1)),
            np.tile(self.depth, (times, 1, 1)), None, self.sensor, self.seed,
        )  # fmt: skip

    @cached_property
    def depth(self) -> Floats:
        """(B, H, W) metres, 0 = none, with the sensor's noise."""
        if self.maps is not None:
            return self.maps
        assert self.scenes is not None
        rng = np.random.default_rng([self.seed, 11])
        rays = grid_rays(self.camera)
        return np.stack(
            [spoiled(draw(self.scenes, row, self.camera, rays), SENSORS[self.sensor], rng) for row in range(len(self))]
        )

    @property
    def pixels(self) -> Floats:
        """(B, 15, 2) exact projections."""
        return project(self.joints, self.camera)

    def lift(self, pixels: Floats) -> tuple[Floats, Bools]:
        """As ``contract.depth.lift_fine``; of made-up scenes only 9 of the 25 rays that it looks at are cast."""
        if self.scenes is None:
            return lift_fine(self.depth, pixels, self.camera)
        rng = np.random.default_rng([self.seed, 12])
        step = reference_step(self.camera)
        along = (np.arange(0, LIFT_WINDOW, 2) - LIFT_WINDOW // 2) * step
        grid = np.stack(np.meshgrid(along, along), -1).reshape(-1, 2)
        looked = np.floor(pixels[:, :, None] + grid) + 0.5
        inside = (looked >= 0).all(-1) & (looked <= (self.camera.width, self.camera.height)).all(-1)
        z: NDArray[np.floating] = cast_windows(self.scenes, self.camera.rays(looked)[..., :2].astype(np.float32))
        noise = SENSORS[self.sensor]
        z = z + (noise.flat + noise.growth * (np.minimum(z, 9) - 0.4) ** 2) * rng.standard_normal(z.shape)
        lost = rng.random(z.shape) < noise.speckle
        lost |= rng.random(z.shape[:2])[..., None] < 0.03  # blobs take whole windows
        z = np.where(inside & ~lost & (z < noise.reach), z, np.inf)
        count = np.isfinite(z).sum(-1)
        place = np.floor(LIFT_QUANTILE * np.maximum(count - 1, 0)).astype(np.intp)
        picked = np.take_along_axis(np.sort(z, -1), place[..., None], -1)[..., 0]
        found = count > 0
        picked = np.where(found, picked, 0).astype(np.float32)
        return unproject(np.where(found[..., None], pixels, 0), picked, self.camera), found


@dataclass(frozen=True, eq=False)
class SceneMaker:
    """Endless scenes.

    Attributes:
        pool: Motions.
        variety: How poses are varied.
        sensor: Name in ``SENSORS``.
        distance: Nearest and farthest person, metres.
        boxes: Mean number of things before the person.
        above: Share of cameras near the ceiling that look straight down.
    """

    pool: Pool
    variety: Variety
    sensor: str = "xtion"
    distance: tuple[float, float] = (1.5, 4.5)
    boxes: float = 1.0
    above: float = 0.0

    def looks(self, rng: np.random.Generator, count: int) -> Looks:
        """``count`` frames, each with its own person, room and camera pose."""
        positions, _ = vary(self.pool.windows(rng, count, 1, 30.0), replace(self.variety, definition=0.0), rng)
        return self.seen(positions[:, 0], rng)

    def seen(self, positions: Floats, rng: np.random.Generator) -> Looks:
        """Poses (B, 17, 3) round the pelvis, world axes, as seen in made-up rooms."""
        count = len(positions)
        zoom = float(np.exp(rng.normal(0, 0.06)))
        camera = replace(ITOP_CAMERA, focal=(ITOP_CAMERA.focal[0] * zoom, ITOP_CAMERA.focal[1] * zoom))
        turn, shift = self.place(count, camera, rng)
        seen = np.matmul(positions, np.swapaxes(turn, -1, -2)) + shift[:, None]
        seen[..., 2] += np.maximum(0.7 - seen[..., 2].min(1), 0)[:, None]
        scenes = furnished(seen, positions, turn, self.boxes, rng)
        joints = np.einsum("kj,bjc->bkc", TO_ITOP, seen).astype(np.float32)
        pixels = project(joints, camera)
        outside = ~camera.contains(pixels)
        covered = hidden(scenes, joints, ITOP_15)
        buried = (covered.sum(1) > MOST_HIDDEN) & (rng.random(count) > BURIED)
        if buried.any():  # little to be learned there but guessing: what stands before them is taken away
            scenes.box_half[buried, :-1] = 0
            covered = hidden(scenes, joints, ITOP_15)
        covered |= outside
        return Looks(camera, joints, covered, None, scenes, self.sensor, int(rng.integers(2**31)))

    def place(self, count: int, camera: Camera, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """World-to-camera rotations (B, 3, 3) and the pelvis in camera axes (B, 3)."""
        elevation = rng.normal(0.08, 0.18, count)
        above = rng.random(count) < self.above
        elevation[above] = rng.uniform(1.35, 1.55, above.sum())
        azimuth = rng.uniform(0, 2 * np.pi, count)
        ce, se, ca, sa = np.cos(elevation), np.sin(elevation), np.cos(azimuth), np.sin(azimuth)
        forward = np.stack([-ca * ce, -sa * ce, -se], -1)
        right = np.stack([-sa, ca, np.zeros(count)], -1)
        turn = np.stack([right, np.cross(forward, right), forward], -2)
        turn = rotation((rng.normal(0, 0.04, (count, 3)) * (1, 1, 1)).astype(np.float32)) @ turn
        nearest, farthest = np.log(self.distance)
        distance = np.exp(rng.uniform(nearest, farthest, count))
        half = np.array([camera.width, camera.height]) / 2 / np.array(camera.focal)
        place = rng.normal(0, 0.22, (count, 2)).clip(-0.9, 0.9) * half
        shift = np.concatenate([place, np.ones((count, 1))], -1) * distance[:, None]
        return turn.astype(np.float32), shift.astype(np.float32)


def heights(joints: Floats) -> Floats:
    """(B,) statures in metres from the legs of (B, 17, 3) joints."""
    at = {name: joints[:, place] for place, name in enumerate(H36M_17.joints)}
    legs = [
        np.linalg.norm(at[f"{side}_{one}"] - at[f"{side}_{other}"], axis=-1)
        for side in "lr"
        for one, other in (("hip", "knee"), ("knee", "ankle"))
    ]
    return np.clip(sum(legs) / 2 / HEIGHT_OF_LIMBS, 1.2, 2.2)


def furnished(seen: Floats, positions: Floats, turn: Floats, boxes: float, rng: np.random.Generator) -> Scenes:
    """Bodies, floor, walls and things in camera axes."""
    count = len(seen)
    at = {name: positions[:, place] for place, name in enumerate(H36M_17.joints)}
    legs = [
        np.linalg.norm(at[f"{side}_{one}"] - at[f"{side}_{other}"], axis=-1)
        for side in "lr"
        for one, other in (("hip", "knee"), ("knee", "ankle"))
    ]
    height = np.clip(sum(legs) / 2 / HEIGHT_OF_LIMBS, 1.2, 2.2)
    build = np.exp(rng.normal(0, 0.13, (count, 1)) + rng.normal(0, 0.07, (count, PARTS)))
    start, end, radius = capsules_of(seen, height, build)

    up = turn[..., 2]  # the world's vertical in camera axes
    # the pelvis is the world's origin here, so a world plane n.p = d is (Rn).(p - pelvis) = d
    pelvis = seen[:, 0]
    floor = positions[..., 2].min(1) - 0.03 * height
    angle = np.arctan2(turn[:, 2, 1], turn[:, 2, 0])  # the camera's way, seen from above
    normals, offsets = [up], [floor + (up * pelvis).sum(-1)]
    for aside in (0.0, 1.2):
        direction = angle + aside * rng.choice([-1, 1], count) + rng.normal(0, 0.25, count)
        normal = np.einsum("bij,bj->bi", turn, np.stack([np.cos(direction), np.sin(direction), np.zeros(count)], -1))
        gap = np.exp(rng.uniform(np.log(0.6), np.log(4.0), count))
        normals.append(normal)
        offsets.append(gap + (normal * pelvis).sum(-1))

    number = np.minimum(rng.poisson(boxes, count), BOXES - 1)
    there = np.arange(BOXES) < number[:, None]
    aim = np.take_along_axis(seen, rng.integers(0, 17, (count, BOXES))[..., None], 1)
    share = rng.uniform(0.45, 0.93, (count, BOXES, 1))
    half = np.exp(rng.uniform(np.log(0.03), np.log(0.35), (count, BOXES, 3)))
    centre = aim * share + rng.normal(0, 0.12, (count, BOXES, 3))
    # the last one stands beside or behind the person: a chair, a shelf
    there[:, -1] = rng.random(count) < 0.5
    centre[:, -1] = seen[:, 0] + rng.normal(0, 0.5, (count, 3)) + np.array([0, 0, 0.35])
    there &= centre[..., 2] - half.max(-1) > 0.3
    yaw = rng.uniform(0, np.pi, (count, BOXES))
    c, s, o = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    own = np.stack([np.stack([c, s, o], -1), np.stack([-s, c, o], -1), np.stack([o, o, o + 1], -1)], -2)
    axes = np.einsum("bmkj,bij->bmki", own, turn)
    return Scenes(
        start, end, radius, centre.astype(np.float32), axes.astype(np.float32),
        (half * there[..., None]).astype(np.float32), np.stack(normals, 1).astype(np.float32),
        np.stack(offsets, 1).astype(np.float32),
    )  # fmt: skip
