"""Where rays enter solids, against the solids' own definitions; and what a depth sensor makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.errors import InputError
from posemend.occlusion.depth_sensor import FLOOR, NOTHING, SENSORS, WALL, SensorModel, depth_map, sense
from posemend.occlusion.figure import PARTS, Build, figure, owned_parts
from posemend.occlusion.solids import Box, boxes, contains, entries, together
from tests.occlusion.standing import STANDING

LEFT_KNEE = H36M_17.index("l_knee")
FACING = np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0]], float)  # a camera that looks along -x, upright


def scene():
    person = figure(STANDING)
    crate = Box((1.2, 0.3, 0.4), (0.5, 0.7, 0.8), 0.6)
    return together([person, boxes([crate, Box((-1.0, 0.0, 1.0), (0.2, 2.0, 2.0))], 1)])


def test_entries_lie_on_the_skin_and_nothing_is_entered_before() -> None:
    solids = scene()
    rng = np.random.default_rng(3)
    eye = np.array([[4.0, 0.5, 1.3]])
    way = (rng.normal([0, 0, 0.9], [0.3, 0.4, 0.5], (1, 400, 3)) - eye[:, None]) * rng.uniform(0.3, 3, (1, 400, 1))
    found = entries(solids, eye, way)[0]
    assert np.isfinite(found).any(0).sum() >= 17  # nearly every solid is met by some ray
    share = np.linspace(0, 8, 801)
    hit = 0
    for ray in range(0, 400, 8):
        points = (eye + share[:, None] * way[0, ray])[None]
        inside = np.stack([contains(solids, point) for point in points.transpose(1, 0, 2)])[:, 0]
        for number in range(solids.count):
            first = np.flatnonzero(inside[:, number])
            if len(first):
                assert found[ray, number] == pytest.approx(share[first[0]], abs=1.2e-2), PARTS[number : number + 1]
                hit += 1
            elif np.isfinite(found[ray, number]):  # it may slip between two samples, no more
                chord = entries(solids, eye + 9 * way[:, ray], -9 * way[:, ray : ray + 1])[0, 0, number]
                assert 1 - chord - found[ray, number] / 9 < 6e-3
    assert hit > 40


def test_a_ray_along_a_capsule_and_one_from_behind() -> None:
    person = figure(STANDING)
    number = PARTS.index("l_thigh")
    start, end = person.start[0, number], person.end[0, number]
    way = (end - start) / np.linalg.norm(end - start)
    eye = start - 2 * way
    met = entries(person, eye[None], way[None, None])[0, 0, number]
    assert met == pytest.approx(2 - person.radius[0, number], abs=2e-3)
    assert entries(person, eye[None], -way[None, None])[0, 0, number] < 0


def test_boxes_move() -> None:
    cart = boxes([Box((0, 0, 0.5), (1, 1, 1))], 11, [[2.0, 0, 0]], fps=10)
    assert cart.box_centre[:, 0, 0] == pytest.approx(np.linspace(-1, 1, 11))


def test_every_joint_of_a_skeleton_lies_in_parts_that_it_owns() -> None:
    for skeleton in (H36M_17, COCO_17):
        assert owned_parts(skeleton).any(1).all(), skeleton.name
    inside = np.stack([contains(figure(STANDING), STANDING[:, j])[0] for j in range(17)])
    within = (inside & owned_parts(H36M_17)).any(1)
    assert {name for name, there in zip(H36M_17.joints, within, strict=True) if not there} <= {
        "head_top"
    }  # the crown is on the skin


def test_a_thick_body_hides_more() -> None:
    eye, way = np.array([[0.0, 5, 1.2]]), STANDING - np.array([0.0, 5, 1.2])
    thin, thick = (entries(figure(STANDING, build=Build(girth=g)), eye, way) < 1 for g in (0.6, 1.6))
    assert thick.sum() > thin.sum()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda x: x * 1000, "metres"),
        (lambda x: np.where(np.arange(17)[:, None] == LEFT_KNEE, x[:, [LEFT_KNEE - 1]], x), "no length"),
        (lambda x: np.where(np.arange(17)[:, None] == 3, np.nan, x), "finite|NaN"),
    ],
)  # fmt: skip
def test_impossible_bodies_are_refused(spoil, word: str) -> None:
    with pytest.raises(InputError, match=word):
        figure(spoil(STANDING))


def view(name: str, far: float = 2.5):
    return SensorModel.preset(name).camera(FACING, -FACING @ np.array([far, 0, 1.0]))


def test_depth_of_box_floor_and_wall() -> None:
    box = boxes([Box((0, 0, 1.0), (1.0, 0.6, 0.6))], 1)
    camera = view("exact")
    found = depth_map(box, camera, wall=4.0)
    assert found.depth[120, 160] == pytest.approx(2.0, abs=1e-5)  # 2.5 m to its middle, half a metre thick
    assert found.solid[120, 160] == 0
    assert found.solid[5, 5] == WALL and found.depth[5, 5] == 4.0
    assert found.solid[235, 10] == FLOOR
    height = (235.5 - camera.centre[1]) / camera.focal[1] * found.depth[235, 10]
    assert height == pytest.approx(1.0, abs=1e-4)
    assert (depth_map(box, camera, floor=None).solid == NOTHING).any()


def test_depth_agrees_with_entries() -> None:
    solids, camera = scene(), view("itop", 3.5)
    found = depth_map(solids, camera)
    rng = np.random.default_rng(0)
    u, v = rng.integers(0, 320, 500), rng.integers(0, 240, 500)
    way = camera.rays(np.stack([u, v], -1) + 0.5) @ camera.rotation
    near = entries(solids, camera.to_world(np.zeros((1, 3))), way[None])[0]
    near = np.where(near > 0, near, np.inf).min(-1)
    body = found.solid[v, u] >= 0
    assert body.sum() > 40
    assert found.depth[v, u][body] == pytest.approx(near[body], abs=1e-4)


def test_what_sensors_do() -> None:
    person = figure(STANDING)
    for name in ("itop", "azure-kinect"):
        model = SENSORS[name]
        exact = depth_map(person, view(name), wall=4.0).depth
        seen = sense(exact, model, np.random.default_rng(1))
        assert seen.dtype == np.float32 and seen.shape == exact.shape
        assert np.array_equal(seen, sense(exact, model, np.random.default_rng(1)))
        held = seen > 0
        assert 0.001 < 1 - held.mean() < 0.1
        error = np.abs(seen - exact)[held]
        assert np.median(error) < 0.02
        assert held.mean() > 0.5
    # the shadow of structured light falls on one side of the person only
    model = SensorModel(320, 240, 286.0, 0.1, 9, baseline=0.075)
    exact = depth_map(person, view("itop"), wall=4.0, floor=None)
    lost = sense(exact.depth, model, np.random.default_rng(0)) == 0
    rows, columns = np.nonzero(lost)
    middle = np.nonzero(exact.solid >= 0)[1].mean()
    assert len(rows) > 100 and abs((columns < middle).mean() - 0.5) > 0.1
    assert (exact.solid[lost] == WALL).mean() > 0.6  # it is the wall that lies in the person's shadow


def test_steps_of_structured_light_grow_with_distance() -> None:
    model = SensorModel(64, 8, 286.0, 0.1, 9, baseline=0.075, disparity_step=1 / 16, step=0.0)
    rng = np.random.default_rng(0)

    def values(start: float) -> int:
        ramp = np.linspace(start, start + 0.2, 512, dtype=np.float32).reshape(8, 64)
        return len(np.unique(sense(ramp, model, rng)))

    near, far = values(1.0), values(4.0)
    assert near > 4 * far


def test_camera_inside_the_body_is_refused() -> None:
    camera = SENSORS["itop"].camera(FACING, -FACING @ STANDING[0, H36M_17.index("spine")])
    with pytest.raises(InputError, match="inside of person 0"):
        depth_map(figure(STANDING), camera)
    with pytest.raises(InputError, match="No depth sensor"):
        SensorModel.preset("kinect-9")
