"""Runs inside Blender: 3D, 2D, cameras and occlusion labels out of a .blend file with an armature.

What BlendMimic3D's extractor does, without its bugs: any name of objects (the
part that a ray meets is told by the weights of the mesh, or by the bone that
an object hangs on), rays end at the joint, cameras and armatures are taken in
world axes after all constraints, the picture's percentage counts, every frame
of the range is in its place, and several people and armatures are kept apart.
Scripts of the file are not run. Left out: lens shift by sensor fit "AUTO" of
images higher than wide is handled, lens distortion and panoramas are not.

A joint is hidden when the ray from the camera meets something before it that
is not a part it lies in: 1 the own body (up to the slack before the joint), 2
a thing, 4 another armature's body, 3 outside of the image.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

VISIBLE, BY_SELF, BY_OBJECT, OUT, BY_PERSON = 0, 1, 2, 3, 4
_ON, _MOST = 1e-4, 64

# our joint: names of bones whose head it is, in order of preference (case, prefixes and punctuation do not count)
BONES = {
    "pelvis": ("hips", "pelvis", "root"),
    "r_hip": ("rightupleg", "thighr", "upperlegr", "rthigh", "righthip"),
    "r_knee": ("rightleg", "shinr", "calfr", "lowerlegr", "rshin", "rightknee"),
    "r_ankle": ("rightfoot", "footr", "rfoot", "rightankle"),
    "l_hip": ("leftupleg", "thighl", "upperlegl", "lthigh", "lefthip"),
    "l_knee": ("leftleg", "shinl", "calfl", "lowerlegl", "lshin", "leftknee"),
    "l_ankle": ("leftfoot", "footl", "lfoot", "leftankle"),
    "spine": ("spine1", "spine001", "spine01", "spine"),
    "thorax": ("neck", "neck1", "neck01", "spine004"),
    "nose": ("head", "spine006"),
    "head_top": ("headtopend", "headend", "headtop"),
    "l_shoulder": ("leftarm", "upperarml", "larm", "leftshoulderjoint"),
    "l_elbow": ("leftforearm", "forearml", "lowerarml", "leftelbow"),
    "l_wrist": ("lefthand", "handl", "lhand", "leftwrist"),
    "r_shoulder": ("rightarm", "upperarmr", "rarm", "rightshoulderjoint"),
    "r_elbow": ("rightforearm", "forearmr", "lowerarmr", "rightelbow"),
    "r_wrist": ("righthand", "handr", "rhand", "rightwrist"),
}
# bones whose flesh a joint lies in, beside the bone that it begins and that bone's parent
_MORE = {"pelvis": ("spine", "leftupleg", "rightupleg"), "l_hip": ("hips",), "r_hip": ("hips",)}


class Refused(Exception):
    """The file or the job is impossible; said to the user."""


def plain(name):
    """A bone's name without rig prefix, case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.split(":")[-1].lower())


def joints_of(armature):
    """(joint, bone, at its tail) in our order.

    Raises Refused with the bones that are there if one is missing.
    """
    known = {plain(bone.name): bone.name for bone in armature.pose.bones}
    found, lacking = [], []
    for joint, names in BONES.items():
        bone = next((known[name] for name in names if name in known), None)
        if bone is not None:
            found.append((joint, bone, False))
        elif joint == "head_top" and any(name in known for name in BONES["nose"]):
            found.append((joint, next(known[n] for n in BONES["nose"] if n in known), True))  # the head's other end
        else:
            lacking.append(joint)
    if lacking:
        raise Refused(
            f"Armature '{armature.name}' lacks bones for {', '.join(lacking)}. It has: "
            f"{', '.join(bone.name for bone in list(armature.pose.bones)[:40])}. Name bones like Mixamo's or Rigify's."
        )
    return found


def own_bones(armature, joint, bone):
    """Bones whose flesh may lie over a joint without hiding it."""
    pose = armature.pose.bones[bone]
    names = {bone, *(_MORE.get(joint, ()))}
    if pose.parent is not None:
        names.add(pose.parent.name)
    known = {plain(b.name): b.name for b in armature.pose.bones}
    return {known.get(plain(name), name) for name in names}


def chosen(kind, wanted):
    """Objects of a kind by name, all in order of name if none were named."""
    there = {thing.name: thing for thing in bpy.context.scene.objects if thing.type == kind}
    if not there:
        raise Refused(f"The scene has no {kind.lower()}.")
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise Refused(f"No {kind.lower()} is called {', '.join(unknown)}. There are: {', '.join(sorted(there))}.")
    return [there[name] for name in (wanted or sorted(there))]


def carrier(thing):
    """The armature that moves a mesh, or None."""
    for modifier in thing.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            return modifier.object
    above = thing.parent
    while above is not None:
        if above.type == "ARMATURE":
            return above
        above = above.parent
    return None


def bone_of_faces(thing, evaluated):
    """The bone that each face of an evaluated mesh follows most, as names; None where no weight says."""
    if thing.parent_type == "BONE" and thing.parent_bone:
        return thing.parent_bone
    names = [group.name for group in thing.vertex_groups]
    mesh = evaluated.data
    best = []
    for vertex in mesh.vertices:
        groups = [(g.weight, g.group) for g in vertex.groups if g.group < len(names)]
        best.append(names[max(groups)[1]] if groups else None)
    faces = []
    for polygon in mesh.polygons:
        said = [best[v] for v in polygon.vertices]
        faces.append(max(set(said), key=said.count))
    return faces


