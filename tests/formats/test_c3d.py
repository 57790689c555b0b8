"""C3D through ezc3d: labels, units, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.errors import FormatError
from posemend.formats import c3d
from tests.datasets.raw_files import write_c3d

pytest.importorskip("ezc3d")

TRUTH = {f"M{number}": np.random.default_rng(number).normal(size=(20, 3)) for number in range(5)}


@pytest.mark.parametrize("unit", ["mm", "cm", "m"])
def test_labels_units_and_gaps(tmp_path: Path, unit: str) -> None:
    truth = {label: places.copy() for label, places in TRUTH.items()}
    truth["M2"][5:9] = np.nan
    truth["M3"][7] = 0  # how some systems write a marker that was not seen
    markers = c3d.read(write_c3d(tmp_path / "a.c3d", truth, 200.0, unit))
    assert (markers.labels, markers.fps, markers.up) == (tuple(truth), 200.0, None)
    assert np.isnan(markers.positions[5:9, 2]).all() and np.isnan(markers.positions[7, 3]).all()
    truth["M3"][7] = np.nan
    for place, places in enumerate(truth.values()):
        np.testing.assert_allclose(markers.positions[:, place], places, atol=1e-6)


def test_more_labels_than_one_parameter_holds(tmp_path: Path) -> None:
    truth = {f"P{number}": np.full((3, 3), number + 1.0) for number in range(300)}
    markers = c3d.read(write_c3d(tmp_path / "a.c3d", truth, 100.0, "m"))
    assert markers.labels == tuple(truth)
    np.testing.assert_allclose(markers.named()["P299"], 300)


def test_names_without_the_subject(tmp_path: Path) -> None:
    markers = c3d.read(write_c3d(tmp_path / "a.c3d", TRUTH, 100.0, prefix="Kim:"))
    assert markers.labels[0] == "Kim:M0" and set(markers.named()) == set(TRUTH)


def test_files_that_are_refused(tmp_path: Path) -> None:
    path = write_c3d(tmp_path / "a.c3d", TRUTH, 100.0)
    whole = path.read_bytes()
    for content, words in (
        (b"\x02\x51" + whole[2:], "second byte"),
        (whole[:100], "cannot be read|holds 0"),
        (b"", "empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=words):
            c3d.read(path)


def test_real_recordings(shared_data: Path) -> None:
    markers = c3d.read(shared_data / "formats" / "c3d" / "Movement_trial.c3d")
    assert markers.positions.shape[0] == 323 and markers.fps == 120 and markers.up == (2, 1)
    assert "LASI" in markers.named() and not {"LHIPANGLES", "RKNEEANGLES"} & set(markers.named())
    assert np.isnan(markers.positions).any() and np.nanmax(np.abs(markers.positions)) < 10
