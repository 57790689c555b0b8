"""Runs inside Blender: frames of a scene as pictures, depth, and maps of objects, people and body parts.

The scene is one of ours (``exchange``: meshes, cameras; a floor, a sun and
plain colours are put in) or a .blend file as it is (``blend``), seen by its
own cameras. Cycles on the processor gives all; Workbench is quicker and gives
pictures alone.

Objects are told by their index pass. In our scenes each is one part of a body.
In a .blend file a body is one mesh or several: a face's part is that of the
bones that weigh most on its corners, and it reaches the picture as the number
of its material, of which every part gets a copy of its own. So it is as sharp
as the render, and looks stay as they are. Materials that geometry nodes set
are not divided.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

# Blender runs this file alone, outside of any package
sys.path.insert(0, str(Path(__file__).resolve().parent))

import inside_passes
from inside_file import Refused, carrier, chosen, frame_range, objects, open_file, part_of_faces, serve
from inside_scene import build, pose

_SKINS = ((0.80, 0.58, 0.42, 1), (0.42, 0.58, 0.80, 1), (0.60, 0.72, 0.42, 1))
_THING = (0.35, 0.28, 0.22, 1)
_FARTHEST = 65.0  # metres; depth beyond it does not fit the file and is 0
_MOST_BYTES = 4_000_000_000  # of one camera's maps, which are held until they are written


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
    aspect = float(intrinsic[0, 0]) / float(intrinsic[1, 1])  # of a pixel's height to its width
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1 / aspect), max(1.0, aspect)
    lens.shift_x = (width / 2 - float(intrinsic[0, 2])) / width
    lens.shift_y = (float(intrinsic[1, 2]) - height / 2) * aspect / width
    lens.clip_start, lens.clip_end = 0.01, 200.0
    turn = np.asarray(rotation) * np.array([[1], [-1], [-1]])  # Blender looks along -z, y up
    pose_matrix = np.eye(4)
    pose_matrix[:3, :3] = turn.T
    pose_matrix[:3, 3] = -np.asarray(rotation).T @ np.asarray(translation)
    camera.matrix_world = Matrix(pose_matrix.tolist())


def from_exchange(job):
    """Our scene, see `Shown`."""
    with np.load(job["exchange"], allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    things = build(data)
    owner = data["owner"].tolist()
    dress(things, owner)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera = camera

    def go(frame, which):
        pose(things, data, frame)
        set_camera(camera, data["K"][which], data["size"][which], data["R"][which, frame], data["t"][which, frame])

    named = [f"person {whose + 1}: {part}" if whose >= 0 else str(part) for part, whose in zip(data["part"], owner)]  # noqa: B905
    return Shown(
        [str(name) for name in data["cameras"]], list(range(int(data["frames"]))), go, float(data["fps"]),
        ["", *named], [-1, *owner], [f"person {n + 1}" for n in range(max(owner, default=-1) + 1)],
        [0, *data["part_number"].tolist()],
    )  # fmt: skip


def divide(thing, numbers):
    """Give every part of a body its own copies of a mesh's materials, numbered after it."""
    if thing.data.users > 1 or thing.data.library is not None:
        thing.data = thing.data.copy()
    mesh = thing.data
    parts = part_of_faces(thing, mesh, numbers)
    kept = [slot.material for slot in thing.material_slots]
    plain = None
    slots, place = {}, []
    for polygon, part in zip(mesh.polygons, parts):  # noqa: B905
        slot = min(polygon.material_index, max(len(kept) - 1, 0))
        place.append(slots.setdefault((slot, part), len(slots)))
    for slot in thing.material_slots:
        slot.link = "DATA"
    mesh.materials.clear()
    for slot, part in slots:
        look = kept[slot] if kept else None
        if look is None:
            plain = plain or material("no material", (0.8, 0.8, 0.8, 1))
            look = plain
        copy = look.copy()
        copy.pass_index = part
        mesh.materials.append(copy)
    mesh.polygons.foreach_set("material_index", place)
    mesh.update()