def intrinsics(scene, camera):
    """K (3, 3) and (width, height) in pixels."""
    render = scene.render
    scale = render.resolution_percentage / 100
    width, height = round(render.resolution_x * scale), round(render.resolution_y * scale)
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


def hides(scene, graph, eye, aim, person, own, faces, carriers, slack):
    """Label of one joint, and the object that hides it ('' for none)."""
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
        name = thing.original.name if thing.original is not None else thing.name
        whose = carriers.get(name)
        if whose is None:
            return BY_OBJECT, name
        if whose != person:
            return BY_PERSON, name
        known = faces.get(name)
        bone = known if isinstance(known, str) else known[face] if known is not None and face < len(known) else None
        if at < far - slack and bone not in own:
            return BY_SELF, name
        gone = at + _ON
    return VISIBLE, ""


def extract(job):
    """Everything out of one file."""
    try:
        bpy.ops.wm.open_mainfile(filepath=job["blend"], load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise Refused(f"Blender cannot open '{Path(job['blend']).name}': {' '.join(str(error).split())}") from None
    scene = bpy.context.scene
    armatures, cameras = chosen("ARMATURE", job["armatures"]), chosen("CAMERA", job["cameras"])
    joints = [joints_of(armature) for armature in armatures]
    own = [[own_bones(a, joint, bone) for joint, bone, _ in rows] for a, rows in zip(armatures, joints)]  # noqa: B905
    first = scene.frame_start if job["first"] is None else job["first"]
    last = scene.frame_end if job["last"] is None else job["last"]
    frames = list(range(first, last + 1))
    if not frames or len(frames) > 200_000:
        raise Refused(f"Wanted frames {first} to {last}: none, or more than 200000.")
    meshes = [thing for thing in scene.objects if thing.type == "MESH" and not thing.hide_render]
    carriers = {t.name: carrier(t).name for t in meshes if carrier(t) is not None}
    faces = {}
    shape = (len(armatures), len(frames), 17)
    world = np.zeros((*shape, 3))
    kind = np.zeros((len(armatures), len(cameras), len(frames), 17), np.int8)
    pixels = np.full((*kind.shape, 2), np.nan)
    inner = np.zeros((len(cameras), 3, 3))
    turn, shift = np.zeros((len(cameras), len(frames), 3, 3)), np.zeros((len(cameras), len(frames), 3))
    sizes = []
    for step, frame in enumerate(frames):
        scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        if step == 0:
            faces = {t.name: bone_of_faces(t, t.evaluated_get(graph)) for t in meshes if t.name in carriers}
        for person, armature in enumerate(armatures):
            posed = armature.evaluated_get(graph)
            for place, (_, bone, tail) in enumerate(joints[person]):
                b = posed.pose.bones[bone]
                world[person, step, place] = posed.matrix_world @ (b.tail if tail else b.head)
        for number, camera in enumerate(cameras):
            seen = camera.evaluated_get(graph)
            inner[number], size = intrinsics(scene, seen)
            turn[number, step], shift[number, step] = extrinsics(seen.matrix_world)
            eye = seen.matrix_world.translation
            if step == 0:
                sizes.append(size)
            for person, armature in enumerate(armatures):
                points = world[person, step] @ turn[number, step].T + shift[number, step]
                ahead = points[:, 2] > 1e-6
                at = (points @ inner[number].T)[:, :2] / np.where(ahead, points[:, 2], np.nan)[:, None]
                pixels[person, number, step] = at
                inside = ahead & (at >= 0).all(-1) & (at[:, 0] <= size[0]) & (at[:, 1] <= size[1])
                for place in range(17):
                    if not inside[place]:
                        kind[person, number, step, place] = OUT
                        continue
                    aim = Vector(world[person, step, place].tolist())
                    kind[person, number, step, place], _ = hides(
                        scene, graph, eye, aim, armature.name, own[person][place], faces, carriers, job["slack"]
                    )
    np.savez_compressed(
        job["out"], positions_3d=world.astype(np.float32), kind=kind,
        positions_2d=np.nan_to_num(pixels).astype(np.float32),
        K=inner, R=turn, t=shift, size=np.array(sizes), fps=np.array(scene.render.fps / scene.render.fps_base),
        joints=np.array(list(BONES)), cameras=np.array([c.name for c in cameras]),
        people=np.array([a.name for a in armatures]), frame=np.array(frames),
        kinds=np.array(["visible", "self", "object", "out_of_frame", "person"]),
    )  # fmt: skip
    return {
        "blender": bpy.app.version_string, "people": [a.name for a in armatures], "cameras": [c.name for c in cameras],
        "frames": len(frames), "hidden": float((kind > 0).mean()),
        "bones": {a.name: {j: b for j, b, _ in rows} for a, rows in zip(armatures, joints)},  # noqa: B905
    }  # fmt: skip


def main():
    """Do the job named on the command line."""
    job = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    try:
        answer = extract(job)
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
