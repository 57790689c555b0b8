"""Laws that every skeleton of the catalogue obeys."""

from __future__ import annotations

import pytest

from posemend.body.catalogue import BLENDMIMIC3D_17, H36M_17, SKELETONS, skeleton
from posemend.body.skeleton import Skeleton, mirror_name
from posemend.errors import SkeletonError

EVERY = pytest.mark.parametrize("body", SKELETONS.values(), ids=SKELETONS)


@EVERY
def test_names_are_unique_and_sided_names_come_in_pairs(body: Skeleton) -> None:
    assert len(set(body.joints)) == len(body.joints) == len(body)
    assert {mirror_name(name) for name in body.joints} == set(body.joints)
    assert SKELETONS[body.name] is body


@EVERY
def test_parents_come_before_children_and_there_is_no_ring(body: Skeleton) -> None:
    placed: set[str] = set()
    children = [child for _, child in body.bones]
    assert len(set(children)) == len(children)
    for parent, child in body.bones:
        assert child not in placed, "a joint is used as a parent before it is placed"
        placed |= {parent, child}
        assert children.count(parent) == 0 or parent in {c for _, c in body.bones[: body.bones.index((parent, child))]}


@EVERY
def test_joints_with_a_pelvis_form_one_tree(body: Skeleton) -> None:
    tops = [name for name, parent in zip(body.joints, body.parents, strict=True) if parent < 0]
    if body.root == ("pelvis",):
        assert tops == ["pelvis"]
    else:  # no pelvis joint: a forest, of which the roots are not the far ends
        assert not {"l_wrist", "r_wrist", "l_ankle", "r_ankle"} & set(tops)
    assert len(body.bones) == len(body) - len(tops)


@EVERY
def test_mirror_is_its_own_inverse_and_keeps_the_middle(body: Skeleton) -> None:
    twice = [body.mirror[place] for place in body.mirror]
    assert twice == list(range(len(body)))
    for place, name in enumerate(body.joints):
        assert (body.mirror[place] == place) == (not name.startswith(("l_", "r_")))


@EVERY
def test_bones_are_mirror_symmetric(body: Skeleton) -> None:
    bones = set(body.bones)
    undirected = bones | {(b, a) for a, b in bones}
    for parent, child in bones:
        assert (mirror_name(parent), mirror_name(child)) in undirected, (parent, child)
    for left, right in body.mirror_bones():
        assert mirror_name(body.bones[left][1]) == body.bones[right][1]
    sided = [child for _, child in bones if child.startswith("l_")]
    assert len(body.mirror_bones()) == len(sided)


@EVERY
def test_root_is_its_own_mirror_image(body: Skeleton) -> None:
    assert {mirror_name(name) for name in body.root} == set(body.root)
    assert [body.joints[place] for place in body.root_indices] == list(body.root)


@EVERY
def test_found_by_any_spelling(body: Skeleton) -> None:
    for spelling in (body.name, body.name.upper(), body.name.replace("_", "-"), body.name.replace("_", " ")):
        assert skeleton(spelling) is body


def test_blendmimic_is_the_mirror_order_of_h36m() -> None:
    assert BLENDMIMIC3D_17.joints == tuple(mirror_name(name) for name in H36M_17.joints)


def test_known_orders() -> None:
    assert H36M_17.joints[:4] == ("pelvis", "r_hip", "r_knee", "r_ankle")
    assert skeleton("coco").joints[5:7] == ("l_shoulder", "r_shoulder")
    assert len(skeleton("mediapipe")) == 33 and len(skeleton("halpe")) == 26


def test_unknown_name_guesses() -> None:
    with pytest.raises(SkeletonError, match="Did you mean 'halpe_26'"):
        skeleton("halpee")
    with pytest.raises(SkeletonError, match="Known: h36m_17"):
        skeleton("zzz")


def test_index_names_what_there_is() -> None:
    assert H36M_17.index("l_wrist") == 13
    with pytest.raises(SkeletonError, match="has no joint 'l_toe'"):
        H36M_17.index("l_toe")


@pytest.mark.parametrize(
    ("joints", "bones", "root", "says"),
    [
        (("a", "a"), (), ("a",), "twice"),
        (("a", "b"), (("a", "c"),), ("a",), "unknown joints"),
        (("a", "b"), (("a", "b"),), (), "no root"),
        (("a", "b"), (("a", "b"),), ("c",), "unknown joints"),
        (("a", "b", "c"), (("a", "c"), ("b", "c")), ("a",), "two parents"),
        (("a", "l_b"), (("a", "l_b"),), ("a",), "no mirror twin"),
    ],
)
def test_impossible_skeletons_are_refused(
    joints: tuple[str, ...], bones: tuple[tuple[str, str], ...], root: tuple[str, ...], says: str
) -> None:
    with pytest.raises(SkeletonError, match=says):
        Skeleton("odd", joints, bones, root)
