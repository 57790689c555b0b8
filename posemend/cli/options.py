"""Options that several verbs share, each spelled and explained once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Json = Annotated[
    bool, Parameter(name="--json", negative=(), help="Print one JSON object, and nothing else, on standard output.")
]
Out = Annotated[
    Path, Parameter(name=["--out", "-o"], help="File to write: .npz, .json or .csv. Several people: OUT.p0.npz, ...")
]
Bundle = Annotated[
    str,
    Parameter(name="--bundle", help="Models: 'default', 'research' (non-commercial training data) or a folder."),
]
Person = Annotated[str | None, Parameter(name="--person", help="Only this person: the name, or the place from 0.")]
Html = Annotated[Path | None, Parameter(name="--html", help="Also write a page that shows the result.")]
FixHandedness = Annotated[
    bool,
    Parameter(name="--fix-handedness", negative=(), help="Exchange left and right where they are swapped."),
]


@Parameter(name="*")  # its fields are options of the verb itself
@dataclass(frozen=True)
class Reading:
    """What the file to read does not say about itself."""

    kind: Annotated[
        str | None,
        Parameter(name=["--kind", "--keypoints-kind"], help="Kind of the file, where its content does not tell."),
    ] = None
    skeleton: Annotated[str | None, Parameter(help="Skeleton of the file, where it does not say.")] = None
    fps: Annotated[float | None, Parameter(help="Frames per second, where the file does not say.")] = None
    width: Annotated[int | None, Parameter(help="Image width in pixels, where the file does not say.")] = None
    height: Annotated[int | None, Parameter(help="Image height in pixels, where the file does not say.")] = None
    key: Annotated[str | None, Parameter(help="Which array of a bare .npz.")] = None
    trust: Annotated[
        bool,
        Parameter(negative=(), help="Also read the object arrays of VideoPose3D-style files; only data is let in."),
    ] = False

    def told(self) -> dict[str, Any]:
        """As arguments of `posemend.read_people`."""
        return dict(vars(self))


Told = Reading | None


@Parameter(name="*")
@dataclass(frozen=True)
class DepthInput:
    """Depth maps beside the pose; see `docs/depth.md`."""

    depth: Annotated[
        Path | None, Parameter(help="Depth maps of the same frames: a folder of 16-bit PNGs, .h5, .npz or .npy.")
    ] = None
    intrinsics: Annotated[
        str | None, Parameter(help="Their camera: a .json of RealSense, Azure Kinect or Open3D, or a sensor's name.")
    ] = None
    depth_unit: Annotated[str | None, Parameter(help="m, mm or metres per count, where numbers do not tell.")] = None
    depth_key: Annotated[str | None, Parameter(help="Which array of an .h5 or .npz holds the maps.")] = None


Depth = DepthInput | None
