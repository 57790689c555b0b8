"""The occlusion-resilient graph: a hidden joint is neither looked at nor listened to."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from posemend.body.catalogue import H36M_17
from posemend.contract.codec import HIDDEN_SCORE, SEEN
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES
from posemend.errors import RecipeError
from posemend.nn import export, mirror
from posemend.nn.refiners import masked_carry, masked_layers, masked_stgcn
from posemend.nn.refiners.masked_stgcn import MaskedSTGCN
from posemend.nn.table import build, options_of

SMALL = {"width": 16, "strides": [1, 2, 1], "neighbours": 2}
TRUST = 8
FRAMES = 20


def made(**options: object) -> MaskedSTGCN:
    """A network in use with nothing left at zero."""
    torch.manual_seed(0)
    network = build("masked-graph", {**SMALL, **options})
    with torch.no_grad():
        for parameter in (network.head.weight, *network.parameters()):  # type: ignore[union-attr]
            if parameter.abs().max() == 0 or parameter is network.head.weight:
                parameter.normal_(0, 0.2)  # type: ignore[operator]
    return network.eval()  # type: ignore[return-value]


def evidence(batch: int = 2, frames: int = FRAMES, hide: float = 0.3) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    x = torch.randn(batch, frames, 17, EVIDENCE_FEATURES, generator=chance) * 0.3
    x[:, :, 0, :3] = 0
    hidden = torch.rand(batch, frames, 17, generator=chance) < hide
    x[..., TRUST] = torch.where(hidden, torch.tensor(HIDDEN_SCORE), torch.tensor(0.9))
    return x, torch.randn(batch, frames, EVIDENCE_CLIP_FEATURES, generator=chance)


def both(network: MaskedSTGCN, x: Tensor, clip: Tensor, keep: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return torch.cat([part.flatten(2) for part in network(x, clip, keep)], -1)


@pytest.mark.parametrize("options", [{}, {"inputs": "pose"}, {"attention": False}, {"masks": 3, "mirror": True}])
@pytest.mark.parametrize("frames", [1, FRAMES])
def test_shapes_and_root(options: dict[str, object], frames: int) -> None:
    with torch.no_grad():
        positions, log_error = made(**options)(*evidence(frames=frames))
    assert positions.shape == (2, frames, 17, 3) and log_error.shape == (2, frames, 17)
    assert positions[:, :, 0].abs().max() == 0
    assert torch.isfinite(positions).all() and torch.isfinite(log_error).all()


@pytest.mark.parametrize("joint", range(17))
@pytest.mark.parametrize("options", [{}, {"inputs": "pose", "attention": False}])
def test_what_is_said_of_a_hidden_joint_changes_nothing(joint: int, options: dict[str, object]) -> None:
    """Bit for bit, at the joint itself and everywhere else, whatever stands there."""
    network = made(**options)
    x, clip = evidence(hide=0.2)
    at = slice(4, 15)
    x[:, at, joint, TRUST] = HIDDEN_SCORE
    before = both(network, x, clip)
    for junk in (torch.randn(2, 11, EVIDENCE_FEATURES) * 50, torch.full((2, 11, EVIDENCE_FEATURES), float("nan"))):
        other = x.clone()
        other[:, at, joint] = junk
        other[:, at, joint, TRUST] = 0.0
        assert torch.equal(both(network, other, clip), before)
    seen = x.clone()
    seen[:, at, joint, TRUST] = 0.9
    assert not torch.equal(both(network, seen, clip), before)


def test_a_training_mask_hides_as_well() -> None:
    network = made()
    x, clip = evidence(hide=0.0)
    keep = torch.rand(2, FRAMES, 17) > 0.3
    other = x.clone()
    other[~keep] += 7
    other[..., TRUST] = 0.9
    assert torch.equal(both(network, other, clip, keep), both(network, x, clip, keep))
    by_trust = x.clone()
    by_trust[..., TRUST] = torch.where(keep, x[..., TRUST], torch.tensor(0.0))
    assert torch.equal(both(network, by_trust, clip), both(network, x, clip, keep))


def test_a_hidden_joint_sends_no_message() -> None:
    """Even what it has become inside the network reaches no seen joint: its token may be anything."""
    network = made()
    x, clip = evidence(hide=0.4)
    with torch.no_grad():
        before, _ = network(x, clip)
        network.token += 3.0
        after, _ = network(x, clip)
    seen = x[..., TRUST] >= SEEN
    assert torch.equal(before[seen], after[seen])
    assert not torch.equal(before[~seen], after[~seen])


def test_everything_hidden_is_still_a_body() -> None:
    x, clip = evidence(hide=1.1)
    positions = both(made(), x, clip)
    assert torch.isfinite(positions).all()


def test_seen_joints_of_an_untrained_network_stay() -> None:
    x, clip = evidence()
    network = build("masked-graph", SMALL)
    positions, _ = network(x, clip)
    seen = (x[..., TRUST] >= SEEN) & (x[:, :, :1, TRUST] >= SEEN)  # without the pelvis they may move as one
    assert torch.equal(positions[seen], x[..., :3][seen])
    never = build("masked-graph", {**SMALL, "hide": "never"})
    assert torch.equal(never(x, clip)[0], x[..., :3])


def test_a_hidden_joint_begins_where_it_was_seen() -> None:
    """Before any learning: frames hidden between two, and a joint that was never seen."""
    network = build("masked-graph", {**SMALL, "strides": [1], "neighbours": 1})
    x, clip = evidence(batch=1, hide=0.0)
    elbow, wrist, ankle = (H36M_17.index(name) for name in ("l_elbow", "l_wrist", "r_ankle"))
    x[:, 5:9, wrist, TRUST] = 0
    x[:, :, ankle, TRUST] = 0
    positions = network(x, clip)[0]
    raw = x[0, :, :, :3]
    gate = 1 / (1 + math.exp(1.5))
    for at in range(5, 9):
        place, bone = (
            line[4] + (line[9] - line[4]) * (at - 4) / 5 for line in (raw[:, wrist], raw[:, wrist] - raw[:, elbow])
        )
        wanted = (1 - gate) * place + gate * (raw[at, elbow] + bone)
        torch.testing.assert_close(positions[0, at, wrist], wanted)
    rest = positions[0, :, ankle] - raw[:, ankle - 1]
    torch.testing.assert_close(rest, torch.tensor([0.0, 0.42, 0.0]).expand(FRAMES, -1), rtol=1e-4, atol=1e-5)


def test_what_was_known_against_a_loop() -> None:
    """Every joint and frame by searching, with a memory that is too short for some."""
    chance = torch.Generator().manual_seed(3)
    values, known = torch.randn(2, 30, 17, 3, generator=chance), torch.rand(2, 30, 17, generator=chance) < 0.25
    known[0, :, 4] = False
    got, away = masked_carry.between(values, known, 5)
    for clip, at, joint in itertools.product(range(2), range(30), range(17)):
        times = known[clip, :, joint].nonzero().flatten().tolist()
        before = max((t for t in times if at - 5 <= t <= at), default=None)
        after = min((t for t in times if at <= t <= at + 5), default=None)
        line = values[clip, :, joint]
        wanted = torch.zeros(3)
        if before is not None and after is not None:
            share = (at - before) / max(after - before, 1)
            wanted = line[before] * (1 - share) + line[after] * share
        elif before is not None or after is not None:
            wanted = line[before if before is not None else after]
        torch.testing.assert_close(got[clip, at, joint], wanted)
        assert away[clip, at, joint].tolist() == [
            -1 if before is None else at - before, -1 if after is None else after - at
        ]  # fmt: skip


def test_a_hidden_pelvis_is_not_taken_on_trust() -> None:
    """Where the lifter has put it changes nothing: not the frame's joints, nor what is carried to others."""
    network = made(inputs="pose")
    x, clip = evidence(hide=0.2)
    x[:, 5:11, 0, TRUST] = 0
    moved = x.clone()
    moved[:, 5:11, :, :3] += torch.tensor([0.5, -0.25, 2.0])
    torch.testing.assert_close(both(network, moved, clip), both(network, x, clip), rtol=1e-4, atol=1e-4)
    x[:, 5:11, 0, TRUST] = moved[:, 5:11, 0, TRUST] = 0.9
    assert (both(network, moved, clip) - both(network, x, clip)).abs().max() > 0.1


