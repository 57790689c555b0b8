"""The published block: sizes, graphs, windows, gradients, mirror image and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posemend.body.catalogue import H36M_17
from posemend.body.graph import part_classes, six_classes, window_classes
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES
from posemend.errors import RecipeError, SkeletonError
from posemend.nn import export, mirror
from posemend.nn.refiners import stgcn_published as published
from posemend.nn.table import build, size

SMALL = {"widths": [8, 12, 16]}


def evidence(frames: int = 9, batch: int = 2) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(3)
    x = torch.randn(batch, frames, 17, EVIDENCE_FEATURES, generator=chance) * 0.3
    x[:, :, 0, :3] = 0
    return x, torch.randn(batch, frames, EVIDENCE_CLIP_FEATURES, generator=chance)


def awake(network: nn.Module) -> nn.Module:
    """In use, with everything that begins at zero or one moved away from it."""
    torch.manual_seed(1)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)  # type: ignore[union-attr,operator]
                part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr,operator]
                part.weight.uniform_(0.5, 1.5)
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(0, 0.05)
    return network.eval()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, 5_041_257), ({"frames": 5}, 5_041_257), ({"frames": 1}, 3_628_393), ({"features": 2}, 5_040_455)],
)
def test_as_many_parameters_as_the_ancestor(options: dict[str, int], wanted: int) -> None:
    assert size(build("stgcn-published", options)) == wanted


def test_parameters_by_layer() -> None:
    made = build("stgcn-published")
    found = [size(part) for part in (made.data_bn, *made.st_gcn_networks, *made.st_gcn_pool, made.conv4, made.conv2)]  # type: ignore[union-attr,misc,arg-type]
    assert found == [102, 20_096, 116_096, 298_496, 1_186_816, 1_840_640, 787_968, 262_912]
    assert [size(made.non_local), size(made.fcn)] == [526_592, 1_539]  # type: ignore[arg-type]


def test_weights_have_the_ancestors_names() -> None:
    names = set(build("stgcn-published").state_dict())
    parts = ("data_bn.weight", "st_gcn_networks.0.gcn.conv.weight", "st_gcn_networks.1.tcn.0.bias",
             "st_gcn_networks.2.tcn.3.weight", "st_gcn_networks.2.tcn.4.running_var",
             "st_gcn_networks.2.residual.0.bias", "st_gcn_networks.2.residual.1.weight", "st_gcn_pool.1.gcn.conv.bias",
             "conv4.0.weight", "conv4.1.weight",
             "conv2.0.weight", "conv2.1.weight", "non_local.g.weight", "non_local.theta.weight",
             "non_local.phi.weight", "non_local.W.0.weight", "non_local.W.1.weight", "fcn.1.weight")  # fmt: skip
    assert names.issuperset(parts)
    assert not any("graph" in name or "places" in name for name in names)


def test_a_window_has_as_many_edges_as_the_ancestors() -> None:
    stack = window_classes(H36M_17, 3)
    assert np.count_nonzero(stack, axis=(1, 2)).tolist() == [51, 48, 48, 36, 34, 34]
    np.testing.assert_allclose(stack.sum((0, 2)), 1, atol=1e-6)  # what reaches a node sums to 1
    sends = stack.sum((0, 1))
    assert sends.min() > 0.81 and sends.max() < 1.22
    elbow = 17 + H36M_17.index("r_elbow")
    np.testing.assert_allclose(stack[:, elbow][stack[:, elbow] > 0], 1 / 6)
    assert window_classes(H36M_17, 1).shape == (4, 17, 17)


def test_directions_of_the_classes() -> None:
    _, closer, farther, twin, past, future = window_classes(H36M_17, 3)
    elbow, wrist, shoulder, other = (17 + H36M_17.index(n) for n in ("l_elbow", "l_wrist", "l_shoulder", "r_elbow"))
    assert closer[elbow, shoulder] > 0 and farther[elbow, wrist] > 0 and twin[elbow, other] > 0
    assert closer[elbow, wrist] == farther[elbow, shoulder] == 0
    assert past[elbow, elbow - 17] > 0 and future[elbow, elbow + 17] > 0
    assert past[elbow, elbow + 17] == 0


def test_a_window_per_class_is_equation_2() -> None:
    stack = window_classes(H36M_17, 3, normalisation="per-class").astype(np.float64)
    whole = six_classes(H36M_17)
    np.testing.assert_allclose(stack[:4, 17:34, 17:34], whole.spatial, atol=1e-6)
    for one in stack:
        pattern = (one > 0).astype(float)
        degrees = [np.maximum(pattern.sum(axis), 1) for axis in (1, 0)]
        np.testing.assert_allclose(one, pattern / np.sqrt(np.outer(*degrees)), atol=1e-6)


def test_graph_of_limbs() -> None:
    stack = part_classes(3)
    assert stack.shape == (6, 15, 15)
    assert np.count_nonzero(stack, axis=(1, 2)).tolist() == [15, 12, 12, 12, 10, 10]
    np.testing.assert_allclose(stack.sum((0, 2)), 1, atol=1e-6)


def test_even_windows_have_no_middle() -> None:
    with pytest.raises(SkeletonError, match="odd"):
        window_classes(H36M_17, 4)
    with pytest.raises(RecipeError, match="odd"):
        build("stgcn-published", {"frames": 2})


@pytest.mark.parametrize("normalisation", ["joint", "per-class"])
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("frames", [1, 3])
def test_whole_clips_are_their_windows(normalisation: str, pooled: bool, frames: int) -> None:
    options = {**SMALL, "normalisation": normalisation, "pooled": pooled, "frames": frames}
    made = awake(build("stgcn-published", options))
    x, clip = evidence()
    with torch.no_grad():
        positions, log_error = made(x, clip)
        for t in (0, 4, 8):
            rows = (torch.arange(frames) - frames // 2 + t).clamp(0, 8)
            one = made.windows(x[:1, rows, :, :3])[:, frames // 2]  # type: ignore[operator]
            torch.testing.assert_close(positions[0, t], (one - one[:, :1])[0], rtol=1e-4, atol=1e-5)
    assert positions.shape == (2, 9, 17, 3)
    assert (log_error == 0).all()
    assert made.reach == frames // 2


def test_eps_matters_and_is_a_choice() -> None:
    x, clip = evidence()
    answers = []
    for eps in (0.1, 1e-5):
        made = awake(build("stgcn-published", {**SMALL, "eps": eps}))
        with torch.no_grad():
            made.data_bn.running_var.fill_(0.015)  # type: ignore[union-attr,operator]  # m2, as on BlendMimic3D
            answers.append(made(x, clip)[0])
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_an_untrained_residual_block_changes_nothing() -> None:
    x, clip = evidence()
    made = build("stgcn-published", {**SMALL, "residual": True, "expected_error": True})
    for mode in (True, False):
        positions, log_error = made.train(mode)(x, clip)
        assert torch.equal(positions, x[..., :3])
        assert (log_error[:, :, 1:] == -3).all() and (log_error[:, :, 0] == -7).all()
    published_form = build("stgcn-published", SMALL).eval()
    assert (published_form(x, clip)[0] - x[..., :3]).abs().max() > 0.1  # the published block answers anew


def test_only_the_raw_pose_is_looked_at() -> None:
    made = awake(build("stgcn-published", SMALL))
    x, clip = evidence()
    other = x.clone()
    other[..., 3:] += 1
    with torch.no_grad():
        assert torch.equal(made(x, clip)[0], made(other, clip + 1)[0])


def test_mirror_image() -> None:
    made = awake(build("stgcn-published", {**SMALL, "residual": True, "expected_error": True, "mirror": True}))
    x, clip = evidence()
    with torch.no_grad():
        positions, log_error = made(x, clip)
        swapped, swapped_error = made(*mirror.mirrored_evidence(x, clip))
        plain = awake(build("stgcn-published", {**SMALL, "residual": True, "expected_error": True}))
        alone = plain(*mirror.mirrored_evidence(x, clip))[0]
    torch.testing.assert_close(swapped, mirror.mirrored_joints(positions), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(swapped_error, log_error[:, :, list(H36M_17.mirror)], rtol=1e-4, atol=1e-6)
    assert (alone - mirror.mirrored_joints(plain(x, clip)[0])).abs().max() > 1e-3  # not true by itself


def test_mirrored_evidence_is_that_of_the_mirrored_person() -> None:
    from posemend.contract.evidence import assemble

    rng = np.random.default_rng(0)
    raw = rng.normal(0, 0.3, (1, 5, 17, 3)).astype(np.float32)
    raw -= raw[:, :, :1]
    joints = rng.random((1, 5, 17, 3)).astype(np.float32)
    clip = rng.random((1, 5, 5)).astype(np.float32)
    opinion, trust = raw + 0.1, joints[..., 2]
    given = assemble(raw, trust, joints, clip, opinion, trust, 50.0)

    def flip(x: np.ndarray, along_x: bool = True) -> np.ndarray:
        x = x[:, :, list(H36M_17.mirror)].copy()
        x[..., 0] *= -1 if along_x else 1
        return x

    other_clip = clip.copy()
    other_clip[..., 0] *= -1
    swapped = trust[:, :, list(H36M_17.mirror)]
    wanted = assemble(flip(raw), swapped, flip(joints), other_clip, flip(opinion), swapped, 50.0)
    got = mirror.mirrored_evidence(*(torch.from_numpy(x) for x in given))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-5)


def test_convolution_is_that_of_the_ancestor() -> None:
    """All classes by one 1x1 convolution, then each class along its edges: the order of the published code."""
    graph = torch.from_numpy(window_classes(H36M_17, 3))
    layer = published.ClassConv(4, 5, graph)
    x = torch.randn(2, 4, 1, 51)
    classes = layer.conv(x).reshape(2, 6, 5, 51)
    torch.testing.assert_close(layer(x)[:, :, 0], torch.einsum("nkcv,kwv->ncw", classes, graph), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["conv", "unit", "widening unit", "non-local"])
def test_gradients(part: str) -> None:
    torch.manual_seed(0)
    graph = torch.from_numpy(part_classes(3))
    layer = {
        "conv": lambda: published.ClassConv(2, 3, graph),
        "unit": lambda: published.Unit(2, 2, graph, 0.0),
        "widening unit": lambda: published.Unit(2, 3, graph, 0.0),
        "non-local": lambda: published.NonLocal(4),
    }[part]()
    layer = awake(layer).double()
    channels = 4 if part == "non-local" else 2
    shape = (2, channels, 3, 5) if part == "non-local" else (2, channels, 1, 15)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize("options", [{}, {"pooled": False, "residual": True, "expected_error": True, "mirror": True}])
def test_onnx_gives_the_same_numbers(options: dict[str, bool], tmp_path: Path) -> None:
    made = awake(build("stgcn-published", {**SMALL, **options}))
    export._write_onnx(made, "refine", tmp_path / "model.onnx")
    for frames in (1, 7, 50):
        given = evidence(frames, 1)
        with torch.no_grad():
            wanted = made(*given)[0].numpy()
        assert np.abs(export._run(tmp_path / "model.onnx", ["evidence", "clip"], given) - wanted).max() < 1e-4
