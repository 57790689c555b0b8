"""The table of behaviours that the made-up person knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posemend.datasets import behaviours as b
from posemend.datasets import exercise as e
from posemend.datasets import groundwork as g
from posemend.datasets.behaviours import Stage
from posemend.datasets.mannequin import Controls


@dataclass(frozen=True)
class Behaviour:
    """How to play it, for how long and how slowly to fade into it (seconds), how often, and in which stance."""

    play: Callable[[Stage], Controls]
    seconds: tuple[float, float]
    weight: float = 1.0
    fade: tuple[float, float] = (0.4, 0.9)
    stance: str = "up"


_SLOW = (0.9, 1.6)

# nobody goes from standing to lying in one cross-fade: stances are a tree, walked step by step
_TOWARDS_UP = {"lie": "seat", "seat": "kneel", "prone": "kneel", "kneel": "up"}
_BRIDGES = {"kneel": "kneel", "seat": "floor_sit"}  # a behaviour to pass each inner stance with

BEHAVIOURS: dict[str, Behaviour] = {
    "stand": Behaviour(b.stand, (3, 8), 1.5),
    "talk": Behaviour(lambda s: b.stand(s, "talk"), (4, 9)),
    "phone": Behaviour(lambda s: b.stand(s, "phone"), (4, 8), 0.6),
    "look": Behaviour(lambda s: b.stand(s, "rest"), (2, 5), 0.4),
    "walk": Behaviour(b.walk, (4, 10), 1.5),
    "stroll": Behaviour(lambda s: b.walk(s, 0.3, 0.8, 0.9), (4, 8), 0.8),
    "run": Behaviour(lambda s: b.walk(s, 2.2, 3.2, 0.7), (2.5, 5), 0.4),
    "turn": Behaviour(b.turn, (2, 4), 0.7),
    "reach": Behaviour(b.reach, (4, 9), 1.6),
    "wave": Behaviour(b.wave, (2.5, 5), 0.5),
    "sit": Behaviour(g.sit, (7, 16), 3.0),
    "sit_talk": Behaviour(lambda s: g.sit(s, "seated talk"), (7, 14), 1.2),
    "squat": Behaviour(e.squat, (4, 8), 1.0),
    "bend": Behaviour(e.bend, (4, 8), 1.8),
    "lunge": Behaviour(e.lunge, (4, 8), 0.8),
    "jump": Behaviour(e.jump, (2, 5), 0.4),
    "fight": Behaviour(e.fight, (3, 7), 0.6),
    "kneel": Behaviour(g.kneel, (3, 8), 1.0, _SLOW, "kneel"),
    "all_fours": Behaviour(g.all_fours, (4, 8), 1.0, _SLOW, "prone"),
    "push_up": Behaviour(g.push_up, (3, 7), 0.5, _SLOW, "prone"),
    "lie": Behaviour(g.lie, (4, 10), 1.4, (1.2, 2.0), "lie"),
    "lie_front": Behaviour(lambda s: g.lie(s, "front"), (4, 8), 0.4, (1.2, 2.0), "prone"),
    "floor_sit": Behaviour(g.floor_sit, (4, 10), 1.4, _SLOW, "seat"),
}


def bridges(before: str, after: str) -> list[str]:
    """Behaviours to pass through between two behaviours, none if they follow naturally."""
    ways = []
    for name in (before, after):
        way = [BEHAVIOURS[name].stance]
        while way[-1] in _TOWARDS_UP:
            way.append(_TOWARDS_UP[way[-1]])
        ways.append(way)
    shared = next(stance for stance in ways[0] if stance in ways[1])
    down, up = ways[0].index(shared), ways[1].index(shared)
    route = [*ways[0][:down], shared, *reversed(ways[1][:up])]
    return [_BRIDGES[stance] for stance in route[1:-1] if stance in _BRIDGES]
