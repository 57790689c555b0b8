"""Baracca (Pini et al.): people in and before a car, by a time-of-flight camera in eight places.

``{root}/{001..030}/{000..007}/imgDepth_{subject}_{sequence}_{n}.png``, 16 bits,
millimetres, ten pictures a sequence; ``viewpoints.json`` says by how many
degrees the pictures of a sequence are turned (``{"3": {"orientation": [90]}}``);
keypoints come from a detector as ``.npz`` (``arr_0``, (30, 8, 10, J, 2)), with
joints in the order of common detectors, not of ITOP. There is no 3D truth.

The published loader mirrors the cubes of points (y up for joints, down for
points), forgets the turn for them and takes 480 for the width of a picture
turned by 180 degrees. Here points, joints and intrinsics are all in the
picture's own camera axes: x right, y down. Needs the extra ``depth``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.body.pose import Pose2D
from posemend.datasets.archive import load_arrays
from posemend.datasets.intrinsics import preset
from posemend.datasets.rgbd import png
from posemend.errors import FormatError, InputError
from posemend.geometry.camera import Camera
from posemend.geometry.depth import DepthClip

PICTURES = 10
TO_ITOP = (0, 1, 2, 5, 3, 6, 4, 7, 8, 9, 12, 10, 13, 11, 14)  # ITOP's joint -> place in the detector's 15 and more
FPS = 1.0  # ten pictures of somebody standing still; no clock is published


def turned(camera: Camera, degrees: int) -> Camera:
    """The intrinsics of a picture that was turned by a multiple of 90 degrees counter-clockwise.

    Raises:
        InputError: Another angle.
    """
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    width, height = camera.width, camera.height
    match degrees % 360:
        case 0:
            return camera
        case 90:
            return Camera((fy, fx), (cy, width - cx), height, width)
        case 180:
            return Camera((fx, fy), (width - cx, height - cy), width, height)
        case 270:
            return Camera((fy, fx), (height - cy, cx), height, width)
    raise InputError(f"Pictures are turned by 0, 90, 180 or 270 degrees, got {degrees}.")


def orientations(root: str | Path) -> dict[int, int]:
    """Degrees by sequence.

    Raises:
        InputError: There is no ``viewpoints.json``.
        FormatError: It makes no sense.
    """
    path = Path(root) / "viewpoints.json"
    if not path.is_file():
        raise InputError(f"Looked for {path}, which is not there. Check the root folder of the data set.")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {int(name): int(entry["orientation"][0]) for name, entry in table.items()}
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise FormatError(
            f"'{path}' is damaged ({error!r}); wanted {{sequence: {{orientation: [degrees]}}}}."
        ) from None


def clip(root: str | Path, subject: int, sequence: int) -> DepthClip:
    """The depth maps of one sequence, with the intrinsics of its turn.

    Raises:
        InputError: A picture, the sequence or its orientation is not there.
        FormatError: Pictures are damaged or not as their orientation says.
    """
    angles = orientations(root)
    if sequence not in angles:
        raise InputError(f"viewpoints.json does not name sequence {sequence}. It has: {sorted(angles)}.")
    camera = turned(preset("baracca"), angles[sequence])
    maps = []
    for number in range(PICTURES):
        name = f"imgDepth_{subject:03d}_{sequence:03d}_{number:03d}.png"
        path = Path(root) / f"{subject:03d}" / f"{sequence:03d}" / name
        if not path.is_file():
            raise InputError(f"Looked for {path}, which is not there.")
        maps.append(png(path))
        if maps[-1].shape != (camera.height, camera.width):
            raise FormatError(
                f"'{path}' is {maps[-1].shape[1]}x{maps[-1].shape[0]}; turned by {angles[sequence]} degrees it should "
                f"be {camera.width}x{camera.height}."
            )
    return DepthClip(np.stack(maps), camera, 0.001, FPS)


def keypoints(root: str | Path, file: str | Path, subject: int, sequence: int) -> Pose2D:
    """Detected joints of one sequence, on ITOP's skeleton, in the turned picture's pixels.

    Args:
        root: The data set's folder.
        file: ``.npz`` with ``arr_0`` (30, 8, 10, J, 2 or 3); only x and y are used.
        subject: From 1.
        sequence: From 0.

    Raises:
        InputError: Nobody of that number, or no joint.
        FormatError: The file is damaged or of another shape.
    """
    values = load_arrays(Path(file), ["arr_0"])["arr_0"]
    if values.ndim != 5 or values.shape[-1] not in (2, 3) or values.shape[3] < len(ITOP_15):
        raise FormatError(f"'{file}': wanted arr_0 of shape (30, 8, 10, J >= 15, 2 or 3), got {values.shape}.")
    if not (1 <= subject <= values.shape[0] and 0 <= sequence < values.shape[1]):
        raise InputError(f"'{file}' has subjects 1 to {values.shape[0]} and sequences 0 to {values.shape[1] - 1}.")
    pixels: NDArray[np.float64] = np.asarray(values[subject - 1, sequence, :, :, :2], np.float64)
    if values.shape[3] > len(ITOP_15):
        pixels = pixels[:, list(TO_ITOP)]
    found = np.isfinite(pixels).all(-1) & (pixels >= 0).all(-1) & (pixels != 0).any(-1)
    camera = turned(preset("baracca"), orientations(root)[sequence])
    return Pose2D(
        np.where(found[..., None], pixels + 0.5, 0), ITOP_15, score=found.astype(np.float32), fps=FPS,
        width=camera.width, height=camera.height, camera=camera, name=f"{subject:03d}/{sequence:03d}",
    )  # fmt: skip