def test_a_hidden_pelvis_is_found_by_the_hips_and_the_spine() -> None:
    """A body that keeps its shape: what it was seen with before is the truth, wherever the lifter puts the pelvis."""
    x, _ = evidence(batch=1, hide=0.0)
    shape = x[:, :1, :, :3].expand(-1, FRAMES, -1, -1)
    raw = shape.clone()
    raw[:, 3:9] += torch.randn(1, 6, 1, 3)
    seen = torch.ones(1, FRAMES, 17, dtype=torch.bool)
    seen[:, 3:9, 0] = False
    found = masked_carry.rooted(raw, seen, torch.zeros(17, 3), 100)
    torch.testing.assert_close(found[:, :, 1:], shape[:, :, 1:], rtol=1e-4, atol=1e-5)


def test_no_further_than_its_reach() -> None:
    """So that a long clip can be worked on in overlapping pieces."""
    network = made(memory=4, strides=[1], neighbours=1)
    x, clip = evidence(batch=1, hide=0.4)
    x[:, 4:, 0, TRUST] = 0.0
    x[:, 2, :, TRUST] = 0.9
    before = both(network, x, clip)
    other = x.clone()
    other[:, 2, 1:, :3] += 1
    changed = (both(network, other, clip) - before).abs().amax((0, 2)) > 0
    assert network.reach == 9 and changed[4] and not changed[2 + network.reach + 1 :].any()


