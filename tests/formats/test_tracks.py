"""Who is who over time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemend.formats import Person, link, read, read_people

Body = Callable[..., np.ndarray]
Folder = Callable[..., Path]


def _people(*tables: np.ndarray) -> list[Person]:
    return [Person(one[:, :2].astype(np.float32), one[:, 2].astype(np.float32)) for one in tables]


def test_two_people_cross_in_any_order(body: Body) -> None:
    rng = np.random.default_rng(0)
    right, left = body(60, x=0, step=6), body(60, x=354, step=-6)
    frames, truth = [], []
    for one, other in zip(right, left, strict=True):
        turned = bool(rng.integers(2))
        frames.append(_people(other, one) if turned else _people(one, other))
        truth.append(1 if turned else 0)
    tracks = link(frames)
    assert len(tracks) == 2
    mine = next(track for track in tracks if track[0] == truth[0])
    assert [mine[frame] for frame in range(60)] == truth


def test_crossing_behind_one_another(body: Body) -> None:
    """The one behind is not seen for half a second."""
    right, left = body(90, x=0, step=5), body(90, x=460, step=-5)
    frames = [_people(one) if 38 <= t < 53 else _people(one, other)
              for t, (one, other) in enumerate(zip(right, left, strict=True))]  # fmt: skip
    tracks = link(frames)
    assert len(tracks) == 2
    assert all(set(track.values()) == {number} for number, track in enumerate(tracks))


def test_gap_of_a_second_is_bridged_and_a_leap_is_not(body: Body) -> None:
    table = body(90)
    assert len(link([[] if 30 <= t < 55 else _people(one) for t, one in enumerate(table)], fps=30)) == 1
    table[50:, :, 0] += 900
    tracks = link([_people(one) for one in table])
    assert [sorted(track)[0] for track in tracks] == [0, 50]


def test_every_detection_is_in_one_track(body: Body) -> None:
    rng = np.random.default_rng(3)
    frames = [_people(*[body(1, x=rng.uniform(0, 900), y=rng.uniform(0, 900))[0] for _ in range(rng.integers(0, 5))])
              for _ in range(40)]  # fmt: skip
    used = [(frame, place) for track in link(frames) for frame, place in track.items()]
    assert sorted(used) == [(frame, place) for frame, people in enumerate(frames) for place in range(len(people))]


def test_people_without_shared_joints_are_still_followed(body: Body) -> None:
    table = body(30)
    table[::2, :8, 2] = 0  # upper and lower body seen in turns
    table[1::2, 8:, 2] = 0
    far = body(30, x=700)
    assert len(link([_people(one, other) for one, other in zip(table, far, strict=True)])) == 2


def test_lists_in_any_order_come_out_as_people(body: Body, openpose_folder: Folder) -> None:
    near, far = body(40, x=0, step=2), body(40, x=600, step=-1)
    turned = {t: [far[t][:, :], near[t]] if t % 3 else [near[t], far[t]] for t in range(40)}
    # COCO order as 17 joints is not OpenPose's, but the reader takes any known count
    people = read_people(openpose_folder(turned))
    assert [one.name for one in people] == ["p0", "p1"]
    for one in people:
        assert np.abs(np.diff(one.positions[:, 0, 0])).max() < 5


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("last", [20, 40])
def test_swapped_ids_are_swapped_back(body: Body, openpose_folder: Folder, last: int) -> None:
    one, other = body(40, x=0, step=2), body(40, x=500, step=1)
    frames = {t: [other[t], one[t]] if 15 <= t < last else [one[t], other[t]] for t in range(40)}
    with pytest.warns(UserWarning, match="swapped in frame 15"):
        people = read_people(openpose_folder(frames, ids=True))
    assert {person.name for person in people} == {"0", "1"}
    first = next(person for person in people if person.name == "0")
    np.testing.assert_allclose(first.positions[:, 0, 0], one[:, 0, 0])


def test_three_ids_in_a_ring(body: Body, openpose_folder: Folder) -> None:
    three = [body(30, x=x) for x in (0, 400, 800)]
    frames = {t: [three[(place + (t >= 12)) % 3][t] for place in range(3)] for t in range(30)}
    with pytest.warns(UserWarning, match="0, 1, 2 were swapped in frame 12"):
        people = read_people(openpose_folder(frames, ids=True))
    for person in people:
        np.testing.assert_allclose(person.positions[:, 0, 0], three[int(person.name)][:, 0, 0])


def test_leaping_id_is_reported(body: Body, openpose_folder: Folder) -> None:
    table = body(40)
    table[20:, :, 0] += 2000
    with pytest.warns(UserWarning, match="leaps"):
        assert len(read_people(openpose_folder({t: [one] for t, one in enumerate(table)}, ids=True))) == 1


def test_good_ids_are_kept_without_a_word(body: Body, openpose_folder: Folder) -> None:
    one, other = body(40, x=0, step=6), body(40, x=234, step=-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        people = read_people(openpose_folder({t: [one[t], other[t]] for t in range(40)}, ids=True))
    np.testing.assert_allclose(next(p for p in people if p.name == "1").positions[:, 3, 0], other[:, 3, 0])


def test_junk_and_duplicates_go(body: Body, openpose_folder: Folder) -> None:
    main = body(100, step=1)
    frames = {t: [one] for t, one in enumerate(main)}
    frames[50].append(body(1, x=900)[0])  # a ghost
    double = main[70].copy()
    double[:, :2] += 1
    double[:, 2] = 0.5
    frames[70].append(double)  # the same person twice
    with pytest.warns(UserWarning, match="left out 1 short"):
        pose = read(openpose_folder(frames))
    np.testing.assert_allclose(pose.positions[70], main[70, :, :2])


def test_away_for_long_and_back(body: Body, openpose_folder: Folder) -> None:
    table = body(200, step=1)
    pose = read(openpose_folder({t: [] if 50 <= t < 150 else [one] for t, one in enumerate(table)}))
    assert len(pose) == 200
    assert (pose.score > 0).any(1).sum() == 100


def test_warning_points_at_the_caller(body: Body, openpose_folder: Folder) -> None:
    frames = {t: [one] for t, one in enumerate(body(100, step=1))}
    frames[50].append(body(1, x=900)[0])
    with pytest.warns(UserWarning) as caught:
        read(openpose_folder(frames))
    assert caught[0].filename == __file__


def test_long_clip_of_one_person_is_quick(body: Body) -> None:
    import time

    frames = [_people(one) for one in body(20_000, step=0.01)]
    start = time.perf_counter()
    assert len(link(frames)) == 1
    assert time.perf_counter() - start < 5
