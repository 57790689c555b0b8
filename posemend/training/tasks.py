"""The table of tasks: what makes a recipe's batches, what its loss is, and which errors are watched.

The loop knows no task. A new one is a line here and the functions that it
names; what its network answers is between the network and these functions.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from posemend.training.recipe import Recipe


class BatchLike(Protocol):
    """One step's data: NumPy arrays, whatever else a task needs."""

    def inputs(self) -> tuple[Any, ...]:
        """What the network is given."""
        ...


class Maker(Protocol):
    """Makes batches; each depends on nothing but its number."""

    def batch(self, number: int) -> BatchLike:
        """Batch ``number``, always the same."""
        ...


Answer = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class Task:
    """Where a task's functions are, as ``module:name``.

    Attributes:
        maker: ``(recipe, held_out) -> Maker``; the training or the held-out part.
        loss: ``(answer, batch, recipe, device) -> (loss, error)``; the error is a number for people, in mm.
        errors: ``(answer, batch) -> {column: error}`` for the log and the curves.
        watched: ``(recipe) -> bool``: whether there is a held-out part.
        taught: ``(batch, ask) -> batch`` with what the averaged network answers to ``ask(inputs)``; may be left out.
    """

    maker: str
    loss: str = "posemend.training.posing:loss"
    errors: str = "posemend.training.posing:errors"
    watched: str = "posemend.training.sources:any_held_out"
    taught: str = ""


TASKS: dict[str, Task] = {
    "lift": Task("posemend.training.sources:source"),
    "lift-rooted": Task("posemend.training.rooted:rooted_source", loss="posemend.training.rooted:loss"),
    "refine": Task("posemend.training.refining:refiner_source"),
    "blind": Task(
        "posemend.training.blind:blind_source", "posemend.training.blind:loss", "posemend.training.blind:errors"
    ),
    "masked": Task("posemend.training.masking:masked_source"),
    "weak": Task(
        "posemend.training.weak:weak_source",
        "posemend.training.teaching:loss",
        "posemend.training.teaching:errors",
        "posemend.training.weak:any_watched",
        "posemend.training.teaching:taught",
    ),
    **dict.fromkeys(
        ("depth-patch", "depth-body", "depth-cloud"),
        Task("posemend.training.depth:source", "posemend.training.depth:loss", "posemend.training.depth:errors"),
    ),
    "depth-time": Task(
        "posemend.training.depth_time:source", "posemend.training.depth:loss", "posemend.training.depth:errors",
        "posemend.training.depth_time:any_held_out",
    ),
}


def _named(place: str) -> Callable[..., Any]:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def maker(recipe: Recipe, held_out: bool = False) -> Maker:
    """What makes the batches of a recipe."""
    return _named(TASKS[recipe.task].maker)(recipe, held_out)


def held_out_batches(recipe: Recipe, count: int) -> list[BatchLike]:
    """Batches of held-out motions, the same at every validation; none if nothing is held out."""
    if not _named(TASKS[recipe.task].watched)(recipe):
        return []
    made = maker(recipe, held_out=True)
    return [made.batch(number) for number in range(count)]


def loss(answer: Answer, batch: BatchLike, recipe: Recipe, device: torch.device) -> tuple[Tensor, float]:
    """A recipe's loss, and the error that the progress bar shows."""
    return _named(TASKS[recipe.task].loss)(answer, batch, recipe, device)


def taught(batch: BatchLike, recipe: Recipe, ask: Callable[[tuple[Any, ...]], Answer]) -> BatchLike:
    """A batch with what the running average of the network, as a teacher, says of it; most tasks ask nothing."""
    place = TASKS[recipe.task].taught
    return _named(place)(batch, ask) if place else batch


def errors(answer: Answer, batch: BatchLike, recipe: Recipe) -> dict[str, float]:
    """Errors by column."""
    return _named(TASKS[recipe.task].errors)(answer, batch)
