"""Small recipes of task ``weak``: made-up people, some labelled."""

from __future__ import annotations

from typing import Any

from posemend.training.recipe import Recipe, parse

OPTIONS: dict[str, dict[str, Any]] = {
    "patch-tcn": {"patch": 2, "width": 16, "hidden": 16, "dilations": [1, 2]},
    "semgcn": {"hidden": 16, "layers": 1, "non_local": True},
}
EXACT = {"exact": 1, "flagged": 0, "missing": 0, "detector": 0}


def weak_recipe(name: str = "patch-tcn", hiding: dict[str, float] | None = None, **weak: Any) -> Recipe:
    """Two made-up performers of a minute each: the first labelled, the second not."""
    steps = weak.pop("steps", 3)
    people = {"labelled": ["procedural/seed10000"], "unlabelled": ["procedural/seed10001"], "cameras": 2}
    return parse(
        {
            "name": "tiny-weak", "task": "weak", "seed": 3,
            "network": {"name": name, "options": OPTIONS[name]},
            "data": {"packs": {"procedural": 1}, "procedural_minutes": 2},
            "hiding": hiding or EXACT, "views": {"calibrated": 1.0},
            "weak": {**people, **weak},
            "optim": {"steps": steps, "batch": 8, "frames": 16, "warmup": 1, "save_every": 50, "validate_every": 50,
                      "precision": "float32", "threads": 1},
        }
    )  # fmt: skip
