"""What kind of file is this? Told from its content; the suffix is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posemend.errors import FormatError
from posemend.formats import mediapipe, npz, tables, videopose3d
from posemend.formats.archive import NPY_MAGIC, ZIP_MAGIC, Archive

KINDS = {
    "posemend": "posemend's own .npz, .json or .csv",
    "openpose": "OpenPose JSON: a folder with one file per frame, or one such file",
    "alphapose": "AlphaPose results: a list of detections with image_id and keypoints",
    "coco": "COCO results or ground truth (also Halpe's): keypoints by image_id",
    "mmpose": "MMPose predictions: frames with instances, keypoints and keypoint_scores",
    "mediapipe": "MediaPipe Pose landmarks as CSV or JSON",
    "gastnet": "GAST-Net's and Kinetics' JSON: data with frame_index and skeleton",
    "videopose3d": "VideoPose3D-style 2D .npz (with --trust)",
    "array": "a bare .npy or .npz array (T, J, 3) in metres or (T, J, 2) in pixels, with --skeleton",
}


def choices() -> str:
    """The kinds and what they are, for messages."""
    return "; ".join(f"{kind} = {meaning}" for kind, meaning in KINDS.items())


def unknown(path: Path, seen: str) -> FormatError:
    """The error for a file of no known kind."""
    return FormatError(f"'{path}': cannot tell what kind of file this is ({seen}). Name it with --kind: {choices()}.")


def of_bytes(start: bytes) -> str:
    """``"npy"``, ``"npz"``, ``"json"`` or ``"text"`` from the first bytes of a file."""
    if start.startswith(NPY_MAGIC):
        return "npy"
    if start.startswith(ZIP_MAGIC):
        return "npz"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "json" if text[:1] in (b"{", b"[") else "text"


def of_archive(archive: Archive) -> str:
    """The kind of a ``.npz`` file."""
    if npz.is_one(archive):
        return "posemend"
    return "videopose3d" if videopose3d.is_one(archive) else "array"


def of_text(text: str, path: Path) -> str:
    """The kind of a CSV file, by its header.

    Raises:
        FormatError: None of those known.
    """
    lines = text.splitlines()
    names = mediapipe.column_names(lines[0]) if lines and len(lines[0]) < 1_000_000 else []
    if tables.is_csv(names):
        return "posemend"
    if mediapipe.is_long(names) or mediapipe.is_wide(names):
        return "mediapipe"
    raise unknown(path, f"text that begins '{text[:40]!s}'" if text.isprintable() else "no known beginning")


def of_json(content: Any, path: Path) -> str:
    """The kind of a JSON value.

    Raises:
        FormatError: None of those known.
    """
    if tables.is_json(content):
        return "posemend"
    kind = _of_dict(content) if isinstance(content, dict) else _of_list(content) if isinstance(content, list) else None
    if kind is None:
        raise unknown(path, _seen(content))
    return kind


def _of_dict(content: dict[str, Any]) -> str | None:
    if "people" in content:
        return "openpose"
    if "instance_info" in content:
        return "mmpose"
    if "annotations" in content and "images" in content:
        return "coco"
    data = content.get("data")
    if isinstance(data, list) and data and isinstance(data[0], dict) and "skeleton" in data[0]:
        return "gastnet"
    if isinstance(content.get("frames"), list):
        return "mediapipe" if _of_list(content["frames"]) == "mediapipe" else None
    values = list(content.values())
    if values and all(isinstance(value, dict) and ("people" in value or "bodies" in value) for value in values):
        return "alphapose"
    return None


def _of_list(content: list[Any]) -> str | None:
    first = next((entry for entry in content if entry), None)
    if isinstance(first, dict):
        if "image_id" in first:
            return "alphapose" if {"idx", "box"} & set(first) else "coco"
        if "instances" in first or "keypoint_scores" in first:
            return "mmpose"
    # frames without anybody may come first
    landmarks = next((found for found, _ in map(mediapipe.landmarks_of, content) if found), None)
    while isinstance(landmarks, list) and landmarks and isinstance(landmarks[0], list) and len(landmarks) != 33:
        landmarks = landmarks[0]
    if isinstance(landmarks, list) and landmarks and isinstance(landmarks[0], dict) and {"x", "y"} <= set(landmarks[0]):
        return "mediapipe"
    return None


def _seen(content: Any) -> str:
    if isinstance(content, dict):
        return f"JSON with the keys {', '.join(list(content)[:8]) or 'none'}"
    if isinstance(content, list):
        first = content[0] if content else None
        inside = f" of objects with {', '.join(list(first)[:8])}" if isinstance(first, dict) else ""
        return f"a JSON list with {len(content)} entries{inside}"
    return f"JSON with nothing but {str(content)[:40]}"
