"""The softmax of an image as one of its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pass_rig import Lambda, apply, captured
from torch import Tensor, nn

from export.formats.pte_file.write import write
from export.passes import softmax_over_rows
from export.pipeline import optimize
from export.quiet import quiet
from export.recipe import Format, Recipe
from runtimes.sessions.table import open_session

aten = torch.ops.aten
Forward = Callable[[nn.ModuleDict, Tensor], Tensor]
MASK = torch.full((5, 5), float("-inf")).triu(1)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m["conv"](x).softmax(-1),
        lambda m, x: (m["conv"](x).relu() * 2 + x.mean((1, 2), keepdim=True)).softmax(3),
        lambda m, x: torch.where(x > 0, x.mean((2, 3), keepdim=True), x).softmax(3),
        lambda m, x: nn.functional.max_pool2d(x, 3, 1, 1).permute(0, 2, 1, 3).softmax(3),
    ],
)
def test_rows_of_an_image(forward: Forward) -> None:
    module, log = apply(Lambda(forward, conv=nn.Conv2d(3, 4, 3, padding=1)), (2, 3, 6, 5), softmax_over_rows)
    (softmax,) = module.graph.find_nodes(op="call_function", target=aten.softmax.int)
    assert (log.rewrites, softmax.args[0].meta["val"].dim()) == (1, 3)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m["conv"](x).softmax(1),
        lambda m, x: m["conv"](x).softmax(2),
        lambda m, x: m["conv"](x).flatten(2).softmax(-1),
        lambda m, x: m["conv"](x).reshape(2, 2, 12, 5).softmax(-1),
        lambda m, x: (x.relu() @ x.transpose(2, 3)).softmax(-1),
        lambda m, x: x.exp().softmax(-1),
    ],
)
def test_leaves_other_softmaxes_alone(forward: Forward) -> None:
    net = Lambda(forward, conv=nn.Conv2d(3, 4, 3, padding=1))
    assert apply(net, (2, 3, 6, 5), softmax_over_rows)[1].rewrites == 0


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m["conv"](x).softmax(-1),
        lambda m, x: (m["conv"](x) + MASK).softmax(-1),
        lambda m, x: nn.functional.max_pool2d(x, 3, 1, 1).sigmoid().softmax(-1),
    ],
)
def test_executorch_normalises_over_the_same_axis(forward: Forward, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Lambda(forward, conv=nn.Conv2d(3, 4, 3, padding=1)).eval()
    recipe, path, x = Recipe(format=Format.PTE), tmp_path / "softmax.pte", torch.randn(1, 3, 5, 5)
    with quiet():
        write(optimize(captured(net, (1, 3, 5, 5), torch.float32), recipe), recipe, path)
        session = open_session(path, Format.PTE)
    (seen,) = session.run({"x": x.numpy()}).values()
    session.close()
    with torch.no_grad():
        expected = net.double()(x.double())
    assert (torch.from_numpy(seen) - expected).abs().max() < 1e-6
