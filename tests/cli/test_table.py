"""``evaluate --table refiners`` on a made-up recording in BlendMimic3D's layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posemend.evaluation.refiners import read_table
from tests.datasets.test_blendmimic3d import cameras, write_action, write_cameras

FRAMES = 24


@pytest.fixture
def words(tmp_path: Path) -> list[object]:
    """The call up to the lifters; a run of an untrained Martinez lies in ``run``."""
    pytest.importorskip("torch")
    import torch

    from posemend.nn import checkpoint
    from posemend.nn.table import build, options_of

    views = cameras(1000, 1002)
    write_cameras(tmp_path / "data" / "S1", views)
    write_action(tmp_path / "data" / "S1", "Greeting", views, frames=FRAMES)
    torch.manual_seed(3)
    network = build("martinez", {"width": 8})
    about = {"network": {"name": "martinez", "options": options_of(network)}, "finished": True,
             "recipe": {"task": "blind", "name": "blind-tiny"}}  # fmt: skip
    checkpoint.save(tmp_path / "run" / "checkpoint", network.state_dict(), {}, about)
    return ["evaluate", "--table", "refiners", "--on", "blendmimic3d", "--root", "data", "--cameras", "0", "1"]


@pytest.fixture
def refiner_run(tmp_path: Path) -> Path:
    """A run of an untrained refiner, which changes nothing."""
    import torch

    from posemend.nn import checkpoint
    from posemend.nn.table import build, options_of
    from posemend.training.recipe import parse

    torch.manual_seed(4)
    options = {"patch": 4, "width": 8, "dilations": [1]}
    network = build("stgcn-six", options)
    recipe = parse({
        "name": "tiny", "task": "refine", "network": {"name": "stgcn-six", "options": options},
        "data": {"packs": {"procedural": 1}}, "raw": {"opinion": "checkpoints/lift-research"}, "optim": {"steps": 1},
    })  # fmt: skip
    about = {"network": {"name": "stgcn-six", "options": options_of(network)}, "commit": "none", "finished": False,
             "recipe": recipe.model_dump(mode="json")}  # fmt: skip
    checkpoint.save(tmp_path / "mine" / "checkpoint", network.state_dict(), {}, about)
    return tmp_path / "mine"


def lifted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the clips that are lifted from here on."""
    from posemend.nn import published

    names: list[str] = []
    whole = published.PlainLifter.__call__

    def counted(self, pose2d):
        names.append(pose2d.name)
        return whole(self, pose2d)

    monkeypatch.setattr(published.PlainLifter, "__call__", counted)
    return names


