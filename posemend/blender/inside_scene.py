"""Runs inside Blender: a scene of meshes rebuilt, then asked with rays, or rendered.

Started by `posemend.blender.launch` with a job (JSON): ``mode`` "rays" or
"render", ``exchange`` the meshes (``.npz``, see `posemend.blender.exchange`),
and where to write. Knows nothing of posemend but that file.

``rays`` is the plain loop that labels by Blender are made with: for every
frame, camera and joint ``scene.ray_cast``, on through parts that the joint
lies in. ``render`` gives RGB frames, depth and a map of parts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

_ON = 1e-4  # metres past a hit from which the ray goes on
_MOST = 64  # hits of one ray
_SKINS = ((0.80, 0.58, 0.42, 1), (0.42, 0.58, 0.80, 1), (0.60, 0.72, 0.42, 1))
_THING = (0.35, 0.28, 0.22, 1)


def build(data):
    """An empty scene with one object per mesh; returns the objects."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = max(1, round(float(data["fps"])))
    scene.frame_start, scene.frame_end = 0, int(data["frames"]) - 1
    objects = []
    for number in range(int(data["count"])):
        vertices = data[f"vertices_{number}"]
        mesh = bpy.data.meshes.new(f"solid{number}")
        mesh.from_pydata(vertices[0].tolist(), [], data[f"faces_{number}"].tolist())
        mesh.update()
        thing = bpy.data.objects.new(f"solid{number}", mesh)
        thing.pass_index = number + 1
        scene.collection.objects.link(thing)
        objects.append(thing)
    return objects


def pose(objects, data, frame, before=None):
    """Move all vertices to a frame."""
    bpy.context.scene.frame_set(frame)
    for number, thing in enumerate(objects):
        vertices = data[f"vertices_{number}"]
        if before is not None and np.array_equal(vertices[frame], vertices[before]):
            continue
        thing.data.vertices.foreach_set("co", np.ascontiguousarray(vertices[frame], np.float32).ravel())
        thing.data.update()
    bpy.context.view_layer.update()


def cast(scene, graph, number_of, eye, aim, own, mine, slack, rule):
    """The solid that hides a joint, -1 for none."""
    way = aim - eye
    far = way.length
    way.normalize()
    gone = 0.0
    for _ in range(_MOST):
        hit, place, _, _, thing, _ = scene.ray_cast(graph, eye + way * gone, way, distance=far - gone)
        if not hit:
            return -1
        at = (place - eye).length
        number = number_of[thing.name]
        if rule == "first-part":
            return -1 if own[number] else number
        if not own[number] and not (mine[number] and at >= far - slack):
            return number
        gone = at + _ON
        if gone >= far:
            return -1
    return -1


def rays(job, data):
    """Labels of every joint, camera and frame by ``scene.ray_cast``; timed."""
    objects = build(data)
    scene = bpy.context.scene
    number_of = {thing.name: number for number, thing in enumerate(objects)}
    joints, eyes, own, mine = (data[key] for key in ("joints", "eyes", "own", "mine"))
    frames, count = joints.shape[:2]
    blocker = np.full((len(eyes), frames, count), -1, np.int16)
    casting, started = 0.0, time.perf_counter()
    started_cpu = time.process_time()
    for frame in range(frames):
        pose(objects, data, frame, frame - 1 if frame else None)
        graph = bpy.context.evaluated_depsgraph_get()
        aims = [Vector(point) for point in joints[frame].tolist()]
        begun = time.process_time()
        for camera in range(len(eyes)):
            eye = Vector(eyes[camera, frame].tolist())
            for joint in range(count):
                blocker[camera, frame, joint] = cast(
                    scene, graph, number_of, eye, aims[joint], own[joint], mine[joint], job["slack"], job["rule"]
                )
        casting += time.process_time() - begun
    spent = {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - started_cpu}
    spent["casting_cpu_s"] = casting
    np.savez(job["out"], blocker=blocker)
    return {"blender": bpy.app.version_string, "triples": int(blocker.size), **spent}


def material(name, colour):
    """A plain matt material."""
    made = bpy.data.materials.new(name)
    made.diffuse_color = colour
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = 0.8
    return made


def dress(objects, owners):
    """Colours, a floor and light."""
    skins = [material(f"person{n}", colour) for n, colour in enumerate(_SKINS)]
    wood = material("thing", _THING)
    for thing, owner in zip(objects, owners):  # noqa: B905  lengths are the exchange's
        thing.data.materials.append(skins[owner % len(skins)] if owner >= 0 else wood)
        for polygon in thing.data.polygons:
            polygon.use_smooth = owner >= 0
    bpy.ops.mesh.primitive_plane_add(size=60)
    bpy.context.object.data.materials.append(material("floor", (0.62, 0.62, 0.6, 1)))
    lamp = bpy.data.lights.new("sun", "SUN")
    lamp.energy, lamp.angle = 3.0, 0.3
    sun = bpy.data.objects.new("sun", lamp)
    sun.rotation_euler = (0.7, 0.2, 0.5)
    bpy.context.scene.collection.objects.link(sun)
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.75, 0.82, 0.9, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.6


def set_camera(camera, intrinsic, size, rotation, translation):
    """A pinhole camera of ours (world to camera, x right, y down) as Blender's."""
    width, height = (int(x) for x in size)
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    lens = camera.data
    lens.sensor_fit, lens.sensor_width = "HORIZONTAL", 36.0
    lens.lens = float(intrinsic[0, 0]) * 36.0 / width
    lens.shift_x = (width / 2 - float(intrinsic[0, 2])) / width
    lens.shift_y = (float(intrinsic[1, 2]) - height / 2) / width
    lens.clip_start, lens.clip_end = 0.01, 200.0
    turn = np.asarray(rotation) * np.array([[1], [-1], [-1]])  # Blender looks along -z, y up
    pose_matrix = np.eye(4)
    pose_matrix[:3, :3] = turn.T
    pose_matrix[:3, 3] = -np.asarray(rotation).T @ np.asarray(translation)
    camera.matrix_world = Matrix(pose_matrix.tolist())


def render(job, data):
    """RGB frames (.png), depth (uint16 mm) and parts (int16) of one camera."""
    objects = build(data)
    dress(objects, data["owner"].tolist())
    scene = bpy.context.scene
    lens = bpy.data.cameras.new("camera")
    camera = bpy.data.objects.new("camera", lens)
    scene.collection.objects.link(camera)
    scene.camera = camera
    which = int(job["camera"])
    engine = job["engine"]
    scene.render.engine = {"cycles": "CYCLES", "workbench": "BLENDER_WORKBENCH"}[engine]
    if engine == "cycles":
        scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", int(job["samples"]), False
    else:
        scene.display.shading.color_type = "MATERIAL"
        scene.display.shading.show_cavity = True
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    rotation, translation = data["R"][which], data["t"][which]
    written = []
    for frame in job["frames"]:
        pose(objects, data, frame)
        at = min(frame, len(rotation) - 1)
        set_camera(camera, data["K"][which], data["size"][which], rotation[at], translation[at])
        scene.render.filepath = str(out / f"{frame:06d}.png")
        bpy.ops.render.render(write_still=True)
        written.append(scene.render.filepath)
    return {"blender": bpy.app.version_string, "frames": written}


def main():
    """Do the job named on the command line."""
    job = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    with np.load(job["exchange"], allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    answer = {"rays": rays, "render": render}[job["mode"]](job, data)
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


main()