def test_neighbours_in_time_are_those_of_the_graph() -> None:
    """One layer with t_p = 2 and Delta = 3 sees frames 0, +-3, +-6 and no other."""
    network = made(strides=[3], neighbours=2, attention=False)
    x, clip = evidence(batch=1, hide=0.0)
    before = both(network, x, clip)
    other = x.clone()
    other[:, 10, :, :3] += 1
    changed = (both(network, other, clip) - before).abs().amax((0, 2)) > 0
    assert changed.nonzero().flatten().tolist() == [4, 7, 10, 13, 16]
    assert network.reach == 6 + 2 * network.config.memory


def test_bones_are_the_only_way_within_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made(strides=[1], neighbours=0, attention=False)
    # looks at the parent itself
    monkeypatch.setattr(masked_stgcn, "bones_of", lambda raw, seen: (torch.zeros_like(raw), torch.zeros_like(seen)))
    x, clip = evidence(batch=1, hide=0.0)
    before = network(x, clip)[0]
    other = x.clone()
    elbow = H36M_17.index("l_elbow")
    other[:, :, elbow, :3] += 1
    changed = ((network(other, clip)[0] - before).abs().amax((0, 1, 3)) > 0).nonzero().flatten().tolist()
    assert {H36M_17.joints[joint] for joint in changed} == {"l_shoulder", "l_elbow", "l_wrist"}


def test_degrees_are_counted_anew_after_masking() -> None:
    """Against the formula with the whole graph written out as one matrix."""
    torch.manual_seed(0)
    layer = masked_layers.MaskedGraphConv(3, 2, 1).double()
    x = torch.randn(1, 5, 17, 3, dtype=torch.float64)
    seen = (torch.rand(1, 5, 17, 1) > 0.4).double()
    spatial = layer.spatial
    nodes = 5 * 17
    blocks = [torch.eye(nodes).double(), *(torch.kron(torch.eye(5), one.float()).double() for one in spatial)]
    for by in (-2, 2):
        blocks.append(torch.kron(torch.diag(torch.ones(5 - 2), by), torch.eye(17)).double())
    sends = seen.reshape(1, nodes)
    masked = [blocks[0], *(one * sends for one in blocks[1:])]
    scale = sum(masked).sum(1).rsqrt()
    arrived = [(one * scale[:, None] * scale) @ x.reshape(nodes, 3) for one in masked]
    wanted = layer.weights(torch.cat(arrived, -1)).reshape(1, 5, 17, 3)
    torch.testing.assert_close(layer(x, seen), wanted)


def test_dropped_edges_are_dropped_for_both_ends() -> None:
    layer = masked_layers.MaskedGraphConv(4, 1, 2)
    noise = masked_layers.Noise(0.5, 0.0, torch.Generator().manual_seed(0))
    spatial, kept = layer._dropped(layer.spatial, noise, torch.zeros(2, 9, 17, 4))
    closer, farther = spatial[:, :, 0], spatial[:, :, 1]
    assert torch.equal(closer, farther.transpose(-1, -2))
    assert closer.sum() / (2 * 9 * 16) == pytest.approx(0.5, abs=0.1)
    back, on, back_two, on_two = kept
    assert torch.equal(back[:, 1:], on[:, :-1]) and torch.equal(back_two[:, 2:], on_two[:, :-2])  # type: ignore[index]


def test_dropping_is_repeatable_and_does_something() -> None:
    network = made()
    x, clip = evidence()
    plain = both(network, x, clip)
    for rates in ((0.3, 0.0), (0.0, 0.3)):
        answers = [network(x, clip, None, torch.tensor([*rates, seed])).__getitem__(0) for seed in (5, 5, 6)]
        assert torch.equal(answers[0], answers[1])
        assert not torch.equal(answers[0], answers[2])
        assert not torch.equal(answers[0].flatten(2), plain[..., :51])
    mean, log_error = masked_stgcn.monte_carlo(network, x, clip, 0.3, 4)
    assert mean.shape == x[..., :3].shape and torch.isfinite(log_error).all()


