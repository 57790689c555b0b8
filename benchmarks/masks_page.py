"""The part of ``docs/results.md`` that shows ``results/masks-*.json``: what masks are worth to the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import give_or_take, table

USES = {
    "masked": "cut off",
    "open": "looked at",
    "average": "cut off, mean over the masks",
    "passes": "looked at, five passes",
}
TITLES = {
    "kinds": "What is switched off in training",
    "sets": "Number, share and overlap of the masks",
    "graph": "The graph: T, t_p and Δ",
}


def page(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lines of the page for the tables that there are, by name; none for none."""
    if not tables:
        return []
    lines = [
        "## Masks: the occlusion-resilient graph, by what it is trained with", "",
        "`python -m benchmarks.ablate_masks` on BlendMimic3D's validation actions, lifted blindly by a Martinez.",
        "Error of **hidden** joints in mm (visible ones in brackets), mean and 95 % interval over seeds. In use, what",
        "stands at a hidden joint is *cut off* or *looked at*. `missing`: no keypoint; `detector`: hidden is what",
        "scores trust little; `flagged`: true flags tell, while the raw pose may be near.", "",
    ]  # fmt: skip
    for name, record in tables.items():
        lines += _one(name, record)
    return lines


def _one(name: str, record: Mapping[str, Any]) -> list[str]:
    told, raw = record["settings"], record["raw_mm"]
    situations = list(raw)
    lines = [
        f"### {TITLES[name]}", "",
        f"{told['steps']} steps, {told['seeds']} seeds, commit {record['commit']}; "
        f"[picture](../results/masks-{name}.png).", "",
    ]  # fmt: skip
    rows = [["raw poses", "", *(f"{raw[given]['hidden']:.1f} ({raw[given]['visible']:.1f})" for given in situations)]]
    for one in record["rows"]:
        for use in one["situations"][situations[0]]:
            cells = [one["situations"][given][use] for given in situations]
            shown = [f"{give_or_take(**x['hidden'])} ({x['visible']['mean']:.1f})" for x in cells]
            rows.append([one["name"], USES[use], *shown])
    lines += table(["trained with", "in use", *(f"`{given}`" for given in situations)], rows)
    if record["gains"]:
        lines += ["By how many per cent structured masks, cut off, are lower on hidden joints, seed by seed:", ""]
        lines += _gains(record["gains"], situations)
    return lines


def _gains(gains: Sequence[Mapping[str, Any]], situations: Sequence[str]) -> list[str]:
    by_row: dict[tuple[str, str], dict[str, str]] = {}
    for gain in gains:
        met = give_or_take(**gain["hidden_lower_percent"], form="+.1f")
        by_row.setdefault((gain["against"], gain["used"]), {})[gain["situation"]] = met
    rows = [[against, USES[use], *(found[given] for given in situations)] for (against, use), found in by_row.items()]
    return table(["against", "in use", *(f"`{given}`" for given in situations)], rows)
