"""Runs inside Blender: small files with one skinned mesh on a rig of a studio's own names, and files that are wrong.

``skin.blend``: the body of `make_rig` as one mesh with blended weights, walking past a crate, a door with an armature
of its own, in centimetres, a picture of odd size at half of its resolution; ``truth.json`` has the joints. Beside it
``numbered.blend`` (the bones are only numbered), ``two.blend`` (both rigs, one behind the other), ``inside.blend`` (a
camera in the chest), ``empty.blend`` (no armature), ``blind.blend`` (no camera), ``broken.blend`` and ``half.blend``;
where Blender brings the add-on, ``rigify.blend`` (a generated control rig without a mesh).
"""

import json
import os
import sys
from pathlib import Path

import bpy
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_rig import HEADS, RADIUS, limb

OWN = {
    "Hips": "Hero_Pelvis", "Spine": "Hero_Back", "Spine1": "Hero_Chest", "Neck": "Hero_Neck", "Head": "Hero_Head",
    "HeadTop_End": "Hero_Crown", "UpLeg": "Hero_UpLeg_{}", "Leg": "Hero_LowLeg_{}", "Foot": "Hero_Ankle_{}",
    "Arm": "Hero_UpArm_{}", "ForeArm": "Hero_Elbow_{}", "Hand": "Hero_Wrist_{}",
}  # fmt: skip
FRAMES = 3
CM = 100


def own(name):
    for side in ("Left", "Right"):
        if name.startswith(side):
            return OWN[name[len(side) :]].format(side[0])
    return OWN[name]


def rig(scene, names, called="Hero"):
    armature = bpy.data.objects.new(called, bpy.data.armatures.new(called))
    scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (head, parent) in HEADS.items():
        bone = armature.data.edit_bones.new(names[name])
        bone.head = Vector(head) * CM
        bone.tail = bone.head + Vector((0, 0, 0.05 if name != "Head" else 0.2)) * CM
        if "Foot" in name:
            bone.tail = bone.head + Vector((0.15, 0, -0.05)) * CM
        if parent:
            bone.parent = armature.data.edit_bones[names[parent]]
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def skin(armature, names):
    """All limbs as one mesh; a vertex follows its own bone most, and the one above it a little."""
    parts = []
    for name, (head, parent) in HEADS.items():
        for child in [c for c, (_, above) in HEADS.items() if above == name]:
            if ("Arm" in child and "Fore" not in child) or "UpLeg" in child:
                continue
            thing = limb(name, Vector(head) * CM, Vector(HEADS[child][0]) * CM, RADIUS.get(name, 0.05) * CM)
            thing.vertex_groups.clear()
            every = range(len(thing.data.vertices))
            thing.vertex_groups.new(name=names[name]).add(every, 0.6, "REPLACE")
            thing.vertex_groups.new(name="a group of no bone").add(every, 1.0, "REPLACE")
            if parent:
                thing.vertex_groups.new(name=names[parent]).add(every, 0.4, "REPLACE")
            parts.append(thing)
    bpy.ops.object.select_all(action="DESELECT")
    for thing in parts:
        thing.select_set(True)
    bpy.context.view_layer.objects.active = parts[0]
    bpy.ops.object.join()
    body = bpy.context.object
    body.name = "skin"
    cloth = [bpy.data.materials.new("jacket"), bpy.data.materials.new("trousers")]
    for material, colour in zip(cloth, ((0.8, 0.2, 0.2, 1), (0.2, 0.3, 0.8, 1))):  # noqa: B905
        material.diffuse_color = colour
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = colour
        material.pass_index = 77  # somebody else's number must not be taken for a part
        body.data.materials.append(material)
    for polygon in body.data.polygons:
        polygon.material_index = int(polygon.center.z < 0.95 * CM)
    body.parent = armature
    body.modifiers.new("Armature", "ARMATURE").object = armature
    return body


