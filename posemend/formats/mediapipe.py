"""MediaPipe Pose dumps: 33 landmarks as CSV or JSON.

Image landmarks are shares of the image (0 to 1), so they need its size in
pixels. World landmarks are metres around the middle of the hips in camera
axes (x right, y down, z away from the camera): 3D already. There is no one
format; these are read:

    Frame,LandmarkID,X,Y[,Z][,Visibility]                  one row per landmark
    Frame,Time (ms),Landmark,X,Y,Z,Visibility[,Landmark,…] one row per frame, any of the 33, world
    [[{x, y, z, visibility}, 33 times], …]                      JSON, a list of frames; also as
    {frames: [{pose_landmarks: […]}]}                      dicts, with pose_world_landmarks too
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.catalogue import MEDIAPIPE_33
from posemend.body.pose import Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, InputError, SkeletonError
from posemend.formats.detections import Detections, Person, checked_keypoints, clip_span, on_one_clock, whole_number
from posemend.formats.limits import DEFAULT_FPS, MAX_FRAMES, checked_fps

LANDMARKS = len(MEDIAPIPE_33)
SEEN = 0.5  # MediaPipe's visibility from which a world landmark counts as seen by the camera
SIZE_CURE = "Give --width and --height of the image in pixels."
Row = tuple[int, np.ndarray]  # frame number; (33, 4) x, y, z, visibility


def column_names(line: str) -> list[str]:
    """Header of a CSV file in small letters."""
    return [name.strip().lower() for name in next(csv.reader([line]), [])]


def is_long(names: list[str]) -> bool:
    """Whether a CSV header is one row per landmark."""
    return {"frame", "landmarkid", "x", "y"} <= set(names)


def is_wide(names: list[str]) -> bool:
    """Whether a CSV header is one row of world landmarks per frame."""
    return names[:1] == ["frame"] and names[2:7] == ["landmark", "x", "y", "z", "visibility"]


def _wanted(skeleton: Skeleton | None, where: str) -> None:
    if skeleton not in (None, MEDIAPIPE_33):
        raise SkeletonError(f"{where} is MediaPipe's 33 landmarks, not '{skeleton.name}'. Leave out --skeleton.")  # type: ignore[union-attr]


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FormatError(f"{where}: wanted a number, got '{text[:40]}'.") from None


def _csv_rows(text: str, where: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise FormatError(f"{where} is a damaged CSV file ({error}). Write it again.") from None


def _landmark(text: str, where: str) -> int:
    place = whole_number(_number(text, where), where)
    if place >= LANDMARKS:
        raise FormatError(f"{where}: landmark {place}; MediaPipe Pose has 0 to {LANDMARKS - 1}.")
    return place


def _long(lines: list[list[str]], where: str) -> list[Row]:
    names = [name.strip().lower() for name in lines[0]]
    places = {name: names.index(name) for name in ("frame", "landmarkid", "x", "y")}
    visibility = names.index("visibility") if "visibility" in names else None
    frames: dict[int, np.ndarray] = {}
    seen: set[tuple[int, int]] = set()
    for line, row in enumerate(lines[1:], 2):
        here = f"{where}, line {line}"
        if len(row) != len(names):
            raise FormatError(
                f"{here}: {len(row)} columns, wanted {len(names)}. The file may be cut off: write it again."
            )
        number = whole_number(_number(row[places["frame"]], here), here)
        joint = _landmark(row[places["landmarkid"]], here)
        if (number, joint) in seen:
            raise FormatError(f"{here}: landmark {joint} of frame {number} is there twice. Dump one person only.")
        seen.add((number, joint))
        if number not in frames:
            if len(frames) >= MAX_FRAMES:
                raise FormatError(f"{where} has more than {MAX_FRAMES} frames. Split the recording.")
            frames[number] = np.zeros((LANDMARKS, 4))
        belief = 1.0 if visibility is None else _number(row[visibility], here)
        frames[number][joint] = (_number(row[places["x"]], here), _number(row[places["y"]], here), 0.0, belief)
    last = max(frames, default=0)
    if frames and sum(frame == last for frame, _ in seen) < len(seen) / len(frames) - 1e-9:
        raise FormatError(f"{where}: frame {last}, the last, lacks landmarks. The file may be cut off: write it again.")
    return list(frames.items())


def _wide(lines: list[list[str]], where: str) -> tuple[list[Row], float | None]:
    frames, times = [], []
    width = len(lines[1]) if len(lines) > 1 else 0
    for line, row in enumerate(lines[1:], 2):
        here = f"{where}, line {line}"
        if (len(row) - 2) % 5 or len(row) != width:
            raise FormatError(f"{here}: {len(row)} columns. The file may be cut off: write it again.")
        table = np.zeros((LANDMARKS, 4))
        for start in range(2, len(row), 5):
            table[_landmark(row[start], here)] = [_number(text, here) for text in row[start + 1 : start + 5]]
        frames.append((whole_number(_number(row[0], here), here), table))
        times.append(_number(row[1], here))
    steps = [(late - early) / (after[0] - before[0]) for early, late, before, after
             in zip(times, times[1:], frames, frames[1:], strict=False) if after[0] > before[0]]  # fmt: skip
    step = float(np.median(steps)) if steps else 0.0
    return frames, (round(1000.0 / step, 3) if 0.1 <= step <= 10_000 else None)


def _image(frames: list[Row], where: str, width: int | None, height: int | None, fps: float | None) -> Detections:
    if not frames:
        raise FormatError(f"{where} holds no landmarks: nothing to lift. Run the detector again.")
    if width is None or height is None:
        raise InputError(f"{where}: MediaPipe's landmarks are shares of the image (0 to 1). {SIZE_CURE}")
    found = np.concatenate([table[table[:, 3] > 0][:, :2].ravel() for _, table in frames])
    if found.size and np.median(np.abs(found)) > 10:
        raise FormatError(f"{where}: wanted landmarks as shares of the image (0 to 1), got pixels. Divide by its size.")
    entries = []
    alone = (
        "p0" if len({number for number, _ in frames}) == len(frames) else None
    )  # MediaPipe follows one person itself
    for number, table in frames:
        xy, score = checked_keypoints(table[:, :2] * (width, height), table[:, 3], f"{where}, frame {number}")
        entries.append((number, [Person(xy, score, None, alone)] if (score > 0).any() else []))
    return Detections(on_one_clock(entries, where, first=0), MEDIAPIPE_33, fps, width, height)


def _world(frames: list[Row], where: str, fps: float | None) -> Pose3D:
    if not frames:
        raise FormatError(f"{where} holds no landmarks. Run the detector again.")
    if len({number for number, _ in frames}) < len(frames):
        raise FormatError(f"{where}: a frame is there twice. Dump one person only.")
    tables = np.stack([table for _, table in frames])
    if not np.isfinite(tables).all():
        raise FormatError(f"{where}: NaN or infinite numbers. Leave out landmarks that were not found.")
    start, count = clip_span([number for number, _ in frames], where, first=0)
    rows = [number - start for number, _ in frames]
    positions = np.zeros((count, LANDMARKS, 3), np.float32)
    score = np.zeros((count, LANDMARKS), np.float32)
    positions[rows], score[rows] = tables[..., :3], np.clip(tables[..., 3], 0, 1)
    if not (score > 0).any():
        raise FormatError(f"{where}: all joints are missing in all frames. Run the detector again.")
    return Pose3D(positions, MEDIAPIPE_33, score, score >= SEEN, checked_fps(fps or DEFAULT_FPS, where))


def read_csv(
    text: str, path: Path, skeleton: Skeleton | None, fps: float | None, width: int | None, height: int | None
) -> Detections | Pose3D:
    """A CSV dump: image landmarks → `Detections`, world landmarks → `Pose3D`.

    Frames count from 0; those that are not in the file are missing frames.

    Raises:
        FormatError: Damaged, or pixels in place of shares.
        InputError: Image landmarks without an image size.
        SkeletonError: Another skeleton was named.
    """
    where = f"'{path}'"
    _wanted(skeleton, where)
    lines = _csv_rows(text, where)
    names = [name.strip().lower() for name in lines[0]] if lines else []
    if is_long(names):
        return _image(_long(lines, where), where, width, height, fps)
    if is_wide(names):
        rows, found = _wide(lines, where)
        return _world(rows, where, fps or found)
    raise FormatError(f"{where}: wanted the columns Frame,LandmarkID,X,Y or Frame,Time (ms),Landmark,X,Y,Z,Visibility.")


def _json_table(landmarks: Any, where: str) -> np.ndarray:
    if not isinstance(landmarks, list) or len(landmarks) != LANDMARKS:
        count = len(landmarks) if isinstance(landmarks, list) else "no list of"
        raise SkeletonError(f"{where}: {count} landmarks, wanted MediaPipe Pose's {LANDMARKS}.")
    table = np.zeros((LANDMARKS, 4))
    for joint, landmark in enumerate(landmarks):
        if isinstance(landmark, dict):
            landmark = [landmark.get(key, default) for key, default in
                        (("x", None), ("y", None), ("z", 0.0), ("visibility", 1.0))]  # fmt: skip
        good = isinstance(landmark, list) and len(landmark) in (2, 3, 4)
        if not good or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in landmark):
            raise FormatError(f"{where}, landmark {joint}: wanted numbers x, y, z, visibility.")
        if max(abs(value) for value in landmark) > 1e9:
            raise FormatError(f"{where}, landmark {joint}: impossible numbers {landmark}.")
        table[joint] = [*landmark, *[0.0, 1.0][len(landmark) - 2 :]]
    return table


def landmarks_of(frame: Any) -> tuple[Any, bool]:
    """The landmarks of one frame of a JSON dump, and whether they are world landmarks."""
    if not isinstance(frame, dict):
        return frame, False
    for key in ("pose_landmarks", "poseLandmarks", "landmarks", "keypoints"):
        if frame.get(key):
            return frame[key], False
    for key in ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks"):
        if frame.get(key):
            return frame[key], True
    return None, False


def _json_rows(frames: list[Any], where: str) -> tuple[list[Row], list[int], bool]:
    rows, empty, worlds = [], [], set()
    for place, frame in enumerate(frames):
        number, here = place, f"{where}, frame {place}"
        if isinstance(frame, dict):
            known = next((frame[key] for key in ("frame", "frame_id", "frame_index") if key in frame), place)
            number = whole_number(known, here)
        landmarks, world = landmarks_of(frame)
        if not landmarks:
            empty.append(number)
            continue
        if not isinstance(landmarks, list):
            raise FormatError(f"{here}: wanted a list of landmarks.")
        people = landmarks if isinstance(landmarks[0], list) and len(landmarks) != LANDMARKS else [landmarks]
        rows += [(number, _json_table(person, here)) for person in people]
        worlds.add(world)
    if len(worlds) > 1:
        raise FormatError(f"{where} mixes image and world landmarks. Dump one of them for all frames.")
    return rows, empty, worlds == {True}


def read_json(
    content: Any, path: Path, skeleton: Skeleton | None, fps: float | None, width: int | None, height: int | None
) -> Detections | Pose3D:
    """A JSON dump: a list of frames (empty or null = missing), alone or under ``frames``.

    Image landmarks win where a frame has both kinds.

    Raises:
        FormatError: Damaged.
        InputError: Image landmarks without an image size.
        SkeletonError: Not 33 landmarks.
    """
    where = f"'{path}'"
    _wanted(skeleton, where)
    table = content if isinstance(content, dict) else {}
    frames = table.get("frames", content)
    if not isinstance(frames, list) or not frames:
        raise FormatError(f"{where} holds no frames: nothing to lift. Run the detector again.")
    if len(frames) > MAX_FRAMES:
        raise FormatError(f"{where} has more than {MAX_FRAMES} frames. Split the recording.")
    rows, empty, world = _json_rows(frames, where)
    if not rows:
        raise FormatError(f"{where}: nobody in any of {len(frames)} frames: nothing to lift. Run the detector again.")
    fps = fps if fps is not None or "fps" not in table else checked_fps(table["fps"], where)
    if world:
        gaps = [(number, np.zeros((LANDMARKS, 4))) for number in empty]
        return _world(rows + gaps, where, fps)
    size = (width or table.get("width"), height or table.get("height"))
    gaps = [(number, np.zeros((LANDMARKS, 4))) for number in empty]
    return _image(rows + gaps, where, *size, fps)
