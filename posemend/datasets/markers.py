"""Markers on the skin to joints, for the marker set that most laboratories use: Vicon's Plug-in Gait, full body.

CMU's recordings carry the same markers with other names at the waist
(``LFWT`` for ``LASI`` and so on), which are known too; this was not tried on
a C3D file of CMU's, for want of one.

Joint centres lie inside the body, markers on it. What is done, joint by joint:

- hips: regression of Harrington et al., "Prediction of the hip joint centre in
  adults, children, and patients with cerebral palsy based on magnetic
  resonance imaging", J. Biomech. 40 (2007), from pelvic width and depth;
- knees, ankles, elbows: the middle of the lateral and the medial marker where
  both are there, otherwise the lateral one moved inwards by half a usual
  joint's width and a marker's radius;
- wrists: the middle of the two wrist markers;
- shoulders: below the acromion by 0.17 of the distance between both (Rab et
  al., "A method for determination of upper extremity kinematics", Gait &
  Posture 15 (2002));
- thorax: the middle of C7 and the clavicle marker; spine: of T10 and sternum;
- head: 0.1 m below (base of the skull, our ``nose``) and above (``head_top``)
  the middle of the head markers, along the line from the thorax.

Good to some centimetres, not an instrument. A joint is NaN where a marker that
it needs was not seen. Other marker sets are refused, not guessed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.errors import SkeletonError
from posemend.formats.c3d import Markers

Floats = NDArray[np.float64]

KNEE, ANKLE, ELBOW = 0.057, 0.042, 0.042  # metres: half a joint's width and a marker's radius
SHOULDER = 0.17  # of the distance between the acromia (Rab 2002)
HEAD = 0.1  # metres from the middle of the head to the base of the skull, and to its top

_MEDIAL = {  # names that laboratories give to the marker on the inner side
    "KNE": ("KNM", "MKNE", "KNEM", "KNMED"),
    "ANK": ("MED", "MANK", "ANKM", "MMA"),
    "ELB": ("ELM", "MELB", "ELBM"),
}
_WAIST = {"LFWT": "LASI", "RFWT": "RASI", "LBWT": "LPSI", "RBWT": "RPSI"}  # CMU's name: Vicon's
_NEEDED = ("LASI", "RASI", "LKNE", "RKNE", "LANK", "RANK", "LSHO", "RSHO", "LELB", "RELB", "CLAV")


def recognise(markers: Markers) -> dict[str, Floats]:
    """The markers by Plug-in Gait's names.

    Raises:
        SkeletonError: They are others; the message says which are missing.
    """
    table = markers.named()
    table |= {vicon: table[cmu] for cmu, vicon in _WAIST.items() if cmu in table and vicon not in table}
    found = set(table)
    lacking = [label for label in _NEEDED if label not in found]
    lacking += [] if {"LPSI", "RPSI"} <= found or "SACR" in found else ["LPSI and RPSI, or SACR"]
    lacking += [] if found & {"C7", "T10"} else ["C7 or T10"]
    lacking += [] if found & {"LFHD", "RFHD", "LBHD", "RBHD"} else ["LFHD, RFHD, LBHD or RBHD"]
    for side in "LR":
        lacking += [] if found & {f"{side}WRA", f"{side}WRB"} else [f"{side}WRA or {side}WRB"]
    if lacking:
        raise SkeletonError(
            f"The {len(markers.labels)} markers are not Plug-in Gait's, the set that is known here: without "
            f"{', '.join(lacking)}. The file has: {', '.join(markers.labels[:12])} ..."
        )
    return table


def _unit(vector: Floats) -> Floats:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _across(direction: Floats, along: Floats) -> Floats:
    """Unit part of ``direction`` at right angles to ``along``."""
    along = _unit(along)
    return _unit(direction - (direction * along).sum(-1, keepdims=True) * along)


def _middle(table: dict[str, Floats], *labels: str) -> Floats:
    """Mean of those labels that the file has at all; NaN where one of them was not seen."""
    return np.mean([table[label] for label in labels if label in table], axis=0)


def to_h36m(markers: Markers) -> Floats:
    """(T, 17, 3) metres in the file's axes, NaN where a needed marker was not seen.

    Raises:
        SkeletonError: The marker set is not Plug-in Gait's.
    """
    table = recognise(markers)
    front = (table["LASI"] + table["RASI"]) / 2
    back = table["SACR"] if "SACR" in table else (table["LPSI"] + table["RPSI"]) / 2
    left = _unit(table["LASI"] - table["RASI"])
    forward = _across(front - back, left)
    up = np.cross(forward, left)
    width = np.linalg.norm(table["LASI"] - table["RASI"], axis=-1, keepdims=True)
    depth = np.linalg.norm(front - back, axis=-1, keepdims=True)
    found: dict[str, Floats] = {}
    for side, label, sign in (("l", "L", 1.0), ("r", "R", -1.0)):
        # Harrington 2007, equations for all subjects, in metres
        found[f"{side}_hip"] = (
            front
            + (-0.24 * depth - 0.0099) * forward
            + (-0.30 * width - 0.0109) * up
            + sign * (0.33 * width + 0.0073) * left
        )
        inward = -sign * left
        found[f"{side}_knee"] = _centre(table, label, "KNE", found[f"{side}_hip"], inward, KNEE)
        found[f"{side}_ankle"] = _centre(table, label, "ANK", found[f"{side}_knee"], inward, ANKLE)
    pelvis = (found["l_hip"] + found["r_hip"]) / 2
    shoulders = (table["LSHO"] + table["RSHO"]) / 2
    down = _unit(pelvis - shoulders)
    drop = SHOULDER * np.linalg.norm(table["LSHO"] - table["RSHO"], axis=-1, keepdims=True) * down
    for side, label, sign in (("l", "L", 1.0), ("r", "R", -1.0)):
        shoulder = found[f"{side}_shoulder"] = table[f"{label}SHO"] + drop
        wrist = found[f"{side}_wrist"] = _middle(table, f"{label}WRA", f"{label}WRB")
        found[f"{side}_elbow"] = _elbow(table, label, shoulder, wrist, sign)
    found["pelvis"] = pelvis
    found["thorax"] = (table["C7"] + table["CLAV"]) / 2 if "C7" in table else shoulders
    found["spine"] = _middle(table, "T10", "STRN") if "T10" in table else (pelvis + found["thorax"]) / 2
    head = _middle(table, "LFHD", "RFHD", "LBHD", "RBHD")
    along = _unit(head - found["thorax"])
    found["nose"], found["head_top"] = head - HEAD * along, head + HEAD * along
    return np.stack([found[name] for name in H36M_17.joints], axis=1)


def _medial(table: dict[str, Floats], label: str, joint: str) -> Floats | None:
    return next((table[label + name] for name in _MEDIAL[joint] if label + name in table), None)


def _centre(table: dict[str, Floats], label: str, joint: str, above: Floats, inward: Floats, inset: float) -> Floats:
    """A leg's joint from its lateral marker, and the medial one where there is one."""
    outside, inside = table[label + joint], _medial(table, label, joint)
    if inside is not None:
        return (outside + inside) / 2
    return outside + inset * _across(inward, outside - above)


def _elbow(table: dict[str, Floats], label: str, shoulder: Floats, wrist: Floats, sign: float) -> Floats:
    """An elbow; its axis is known from the bend, so a straight arm's marker is moved less."""
    outside, inside = table[label + "ELB"], _medial(table, label, "ELB")
    if inside is not None:
        return (outside + inside) / 2
    axis = sign * np.cross(_unit(outside - shoulder), _unit(wrist - outside))
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    return outside + ELBOW * axis / np.maximum(sine, 0.2)