def camera(scene, name, place, aim=(0, 0, 100)):
    made = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    scene.collection.objects.link(made)
    made.location = place
    made.rotation_mode = "QUATERNION"
    made.rotation_quaternion = (Vector(aim) - Vector(place)).to_track_quat("-Z", "Y")
    made.data.lens, made.data.clip_end = 40, 5000
    return made


def build(names):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.unit_settings.scale_length = 0.01
    scene.frame_start, scene.frame_end, scene.render.fps = 1, FRAMES, 20
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 643, 963, 50
    scene.render.use_border, scene.render.use_crop_to_border = True, True
    scene.render.border_max_x = 0.5  # a preview of the artist's
    armature = rig(scene, names)
    skin(armature, names)
    for frame in range(1, FRAMES + 1):
        armature.location.x = 5 * frame
        armature.keyframe_insert("location", frame=frame)
    armature.hide_viewport = True
    door = bpy.data.objects.new("Door", bpy.data.armatures.new("Door"))
    scene.collection.objects.link(door)
    bpy.context.view_layer.objects.active = door
    bpy.ops.object.mode_set(mode="EDIT")
    door.data.edit_bones.new("hinge").tail = (0, 0, 10)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.mesh.primitive_cube_add(size=1, location=(200, 0, 30))
    bpy.context.object.name, bpy.context.object.scale = "panel", (10, 200, 60)
    bpy.context.object.parent = door
    bpy.ops.mesh.primitive_cube_add(size=400, location=(0, 0, 100))
    bpy.context.object.name = "guide"  # an artist's box round everything, which no render shows
    bpy.context.object.hide_render = True
    lamp = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    lamp.rotation_euler, lamp.data.energy = (0.3, 1.0, 0), 3.0
    scene.collection.objects.link(lamp)
    camera(scene, "Front", (450, 30, 130))
    camera(scene, "Back", (-450, 60, 120))
    return scene, armature


def control_rig():
    """Rigify's basic human, generated; False where the add-on is not there."""
    import addon_utils

    bpy.ops.wm.read_factory_settings(use_empty=True)
    if addon_utils.enable("rigify", default_set=True) is None:
        return False
    bpy.ops.object.armature_basic_human_metarig_add()
    plan = bpy.context.object
    bpy.ops.pose.rigify_generate()
    bpy.data.objects.remove(plan)
    camera(bpy.context.scene, "Front", (0, -4, 1), (0, 0, 1))
    bpy.context.scene.frame_end = 1
    return True


def main():
    out = Path(sys.argv[sys.argv.index("--") + 1])

    def save(name):
        bpy.ops.wm.save_as_mainfile(filepath=str(out / name))

    numbers = {name: f"Bone.{n:03d}" for n, name in enumerate(HEADS)}
    build(numbers)
    save("numbered.blend")
    scene, _ = build({name: own(name) for name in HEADS})
    extra = rig(scene, numbers, "Extra")
    skin(extra, numbers)
    extra.location = (-150, 0, 0)  # behind the hero, as the camera in front sees it
    save("two.blend")
    scene, armature = build({name: own(name) for name in HEADS})
    save("skin.blend")
    heads = []
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        heads.append({n: [(h[0] * CM + 5 * frame) / CM, h[1], h[2]] for n, (h, _) in HEADS.items()})
    (out / "truth.json").write_text(json.dumps({"heads": heads, "numbers": numbers}))
    scene.objects["Back"].location = (5, 2, 125)
    save("inside.blend")
    for thing in list(scene.objects):
        if thing.type == "CAMERA":
            bpy.data.objects.remove(thing)
    save("blind.blend")
    for thing in list(scene.objects):
        if thing.type == "ARMATURE":
            bpy.data.objects.remove(thing)
    camera(scene, "Front", (450, 30, 130))
    save("empty.blend")
    whole = (out / "skin.blend").read_bytes()
    (out / "broken.blend").write_bytes(b"BLENDER" + bytes(range(200)) * 5)
    (out / "half.blend").write_bytes(whole[: len(whole) // 2])
    if control_rig():
        save("rigify.blend")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender 4.5 may hang on its way out once an add-on was switched on
