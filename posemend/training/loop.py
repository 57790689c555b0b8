"""The one training loop: step, average, validate, save, go on exactly.

Learning rate: linear warm-up, then cosine to zero. The weights that are kept
are a running average. Nothing is chosen by validation error: it is watched on
held-out motions, and the last average is the result.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from posemend.errors import RecipeError
from posemend.nn import checkpoint
from posemend.nn.table import build, options_of, size
from posemend.training import tasks
from posemend.training.feed import batches
from posemend.training.recipe import Recipe, parse
from posemend.training.tasks import Answer, BatchLike, held_out_batches

VALIDATION_BATCHES = 4


@dataclass
class Step:
    """A network, its optimiser and its running average."""

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.AdamW
    device: torch.device
    bfloat16: bool


def _device_and_precision(recipe: Recipe) -> tuple[torch.device, bool]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if recipe.optim.precision != "auto":
        return device, recipe.optim.precision == "bfloat16"
    # bfloat16 pays only where the processor multiplies it faster than float32
    return device, device.type == "cuda" or any(
        getattr(torch.cpu, name, lambda: False)() for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )


def _begin(recipe: Recipe) -> Step:
    torch.manual_seed(recipe.seed)
    network = build(recipe.network.name, recipe.network.options)
    if recipe.start_from:
        older, _ = checkpoint.load_network(recipe.start_from)
        checkpoint.fill(network, older.state_dict(), recipe.start_from)
    device, bfloat16 = _device_and_precision(recipe)
    network.to(device)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.optim.decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=recipe.optim.rate, betas=(0.9, 0.98))
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return Step(network, average, optimiser, device, bfloat16)


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step."""
    optim = recipe.optim
    if step < optim.warmup:
        return optim.rate * (step + 1) / optim.warmup
    done = (step - optim.warmup) / max(1, optim.steps - optim.warmup)
    return optim.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def forward(network: nn.Module, batch: BatchLike, step: Step) -> Answer:
    """What a network answers to a batch."""
    inputs = _tensors(batch.inputs(), step)
    with torch.autocast(step.device.type, torch.bfloat16, enabled=step.bfloat16):
        return network(*inputs)


def _tensors(inputs: tuple[Any, ...], step: Step) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(x)).to(step.device) for x in inputs]


def _averaged(inputs: tuple[Any, ...], step: Step) -> Answer:
    """What the running average of the network answers: the teacher of tasks that want one."""
    own = {name: tensor.clone() for name, tensor in step.network.state_dict().items()}
    step.network.load_state_dict(step.average)
    step.network.eval()
    try:
        with torch.no_grad(), torch.autocast(step.device.type, torch.bfloat16, enabled=step.bfloat16):
            return step.network(*_tensors(inputs, step))
    finally:
        step.network.load_state_dict(own)
        step.network.train()


def _learn(batch: BatchLike, number: int, recipe: Recipe, step: Step) -> float:
    step.network.train()
    for group in step.optimiser.param_groups:
        group["lr"] = rate_at(number, recipe)
    batch = tasks.taught(batch, recipe, lambda inputs: _averaged(inputs, step))
    loss, error = tasks.loss(forward(step.network, batch, step), batch, recipe, step.device)
    if not torch.isfinite(loss):
        raise RecipeError(f"The loss became {loss.item()} at step {number}. Lower optim.rate and resume.")
    step.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(step.network.parameters(), recipe.optim.clip)
    step.optimiser.step()
    keep = min(recipe.optim.average, (number + 1) / (number + 10))
    with torch.no_grad():
        for name, tensor in step.network.state_dict().items():
            if tensor.is_floating_point():
                step.average[name].lerp_(tensor, 1 - keep)
            else:
                step.average[name].copy_(tensor)
    return error


def _validate(held_out: list[BatchLike], recipe: Recipe, step: Step) -> dict[str, float]:
    network = build(recipe.network.name, recipe.network.options).to(step.device).eval()
    network.load_state_dict(step.average)
    with torch.no_grad():
        rows = [tasks.errors(forward(network, batch, step), batch, recipe) for batch in held_out]
    columns = rows[0] if rows else {}
    found = {name: [row[name] for row in rows if not np.isnan(row[name])] for name in columns}
    return {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}


def _state(step: Step) -> dict[str, Tensor]:
    state = {f"network.{name}": tensor for name, tensor in step.network.state_dict().items()}
    for number, slots in step.optimiser.state_dict()["state"].items():
        state |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    return state