def test_average_over_masks_keeps_what_was_seen() -> None:
    """The mean of the answers that were allowed to see a joint, written out for one mask."""
    network = made(masks=1, frames=8, share=0.3)
    x, clip = evidence()
    single = made()
    single.load_state_dict(network.state_dict())
    keep = ~network.masks[:, torch.arange(FRAMES) % 8].expand(2, -1, -1)
    with torch.no_grad():
        got, log_error = network(x, clip)
        first, second = single(x, clip), single(x, clip, keep)
    seen = x[..., TRUST] >= SEEN
    alone = (seen & ~keep)[..., None]
    wanted = torch.where(alone, first[0], 0.5 * (first[0] + second[0]))
    torch.testing.assert_close(got, wanted)
    assert (log_error >= torch.minimum(first[1], second[1]) - 1e-4).all()


def test_left_and_right_are_treated_alike() -> None:
    """With left and right given one identity, the graph commutes with exchanging them."""
    swap = list(H36M_17.mirror)
    network = made()
    with torch.no_grad():
        for name in ("identity", "token", "bones"):
            parameter = getattr(network, name)
            parameter.copy_(0.5 * (parameter + parameter[swap]))
        network.pattern.weight.copy_(0.5 * (network.pattern.weight + network.pattern.weight[:, swap]))
    x, clip = evidence()
    with torch.no_grad():
        straight = network(x, clip)[0][:, :, swap]
        torch.testing.assert_close(network(x[:, :, swap], clip)[0], straight, rtol=1e-4, atol=1e-5)


def test_mirror_image() -> None:
    network = made(mirror=True)
    x, clip = evidence()
    with torch.no_grad():
        positions, _ = network(x, clip)
        swapped, _ = network(*mirror.mirrored_evidence(x, clip))
    torch.testing.assert_close(swapped, mirror.mirrored_joints(positions), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["conv", "layer", "attention"])
def test_gradients(part: str) -> None:
    torch.manual_seed(0)
    layer = {
        "conv": lambda: masked_layers.MaskedGraphConv(2, 2, 1),
        "layer": lambda: masked_layers.Layer(2, 1, 1),
        "attention": lambda: masked_layers.SeenAttention(4),
    }[part]().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    x = torch.randn(1, 4, 17, 4 if part == "attention" else 2, dtype=torch.float64, requires_grad=True)
    seen = (torch.rand(1, 4, 17, 1) > 0.4).double()
    assert torch.autograd.gradcheck(lambda x: layer(x, seen), (x,))


def test_gradient_of_hanging_bones() -> None:
    own = torch.randn(1, 2, 17, 3, dtype=torch.float64, requires_grad=True)
    bones = torch.randn(1, 2, 17, 3, dtype=torch.float64, requires_grad=True)
    hangs = torch.rand(1, 2, 17, 1, dtype=torch.float64, requires_grad=True)
    seen = torch.rand(1, 2, 17) > 0.5
    assert torch.autograd.gradcheck(lambda *given: masked_carry.hung(*given[:2], seen, given[2]), (own, bones, hangs))


@pytest.mark.parametrize(
    "options", [{}, {"inputs": "pose", "attention": False}, {"masks": 2, "frames": 8, "mirror": True}]
)
def test_onnx_gives_the_same_numbers(options: dict[str, object], tmp_path: Path) -> None:
    network = made(**options)
    export._write_onnx(network, "refine", tmp_path / "model.onnx")
    for frames in (1, 7, 50):
        given = evidence(1, frames)
        with torch.no_grad():
            wanted = network(*given)[0].numpy()
        assert np.abs(export._run(tmp_path / "model.onnx", ["evidence", "clip"], given) - wanted).max() < 1e-4


@pytest.mark.parametrize(
    "wrong", [{"strides": []}, {"strides": [0]}, {"neighbours": -1}, {"memory": -1}, {"inputs": "all"}, {"patch": 4}]
)
def test_impossible_sizes(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="masked-graph"):
        build("masked-graph", {**SMALL, **wrong})


def test_options_build_the_same_network() -> None:
    network = made(masks=2, frames=8)
    again = build("masked-graph", options_of(network))
    assert torch.equal(again.masks, network.masks)  # type: ignore[arg-type]
    assert again.state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("masked-graph", SMALL),
        ("masked-graph", {**SMALL, "inputs": "pose"}),
        ("stgcn-published", {"widths": [8, 8, 8]}),
    ],
)
def test_learning_in_bfloat16(name: str, options: dict[str, object]) -> None:
    network = build(name, options).train()
    with torch.autocast("cpu", torch.bfloat16):
        positions, log_error = network(*evidence())
    assert positions.dtype == log_error.dtype == torch.float32
    (positions.sum() + log_error.sum()).backward()
    found = [p.grad for p in network.parameters() if p.grad is not None]
    assert found and all(torch.isfinite(grad).all() for grad in found)
