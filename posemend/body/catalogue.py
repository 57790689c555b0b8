"""The known skeletons, as literal tables in each format's own joint order.

Sources: Human3.6M (VideoPose3D's 17 of 32, SemGCN's 16), COCO, Halpe,
OpenPose's BODY_25 and BODY_25B, MediaPipe Pose, MPI-INF-3DHP (test set's 17,
training set's 28), ITOP, BlendMimic3D, CMU motion capture (ASF/AMC), SMPL.
"""

from __future__ import annotations

import difflib
import re

from posemend.body.skeleton import Skeleton
from posemend.errors import SkeletonError

_LEGS = (
    ("r_hip", "r_knee"), ("r_knee", "r_ankle"),
    ("l_hip", "l_knee"), ("l_knee", "l_ankle"),
)  # fmt: skip
_ARMS = (
    ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"),
    ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist"),
)  # fmt: skip
_PELVIS = (("pelvis", "r_hip"), ("pelvis", "l_hip"))
_FACE = (("nose", "l_eye"), ("nose", "r_eye"), ("l_eye", "l_ear"), ("r_eye", "r_ear"))
_FEET = (
    ("l_ankle", "l_heel"), ("l_ankle", "l_big_toe"), ("l_ankle", "l_small_toe"),
    ("r_ankle", "r_heel"), ("r_ankle", "r_big_toe"), ("r_ankle", "r_small_toe"),
)  # fmt: skip
_TRUNK_TO_ARMS = (("thorax", "l_shoulder"), ("thorax", "r_shoulder"))

H36M_17 = Skeleton(
    "h36m_17",
    (
        "pelvis", "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "spine", "thorax",
        "nose", "head_top", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
    ),
    (*_PELVIS, *_LEGS, ("pelvis", "spine"), ("spine", "thorax"), ("thorax", "nose"),
     ("nose", "head_top"), *_TRUNK_TO_ARMS, *_ARMS),
    ("pelvis",),
)  # fmt: skip

H36M_16 = Skeleton(
    "h36m_16",
    tuple(joint for joint in H36M_17.joints if joint != "nose"),
    (*_PELVIS, *_LEGS, ("pelvis", "spine"), ("spine", "thorax"), ("thorax", "head_top"), *_TRUNK_TO_ARMS, *_ARMS),
    ("pelvis",),
)

BLENDMIMIC3D_17 = Skeleton(
    # Left leg first and right arm first: the mirror image of Human3.6M's order.
    "blendmimic3d_17",
    (
        "pelvis", "l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle", "spine", "thorax",
        "nose", "head_top", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist",
    ),
    H36M_17.bones,
    ("pelvis",),
)  # fmt: skip

_COCO_JOINTS = (
    "nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow",
    "l_wrist", "r_wrist", "l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle",
)  # fmt: skip
_COCO_BONES = (
    *_FACE, ("l_shoulder", "l_hip"), ("r_shoulder", "r_hip"), *_LEGS, *_ARMS,
)  # fmt: skip

COCO_17 = Skeleton("coco_17", _COCO_JOINTS, _COCO_BONES, ("l_hip", "r_hip"))

COCO_WHOLEBODY_23 = Skeleton(
    # The body and foot part (first 23) of COCO-WholeBody's 133 keypoints.
    "coco_wholebody_23",
    (*_COCO_JOINTS, "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel"),
    (*_COCO_BONES, *_FEET),
    ("l_hip", "r_hip"),
)

HALPE_26 = Skeleton(
    "halpe_26",
    (
        *_COCO_JOINTS, "head_top", "neck", "pelvis", "l_big_toe", "r_big_toe",
        "l_small_toe", "r_small_toe", "l_heel", "r_heel",
    ),
    (*_PELVIS, *_LEGS, ("pelvis", "neck"), ("neck", "head_top"), ("neck", "nose"), *_FACE,
     ("neck", "l_shoulder"), ("neck", "r_shoulder"), *_ARMS, *_FEET),
    ("pelvis",),
)  # fmt: skip

OPENPOSE_BODY_25 = Skeleton(
    "openpose_body_25",
    (
        "nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "pelvis",
        "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear",
        "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel",
    ),
    (*_PELVIS, *_LEGS, ("pelvis", "neck"), ("neck", "nose"), *_FACE,
     ("neck", "l_shoulder"), ("neck", "r_shoulder"), *_ARMS, *_FEET),
    ("pelvis",),
)  # fmt: skip

