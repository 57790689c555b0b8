"""``train``, ``export`` and ``evaluate``: make a model, ship it, say how wrong it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from posemend.cli import depth_table, judging, options, output, tabling

DataSets = Literal["blendmimic3d", "human36m", "mpi-inf-3dhp", "3dpw"]
Inputs = Literal["gt", "gt+flags", "missing", "detector", "video"]
Averagings = Literal["ours", "h36m", "h36m-16", "3dhp", "3dpw"]
_MANY = Parameter(consume_multiple=True, negative=())


def train(
    recipe: Path,
    *overrides: str,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder of the run; else runs/RECIPE.")] = None,
    resume: Annotated[
        bool, Parameter(negative=(), help="Go on where the run in that folder stopped, if there is one.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Train a model after a recipe (needs the extra 'train').

    Args:
        recipe: TOML file, see `recipes/`.
        overrides: Changes to it, such as `optim.lr=3e-4 seed=1`.
    """
    from posemend.errors import require

    require("torch", "train")
    from posemend.training import loop
    from posemend.training.recipe import load

    folder = Path("runs") / recipe.stem if out is None else out
    read = load(recipe, overrides)
    result = loop.fit(read, folder, resume=resume, show=not as_json)
    if as_json:
        output.print_json({"verb": "train", "recipe": recipe, **result})
    else:
        judge = f"Judge it with: posemend evaluate --lifter {read.network.name}={folder}"
        bundle = f"Make a bundle of it with: posemend export {folder} -o BUNDLE"
        print(f"{folder}: trained. {judge if read.task == 'blind' else bundle}")


def export(
    checkpoint: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Folder of the bundle to write.")],
    keep: Annotated[
        Path | None, Parameter(help="Also write a small copy of the checkpoint that other recipes can start from.")
    ] = None,
    weights: Annotated[str, Parameter(name="--weights-version", help="Version of the weights, for the card.")] = "1",
    as_json: options.Json = False,
) -> None:
    """Make a bundle (model.onnx and card.json) of a checkpoint (needs the extra 'train').

    Args:
        checkpoint: What `train` left, a file or the run's folder.
    """
    from posemend.errors import InputError, require

    require("torch", "train")
    from posemend.nn.checkpoint import keep as copy_small
    from posemend.nn.export import export as write_bundle

    if not checkpoint.exists():
        raise InputError(f"There is no checkpoint '{checkpoint}'.")
    if not out.parent.is_dir():
        raise InputError(f"Cannot write '{out}': there is no folder '{out.parent}'. Make it first.")
    with output.working(f"exporting {checkpoint.name}", as_json):
        write_bundle(checkpoint, out, weights)
        if keep is not None:
            copy_small(checkpoint / "checkpoint" if (checkpoint / "checkpoint").is_dir() else checkpoint, keep)
    if as_json:
        output.print_json({"verb": "export", "checkpoint": checkpoint, "bundle": out})
    else:
        print(f"{out}: use it with --bundle {out}")


