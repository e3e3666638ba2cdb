"""Graphs without what torch.export wraps and guards."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.eager.flatten import flatten


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", enabled=False):
            y = self.conv(x).float()
            with torch.enable_grad():
                z = y * 2
        with torch.enable_grad():
            w = z + 1
        return w, y


def test_parts_that_are_wrapped_for_nothing_stand_in_the_graph() -> None:
    model, image = Wrapped().eval().requires_grad_(False), torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        exported = torch.export.export(model, (image,), strict=False).module()
    module = flatten(exported)
    names = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
    assert names == ["aten.conv2d.default", "aten.to.dtype", "aten.mul.Tensor", "aten.add.Tensor"]
    for seen, expected in zip(module(image), model(image), strict=True):
        assert torch.equal(seen, expected)
    (conv,) = module.graph.find_nodes(op="call_function", target=torch.ops.aten.conv2d.default)
    assert "conv" in str(conv.meta["nn_module_stack"])
    assert not [node for node in module.graph.nodes if node.op == "call_module"]
