"""What the figures of `speed` say: goals met or missed, what a reader must know, a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUSY = 0.5  # load average before the start; a machine that does nothing else has less


def targets(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the project set itself, and whether it is met."""
    hour, start, growth = record["hour"], record["start"], record["growth"]
    chain = record["ratios"]["lift_refine_to_videopose3d_dense"]["by_medians"]
    at_most = [
        (f"seconds for {hour['frames']} frames, whole run", 60, hour["median_s"]),
        (f"peak MB for {hour['frames']} frames", 1000, hour["peak_mb"]),
        ("exponent of time in length, start left out", 1.1, growth["exponent_beyond_start"]),
        ("seconds of import posemend beyond bare Python", 0.15, start["import_beyond_bare_s"]),
        ("seconds of posemend --help", 0.5, start["help_s"]),
    ]
    rows = [{"what": "lift + refine to VideoPose3D, frames per second", "at_least": 5, "got": chain, "met": chain >= 5}]
    return rows + [
        {"what": what, "at_most": wanted, "got": got, "met": got is not None and got <= wanted}
        for what, wanted, got in at_most
    ]


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures must know, losses among it."""
    found = [
        "VideoPose3D's weights are random: this compares speed, not error.",
        "VideoPose3D is timed from prepared arrays to arrays; posemend from Pose2D to Pose3D, codec included.",
    ]
    if record["settings"]["quick"]:
        found.append("A quick try that everything works: its figures mean nothing.")
    if record["load"]["before"] > BUSY:
        found.append(f"The machine was busy with something else (load {record['load']['before']} before the start).")
    for name, times in record["ratios"].items():
        if times["by_medians"] < 1:
            found.append(f"posemend is the slower one: {name.replace('_to_', ' to ')} is {times['by_medians']}.")
    return found + [f"Missed: {row['what']}, got {row['got']}." for row in record["targets"] if not row["met"]]


def table(record: Mapping[str, Any]) -> str:
    """The record for people."""
    lines = [
        f"{record['machine']['cpu']}, {record['settings']['threads']} threads, bundle {record['settings']['bundle']}"
    ]
    lines += [f"{name:<28}{one['fps']:>12.1f} frames/s" for name, one in record["throughput"].items()]
    lines += [
        f"{name.replace('_to_', ' : '):<52}{one['by_medians']:>8.2f}  "
        f"({one['lowest_round']} ... {one['highest_round']})"
        for name, one in record["ratios"].items()
    ]
    lines += [f"{one['people']} people{one['fps']:>29.1f} frames/s" for one in record["people"]]
    lines += [f"run, {one['frames']:>7} frames {one['median_s']:>9.2f} s {one['peak_mb']:>9.1f} MB"
              for one in record["growth"]["rows"]]  # fmt: skip
    growth = record["growth"]
    lines.append(
        f"time ~ length^{growth['exponent']} ({growth['exponent_beyond_start']} without the start of "
        f"{growth['start_s']} s); {growth['bytes_per_frame']} bytes per frame"
    )
    lines += [f"{name:<28}{seconds:>12.3f} s" for name, seconds in record["start"].items()]
    lines += [f"{'met' if row['met'] else 'MISSED'}: {row['what']}: {row['got']}" for row in record["targets"]]
    return "\n".join([*lines, *record["remarks"]])
