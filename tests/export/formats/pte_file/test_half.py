"""Weights in half precision inside the delegate, in ExecuTorch's own runtime."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch
from pass_rig import captured
from torch import Tensor, nn

from edgevit.errors import ExportError
from export.formats.pte_file.contents import PteFile, parse
from export.formats.pte_file.delegate import Product
from export.formats.pte_file.write import write
from export.pipeline import optimize
from export.quiet import quiet
from export.recipe import Format, Optimize, Precision, Recipe
from runtimes.sessions.table import open_session
from validation.artifact.agreement import sqnr_db_of


class Layers(nn.Module):
    """All kinds of layers; a bias that a convolution and a linear layer share, and one of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8)
        self.grouped, self.up = nn.Conv2d(8, 8, 3, groups=2), nn.ConvTranspose2d(8, 8, 2, 2)
        self.plain, self.head = nn.Conv2d(8, 8, 1, bias=False), nn.Linear(8, 8)
        self.head.bias, self.depthwise.bias = self.stem.bias, self.grouped.bias

    def forward(self, x: Tensor) -> Tensor:
        x = self.plain(self.up(self.grouped(self.depthwise(self.stem(x)))).relu())
        return self.head(x.flatten(2).transpose(1, 2))


def written(
    network: nn.Module, shape: tuple[int, ...], path: Path, optimise: Optimize = Optimize.FULL
) -> tuple[PteFile, float]:
    """The file, and its SQNR in dB."""
    recipe = Recipe(format=Format.PTE, precision=Precision.FP16, optimize=optimise)
    torch.manual_seed(0)
    network = network.eval().requires_grad_(False)
    with quiet():
        write(optimize(captured(network, shape, torch.float32), recipe), recipe, path)
    image = torch.randn(shape)
    with closing(open_session(path, Format.PTE)) as session:
        answer = session.run({"x": image.numpy()})["y"]
    return parse(path), sqnr_db_of(answer, network(image).numpy())


def test_every_layer_that_can_be_is_in_half_precision(tmp_path: Path) -> None:
    file, sqnr_db = written(Layers(), (1, 3, 12, 10), tmp_path / "m.pte")
    assert sqnr_db > 60
    assert {product.operator for product in file.products if product.weights == "float16"} == {
        "Conv2d", "ConvTranspose2d", "DepthwiseConv2d",
    }  # fmt: skip
    assert file.weights["float16"] >= 8 * 27 + 8 * 8 * 4 + 64 + 64
    assert "float32" not in file.weights
    assert {product.activation for product in file.products} == {"float32"}


@torch.no_grad()
def test_weights_beyond_half_precision_stay_as_they_are(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
    network[0].bias[2] = 70000.0
    file, sqnr_db = written(network, (1, 3, 4, 4), tmp_path / "m.pte")
    assert sqnr_db > 60
    assert file.weights["float16"] == 16 + 4


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        torch.manual_seed(3)
        written(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), (1, 3, 8, 6), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x


def test_nothing_in_half_precision_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no weight of sample in half precision"):
        written(Doubled(), (1, 3, 8, 8), tmp_path / "m.pte")
    assert not (tmp_path / "m.pte").exists()


def test_programs_as_captured_are_written_too(tmp_path: Path) -> None:
    """There the linear layer is one, whose bias stays float32, so that the convolution that shares it does too."""
    file, sqnr_db = written(Layers(), (1, 3, 12, 10), tmp_path / "m.pte", Optimize.NONE)
    assert sqnr_db > 60
    assert file.products[Product("FullyConnected", "float32", "float16")] == 1
    assert file.products[Product("Conv2d", "float32", "float32")] == 1