def from_blend(job):
    """Somebody's file, see `Shown`."""
    scene = open_file(job["blend"])
    cameras = chosen("CAMERA", [])
    for look in bpy.data.materials:
        look.pass_index = 0
    bpy.context.view_layer.material_override = None
    numbers = {body["armature"]: body["parts"] for body in job["bodies"]}
    people = list(numbers)
    for thing in scene.objects:
        thing.pass_index = 0
    named, owner = [""], [-1]
    for thing in objects("MESH"):
        if thing.hide_render:
            continue
        thing.pass_index = len(named)
        whose = carrier(thing)
        named.append(thing.name)
        owner.append(people.index(whose.name) if whose is not None and whose.name in numbers else -1)
        if owner[-1] >= 0 and job["engine"] == "cycles":
            divide(thing, numbers[whose.name])

    def go(frame, which):
        scene.frame_set(frame)
        scene.camera = cameras[which]

    fps = scene.render.fps / scene.render.fps_base
    return Shown([camera.name for camera in cameras], frame_range(scene, None, None), go, fps, named, owner, people)


class Shown:
    """A scene that stands ready.

    ``go(frame, camera)`` sets it; the others are names of cameras, frame numbers, frames per second, names of objects
    and the person each belongs to (-1 for none) by their number, and names of people. ``parts`` is the body part by
    object's number, where an object is one part; else parts come from the numbers of materials.
    """

    def __init__(self, cameras, frames, go, fps, objects, owner, people, parts=None):
        self.cameras, self.frames, self.go, self.fps = cameras, frames, go, fps
        self.objects, self.owner, self.people = objects, owner, people
        self.parts = None if parts is None else np.array(parts, np.uint8)

    def maps(self, folder, metres):
        """(H, W) depth in millimetres, object and part of the picture rendered last."""
        far = inside_passes.read(folder, "depth") * metres
        depth = np.where(far < _FARTHEST, np.rint(far * 1000), 0).astype(np.uint16)
        index = np.rint(inside_passes.read(folder, "object")).astype(np.int16)
        part = np.rint(inside_passes.read(folder, "material")).astype(np.uint8)
        return depth, index, part if self.parts is None else self.parts[index]


def render(job):
    """Every camera and frame asked for."""
    shown = from_blend(job) if job.get("blend") else from_exchange(job)
    scene = bpy.context.scene
    inside_passes.settings(scene, job["engine"], job["samples"])
    if job["engine"] == "workbench":
        scene.display.shading.color_type = "MATERIAL"
    wanted = job["cameras"] or shown.cameras
    unknown = [name for name in wanted if name not in shown.cameras]
    if unknown:
        raise Refused(f"No camera is called {', '.join(unknown)}. There are: {', '.join(shown.cameras)}.")
    asked = shown.frames[:: job["every"]][: job["most"]]
    passes = job["engine"] == "cycles"
    with tempfile.TemporaryDirectory() as hidden:
        if passes:
            inside_passes.wire(scene, hidden)
        for name in wanted:
            folder = Path(job["out"]) / name
            folder.mkdir(parents=True, exist_ok=True)
            maps = []
            for frame in asked:
                shown.go(frame, shown.cameras.index(name))
                scene.render.filepath = str(folder / f"{frame:06d}.png")
                bpy.ops.render.render(write_still=True)
                if passes:
                    maps.append(shown.maps(hidden, job["metres"]))
                    size = sum(one.nbytes for one in maps[0]) * len(asked)
                    if size > _MOST_BYTES:
                        raise Refused(f"{len(asked)} frames of camera '{name}' are {size / 1e9:.0f} GB of maps. "
                                      "Take fewer with --every or --most.")  # fmt: skip
            if passes:
                depth, index, part = (np.stack(one) for one in zip(*maps))  # noqa: B905
                np.savez_compressed(
                    folder / "passes.npz", depth=depth, index=index, part=part, frame=np.array(asked),
                    objects=np.array(shown.objects), owner=np.array(shown.owner, np.int16),
                    people=np.array(shown.people, str), parts=np.array(["", *job["parts"]]),
                )  # fmt: skip
    lit = scene.world is not None or any(thing.type == "LIGHT" for thing in scene.objects)
    remarks = [] if lit or not passes else ["the scene has no lamp and no sky: its pictures may be black"]
    return {"blender": bpy.app.version_string, "remarks": remarks, "cameras": wanted, "frames": asked, "fps": shown.fps,
            "objects": {name: number for number, name in enumerate(shown.objects) if name},
            "people": shown.people}  # fmt: skip


if __name__ == "__main__":
    serve(render)
