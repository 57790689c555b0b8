"""Pictures of a made-up scene: joints coloured by what hides them, as a sheet, a short film, and histograms.

The background is the scene's own depth map, shaded, so that what hides a joint
can be seen to hide it. Plain arrays come in; nothing here knows files of data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.skeleton import Skeleton
from posemend.errors import InputError, require
from posemend.geometry.camera import Camera
from posemend.occlusion.depth_sensor import depth_map
from posemend.occlusion.labels import KINDS, View
from posemend.occlusion.solids import NOBODY, Solids

COLOURS = {
    "visible": (46, 160, 67), "self": (230, 159, 0), "object": (204, 51, 51), "person": (148, 87, 235),
    "out_of_frame": (120, 120, 120),
}  # fmt: skip
_PEOPLE = ((222, 184, 150), (150, 184, 222), (190, 214, 150))
_THING, _GROUND, _SKY = (150, 130, 110), (206, 206, 200), (236, 240, 244)
MOST_FRAMES = 2000
FILMS = (".gif", ".webp", ".mp4")


@dataclass(frozen=True, eq=False)
class Shot:
    """One camera's look at a scene.

    Attributes:
        name: Said above the picture.
        view: The camera.
        solids: Bodies and things.
        people: (T, J, 3) world metres each.
        kinds: (T, J) labels each.
        skeleton: Whose joints these are.
    """

    name: str
    view: View
    solids: Solids
    people: Sequence[NDArray[np.floating]]
    kinds: Sequence[NDArray[np.int8]]
    skeleton: Skeleton


def frame_picture(shot: Shot, frame: int, width: int = 480) -> NDArray[np.uint8]:
    """(H, W, 3) one frame, ``width`` pixels wide: shaded solids, bones, joints by label."""
    from PIL import Image, ImageDraw

    lens = shot.view.at(frame)
    scale = width / lens.width
    height = max(1, round(lens.height * scale))
    small = Camera(
        (lens.focal[0] * scale, lens.focal[1] * scale), (lens.centre[0] * scale, lens.centre[1] * scale),
        width, height, lens.rotation, lens.translation,
    )  # fmt: skip
    found = depth_map(shot.solids, small, frame)
    slope = np.gradient(np.where(found.depth > 0, found.depth, 50.0))[1]  # light from the side
    light = 0.78 + 0.22 * np.clip(slope * small.focal[0] / 2 / np.maximum(found.depth, 0.5), -1, 1)
    palette = np.array(
        [_THING if owner == NOBODY else _PEOPLE[owner % len(_PEOPLE)] for owner in shot.solids.owner], float
    )
    flat = np.where(found.solid[..., None] >= 0, palette[np.maximum(found.solid, 0)], _GROUND)
    flat[found.solid == -1] = _SKY
    light[found.solid < 0] = 1
    image = Image.fromarray((flat * light[..., None]).clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    colour = {number: COLOURS[name] for name, number in KINDS.items()}
    radius = max(2, width // 160)
    for points, kind in zip(shot.people, shot.kinds, strict=True):
        pixels = small.project(small.to_camera(points[frame]))
        there = np.asarray(np.isfinite(pixels).all(-1) & (np.abs(pixels) < 10 * width).all(-1))
        for a, b in shot.skeleton.bone_indices:
            if there[a] and there[b]:
                pen.line([tuple(pixels[a]), tuple(pixels[b])], fill=(70, 70, 70), width=1)
        for at, ok, what in zip(pixels, there, kind[frame], strict=True):
            if ok:
                x, y = at
                pen.ellipse(
                    (x - radius, y - radius, x + radius, y + radius), fill=colour[int(what)], outline=(255, 255, 255)
                )
    return np.asarray(image)


def tiled(shots: Sequence[Shot], frame: int, width: int = 360) -> NDArray[np.uint8]:
    """(H, W, 3) all cameras at one moment, two beside each other."""
    pictures = [frame_picture(shot, frame, width) for shot in shots]
    high = max(len(picture) for picture in pictures)
    tiles = [np.pad(p, ((0, high - len(p)), (0, 0), (0, 0)), constant_values=255) for p in pictures]
    if len(tiles) % 2 and len(tiles) > 1:
        tiles.append(np.full_like(tiles[0], 255))
    rows = [np.concatenate(tiles[n : n + 2], 1) for n in range(0, len(tiles), 2)]
    whole = np.concatenate(rows, 0)
    return whole[: len(whole) // 2 * 2, : whole.shape[1] // 2 * 2]  # films want even sizes


def film(path: Path, shots: Sequence[Shot], fps: float, frames: int, width: int = 360) -> None:
    """A film of all cameras: .gif or .webp (Pillow), .mp4 (PyAV).

    Args:
        path: Where to; the suffix says the kind.
        shots: The cameras.
        fps: The scene's clock; the film plays at the scene's speed, at most 25 pictures a second.
        frames: How many frames of the scene.
        width: Of one camera's picture.

    Raises:
        InputError: Another suffix, or nothing to show.
        MissingExtra: The package that writes it is not installed.
    """
    if path.suffix.lower() not in FILMS or not shots or not 1 <= frames <= MOST_FRAMES:
        raise InputError(
            f"Cannot film '{path}': wanted {', '.join(FILMS)} and 1 to {MOST_FRAMES} frames, got {frames}."
        )
    step = max(1, round(fps / 25))
    rate = fps / step
    pictures = [tiled(shots, frame, width) for frame in range(0, min(frames, len(shots[0].view)), step)]
    if path.suffix.lower() != ".mp4":
        Image = require("PIL.Image", "synth")
        first, *rest = [Image.fromarray(picture) for picture in pictures]
        first.save(path, save_all=True, append_images=rest, duration=round(1000 / rate), loop=0)
        return
    _mp4(path, pictures, rate)


def _mp4(path: Path, pictures: Sequence[NDArray[np.uint8]], rate: float) -> None:
    av = require("av", "synth")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=max(1, round(rate)))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def join(frames: Sequence[Path], path: Path, rate: float) -> Path:
    """Pictures on disk to one .mp4; returns its path.

    Raises:
        InputError: There are none.
        MissingExtra: PyAV or Pillow is not installed.
    """
    if not frames:
        raise InputError(f"There are no pictures for '{path}'.")
    Image = require("PIL.Image", "synth")
    pictures = [np.asarray(Image.open(frame).convert("RGB")) for frame in frames]
    return write_film(path, pictures, rate)


def write_film(path: Path, pictures: Sequence[NDArray[np.uint8]], rate: float) -> Path:
    """Pictures (H, W, 3) of one size to an .mp4, cut to even sizes as the codec wants them; returns its path.

    Raises:
        MissingExtra: PyAV is not installed.
    """
    high, wide = (size // 2 * 2 for size in pictures[0].shape[:2])
    _mp4(path, [np.ascontiguousarray(picture[:high, :wide]) for picture in pictures], rate)
    return path


def sheet(
    path: Path,
    shots: Sequence[Shot],
    histograms: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]] | None = None,
    moments: int = 4,
    title: str = "",
) -> None:
    """A contact sheet, .png: a row per camera, a column per moment; histograms below.

    Args:
        path: Where to.
        shots: The cameras.
        histograms: Name to (lengths of hidden runs in frames, hidden joints in each frame).
        moments: Columns.
        title: Said above.

    Raises:
        InputError: Nothing to show.
        MissingExtra: matplotlib is not installed.
    """
    if not shots or moments < 1:
        raise InputError("A contact sheet wants at least one camera and one moment.")
    figure_module: Any = require("matplotlib.figure", "synth")
    patches: Any = require("matplotlib.patches", "synth")
    rows = len(shots)
    picture = figure_module.Figure(figsize=(3.2 * moments, 2.6 * rows + (3.2 if histograms else 0.5)), dpi=100)
    parts = picture.subfigures(2, 1, height_ratios=[2.6 * rows, 3.0]) if histograms else [picture]
    axes = parts[0].subplots(rows, moments, squeeze=False)
    parts[0].subplots_adjust(left=0.01, right=0.99, top=0.94, bottom=0.01, wspace=0.03, hspace=0.15)
    frames = np.linspace(0, len(shots[0].view) - 1, moments + 2).astype(int)[1:-1]
    for row, shot in zip(axes, shots, strict=True):
        for ax, frame in zip(row, frames, strict=True):
            ax.imshow(frame_picture(shot, int(frame), 400))
            ax.set_title(f"{shot.name}, frame {frame}", fontsize=8)
            ax.set_axis_off()
    legend = [patches.Patch(color=np.array(rgb) / 255, label=name.replace("_", " ")) for name, rgb in COLOURS.items()]
    parts[0].legend(handles=legend, loc="upper right", ncols=len(legend), fontsize=8, frameon=False)
    if title:
        parts[0].suptitle(title, fontsize=10, x=0.02, ha="left")
    if histograms:
        draw_histograms(parts[1].subplots(1, 2), histograms)
        parts[1].subplots_adjust(left=0.07, right=0.98, top=0.95, bottom=0.2)
    picture.savefig(path, format="png", metadata={"Software": None})


def draw_histograms(axes: Any, histograms: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
    """Lengths of hidden runs, and hidden joints in a frame, one line a data set."""
    edges = np.geomspace(1, 2048, 23)
    for name, (runs, counts) in histograms.items():
        share, _ = np.histogram(runs, edges)
        axes[0].step(edges[:-1], share / max(len(runs), 1), where="post", label=f"{name} ({len(runs)} runs)")
        most = np.bincount(counts, minlength=18)[:18]
        axes[1].step(np.arange(18), most / max(len(counts), 1), where="mid", label=f"{name} (mean {counts.mean():.2f})")
    axes[0].set_xscale("log")
    axes[0].set_xlabel("length of a hidden run, frames")
    axes[1].set_xlabel("hidden joints in a frame")
    for ax in axes:
        ax.set_ylabel("share")
        ax.legend(fontsize=7)
        ax.grid(alpha=0.3)