def _restore(step: Step, state: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    prefix = "network."
    step.network.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".", 2)
            slots.setdefault(int(number), {})[name] = value
    whole = step.optimiser.state_dict()
    whole["state"] = slots
    step.optimiser.load_state_dict(whole)
    for name, tensor in weights.items():
        step.average[name].copy_(tensor)


def _commit() -> str:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _save(folder: Path, number: int, recipe: Recipe, step: Step, history: list[dict[str, float]]) -> None:
    facts: dict[str, Any] = {
        "schema": 1,
        "step": number,
        "finished": number >= recipe.optim.steps,
        "network": {"name": recipe.network.name, "options": options_of(step.network)},
        "parameters": size(step.network),
        "recipe": recipe.model_dump(mode="json"),
        "commit": _commit(),
        "history": history,
    }
    checkpoint.save(folder / "checkpoint", step.average, _state(step), facts)


def _resume(folder: Path, recipe: Recipe, step: Step) -> tuple[int, list[dict[str, float]]]:
    place = folder / "checkpoint"
    about = checkpoint.facts(place)
    begun = parse(about["recipe"])
    # a run may be made longer or shorter: the learning rate follows the new length from here on
    if begun.model_copy(update={"optim": begun.optim.model_copy(update={"steps": recipe.optim.steps})}) != recipe:
        raise RecipeError(
            f"{folder} was begun with another recipe. Resume with the recipe kept in {place / 'checkpoint.json'} "
            "(only optim.steps may differ), or choose another output folder."
        )
    from safetensors.torch import load_file

    _restore(step, checkpoint.load_state(place), load_file(place / "weights.safetensors"))
    return int(about["step"]), list(about["history"])


def _progress(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    from rich.console import Console

    return Progress(*columns, console=Console(stderr=True), disable=not show)


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Tiny gradients would slow the processor down many times; whoever calls us keeps his own tiny numbers."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_without_denormals()
def fit(recipe: Recipe, folder: str | Path, resume: bool = False, show: bool = True) -> dict[str, Any]:
    """Train a recipe to its end.

    Args:
        recipe: What to train.
        folder: Where checkpoint, log and curves go.
        resume: Go on from the checkpoint in ``folder``, if there is one.
        show: Progress on standard error.

    Returns:
        Summary: folder, steps, last validation errors in mm, seconds.

    Raises:
        RecipeError: Data is missing, the folder is taken, or the loss exploded.
    """
    folder = Path(folder)
    if recipe.optim.threads:
        torch.set_num_threads(recipe.optim.threads)
    step = _begin(recipe)
    checkpoint.recover(folder / "checkpoint")
    first, history = 0, []  # type: int, list[dict[str, float]]
    if (folder / "checkpoint").exists():
        if not resume:
            raise RecipeError(f"{folder} already holds a checkpoint. Add --resume to go on, or choose another folder.")
        first, history = _resume(folder, recipe, step)
    folder.mkdir(parents=True, exist_ok=True)
    held_out = held_out_batches(recipe, VALIDATION_BATCHES)
    optim = recipe.optim
    started, recent = time.monotonic(), []  # type: float, list[float]
    with _progress(show) as progress:
        task = progress.add_task(recipe.name, total=optim.steps, completed=first)
        for number, batch in enumerate(batches(recipe, first, optim.steps), first):
            recent.append(_learn(batch, number, recipe, step))
            done = number + 1
            if done % optim.validate_every == 0 or done == optim.steps:
                errors = _validate(held_out, recipe, step)
                history.append({"step": done, "train": float(np.mean(recent)), **errors})
                recent = []
                _log(folder, history[-1], time.monotonic() - started)
            if done % optim.save_every == 0 or done == optim.steps:
                _save(folder, done, recipe, step, history)
            progress.update(task, completed=done, description=f"{recipe.name} {np.mean(recent[-50:] or [0]):.0f} mm")
    from posemend.training.curves import draw

    draw(history, folder / "curves.png", recipe.name)
    return {"folder": str(folder), "steps": optim.steps, "validation_mm": history[-1] if history else None,
            "seconds": round(time.monotonic() - started, 1)}  # fmt: skip


def _log(folder: Path, row: dict[str, float], seconds: float) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**{k: round(v, 3) for k, v in row.items()}, "seconds": round(seconds)}) + "\n")
