"""Runs inside Blender: 3D, 2D, cameras and occlusion labels out of a .blend file with an armature.

What BlendMimic3D's extractor does, without its bugs: any name of objects (the
part that a ray meets is told by the weights of the mesh, or by the bone that
an object hangs on), rays end at the joint, cameras and armatures are taken in
world axes after all constraints, the picture's percentage counts, every frame
of the range is in its place, and several people and armatures are kept apart.
Scripts of the file are not run. Which bones are joints, and which parts of the
body bones move, is in the job (`posemend.datasets.bone_map`).

A joint is hidden when the ray from the camera meets something before it that
is not a part it lies in: 1 the own body (up to the slack before the joint), 2
a thing, 4 another armature's body, 3 outside of the image. Everything is
opaque. Lens shift and both sensor fits are handled, lens distortion and
panoramas are not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

# Blender runs this file alone, outside of any package
sys.path.insert(0, str(Path(__file__).resolve().parent))

from inside_file import Refused, carrier, chosen, frame_range, objects, open_file, part_of_faces, serve

VISIBLE, BY_SELF, BY_OBJECT, OUT, BY_PERSON = 0, 1, 2, 3, 4
_ON, _MOST = 1e-4, 64  # metres past a hit from which the ray goes on; hits of one ray
_WAYS = [Vector(way).normalized() for way in ((1, 0.13, 0.07), (-0.2, 1, 0.11), (0.17, -0.23, 1), (-1, -0.9, 0.8),
                                              (0.7, -1, -0.9))]  # fmt: skip


class Bodies:
    """Who moves which mesh, and which part of the body each face is."""

    def __init__(self, job, graph):
        numbers = {body["armature"]: body["parts"] for body in job["bodies"]}
        meshes = [thing for thing in objects("MESH") if not thing.hide_render]
        whose = {thing.name: carrier(thing) for thing in meshes}
        people = {*numbers, *job["others"]}  # what a door's armature moves is a thing
        self.carriers = {name: one.name for name, one in whose.items() if one is not None and one.name in people}
        self.parts = {
            thing.name: part_of_faces(thing, thing.evaluated_get(graph).data, numbers[self.carriers[thing.name]])
            for thing in meshes if self.carriers.get(thing.name) in numbers
        }  # fmt: skip

    def part(self, name, face):
        """The part of one face of a mesh; 0 where it is none."""
        known = self.parts.get(name)
        return known[face] if known is not None and face < len(known) else 0


def original(thing):
    """The name of what a ray met."""
    return thing.original.name if thing.original is not None else thing.name


def intrinsics(scene, camera):
    """K (3, 3) and (width, height) in pixels."""
    render = scene.render
    scale = render.resolution_percentage / 100
    width, height = int(render.resolution_x * scale), int(render.resolution_y * scale)  # Blender cuts, too
    lens = camera.data
    if lens.type != "PERSP":
        raise Refused(f"Camera '{camera.name}' is {lens.type}; only perspective cameras have 2D keypoints.")
    aspect = render.pixel_aspect_y / render.pixel_aspect_x
    fit = lens.sensor_fit
    if fit == "AUTO":
        fit = "HORIZONTAL" if width >= height * aspect else "VERTICAL"
        sensor = lens.sensor_width
    else:
        sensor = lens.sensor_width if fit == "HORIZONTAL" else lens.sensor_height
    along = width if fit == "HORIZONTAL" else height * aspect
    focal = lens.lens * along / sensor
    centre = (width / 2 - lens.shift_x * along, height / 2 + lens.shift_y * along / aspect)
    return np.array([[focal, 0, centre[0]], [0, focal / aspect, centre[1]], [0, 0, 1]]), (width, height)


def extrinsics(matrix):
    """R (3, 3), t (3,): world to camera, x right, y down, z forward; scale of the object does not count."""
    turn = np.array(matrix.to_3x3().normalized())
    rotation = turn.T * np.array([[1], [-1], [-1]])
    return rotation, -rotation @ np.array(matrix.translation)


def hides(scene, graph, eye, aim, person, own, bodies, slack):
    """Label of one joint."""
    way = aim - eye
    far = way.length
    way.normalize()
    gone = 0.0
    for _ in range(_MOST):
        if far - gone <= 0:
            break
        hit, place, _, face, thing, _ = scene.ray_cast(graph, eye + way * gone, way, distance=far - gone)
        if not hit:
            break
        at = (place - eye).length
        name = original(thing)
        whose = bodies.carriers.get(name)
        if whose is None:
            return BY_OBJECT
        if whose != person:
            return BY_PERSON
        if at < far - slack and bodies.part(name, face) not in own:
            return BY_SELF
        gone = at + _ON
    return VISIBLE


def inside_of(scene, graph, eye, bodies):
    """The armature whose body a camera is in, or None: most ways out of it leave through a back."""
    backs = {}
    for way in _WAYS:
        hit, _, normal, _, thing, _ = scene.ray_cast(graph, eye, way)
        whose = bodies.carriers.get(original(thing)) if hit else None
        if whose is not None and normal.dot(way) > 0:
            backs[whose] = backs.get(whose, 0) + 1
    return next((whose for whose, many in backs.items() if 2 * many > len(_WAYS)), None)


def place_of(posed, joint):
    """World position of a joint: bones, and where in each one's own axes; the middle of them."""
    points = [posed.matrix_world @ (posed.pose.bones[bone].matrix @ Vector(local)) for bone, local in joint]
    return np.mean([list(point) for point in points], axis=0)


