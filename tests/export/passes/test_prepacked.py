"""Products with weights to pack: the same function in float32, activations inside, and what stays as it is."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, captured, randomised
from torch import Tensor, nn
from torch.fx import GraphModule

from export.artifact import PassLog
from export.formats.ptl_file.prepacked import Packed
from export.graph_editor import GraphEditor
from export.passes import in_place, prepacked
from export.patterns import aten
from export.program import TO_NCHW, TO_NHWC


def packed(module: nn.Module, *shape: int) -> tuple[GraphModule, PassLog, list[Packed]]:
    """The rewritten module, held to eager float64, with what its packed products are."""
    double = randomised(module)
    program = captured(double, shape, torch.float64)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = double(x)
    editor = GraphEditor(captured(double.float(), shape, torch.float32).module)
    log = prepacked.run(editor)
    result = editor.finish()
    seen = result(x.float())
    assert (seen - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert program.example[0].shape == x.shape
    found = [node for node in result.graph.nodes if node.target is prepacked.CALL]
    return result, log, [Packed.from_json(str(node.args[3]), origin="a test") for node in found]


def test_every_kind_keeps_its_sizes() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 8, (3, 5), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
        nn.ConvTranspose2d(8, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), bias=False),
        nn.Linear(13, 3),
    )
    _, log, (conv, transposed, linear) = packed(net, 1, 4, 6, 12)
    assert (conv.kind, conv.stride, conv.padding, conv.dilation) == ("conv2d", (2, 1), (1, 0), (1, 2))
    assert (conv.groups, transposed.kind, transposed.groups) == (2, "conv2d_transpose", 1)
    assert (transposed.stride, transposed.padding, transposed.output_padding) == ((2, 3), (1, 0), (1, 2))
    assert (linear.kind, log.rewrites, log.refused) == ("linear", 3, ())


@pytest.mark.parametrize(
    ("activation", "limits"),
    [(nn.ReLU(), (0, None)), (nn.ReLU6(), (0, 6)), (nn.Hardtanh(-0.3, 0.4), (-0.3, 0.4)), (nn.Hardtanh(), (-1, 1)),
     (nn.ReLU(inplace=True), (0, None)), (nn.GELU(), (None, None))],
)  # fmt: skip
def test_limits_become_part_of_the_product(activation: nn.Module, limits: tuple[float | None, float | None]) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Linear(6, 2))
    result, _, (conv, _) = packed(net, 2, 3, 8, 8)
    assert (conv.least, conv.most) == limits
    assert sum(node.target in {aten.relu.default, aten.hardtanh.default} for node in result.graph.nodes) == 0


def test_a_limit_is_found_behind_views_and_as_a_clamp() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["conv"](x).permute(TO_NHWC).clamp(min=-0.25).permute(TO_NCHW)

    _, _, (conv,) = packed(Lambda(forward, conv=nn.Conv2d(3, 4, 1)), 1, 3, 5, 5)
    assert (conv.least, conv.most) == (-0.25, None)


def test_what_others_read_too_keeps_its_activation_apart() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["fc"](x)
        return y.relu() + y

    result, _, (linear,) = packed(Lambda(forward, fc=nn.Linear(3, 4)), 2, 3)
    assert (linear.least, linear.most) == (None, None)
    assert any(node.target is aten.relu.default for node in result.graph.nodes)


def test_limits_that_let_nothing_through_stay_apart() -> None:
    _, _, (linear,) = packed(Lambda(lambda m, x: m["fc"](x).clamp(0.5, 0.5), fc=nn.Linear(3, 4)), 2, 3)
    assert (linear.least, linear.most) == (None, None)


def test_a_linear_layer_never_reads_an_image_whose_channels_lie_innermost() -> None:
    """XNNPACK's would take the innermost axis for the last one."""

    def over_columns(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["fc"](m["conv"](x))

    result, _, _ = packed(Lambda(over_columns, conv=nn.Conv2d(3, 4, 1), fc=nn.Linear(5, 2)), 1, 3, 6, 5)
    assert sum(node.target is aten.contiguous.default for node in result.graph.nodes) == 1
    result, _, _ = packed(nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)), 1, 6, 5, 3)
    assert sum(node.target is aten.contiguous.default for node in result.graph.nodes) == 1  # the input's alone


def test_what_stays_says_why() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = torch.nn.functional.linear(x, m["fc"](x).mean((0, 1)).reshape(1, 4)[:, :3])
        return m["up"](y.reshape(1, 2, 4, 5).expand(1, 2, 4, 5)) + m["fc"].weight.sum()

    net = Lambda(forward, fc=nn.Linear(3, 4), up=nn.ConvTranspose2d(2, 2, 2, stride=2, groups=2))
    _, log, found = packed(net, 5, 8, 3)
    assert {row.why for row in log.refused} == {
        "its weights are computed", "it has groups, which releases of PyTorch Mobile pack in different ways"
    }  # fmt: skip
    assert len(found) == log.rewrites == 1


def test_doubles_and_single_vectors_stay() -> None:
    editor = GraphEditor(captured(randomised(nn.Linear(3, 4)), (2, 3)).module)
    assert prepacked.run(editor).rewrites == 0
    editor = GraphEditor(captured(randomised(nn.Linear(3, 4)).float(), (3,), torch.float32).module)
    assert [row.why for row in prepacked.run(editor).refused] == ["its operand has one axis"]


def test_calls_behind_it_may_write_into_its_result() -> None:
    net = randomised(nn.Sequential(nn.Linear(3, 4), nn.GELU())).float()
    editor = GraphEditor(captured(net, (2, 3), torch.float32).module)
    prepacked.run(editor)
    assert in_place.run(editor).rewrites == 1
