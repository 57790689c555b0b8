"""Training curves as a picture."""

from __future__ import annotations

from pathlib import Path

from posemend.errors import require


def draw(history: list[dict[str, float]], path: Path, title: str) -> None:
    """Write a PNG of training and validation errors over steps."""
    if not history:
        return
    matplotlib = require("matplotlib", "train")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=120)
    for name, style in (("train", ":"), ("all", "-"), ("visible", "--"), ("hidden", "-.")):
        label = "training samples" if name == "train" else f"held-out motions, {name} joints"
        known = [row for row in history if name in row]
        axes.plot([row["step"] for row in known], [row[name] for row in known], style, label=label)
    axes.set(xlabel="step", ylabel="MPJPE (mm)", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
