"""Runs inside Blender: frames of a scene as pictures, depth and a map of objects.

The scene is one of ours (``exchange``: meshes, cameras; a floor, a sun and
plain colours are put in) or a .blend file as it is (``blend``), seen by its
own cameras. Cycles on the processor gives all three; Workbench is quicker and
gives pictures alone. The map of objects numbers them (names in the answer): a
body that is one mesh is one object, a body in parts is in parts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

# Blender runs this file alone, outside of any package
sys.path.insert(0, str(Path(__file__).resolve().parent))

import inside_passes
from inside_scene import build, pose

_SKINS = ((0.80, 0.58, 0.42, 1), (0.42, 0.58, 0.80, 1), (0.60, 0.72, 0.42, 1))
_THING = (0.35, 0.28, 0.22, 1)
_FARTHEST = 65.0  # metres; depth beyond it does not fit the file and is 0


class Refused(Exception):
    """The file or the job is impossible; said to the user."""


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


def from_exchange(job):
    """Our scene: returns objects by name, camera names, and what sets frame and camera."""
    with np.load(job["exchange"], allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    objects = build(data)
    dress(objects, data["owner"].tolist())
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera = camera
    names = [str(name) for name in data["cameras"]]

    def go(frame, which):
        pose(objects, data, frame)
        set_camera(camera, data["K"][which], data["size"][which], data["R"][which, frame], data["t"][which, frame])

    return names, go, list(range(int(data["frames"])))


def from_blend(job):
    """Somebody's file."""
    try:
        bpy.ops.wm.open_mainfile(filepath=job["blend"], load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise Refused(f"Blender cannot open '{Path(job['blend']).name}': {' '.join(str(error).split())}") from None
    scene = bpy.context.scene
    cameras = sorted((thing for thing in scene.objects if thing.type == "CAMERA"), key=lambda thing: thing.name)
    if not cameras:
        raise Refused("The scene has no camera.")
    for number, thing in enumerate(sorted((t for t in scene.objects if t.type == "MESH"), key=lambda t: t.name)):
        thing.pass_index = number + 1

    def go(frame, which):
        scene.frame_set(frame)
        scene.camera = cameras[which]

    return [camera.name for camera in cameras], go, list(range(scene.frame_start, scene.frame_end + 1))


def render(job):
    """Every camera and frame asked for."""
    names, go, frames = from_blend(job) if job.get("blend") else from_exchange(job)
    scene = bpy.context.scene
    inside_passes.settings(scene, job["engine"], job["samples"])
    if job["engine"] == "workbench":
        scene.display.shading.color_type = "MATERIAL"
    wanted = job["cameras"] or names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise Refused(f"No camera is called {', '.join(unknown)}. There are: {', '.join(names)}.")
    asked = frames[:: job["every"]][: job["most"]]
    passes = job["engine"] == "cycles"
    with tempfile.TemporaryDirectory() as hidden:
        if passes:
            inside_passes.wire(scene, hidden)
        for name in wanted:
            folder = Path(job["out"]) / name
            folder.mkdir(parents=True, exist_ok=True)
            depths, indices = [], []
            for frame in asked:
                go(frame, names.index(name))
                scene.render.filepath = str(folder / f"{frame:06d}.png")
                bpy.ops.render.render(write_still=True)
                if passes:
                    far = inside_passes.read(hidden, "depth")
                    depths.append(np.where(far < _FARTHEST, np.rint(far * 1000), 0).astype(np.uint16))
                    indices.append(np.rint(inside_passes.read(hidden, "object")).astype(np.int16))
            if passes:
                np.savez_compressed(
                    folder / "passes.npz", depth=np.stack(depths), index=np.stack(indices), frame=np.array(asked)
                )
    objects = {thing.name: thing.pass_index for thing in scene.objects if thing.type == "MESH" and thing.pass_index}
    return {"blender": bpy.app.version_string, "cameras": wanted, "frames": asked, "objects": objects}


def main():
    """Do the job named on the command line."""
    job = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    try:
        answer = render(job)
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
