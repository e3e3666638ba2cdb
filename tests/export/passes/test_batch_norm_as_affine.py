"""Batch normalisations that no product took are written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pass_rig import Lambda, apply, calls, captured
from torch import Tensor, nn

from export.formats.pte_file.write import write
from export.passes import batch_norm_as_affine
from export.pipeline import optimize
from export.program import Program
from export.quiet import quiet
from export.recipe import Format, Recipe
from runtimes.sessions.table import open_session

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm2d(3), (2, 3, 4, 5)),
        (nn.BatchNorm2d(3, affine=False), (2, 3, 4, 5)),
        (nn.BatchNorm1d(3), (2, 3)),
        (nn.BatchNorm1d(3), (2, 3, 4)),
        (nn.BatchNorm3d(3), (2, 3, 2, 4, 2)),
    ],
)
def test_images_rows_and_sequences(norm: nn.Module, shape: tuple[int, ...]) -> None:
    module, log = apply(norm, shape, batch_norm_as_affine)
    assert (log.rewrites, calls(module, aten.batch_norm.default)) == (1, 0)
    assert calls(module, aten.conv2d.default) == (len(shape) == 4)


def test_computed_statistics_stay_and_are_said() -> None:
    net = Lambda(lambda m, x: nn.functional.batch_norm(x, x.mean((0, 2, 3)), x.var((0, 2, 3))))
    log = apply(net, (2, 3, 4, 5), batch_norm_as_affine)[1]
    assert (log.rewrites, [row.why for row in log.refused]) == (0, ["its statistics, scale or shift are computed"])


class OneScale(nn.Module):
    """Two normalisations with scales of equal value and other statistics, of rows and of images."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)])
        for place, norm in enumerate(self.norms):
            norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3]) * (place + 1))
            norm.running_var.fill_(0.5 + place)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norms[1](self.norms[0](x.mean((2, 3))).relu())
        return self.norms[3](self.norms[2](x).relu()).relu().flatten(2).sum(-1) + rows


def test_two_with_one_scale_stay_two_as_executorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe, path = Recipe(format=Format.PTE), tmp_path / "scale.pte"
    program: Program = captured(OneScale().eval(), (1, 3, 4, 4), torch.float32)
    with quiet():
        write(optimize(program, recipe), recipe, path)
        session = open_session(path, Format.PTE)
    (seen,) = session.run({"x": program.example[0].numpy()}).values()
    session.close()
    assert torch.allclose(torch.from_numpy(seen), program.module(*program.example), rtol=1e-4, atol=1e-5)
