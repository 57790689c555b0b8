"""Runs inside Blender: depth and index passes of a Cycles render, by way of EXR files.

The compositor's interface changed with Blender 5.0; both are served.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

# our name of a pass: the render layer's output, before Blender 5 and since
OUTPUTS = {
    "depth": ("Depth", "Depth"),
    "object": ("IndexOB", "Object Index"),
    "material": ("IndexMA", "Material Index"),
}


def settings(scene, engine, samples):
    """Whole plain pictures, nothing cut, layered over or reused."""
    render = scene.render
    render.engine = {"cycles": "CYCLES", "workbench": "BLENDER_WORKBENCH"}[engine]
    if engine == "cycles":
        scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", int(samples), False
    scene.view_settings.view_transform = "Standard"
    if hasattr(render.image_settings, "media_type"):  # Blender 5: a file set to films offers no pictures
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format = "PNG"
    render.use_border = render.use_crop_to_border = render.use_multiview = render.use_sequencer = False
    render.use_compositing, render.use_persistent_data = engine == "cycles", False


def _nodes(scene):
    """An empty compositor that hands the picture on; returns (tree, render layers)."""
    if hasattr(scene, "compositing_node_group"):
        tree = bpy.data.node_groups.new("passes", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        final = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        final = tree.nodes.new("CompositorNodeComposite")
    source = tree.nodes.new("CompositorNodeRLayers")
    source.layer = bpy.context.view_layer.name
    tree.links.new(source.outputs["Image"], final.inputs[0])
    return tree, source


def wire(scene, folder):
    """All passes of every picture into EXR files in a folder."""
    layer = bpy.context.view_layer
    layer.use_pass_z = layer.use_pass_object_index = layer.use_pass_material_index = True
    tree, source = _nodes(scene)
    outputs = {output.name: output for output in source.outputs}
    for name, spelt in OUTPUTS.items():
        target = tree.nodes.new("CompositorNodeOutputFile")
        if hasattr(target, "file_output_items"):
            target.directory, target.file_name = str(folder), f"{name}_"
            target.format.media_type = "IMAGE"
            target.file_output_items.clear()
            target.file_output_items.new("FLOAT", name)
        else:
            target.base_path = str(folder)
            target.file_slots.clear()
            target.file_slots.new(f"{name}_")
        target.format.file_format, target.format.color_depth, target.format.color_mode = "OPEN_EXR", "32", "RGB"
        output = next(outputs[spelling] for spelling in spelt if spelling in outputs)
        tree.links.new(output, target.inputs[0])


def read(folder, name):
    """(H, W) float32 of one pass of the picture rendered last, top row first; its file is used up."""
    path = next(Path(folder).glob(f"{name}_*.exr"))
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    path.unlink()
    return pixels.reshape(height, width, -1)[::-1, :, 0]