OPENPOSE_BODY_25B = Skeleton(
    "openpose_body_25b",
    (
        *_COCO_JOINTS, "neck", "head_top", "l_big_toe", "l_small_toe", "l_heel",
        "r_big_toe", "r_small_toe", "r_heel",
    ),
    (("neck", "head_top"), ("neck", "nose"), *_FACE, ("neck", "l_shoulder"), ("neck", "r_shoulder"),
     ("l_shoulder", "l_hip"), ("r_shoulder", "r_hip"), *_LEGS, *_ARMS, *_FEET),
    ("l_hip", "r_hip"),
)  # fmt: skip

MEDIAPIPE_33 = Skeleton(
    "mediapipe_33",
    (
        "nose", "l_eye_inner", "l_eye", "l_eye_outer", "r_eye_inner", "r_eye", "r_eye_outer", "l_ear", "r_ear",
        "l_mouth", "r_mouth", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
        "l_pinky", "r_pinky", "l_index", "r_index", "l_thumb", "r_thumb", "l_hip", "r_hip", "l_knee", "r_knee",
        "l_ankle", "r_ankle", "l_heel", "r_heel", "l_foot_index", "r_foot_index",
    ),
    (*_FACE, ("l_eye", "l_eye_inner"), ("l_eye", "l_eye_outer"), ("r_eye", "r_eye_inner"), ("r_eye", "r_eye_outer"),
     ("nose", "l_mouth"), ("nose", "r_mouth"),
     ("l_shoulder", "l_hip"), ("r_shoulder", "r_hip"), *_LEGS, *_ARMS,
     ("l_wrist", "l_pinky"), ("l_wrist", "l_index"), ("l_wrist", "l_thumb"),
     ("r_wrist", "r_pinky"), ("r_wrist", "r_index"), ("r_wrist", "r_thumb"),
     ("l_ankle", "l_heel"), ("l_ankle", "l_foot_index"), ("r_ankle", "r_heel"), ("r_ankle", "r_foot_index")),
    ("l_hip", "r_hip"),
)  # fmt: skip

MPI_INF_3DHP_17 = Skeleton(
    "mpi_inf_3dhp_17",
    (
        "head_top", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist",
        "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "pelvis", "spine", "head",
    ),
    (*_PELVIS, *_LEGS, ("pelvis", "spine"), ("spine", "neck"), ("neck", "head"), ("head", "head_top"),
     ("neck", "l_shoulder"), ("neck", "r_shoulder"), *_ARMS),
    ("pelvis",),
)  # fmt: skip

MPI_INF_3DHP_28 = Skeleton(
    "mpi_inf_3dhp_28",
    (
        "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top",
        "l_clavicle", "l_shoulder", "l_elbow", "l_wrist", "l_hand",
        "r_clavicle", "r_shoulder", "r_elbow", "r_wrist", "r_hand",
        "l_hip", "l_knee", "l_ankle", "l_foot", "l_toe",
        "r_hip", "r_knee", "r_ankle", "r_foot", "r_toe",
    ),
    (*_PELVIS, *_LEGS, ("pelvis", "spine"), ("spine", "spine2"), ("spine2", "spine3"), ("spine3", "spine4"),
     ("spine4", "neck"), ("neck", "head"), ("head", "head_top"),
     ("spine4", "l_clavicle"), ("l_clavicle", "l_shoulder"), ("spine4", "r_clavicle"), ("r_clavicle", "r_shoulder"),
     *_ARMS, ("l_wrist", "l_hand"), ("r_wrist", "r_hand"),
     ("l_ankle", "l_foot"), ("l_foot", "l_toe"), ("r_ankle", "r_foot"), ("r_foot", "r_toe")),
    ("pelvis",),
)  # fmt: skip

ITOP_15 = Skeleton(
    "itop_15",
    (
        "head", "neck", "r_shoulder", "l_shoulder", "r_elbow", "l_elbow", "r_wrist", "l_wrist", "torso",
        "r_hip", "l_hip", "r_knee", "l_knee", "r_ankle", "l_ankle",
    ),
    (("torso", "r_hip"), ("torso", "l_hip"), *_LEGS, ("torso", "neck"), ("neck", "head"),
     ("neck", "l_shoulder"), ("neck", "r_shoulder"), *_ARMS),
    ("l_hip", "r_hip"),
)  # fmt: skip

