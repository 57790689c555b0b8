"""Runs inside Blender: a scene of meshes rebuilt, then asked with rays.

Started by `posemend.blender.launch` with a job (JSON): ``exchange`` the meshes
(``.npz``, see `posemend.blender.exchange`), rule and slack, and where to write.
Knows nothing of posemend but that file.

It is the plain loop that labels by Blender are made with: for every frame,
camera and joint ``scene.ray_cast``, on through parts that the joint lies in.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

_ON = 1e-4  # metres past a hit from which the ray goes on
_MOST = 64  # hits of one ray


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


def main():
    """Do the job named on the command line."""
    job = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    with np.load(job["exchange"], allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    Path(job["answer"]).write_text(json.dumps(rays(job, data)), encoding="utf-8")


if __name__ == "__main__":
    main()
