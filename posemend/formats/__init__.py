"""Other people's files, and posemend's own: `read`, `read_people`, `write`, `write_people`.

The way of a file: `recognise` (what is it) → one reader per family
(`openpose`, `results`, `predictions`, `mediapipe`, `videopose3d`, `arrays`,
`npz`, `tables`) → `Detections`, people of each frame → `tracks` and
`identities` (who is who over time) → `assembly` (one pose per person).
"""

from __future__ import annotations

from posemend.formats.detections import Detections, Person
from posemend.formats.reading import read, read_people
from posemend.formats.recognise import KINDS
from posemend.formats.tracks import link
from posemend.formats.writing import WRITERS, write, write_people

__all__ = ["KINDS", "WRITERS", "Detections", "Person", "link", "read", "read_people", "write", "write_people"]
