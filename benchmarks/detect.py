"""Run a real 2D detector on videos and write its keypoints as posemend's ``.npz``, one file per video.

    python benchmarks/detect.py mediapipe BlendMimic3D -o detections/mediapipe
    python benchmarks/detect.py movenet BlendMimic3D -o detections/movenet --node-modules node_modules

Not run by any test, and posemend is not imported: detectors want an environment of their own.

- ``mediapipe``: MediaPipe Pose (Apache-2.0), the full model that lies in the wheel, tracking from frame to frame, its
  own smoothing on. ``pip install mediapipe==0.10.21 av`` (it wants NumPy 1).
- ``movenet``: MoveNet Lightning (Apache-2.0), frame by frame, cut out round the keypoints of the frame before, nothing
  smoothed. ``pip install numpy av``, Node.js, and ``npm install @vladmandic/human @tensorflow/tfjs-core
  @tensorflow/tfjs-converter @tensorflow/tfjs-backend-cpu @tensorflow/tfjs-backend-wasm`` (the first holds the weights).
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def frames_of(video: Path) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB, frame by frame."""
    import av

    with av.open(str(video)) as container:
        for frame in container.decode(container.streams.video[0]):
            yield frame.to_ndarray(format="rgb24")


def rate_of(video: Path) -> float:
    """Frames per second."""
    import av

    with av.open(str(video)) as container:
        return float(container.streams.video[0].average_rate)


def by_mediapipe(video: Path) -> np.ndarray:
    """(T, 33, 3): x, y in pixels and visibility; 0 where nobody is found."""
    import mediapipe

    found = []
    with mediapipe.solutions.pose.Pose(static_image_mode=False, model_complexity=1) as pose:
        for image in frames_of(video):
            height, width = image.shape[:2]
            said = pose.process(image).pose_landmarks
            rows = [] if said is None else [(p.x * width, p.y * height, p.visibility) for p in said.landmark]
            found.append(rows or [(0.0, 0.0, 0.0)] * 33)
    return np.array(found)


def by_movenet(video: Path, modules: Path) -> np.ndarray:
    """(T, 17, 3): x, y in pixels and score."""
    script = Path(__file__).with_name("detect_movenet.cjs")
    node: subprocess.Popen[bytes] | None = None
    for image in frames_of(video):
        if node is None:
            command = ["node", str(script), str(modules.resolve()), str(image.shape[1]), str(image.shape[0])]
            node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert node.stdin is not None
        node.stdin.write(image.tobytes())
    if node is None:
        raise ValueError(f"'{video}' holds no frames.")
    answer, _ = node.communicate()
    if node.returncode:
        raise RuntimeError(f"MoveNet ended with exit code {node.returncode} on '{video}'.")
    return np.array(json.loads(answer))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detector", choices=("mediapipe", "movenet"))
    parser.add_argument("root", type=Path, help="folder of BlendMimic3D; its S*/Videos are taken")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--node-modules", type=Path, default=Path("node_modules"), help="for movenet")
    given = parser.parse_args()
    for video in sorted(given.root.glob("S*/Videos/*.mp4")):
        size = next(frames_of(video)).shape
        found = by_mediapipe(video) if given.detector == "mediapipe" else by_movenet(video, given.node_modules)
        path = given.output / video.parts[-3] / f"{video.stem}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path, positions_2d=found[..., :2].astype(np.float32), score=found[..., 2].astype(np.float32),
            width=size[1], height=size[0], fps=rate_of(video),
            skeleton="mediapipe_33" if given.detector == "mediapipe" else "coco_17",
        )  # fmt: skip
        print(f"{path}: {len(found)} frames, nobody in {int((found[..., 2].max(1) <= 0).sum())}")


if __name__ == "__main__":
    main()
