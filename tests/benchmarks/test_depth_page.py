"""The depth chain's page says what its record says."""

from __future__ import annotations

import copy
from typing import Any

from benchmarks import depth_page
from posemend.cli.depth_errors import STEPS, over_seeds


def _errors(visible: float, hidden: float) -> dict[str, Any]:
    parts = {"all": visible, "visible": visible, "hidden": hidden}
    return {part: {"mean_mm": mm, "map10": 100 - mm / 2} for part, mm in parts.items()}


def _record(trainings: int) -> dict[str, Any]:
    seeds = [{step: _errors(50.0 + 4 * seed, 100.0) for step in STEPS} for seed in range(trainings)]
    for row in seeds:
        row["chain"]["expected_mm"] = {"visible": 61.0, "hidden": 122.0}
    late = copy.deepcopy(seeds[0]["chain"])
    late["visible"]["mean_mm"] = 77.0
    return {
        "settings": {"clips": 4, "frames": 60, "data": "made up", "seed": 9}, "hidden_percent": 36.5, "commit": "abc",
        "stages": {"plain": seeds[0]}, "seeds": seeds, "over_seeds": over_seeds(seeds), "seeds_of_training": trainings,
        "depth off": _errors(200.0, 220.0) | {"from_pelvis": _errors(90.0, 95.0)}, "true distance": _errors(25.0, 91.0),
        "curves": {"late": {"33 ms": late}, "focal length": {"+5.0%": seeds[0]["chain"]}},
        "body_alone": {"kinds": {"flashes": {"before": _errors(60.0, 60.0), "after": _errors(26.0, 26.0)}}},
        "published": {"depth-body": {step: _errors(70.0, 130.0) for step in STEPS}},
        "speed": {"fps": 111.8, "threads": 2},
    }  # fmt: skip


def test_three_trainings_give_means_and_spreads() -> None:
    lines = depth_page.page(_record(3))
    assert "| D: the whole chain | 54 ± 4 | 73.0 ± 2.0 | 100 ± 0 | 50.0 ± 0.0 |" in lines
    assert "| no depth, from the pelvis | 90 | 55.0 | 95 | 52.5 |" in lines
    assert "| B, published | after B | 70 | 65.0 | 130 | 35.0 |" in lines
    assert "| B, ours | after B | 54 ± 4 | 73.0 ± 2.0 | 100 ± 0 | 50.0 ± 0.0 |" in lines
    assert "| maps late by 33 ms | 77 | 61 | 100 | 122 |" in lines
    assert "| focal length +5% | 50 | 61 | 100 | 122 |" in lines
    assert "| flashes of one or two frames | 60 | 70.0 | 26 | 87.0 |" in lines
    assert "112 frames a second on 2 threads, lifter and refiner included." in lines


def test_one_training_has_no_spread() -> None:
    record = _record(1) | {"published": {}}
    lines = depth_page.page(record)
    assert "| D: the whole chain | 50 | 75.0 | 100 | 50.0 |" in lines
    assert not any("published" in line for line in lines) and not any("±" in line for line in lines)
    assert depth_page.page(None) == []
