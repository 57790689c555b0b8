"""Runs inside Blender: which armatures a .blend file has, their bones at rest and in a few frames.

From it `posemend.datasets.bone_map` finds which bone is which joint.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np

# Blender runs this file alone, outside of any package
sys.path.insert(0, str(Path(__file__).resolve().parent))

from inside_file import carrier, chosen, frame_range, objects, open_file, serve

_FRAMES = 9  # as many frames show which way knees and elbows bend


def listing(job):
    """Bones of all armatures; matrices (bone to world, in Blender's units) go to ``job["out"]``."""
    scene = open_file(job["blend"])
    # for pictures a scene without a person is no mistake
    armatures = chosen("ARMATURE", []) if job["wanted"] else objects("ARMATURE")
    frames = frame_range(scene, job["first"], job["last"])
    frames = sorted({frames[round(n)] for n in np.linspace(0, len(frames) - 1, _FRAMES)})
    meshes = [thing for thing in objects("MESH") if not thing.hide_render]
    carriers = [carrier(thing) for thing in meshes]
    arrays, said = {}, []
    for number, armature in enumerate(armatures):
        bones = list(armature.data.bones)
        bones.sort(key=lambda bone: len(bone.parent_recursive))  # parents first
        place = {bone.name: n for n, bone in enumerate(bones)}
        arrays[f"rest_{number}"] = np.zeros((len(bones), 4, 4))
        arrays[f"posed_{number}"] = np.zeros((len(frames), len(bones), 4, 4))
        arrays[f"length_{number}"] = np.array([bone.length for bone in bones])
        said.append({
            "name": armature.name, "bones": list(place), "deform": [bool(bone.use_deform) for bone in bones],
            "parents": [place[bone.parent.name] if bone.parent else -1 for bone in bones],
            "meshes": [thing.name for thing, whose in zip(meshes, carriers) if whose == armature],  # noqa: B905
        })  # fmt: skip
    for step, frame in enumerate(frames):
        scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        for number, armature in enumerate(armatures):
            posed = armature.evaluated_get(graph)
            for n, name in enumerate(said[number]["bones"]):
                arrays[f"posed_{number}"][step, n] = posed.matrix_world @ posed.pose.bones[name].matrix
                if step == 0:
                    rest = posed.matrix_world @ armature.data.bones[name].matrix_local
                    arrays[f"rest_{number}"][n] = rest
    np.savez(job["out"], **arrays)
    return {"armatures": said, "metres": float(scene.unit_settings.scale_length), "frames": frames}


if __name__ == "__main__":
    serve(listing)
