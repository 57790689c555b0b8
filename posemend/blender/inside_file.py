"""Runs inside Blender: what the scripts here that open somebody's .blend file have in common.

A file is opened without running its scripts and brought to how it would be
rendered: what the render leaves out is left out, what only the artist's window
hides is there, and hidden armatures move.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy


class Refused(Exception):
    """The file or the job is impossible; said to the user."""


def open_file(path):
    """Open a .blend file as it would be rendered; returns its scene.

    Raises Refused if Blender cannot read it.
    """
    name = Path(path).name
    try:
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise Refused(f"Blender cannot open '{name}': {' '.join(str(error).split())}") from None
    scene = bpy.context.scene
    if scene is None or Path(bpy.data.filepath).name != name:
        raise Refused(f"Blender cannot open '{name}': it holds no scene.")
    for collection in bpy.data.collections:
        collection.hide_viewport = collection.hide_render
    for thing in bpy.context.view_layer.objects:
        # rays and evaluation go by the window's flags, pictures by the render's
        thing.hide_viewport = thing.hide_render and thing.type not in ("ARMATURE", "CAMERA")
        thing.hide_set(False)
        for modifier in thing.modifiers:
            modifier.show_viewport = modifier.show_render
    bpy.context.view_layer.update()
    return scene


def objects(kind):
    """The render layer's objects of a kind, in order of name; what is excluded from it does not move."""
    return sorted((t for t in bpy.context.view_layer.objects if t.type == kind), key=lambda thing: thing.name)


def chosen(kind, wanted):
    """Objects of a kind by name, all in order of name if none were named."""
    there = {thing.name: thing for thing in objects(kind)}
    if not there:
        kinds = sorted({thing.type.lower() for thing in bpy.context.scene.objects})
        raise Refused(f"The scene has no {kind.lower()}. It has: {', '.join(kinds) or 'nothing'}.")
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise Refused(f"No {kind.lower()} is called {', '.join(unknown)}. There are: {', '.join(there)}.")
    return [there[name] for name in (wanted or there)]


def frame_range(scene, first, last):
    """Frame numbers asked for, the scene's own where nothing was."""
    first = scene.frame_start if first is None else first
    last = scene.frame_end if last is None else last
    if not 1 <= last - first + 1 <= 200_000:
        raise Refused(f"Wanted frames {first} to {last}: none, or more than 200000.")
    return list(range(first, last + 1))


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


def part_of_faces(thing, mesh, numbers):
    """The body part of each face: that whose bones weigh most on its corners.

    Args:
        thing: The object, whose vertex groups are meant.
        mesh: Its mesh, as it is or evaluated.
        numbers: Part by bone.

    Returns:
        One number a face; 0 where no weight says.
    """
    if thing.parent_type == "BONE" and thing.parent_bone and not thing.vertex_groups:
        return [numbers.get(thing.parent_bone, 0)] * len(mesh.polygons)
    group = [numbers.get(group.name, 0) for group in thing.vertex_groups]
    shares = []
    for vertex in mesh.vertices:
        share = {}
        for weight in vertex.groups:
            part = group[weight.group] if weight.group < len(group) else 0
            if part:
                share[part] = share.get(part, 0.0) + weight.weight
        shares.append(share)
    faces = []
    for polygon in mesh.polygons:
        total = {}
        for corner in polygon.vertices:
            for part, weight in shares[corner].items():
                total[part] = total.get(part, 0.0) + weight
        faces.append(max(sorted(total), key=total.__getitem__) if total and max(total.values()) > 0 else 0)
    return faces


def serve(work):
    """Do the job named on the command line with ``work(job)``, and write its answer."""
    job = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    try:
        answer = work(job)
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")