def extract(job):
    """Everything out of one file."""
    scene = open_file(job["blend"])
    cameras = chosen("CAMERA", job["cameras"])
    armatures = chosen("ARMATURE", [body["armature"] for body in job["bodies"]])
    frames = frame_range(scene, job["first"], job["last"])
    metres = job["metres"]
    slack, own = job["slack"] / metres, [set(parts) for parts in job["own"]]
    shape = (len(armatures), len(frames), 17)
    world = np.zeros((*shape, 3))
    kind = np.zeros((len(armatures), len(cameras), len(frames), 17), np.int8)
    pixels = np.full((*kind.shape, 2), np.nan)
    inner = np.zeros((len(cameras), 3, 3))
    turn, shift = np.zeros((len(cameras), len(frames), 3, 3)), np.zeros((len(cameras), len(frames), 3))
    bodies, sizes, inside = None, [], {}
    for step, frame in enumerate(frames):
        scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        if bodies is None:
            bodies = Bodies(job, graph)
        for person, armature in enumerate(armatures):
            posed = armature.evaluated_get(graph)
            world[person, step] = [place_of(posed, joint) for joint in job["bodies"][person]["joints"]]
        for number, camera in enumerate(cameras):
            seen = camera.evaluated_get(graph)
            inner[number], size = intrinsics(scene, seen)
            turn[number, step], shift[number, step] = extrinsics(seen.matrix_world)
            eye = seen.matrix_world.translation
            if step == 0:
                sizes.append(size)
            whose = inside_of(scene, graph, eye, bodies)
            if whose is not None:
                inside.setdefault((camera.name, whose), []).append(frame)
                continue
            for person, armature in enumerate(armatures):
                points = world[person, step] @ turn[number, step].T + shift[number, step]
                ahead = points[:, 2] > 1e-6
                at = (points @ inner[number].T)[:, :2] / np.where(ahead, points[:, 2], np.nan)[:, None]
                pixels[person, number, step] = at
                seen_at = ahead & (at >= 0).all(-1) & (at[:, 0] <= size[0]) & (at[:, 1] <= size[1])
                for place in range(17):
                    kind[person, number, step, place] = (
                        hides(scene, graph, eye, Vector(world[person, step, place].tolist()), armature.name,
                              own[place], bodies, slack) if seen_at[place] else OUT
                    )  # fmt: skip
    if inside:
        said = "; ".join(f"'{camera}' is inside the body of '{whose}' in frames {at[0]} to {at[-1]} ({len(at)} of them)"
                         for (camera, whose), at in inside.items())  # fmt: skip
        raise Refused(f"Camera {said}. Move it, or leave it out with --cameras, or those frames with --first, --last.")
    np.savez_compressed(
        job["out"], positions_3d=(world * metres).astype(np.float32), kind=kind,
        positions_2d=np.nan_to_num(pixels).astype(np.float32),
        K=inner, R=turn, t=shift * metres, size=np.array(sizes),
        fps=np.array(scene.render.fps / scene.render.fps_base), joints=np.array(job["joints"]),
        cameras=np.array([c.name for c in cameras]), people=np.array([a.name for a in armatures]),
        frame=np.array(frames), kinds=np.array(["visible", "self", "object", "out_of_frame", "person"]),
    )  # fmt: skip
    return {
        "blender": bpy.app.version_string, "people": [a.name for a in armatures], "cameras": [c.name for c in cameras],
        "frames": len(frames), "hidden": float((kind > 0).mean()),
    }  # fmt: skip


if __name__ == "__main__":
    serve(extract)