def evaluate(
    *,
    on: Annotated[
        DataSets | None, Parameter(help="Which data set; docs/benchmarks.md lists the files. Not for --table depth.")
    ] = None,
    root: Annotated[
        Path | None,
        Parameter(help="Its folder, in the published layout. For --table depth ITOP's, made-up people if left out."),
    ] = None,
    input: Annotated[
        list[Inputs] | None,
        Parameter(
            consume_multiple=True,
            negative=(),
            help="What the model is given; docs/conventions.md explains. 'gt' if left out; of a table, which takes "
            "several, 'gt detector'.",
        ),
    ] = None,
    subjects: Annotated[list[str] | None, _MANY] = None,
    actions: Annotated[list[str] | None, _MANY] = None,
    cameras: Annotated[list[str] | None, _MANY] = None,
    averaging: Annotated[
        Averagings, Parameter(help="Also average as a paper does, so that its table can be filled in.")
    ] = "ours",
    detections: Annotated[
        str | None, Parameter(help="Human3.6M: NAME of data_2d_h36m_NAME.npz, for --input video.")
    ] = None,
    trust: Annotated[
        bool, Parameter(negative=(), help="Open the data set's pickled files; only data is let in.")
    ] = False,
    bundle: options.Bundle = "default",
    predictions: Annotated[
        Path | None, Parameter(help="Judge these poses instead: a folder with SUBJECT/ACTION/CAMERA.npz.")
    ] = None,
    lifter: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative=(),
            help="Judge another lifter and its refinement: NAME=FILE, NAME one of martinez, semgcn, videopose3d, "
            "poseformerv2, d3dp, FILE its public weights or a folder trained by a blind recipe. Needs the train extra. "
            "Of a table: as many as you like, LABEL:NAME=FILE if one is there twice, posemend=BUNDLE for our own.",
        ),
    ] = None,
    refine: bool | None = None,
    blind: Annotated[
        bool, Parameter(negative="", help="Occlusion handling off: no scores, no flags, gaps filled, nothing refined.")
    ] = False,
    many: tabling.Many | None = None,
    deep: depth_table.Deep | None = None,
    seed: Annotated[int, Parameter(help="Seed of the simulated detector.")] = 0,
    out: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Also write the result, a .json.")] = None,
    as_json: options.Json = False,
) -> None:
    """How wrong is it? Errors of a bundle, or of somebody's predictions, on data with truth.

    Args:
        subjects: Such as `S1 S2`; if left out all that are there, of the field's benchmarks the papers' test split.
        actions: Such as `Greeting WalkCircle`; all that are there if left out.
        cameras: All that are there if left out.
        refine: Judge what the refiner makes of it, with the unrefined pose beside it; this is the
            default for a bundle and for --lifter. Predictions are judged as they are, unless --refine is given.
    """
    from posemend.datasets import benchmarks, blendmimic3d
    from posemend.errors import InputError
    from posemend.evaluation import protocol, report

    if out is not None:
        output.check_output(out, (".json",))
    many = many or tabling.Many()
    many.check(bool(predictions or blind or refine is not None or averaging != "ours"))
    if many.table == "depth":
        if on is not None or lifter or input or subjects or actions or cameras:
            raise InputError("--table depth makes people up, or takes ITOP's by --root; leave --on and the rest out.")
        depth_table.evaluate(deep or depth_table.Deep(), seed, root, out, as_json)
        return
    if deep is not None and deep != depth_table.Deep():
        raise InputError("--sets, --published, --clips, --frames, --threads and --side are for --table depth.")
    if on is None or root is None:
        raise InputError("evaluate wants --on (which data set) and --root (its folder); --table depth does without.")
    if many.table is None and (len(input or ()) > 1 or len(lifter or ()) > 1):
        raise InputError("One --input and one --lifter are judged at a time; --table refiners takes several.")
    with output.working(f"reading {root}", as_json):
        if on == "blendmimic3d":
            takes = blendmimic3d.read(root, subjects=subjects, actions=actions, cameras=cameras)
        else:
            subjects = list(benchmarks.BENCHMARKS[on].test) if subjects is None else subjects
            takes = benchmarks.read(on, root, subjects, actions, cameras, detections=detections, trust=trust)
    split = f"{_words(subjects, 'subjects')}; {_words(actions, 'actions')}; {_words(cameras, 'cameras')}"
    if many.table is not None:
        settings = {"on": on, "split": split, "seed": seed}
        tabling.refiners(takes, settings, many, lifter or [], input or tabling.INPUTS, bundle, out, as_json)
        return
    judged = judging.judged(takes, bundle, predictions, lifter[0] if lifter else None, refine, blind)
    facts: dict[str, Any] = {
        "on": on,
        "input": input[0] if input else "gt",
        "split": split,
        "lifter": judged.label,
        "seed": seed,
        "averaging": averaging,
    }
    with output.counting("evaluating", as_json) as progress:
        if judged.refine is not None:
            facts["refiner"] = f"bundle {judging.label(bundle)}"
            result = protocol.evaluate_refiner(takes, judged.raw, judged.refine, **facts, progress=progress)
        else:
            result = protocol.evaluate(takes, judged.raw, **facts, progress=progress)
    if out is not None:
        out = report.write_result(out.parent, out.stem, result)
    if as_json:
        output.print_json(result)
    else:
        _print_result(result, out)


def _words(names: list[str] | None, what: str) -> str:
    return " ".join(names) if names else f"all {what}"


def _print_result(result: dict[str, Any], out: Path | None) -> None:
    def number(value: Any) -> str:
        return "–" if value is None else f"{value:.1f}"

    kinds = {"raw, ": result["raw"], "refined, ": result} if result.get("raw") else {"": result}
    rows = []
    for kind, found in kinds.items():
        for label, key in (("MPJPE, mm", "mpjpe_mm"), ("P-MPJPE, mm", "p_mpjpe_mm")):
            rows.append([kind + label, *(number(found[key][part]) for part in ("all", "visible", "hidden"))])
        for label, key in (("MPJVE, mm/frame", "mpjve_mm"), ("PCK@150, %", "pck150")):
            rows.append([kind + label, number(found[key]), "", ""])
        if (paper := found.get("paper")) is not None:
            for label, key in (
                ("MPJPE", "mpjpe_mm"),
                ("P-MPJPE", "p_mpjpe_mm"),
                ("PCK@150", "pck150"),
                ("AUC", "auc150"),
            ):
                if paper[key] is not None:
                    rows.append([f"{kind}{label} as '{paper['averaging']}' averages", number(paper[key]), "", ""])
    title = f"{result['clips']} clips, {result['frames']} frames, input '{result['protocol']['input']}'"
    output.print_table(title, ["", "all joints", "visible", "hidden"], rows)
    if out is not None:
        print(out)
