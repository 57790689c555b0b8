"""Motion packs: decoding with wrap-around, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.datasets import packs
from posemend.errors import FormatError, InputError


def pack(**changes) -> dict:
    rng = np.random.default_rng(0)
    frames = 12
    arrays = {
        "root": rng.normal(size=(frames, 3)).astype(np.float32),
        "joints_delta": rng.integers(-9000, 9000, (frames, 16, 3)).astype(np.int16),
        "length": np.array([5, 7]),
        "fps": np.float32(50),
        "subject": np.array(["a", "b"]),
        "action": np.array(["walk", "sit"]),
        "name": np.array(["a_1", "b_1"]),
        "joints": np.array(H36M_17.joints),
        "licence": np.array("free"),
    }
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def saved(folder: Path, **changes) -> Path:
    path = folder / "made_up.npz"
    np.savez_compressed(path, **pack(**changes))
    return path


def test_sequences_are_summed_apart_and_wrap_around(tmp_path):
    truth = np.zeros((4, 16, 3), np.int16)
    truth[:, 0, 0] = [20000, -20000, 20000, 5]  # the steps of 40000 do not fit into 16 bits
    delta = np.concatenate([truth[:1], np.diff(truth[:3], axis=0), truth[3:]])
    path = saved(tmp_path, root=np.ones((4, 3), np.float32), joints_delta=delta, length=np.array([3, 1]))
    first, second = packs.read(path)
    np.testing.assert_allclose(first.positions[:, 1, 0], [3, -1, 3], atol=1e-5)
    np.testing.assert_allclose(second.positions[:, 1, 0], [1.0005], atol=1e-6)
    np.testing.assert_allclose(first.positions[:, 0], 1)
    assert first.positions.dtype == np.float32 and first.positions.shape == (3, 17, 3)


def test_labels_and_folder(tmp_path):
    path = saved(tmp_path)
    motions = packs.read(tmp_path)
    assert [(m.subject, m.action, m.name, len(m)) for m in motions] == [("a", "walk", "a_1", 5), ("b", "sit", "b_1", 7)]
    assert {(m.source, m.licence, m.fps, m.skeleton) for m in motions} == {("made_up", "free", 50.0, H36M_17)}
    assert len(packs.read(path)) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fps": None}, "lacks fps"),
        ({"length": np.array([5, 8])}, "'root' wants shape"),
        ({"length": np.array([5, -7])}, "above 0"),
        ({"joints_delta": np.zeros((12, 16, 3), np.int32)}, "int16"),
        ({"joints_delta": np.zeros((12, 17, 3), np.int16)}, "joints_delta"),
        ({"joints": np.array(H36M_17.joints[::-1])}, "'joints' wants"),
        ({"root": np.full((12, 3), np.nan, np.float32)}, "finite"),
        ({"fps": np.float32(0)}, "fps"),
        ({"name": np.array(["only one"])}, "'name' wants"),
        ({"name": np.array([{}, {}], dtype=object)}, "object"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, words):
    with pytest.raises(FormatError, match=words):
        packs.read(saved(tmp_path, **changes))


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(InputError, match="not there"):
        packs.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"none"):
        packs.read(tmp_path)
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FormatError):
        packs.read(path)


def motion(seed: int, **changes) -> packs.Motion:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-1.6, 1.6, (20 + seed, 17, 3)).astype(np.float32)  # steps of up to 3.2 m wrap around
    told = {"fps": 25.0, "subject": f"s{seed}", "action": "walk", "name": f"n{seed}", "source": "x", "licence": "free"}
    return packs.Motion(**({"positions": positions, "skeleton": H36M_17} | told | changes))


def test_what_is_written_is_read_again(tmp_path):
    motions = [motion(seed) for seed in range(3)]
    packs.write(tmp_path / "mine.npz", motions)
    found = packs.read(tmp_path / "mine.npz")
    for ours, theirs in zip(motions, found, strict=True):
        np.testing.assert_array_equal(ours.positions[:, 0], theirs.positions[:, 0])
        assert np.abs(ours.positions - theirs.positions).max() < 0.51 * packs.UNIT
        assert (theirs.name, theirs.subject, theirs.source, theirs.fps) == (ours.name, ours.subject, "mine", 25.0)
    packs.write(tmp_path / "again.npz", found, source="mine")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "mine.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "mine.npz"]


@pytest.mark.parametrize(
    ("motions", "words"),
    [
        ([], "no motion"),
        ([motion(1), motion(2, fps=50.0)], "one fps"),
        ([motion(1), motion(2, licence="none")], "one licence"),
        ([motion(1, positions=np.full((5, 17, 3), np.nan, np.float32))], "finite"),
        ([motion(1, positions=np.arange(51, dtype=np.float32).reshape(1, 17, 3))], "3.27 m"),
        ([motion(1, positions=np.zeros((5, 16, 3), np.float32))], "17 joints"),
    ],
)
def test_what_cannot_be_packed(tmp_path, motions, words):
    with pytest.raises(InputError, match=words):
        packs.write(tmp_path / "mine.npz", motions)
    assert not list(tmp_path.iterdir())


def test_real_packs_are_written_as_they_were(shared_data, tmp_path):
    source = shared_data / "motion" / "packs" / "cmu_daz_bvh.npz"
    packs.write(tmp_path / source.name, packs.read(source))
    with np.load(source) as theirs, np.load(tmp_path / source.name) as ours:
        assert set(ours) == set(theirs)
        for key in theirs:
            assert ours[key].dtype == theirs[key].dtype, key
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_real_pack_has_constant_bones(shared_data):
    motions = packs.read(shared_data / "motion" / "packs" / "cmu_asfamc.npz")
    assert len(motions) == 33 and sum(map(len, motions)) == 32612
    for motion in motions:
        shin = np.linalg.norm(motion.positions[:, 3] - motion.positions[:, 2], axis=-1)
        assert np.ptp(shin) < 0.002
        assert 0.3 < shin.mean() < 0.5
