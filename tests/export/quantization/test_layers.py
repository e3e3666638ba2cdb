"""Which calls of a program have weights, and what kind of layer each is."""

from __future__ import annotations

import torch
from small_models import spec_of
from torch import Tensor, nn

from edgevit.spec import Layout, TensorSpec
from export.int8.record import LayerKind
from export.program import Program, capture
from export.quantization.layers import activation_of, layers_of, place_of, work_per_element


class AllKinds(nn.Module):
    """One layer of each kind, and products that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.line = nn.Conv1d(6, 6, 3)
        self.head = nn.Linear(6, 5)
        self.register_buffer("mean", torch.full((6, 6), 1 / 6))
        self.register_buffer("vector", torch.arange(5.0))

    def forward(self, image: Tensor) -> Tensor:
        x = self.up(self.grouped(self.depthwise(self.conv(image)))).flatten(2)
        x = self.line(x).transpose(1, 2)
        x = torch.matmul(x, self.mean)  # all alike: a mean in disguise
        scores = self.head(x)
        weighted = torch.matmul(scores, self.vector)  # no output channel
        return scores.mean(1) + (scores.transpose(1, 2) @ scores).mean(2) + weighted.mean(1, keepdim=True)


def captured(model: nn.Module) -> Program:
    torch.manual_seed(0)
    spec = spec_of(
        "kinds",
        (TensorSpec(name="image", shape=(1, 3, 8, 8), layout=Layout.NCHW),),
        (TensorSpec(name="logits", shape=(1, 5)),),
    )
    return capture(model.eval(), spec)


def test_every_layer_with_weights_is_found_with_its_kind_and_no_other_call() -> None:
    found = [(place_of(node), kind, weight.numel()) for node, kind, weight in layers_of(captured(AllKinds()))]
    assert found == [
        ("conv", LayerKind.CONV, 8 * 3 * 9),
        ("depthwise", LayerKind.DEPTHWISE, 8 * 9),
        ("grouped", LayerKind.GROUPED, 8 * 4),
        ("up", LayerKind.TRANSPOSED, 8 * 6 * 4),
        ("line", LayerKind.CONV, 6 * 6 * 3),
        ("head", LayerKind.LINEAR, 30),
    ]


def test_the_activation_of_a_layer_is_what_is_not_its_weights() -> None:
    program = captured(AllKinds())
    for node, _, _ in layers_of(program):
        assert activation_of(node).op != "get_attr"
        assert activation_of(node) in node.all_input_nodes


def test_the_work_of_a_convolution_for_each_element_that_it_reads_or_gives() -> None:
    found = {place_of(node): work_per_element(node, weight) for node, _, weight in layers_of(captured(AllKinds()))}
    images = {name: 8 * 8 * channels for name, channels in (("image", 3), ("hidden", 8))}
    assert found["conv"] == 64 * 8 * 3 * 9 / (images["image"] + images["hidden"])
    assert found["depthwise"] == 64 * 8 * 9 / (2 * images["hidden"])
    assert found["line"] == 254 * 6 * 6 * 3 / (6 * 256 + 6 * 254)
    assert found["head"] == 30
