"""What the writer puts into a ``.pte`` file beside the program."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import torch
from mobile_artifacts import LABELS, small, small_program
from pass_rig import captured
from torch import Tensor, nn
from torch.nn.functional import hardsigmoid, hardswish, normalize, scaled_dot_product_attention

from edgevit.errors import ExportError
from edgevit.spec import ModelSpec
from export.formats.pte_file.contents import parse
from export.formats.pte_file.read import delegation_of, read
from export.formats.pte_file.write import write
from export.pipeline import optimize
from export.quiet import quiet
from export.recipe import Format, Optimize, Recipe
from runtimes.sessions.table import open_session


def test_metadata_is_inside_the_file() -> None:
    built = small(Format.PTE)
    metadata = read(built.path).metadata
    assert msgspec.json.decode(metadata["spec"], type=ModelSpec) == built.program.spec
    assert msgspec.json.decode(metadata["recipe"], type=Recipe) == built.recipe
    assert tuple(metadata["labels"].splitlines()) == LABELS


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    built = small(Format.PTE)
    with quiet():
        write(small_program(), built.recipe, tmp_path / "again.pte")
    assert (tmp_path / "again.pte").read_bytes() == built.path.read_bytes()


class OtherFamilies(nn.Module):
    """What tore other people's networks apart: the class token and joint projection of ViT, the shifted windows and
    gathered position bias of Swin, the parts of LeViT, the normalised channels of EdgeNeXt, the patches of TNT, the
    squeeze-excite of MobileNetV3, and a mean over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.squeeze, self.excite = nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.token, self.table = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(9, 2))
        self.register_buffer("index", torch.arange(25).remainder(9).view(5, 5))
        self.norm, self.qkv, self.parts, self.head = (
            nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 16), nn.Linear(8, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = torch.roll(
            self.stem(nn.functional.unfold(x, 2, stride=2).view(1, 12, 16, 16)[:, :3, :8, :8]), (1, 1), (2, 3)
        )
        x = hardswish(x * hardsigmoid(self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu())))
        tokens = torch.cat([self.token.expand(1, -1, -1), x.flatten(2).transpose(1, 2)], 1)
        q, k, v = self.qkv(self.norm(tokens)).reshape(1, -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(5, 5, 2).permute(2, 0, 1)
        attended = scaled_dot_product_attention(q[:, :, :5], k[:, :, :5], v[:, :, :5])
        scores = (normalize(q[:, :, :5], dim=-1) @ k[:, :1, :5].transpose(-2, -1) + bias).softmax(-1)
        mixed = (scores @ attended).transpose(1, 2).reshape(1, 5, 8) + tokens[:, :5]
        low, high = self.parts(mixed).view(1, 5, 2, 8).split([1, 1], 2)
        return self.head((low + high).mean(2).mean(1) / 2 + tokens[:, 0])


def test_what_tore_other_networks_apart_is_one_piece(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe, path = Recipe(format=Format.PTE), tmp_path / "families.pte"
    with quiet():
        write(optimize(captured(OtherFamilies().eval(), (1, 3, 32, 32), torch.float32), recipe), recipe, path)
    share = delegation_of(parse(path), path)
    assert (share.partitions, share.left) == (1, ())


def test_what_executorch_cannot_lower_is_named_with_its_layer(tmp_path: Path) -> None:
    """Its own pass gives the weights of a convolution over a sequence one more axis for each reader."""

    class Neck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Conv1d(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.mix(self.mix(x).relu())

    program = captured(nn.Sequential(nn.Tanh(), Neck()).eval(), (1, 4, 9), torch.float32)
    with pytest.raises(ExportError) as caught, quiet():
        write(program, Recipe(format=Format.PTE, optimize=Optimize.NONE), tmp_path / "twice.pte")
    assert "at aten::convolution in 1.mix: " in caught.value.message
    assert "Conv1dUnsqueezePass" in caught.value.message
    assert "expected stride" in caught.value.message


class Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.median(-1).values


def refusal(module: nn.Module, shape: tuple[int, ...], path: Path) -> str:
    with pytest.raises(ExportError) as caught, quiet():
        write(captured(module.eval(), shape, torch.float32), Recipe(format=Format.PTE), path)
    assert not path.exists()
    return caught.value.message


def test_what_executorch_does_not_take_is_named_with_its_layer_or_line(tmp_path: Path) -> None:
    end = r"aten\.median\.dim is not among the core operators of ATen, which are all that ExecuTorch takes$"
    assert re.search(
        "to pte, at aten::median in 1: " + end, refusal(nn.Sequential(nn.Tanh(), Sorted()), (1, 3), tmp_path / "a")
    )
    said = refusal(Sorted(), (1, 3), tmp_path / "b")
    assert re.search(r"\(in \S*test_write.py:\d+ in forward: return x.median\(-1\).values: median\): " + end, said)


@pytest.mark.parametrize("layer", [nn.Conv3d(2, 3, 2), nn.ConvTranspose3d(2, 3, 2)])
def test_convolutions_over_three_axes_are_refused_before_anything_is_written(layer: nn.Module, tmp_path: Path) -> None:
    said = refusal(nn.Sequential(nn.Tanh(), layer), (1, 2, 3, 4, 5), tmp_path / "a")
    assert said.endswith("(in 1): its kernels convolve over one or two axes, not three")


class Scaled(nn.Module):
    """A convolution, times and plus constants of each channel, then what ``scale`` may be beside an image."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.conv, self.scale = nn.Conv2d(3, 8, 3, padding=1), nn.Parameter(scale)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).relu() * self.scale + self.scale
        y = torch.maximum(self.scale - y / self.scale, self.scale * y - self.scale)
        return self.conv(y[:, :3]) + y


CHANNELS = torch.linspace(0.5, 1.5, 8)
SCALES = {
    "three axes": CHANNELS.reshape(8, 1, 1),
    "four axes": CHANNELS.reshape(1, 8, 1, 1),
    "four axes in channels-last memory": CHANNELS.reshape(1, 1, 1, 8).permute(0, 3, 1, 2),
    "part of a larger tensor": torch.linspace(2, 4, 20)[12:].reshape(8, 1, 1),
    "one axis": CHANNELS,
    "whole rows": torch.linspace(0.5, 1.5, 64).reshape(8, 1, 8),
}


@pytest.mark.parametrize("level", [Optimize.NONE, Optimize.FULL])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_constants_are_right_in_every_shape_and_memory(scale: Tensor, level: Optimize, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Scaled(scale).eval()
    recipe, path, x = Recipe(format=Format.PTE, optimize=level), tmp_path / "scaled.pte", torch.randn(1, 3, 8, 8)
    program = captured(net, (1, 3, 8, 8), torch.float32)
    held = {name: (tensor.data_ptr(), tensor.stride()) for name, tensor in program.module.state_dict().items()}
    with quiet():
        write(optimize(program, recipe), recipe, path)
        session = open_session(path, Format.PTE)
    (seen,) = session.run({"x": x.numpy()}).values()
    session.close()
    assert held == {name: (tensor.data_ptr(), tensor.stride()) for name, tensor in program.module.state_dict().items()}
    with torch.no_grad():
        expected = net.double()(x.double())
    assert ((torch.from_numpy(seen) - expected).abs() / (1 + expected.abs())).max() < 1e-5