def test_the_table_is_built_and_gone_on_with(
    call, words, refiner_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = lifted(monkeypatch)
    these = ["--lifter", "martinez=run", "again:martinez=run", "--left-out", "again", "--output", "table.json"]
    said = call(*words, *these, "--refiner", "smooth", "mine=mine")
    assert said.code == 0, said.err
    assert len(names) == 2 * 2 * 2  # lifters, inputs, clips: not once more for each refiner
    assert "mine' is a run that has not finished" in said.err and "again, detector: raw" in said.err
    assert "Mean over 2 lifters, input 'detector'" in said.out and "left out" in said.out

    table = read_table(tmp_path / "table.json")
    assert table["clips"] == 2 and table["frames"] == 2 * FRAMES
    assert table["settings"]["on"] == "blendmimic3d" and list(table["cells"]) == ["martinez", "again"]
    cells = table["cells"]["martinez"]["detector"]
    assert list(cells) == ["raw", "smooth", "mine"]
    assert cells["smooth"]["accel_mm"] < cells["raw"]["accel_mm"]
    assert cells["mine"]["mpjpe_mm"]["all"] == pytest.approx(cells["raw"]["mpjpe_mm"]["all"], abs=0.01)
    assert table["refiners"]["mine"]["opinion"] == "research" and table["refiners"]["mine"]["network"] == "stgcn-six"
    assert table["averages"]["gt"]["raw"]["left_out"]["lifters"] == ["again"]
    assert str(tmp_path) not in (tmp_path / "table.json").read_text(encoding="utf-8")

    names.clear()
    said = call(*words, *these, "--refiner", "smooth", "mine=mine")
    assert said.code == 0 and names == [] and "done before" in said.err

    said = call(*words, *these, "--refiner", "mine=mine@default", "--input", "gt")
    assert said.code == 0 and len(names) == 4, "another second opinion is another refiner"
    assert read_table(tmp_path / "table.json")["refiners"]["mine"]["opinion"] == "default"

    names.clear()
    said = call(*words, *these, "--refiner", "one-euro", "--json")
    assert said.code == 0 and len(names) == 8
    assert list(said.json["cells"]["martinez"]["gt"]) == ["raw", "smooth", "mine", "one-euro"]
    assert list(said.json["cells"]["martinez"]["detector"]) == ["raw", "smooth", "one-euro"]
    assert "earlier goes stay" in said.err


def test_other_weights_are_measured_anew(call, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    these = [*words, "--input", "gt", "--lifter", "martinez=run", "--refiner", "smooth", "--output", "table.json"]
    assert call(*these).code == 0
    before = read_table(tmp_path / "table.json")

    import torch

    from posemend.nn import checkpoint

    network, about = checkpoint.load_network(tmp_path / "run" / "checkpoint")
    with torch.no_grad():
        list(network.parameters())[-1].add_(torch.linspace(0, 0.5, 48))
    checkpoint.save(tmp_path / "run" / "checkpoint", network.state_dict(), {}, about)
    names = lifted(monkeypatch)
    assert call(*these).code == 0
    after = read_table(tmp_path / "table.json")
    assert len(names) == 2
    assert after["lifters"]["martinez"]["weights"] != before["lifters"]["martinez"]["weights"]
    assert after["cells"]["martinez"]["gt"]["raw"] != before["cells"]["martinez"]["gt"]["raw"]


def test_raw_poses_are_kept(call, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = lifted(monkeypatch)
    these = [*words, "--input", "detector", "--lifter", "martinez=run", "--refiner", "smooth", "--raw-poses", "kept"]
    first = call(*these, "--json").json
    assert len(names) == 2 and len(list((tmp_path / "kept").rglob("*.npz"))) == 2
    second = call(*these, "--json").json
    assert len(names) == 2
    assert second["cells"] == first["cells"]


def test_sets_and_our_own_lifter(call, words) -> None:
    said = call(*words, "--input", "gt", "--lifter", "martinez=run", "posemend=default", "--refiner", "default",
                "ours=default", "--json")  # fmt: skip
    assert said.code == 0, said.err
    table = json.loads(json.dumps(said.json))
    cells = table["cells"]["martinez"]["gt"]
    assert cells["default"] == cells["ours"] and cells["default"]["mpjpe_mm"] != cells["raw"]["mpjpe_mm"]
    assert table["refiners"]["default"]["network"] == "stgcn-six"
    assert table["lifters"]["posemend"]["aside"]
    assert table["averages"]["gt"]["raw"]["all"]["lifters"] == ["martinez"]


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ([], "at least one --lifter"),
        (["--lifter", "martinez"], "KIND=FILE"),
        (["--lifter", "martinez=run", "martinez=run"], "two called 'martinez'"),
        (["--lifter", "martinez=run", "--left-out", "semgcn"], "no lifter here"),
        (["--lifter", "martinez=run", "--refiner", "nosuch"], "no folder 'nosuch'"),
        (["--lifter", "martinez=run", "--refiner", "raw=default"], "two called 'raw'"),
        (["--lifter", "martinez=run", "--refiner", "it=run"], "is a published lifter"),
        (["--lifter", "martinez=run", "--blind"], "--table goes with none"),
        (["--lifter", "martinez=run", "--output", "other.json"], "other clips or settings"),
    ],
)
def test_what_cannot_be_is_told(call, words, tmp_path: Path, more: list[str], part: str) -> None:
    if "other.json" in more:
        done = call(*words[:-1], "--input", "gt", "--lifter", "martinez=run", "--refiner", "smooth", "-o", "other.json")
        assert done.code == 0, done.err
    said = call(*words, *more)
    assert said.code != 0 and part in said.err


def test_what_is_only_for_tables(call, words) -> None:
    one = [*words[:1], *words[3:]]
    for more, part in (
        (["--left-out", "martinez"], "are for --table refiners"),
        (["--input", "gt", "detector"], "at a time"),
        (["--lifter", "martinez=run", "a:martinez=run"], "at a time"),
    ):
        said = call(*one, *more)
        assert said.code == 2 and part in said.err
