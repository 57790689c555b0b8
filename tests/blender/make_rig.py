"""Runs inside Blender: a small file with a Mixamo-like rig that walks past a crate, seen by four cameras."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

HEADS = {
    "Hips": ((0, 0, 0.95), None), "Spine": ((0, 0, 1.05), "Hips"), "Spine1": ((0, 0, 1.18), "Spine"),
    "Neck": ((0, 0, 1.43), "Spine1"), "Head": ((0, 0, 1.52), "Neck"), "HeadTop_End": ((0, 0, 1.74), "Head"),
    "LeftUpLeg": ((0, 0.1, 0.92), "Hips"), "LeftLeg": ((0.02, 0.1, 0.5), "LeftUpLeg"),
    "LeftFoot": ((0, 0.1, 0.08), "LeftLeg"), "LeftArm": ((0, 0.18, 1.4), "Spine1"),
    "LeftForeArm": ((-0.02, 0.22, 1.12), "LeftArm"), "LeftHand": ((0.03, 0.24, 0.88), "LeftForeArm"),
}  # fmt: skip
for name, ((x, y, z), parent) in list(HEADS.items()):
    if name.startswith("Left"):
        right = parent.replace("Left", "Right") if parent else None
        HEADS[name.replace("Left", "Right")] = ((x, -y, z), right)
RADIUS = {"Hips": 0.14, "Spine": 0.14, "Spine1": 0.15, "Neck": 0.06, "Head": 0.1}
FRAMES = 6


def limb(bone, start, end, radius):
    """A closed tube from start to end that follows a bone."""
    along = Vector(end) - Vector(start)
    bpy.ops.mesh.primitive_cylinder_add(vertices=16, radius=radius, depth=along.length)
    thing = bpy.context.object
    thing.rotation_mode = "QUATERNION"
    thing.rotation_quaternion = along.to_track_quat("Z", "Y")
    thing.location = (Vector(start) + Vector(end)) / 2
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    group = thing.vertex_groups.new(name=f"mixamorig:{bone}")
    group.add(range(len(thing.data.vertices)), 1.0, "REPLACE")
    return thing


def main():
    out = Path(sys.argv[sys.argv.index("--") + 1])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.render.fps = 25
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 1280, 960, 50
    armature = bpy.data.objects.new("Actor", bpy.data.armatures.new("Actor"))
    scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (head, parent) in HEADS.items():
        bone = armature.data.edit_bones.new(f"mixamorig:{name}")
        bone.head, bone.tail = head, np.add(head, (0, 0, 0.05))
        if parent:
            bone.parent = armature.data.edit_bones[f"mixamorig:{parent}"]
    bpy.ops.object.mode_set(mode="OBJECT")
    armature.location = (0.2, 0, 0)
    armature.rotation_euler = (0, 0, 0.3)
    armature.scale = (1.05, 1.05, 1.05)
    bpy.context.view_layer.update()
    children = {}
    for name, (_, parent) in HEADS.items():
        children.setdefault(parent, []).append(name)
    parts = []
    for name, (head, _) in HEADS.items():
        for child in children.get(name, []):
            if "Arm" in child and "Fore" not in child or "UpLeg" in child:
                continue  # shoulders and hips hang on the trunk without a tube of their own
            parts.append(limb(name, head, HEADS[child][0], RADIUS.get(name, 0.05)))
    for thing in parts:
        thing.parent = armature
        thing.modifiers.new("Armature", "ARMATURE").object = armature
    for frame in range(1, FRAMES + 1):
        armature.location.x = 0.2 + 0.05 * frame
        armature.keyframe_insert("location", frame=frame)
        arm = armature.pose.bones["mixamorig:LeftArm"]
        arm.rotation_mode = "XYZ"
        arm.rotation_euler = (0.15 * frame, 0, 0)
        arm.keyframe_insert("rotation_euler", frame=frame)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(1.6, 0, 0.3))
    bpy.context.object.name = "LeftLeg crate"  # a name that must not matter
    bpy.context.object.scale = (0.2, 2.0, 0.6)
    for number, place in enumerate(((5, 0, 1.2), (0, 5, 1.5), (-5, 0, 1.4), (0.5, -4.5, 1.8))):
        camera = bpy.data.objects.new(f"Camera_{number}", bpy.data.cameras.new(f"Camera_{number}"))
        scene.collection.objects.link(camera)
        camera.location = place
        camera.rotation_mode = "QUATERNION"
        camera.rotation_quaternion = (Vector((0, 0, 1)) - Vector(place)).to_track_quat("-Z", "Y")
        camera.data.lens = 35
        camera.data.shift_x = 0.02 * number
    from bpy_extras.object_utils import world_to_camera_view

    heads, seen = [], []
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        world = {n: armature.matrix_world @ armature.pose.bones[f"mixamorig:{n}"].head for n in HEADS}
        heads.append({n: list(p) for n, p in world.items()})
        cameras = [scene.objects[f"Camera_{n}"] for n in range(4)]
        seen.append([{n: list(world_to_camera_view(scene, c, p)) for n, p in world.items()} for c in cameras])
    (out / "truth.json").write_text(json.dumps({"heads": heads, "seen": seen}))
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "walk.blend"))


if __name__ == "__main__":
    main()