CMU_31 = Skeleton(
    # Joint = the start of the ASF bone of that place, in ASF order; end of bone where the vocabulary needs it.
    "cmu_31",
    (
        "pelvis", "l_hip_joint", "l_hip", "l_knee", "l_ankle", "l_toe",
        "r_hip_joint", "r_hip", "r_knee", "r_ankle", "r_toe",
        "lower_back", "spine", "thorax", "lower_neck", "nose", "head_top",
        "l_clavicle", "l_shoulder", "l_elbow", "l_wrist", "l_hand", "l_fingers", "l_thumb",
        "r_clavicle", "r_shoulder", "r_elbow", "r_wrist", "r_hand", "r_fingers", "r_thumb",
    ),
    (("pelvis", "l_hip_joint"), ("l_hip_joint", "l_hip"), ("pelvis", "r_hip_joint"), ("r_hip_joint", "r_hip"),
     *_LEGS, ("l_ankle", "l_toe"), ("r_ankle", "r_toe"),
     ("pelvis", "lower_back"), ("lower_back", "spine"), ("spine", "thorax"), ("thorax", "lower_neck"),
     ("lower_neck", "nose"), ("nose", "head_top"),
     ("thorax", "l_clavicle"), ("l_clavicle", "l_shoulder"), ("thorax", "r_clavicle"), ("r_clavicle", "r_shoulder"),
     *_ARMS, ("l_wrist", "l_hand"), ("l_hand", "l_fingers"), ("l_wrist", "l_thumb"),
     ("r_wrist", "r_hand"), ("r_hand", "r_fingers"), ("r_wrist", "r_thumb")),
    ("pelvis",),
)  # fmt: skip

SMPL_24 = Skeleton(
    # Joints of the SMPL body model (3DPW). Its "head" joint is where the skull sits on the neck, hence the other name.
    "smpl_24",
    (
        "pelvis", "l_hip", "r_hip", "spine1", "l_knee", "r_knee", "spine2", "l_ankle", "r_ankle", "spine3",
        "l_foot", "r_foot", "neck", "l_clavicle", "r_clavicle", "skull", "l_shoulder", "r_shoulder",
        "l_elbow", "r_elbow", "l_wrist", "r_wrist", "l_hand", "r_hand",
    ),
    (*_PELVIS, *_LEGS, ("pelvis", "spine1"), ("spine1", "spine2"), ("spine2", "spine3"), ("spine3", "neck"),
     ("neck", "skull"), ("spine3", "l_clavicle"), ("l_clavicle", "l_shoulder"),
     ("spine3", "r_clavicle"), ("r_clavicle", "r_shoulder"), *_ARMS,
     ("l_wrist", "l_hand"), ("r_wrist", "r_hand"), ("l_ankle", "l_foot"), ("r_ankle", "r_foot")),
    ("pelvis",),
)  # fmt: skip

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        H36M_17, H36M_16, BLENDMIMIC3D_17, COCO_17, COCO_WHOLEBODY_23, HALPE_26, OPENPOSE_BODY_25,
        OPENPOSE_BODY_25B, MEDIAPIPE_33, MPI_INF_3DHP_17, MPI_INF_3DHP_28, ITOP_15, CMU_31, SMPL_24,
    )
}  # fmt: skip

_OTHER_NAMES = {
    # Keys without case and punctuation.
    "h36m": "h36m_17", "human36m": "h36m_17", "human36m17": "h36m_17", "human36m16": "h36m_16",
    "coco": "coco_17", "halpe": "halpe_26", "body25": "openpose_body_25", "openpose25": "openpose_body_25",
    "openpose": "openpose_body_25", "body25b": "openpose_body_25b", "openpose25b": "openpose_body_25b",
    "mediapipe": "mediapipe_33", "blazepose": "mediapipe_33", "mediapipepose": "mediapipe_33",
    "mpi17": "mpi_inf_3dhp_17", "mpiinf3dhp": "mpi_inf_3dhp_17", "3dhp": "mpi_inf_3dhp_17",
    "3dhp17": "mpi_inf_3dhp_17", "mpi28": "mpi_inf_3dhp_28", "3dhp28": "mpi_inf_3dhp_28", "itop": "itop_15",
    "blendmimic3d": "blendmimic3d_17", "blendmimic": "blendmimic3d_17", "blendmimic17": "blendmimic3d_17",
    "cmu": "cmu_31", "cocowholebody": "coco_wholebody_23", "wholebody": "coco_wholebody_23",
    "cocowholebodybody": "coco_wholebody_23", "cocowholebody17": "coco_17", "smpl": "smpl_24",
}  # fmt: skip


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def skeleton(name: str) -> Skeleton:
    """A skeleton by name; case and punctuation do not matter.

    Raises:
        SkeletonError: No such skeleton; the message lists them and guesses.
    """
    known = {_key(full): full for full in SKELETONS} | _OTHER_NAMES
    key = _key(name)
    if key in known:
        return SKELETONS[known[key]]
    guess = difflib.get_close_matches(key, known, n=1)
    hint = f" Did you mean '{known[guess[0]]}'?" if guess else ""
    raise SkeletonError(f"No skeleton is called '{name}'.{hint} Known: {', '.join(SKELETONS)}.")
