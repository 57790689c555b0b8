"""SemGCN: its layers by hand, its sizes, and whole recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.datasets import blendmimic3d
from posemend.nn.lifters import semgcn
from posemend.nn.lifters.apply import lift
from posemend.nn.lifters.semgcn import Config, SemGCN, SemGraphConv, neighbours
from posemend.nn.published import semgcn_from_file
from posemend.nn.table import size


def small() -> SemGCN:
    torch.manual_seed(0)
    return SemGCN(Config(hidden=8, layers=1)).eval()


def test_edges() -> None:
    linked = neighbours()
    assert linked.sum() == 46
    assert (linked == linked.T).all() and linked.diagonal().all()


def test_convolution_by_hand() -> None:
    layer = SemGraphConv(1, 1, neighbours())
    x = torch.arange(16.0).reshape(1, 16, 1)
    wrist, elbow = H36M_16.index("l_wrist"), H36M_16.index("l_elbow")
    with torch.no_grad():
        layer.W[0], layer.W[1] = 10.0, 1.0
        layer.bias[:] = 0.5
        # two edges of equal weight, itself and the elbow
        assert layer(x)[0, wrist].item() == pytest.approx(0.5 * 10 * wrist + 0.5 * elbow + 0.5)
        # edges are numbered row by row; the elbow's is the first of the wrist's two
        layer.e.zero_()
        layer.e[0, int(neighbours()[:wrist].sum())] = np.log(3)
        assert layer(x)[0, wrist].item() == pytest.approx(0.25 * 10 * wrist + 0.75 * elbow + 0.5)


def test_gradient_of_convolution() -> None:
    torch.manual_seed(0)
    layer = SemGraphConv(2, 2, neighbours()).double()
    x = torch.randn(1, 16, 2, dtype=torch.float64, requires_grad=True)

    def run(x, w, e, bias):  # type: ignore[no-untyped-def]
        return functional_call(layer, {"W": w, "e": e, "bias": bias}, x)

    assert torch.autograd.gradcheck(run, (x, layer.W, layer.e, layer.bias))


def test_sizes() -> None:
    assert size(SemGCN()) == 267_343
    assert size(SemGCN(Config(non_local=True))) == 434_703


def test_groups_hold_every_joint_once() -> None:
    assert sorted(name for group in semgcn.GROUPS for name in group) == sorted(H36M_16.joints)


def test_non_local_block_begins_as_nothing_and_keeps_the_order() -> None:
    torch.manual_seed(0)
    block = semgcn._NonLocal(8).eval()
    x = torch.randn(2, 16, 8)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x)
        torch.nn.init.ones_(block.nonlocal1.W[1].weight)
        assert (block(x) - x).abs().max() > 1e-3
        # two joints of one group are pooled: changing places changes nothing for the rest
        swapped = x.clone()
        pair = [H36M_16.index(name) for name in semgcn.GROUPS[0]]
        swapped[:, pair] = x[:, pair[::-1]]
        rest = [joint for joint in range(16) if joint not in pair]
        torch.testing.assert_close(block(swapped)[:, rest], block(x)[:, rest])


def test_network_takes_single_frames() -> None:
    made = small()
    x = torch.randn(5, 16, 2)
    with torch.no_grad():
        torch.testing.assert_close(made(x)[2:3], made(x[2:3]))
        assert made(x).shape == (5, 16, 3)


def test_published_weights(shared_data: Path) -> None:
    made = semgcn_from_file(shared_data / "lifters" / "semgcn" / "ckpt_semgcn.pth.tar")
    assert size(made) == 267_343 and not made.training
    (take,) = blendmimic3d.read(shared_data / "blendmimic3d", ["S1"], ["Greeting"], [0])
    pose = lift(made, take.keypoints)
    sixteen = [H36M_17.index(name) for name in H36M_16.joints]
    error = np.linalg.norm(pose.positions - take.truth.positions, axis=-1)[:, sixteen].mean() * 1000
    assert error == pytest.approx(98, abs=3)
