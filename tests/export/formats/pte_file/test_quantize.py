"""int8 products in ExecuTorch's own runtime, against the network in float and the plan as torch runs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from pass_rig import captured
from pte_plans import Choose, planned
from torch import Tensor, nn
from torch.fx import Node

from edgevit.errors import ExportError
from export.formats.pte_file.contents import PteFile, parse
from export.formats.pte_file.write import write
from export.int8.record import LayerKind, Scheme
from export.pipeline import optimize
from export.program import Program
from export.quantization.simulate import run_quantized
from export.quiet import quiet
from export.recipe import Format, Optimize, Precision, Recipe
from runtimes.sessions.table import open_session
from validation.artifact.agreement import sqnr_db_of

INT8 = Recipe(format=Format.PTE, precision=Precision.INT8)
DYNAMIC, STATIC = Scheme.DYNAMIC, Scheme.STATIC
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Everything(nn.Module):
    """Each kind of layer, activations that are fused and one that is not, a shared input, a sum, and one bias twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.grouped, self.up = nn.Conv2d(8, 8, 3, 1, 1, groups=2), nn.ConvTranspose2d(8, 8, 2, 2)
        self.left, self.right = nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False)
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 5)
        self.second.bias = self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.stem(x).relu())
        x = x + self.grouped(nn.functional.hardtanh(self.left(x), 0.0, 6.0) + self.right(x))
        tokens = self.up(x).flatten(2).transpose(1, 2)
        return self.head(nn.functional.gelu(self.first(tokens) * 4) + 20 * self.second(tokens)).mean(1)


def made(network: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[Program, Tensor]:
    """The network's program, and images for it."""
    torch.manual_seed(0)
    program = captured(network().eval().requires_grad_(False), shape, torch.float32)
    return program, torch.randn(24, *shape[1:])


def written(program: Program, path: Path) -> PteFile:
    with quiet():
        write(program, INT8, path)
    return parse(path)


def answers(path: Path, images: Tensor) -> Tensor:
    with closing(open_session(path, Format.PTE)) as session:
        (name,) = (tensor.name for tensor in session.inputs)
        return torch.cat([torch.from_numpy(next(iter(session.run({name: x[None].numpy()}).values()))) for x in images])


def against(path: Path, program: Program, images: Tensor) -> tuple[float, float]:
    """SQNR in dB of the file against the program in float, and of the plan as torch runs it."""
    wanted = torch.cat([program.module(image[None]) for image in images]).numpy()
    simulated = torch.cat(list(run_quantized(program, INT8, [(image[None],) for image in images])))  # type: ignore[arg-type]
    return sqnr_db_of(answers(path, images).numpy(), wanted), sqnr_db_of(simulated.numpy(), wanted)


def dynamic_where_it_can_be(_: Node, kind: LayerKind) -> Scheme:
    return DYNAMIC if kind in {LayerKind.LINEAR, LayerKind.CONV, LayerKind.GROUPED} else Scheme.FLOAT


def in_turns() -> Choose:
    count = iter(range(100))

    def choose(node: Node, kind: LayerKind) -> Scheme:
        offered = [STATIC, Scheme.FLOAT, dynamic_where_it_can_be(node, kind)]
        return offered[next(count) % 3]

    return choose


@pytest.mark.parametrize("choose", [STATIC, dynamic_where_it_can_be, in_turns()], ids=["static", "dynamic", "mixed"])
def test_the_plan_is_what_the_runtime_computes(choose: Choose | Scheme, tmp_path: Path) -> None:
    program, images = made(Everything, (1, 3, 16, 12))
    program = planned(optimize(program, INT8), choose, images)
    file = written(program, tmp_path / "m.pte")
    assert program.quantization is not None
    schemes = [layer.scheme for layer in program.quantization.layers.values()]
    found = {kind: sum(n for p, n in file.products.items() if (p.activation, p.weights) == (kind, "int8"))
             for kind in ("int8", "dynamic int8")}  # fmt: skip
    assert (found["int8"], found["dynamic int8"]) == (schemes.count(STATIC), schemes.count(DYNAMIC))
    assert len(file.partitions) == 1
    seen, simulated = against(tmp_path / "m.pte", program, images)
    assert seen > 25
    assert abs(seen - simulated) < 3


def test_unoptimised_programs_are_written_too(tmp_path: Path) -> None:
    program, images = made(Everything, (1, 3, 16, 12))
    program = planned(optimize(program, Recipe(format=Format.PTE, optimize=Optimize.NONE)), STATIC, images)
    written(program, tmp_path / "m.pte")
    seen, simulated = against(tmp_path / "m.pte", program, images)
    assert abs(seen - simulated) < 3


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        program, images = made(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), (1, 3, 8, 6))
        written(planned(optimize(program, INT8), STATIC, images), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_image_of_one_channel(tmp_path: Path) -> None:
    """XNNPACK takes its first convolution for a depthwise one, and so do the kinds of layers."""
    program, images = made(lambda: nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.GELU(), nn.Conv2d(8, 3, 1)), (1, 1, 16, 12))
    program = planned(optimize(program, INT8), STATIC, images)
    written(program, tmp_path / "m.pte")
    seen, simulated = against(tmp_path / "m.pte", program, images)
    assert seen > 30
    assert abs(seen - simulated) < 3


@torch.no_grad()
def extreme() -> nn.Sequential:
    """Channels without weights, with next to none, and with a bias far beyond what their products could come to."""
    layers = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 4))
    layers[0].weight[1] = 0
    layers[0].weight[2] *= 1e-9
    layers[0].bias[1:3] = torch.tensor([900.0, -300.0])
    layers[1].weight *= 1e-12
    layers[1].bias.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
    return layers


def test_channels_whose_scales_no_runtime_takes(tmp_path: Path) -> None:
    """XNNPACK refuses a file whose sums are scaled by less than 2**-32, and a bias has 32 bits."""
    program, images = made(extreme, (1, 6))
    program = planned(program, STATIC, images)
    written(program, tmp_path / "m.pte")
    wanted = torch.tensor([[1.0, 2.0, -1.0, 0.5]])
    assert torch.allclose(answers(tmp_path / "m.pte", images), wanted, atol=0.01)


class OfATable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2, 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.table


def test_what_has_no_int8_product_is_named(tmp_path: Path) -> None:
    program, images = made(lambda: nn.Sequential(nn.Tanh(), OfATable()), (2, 5, 4))
    with pytest.raises(ExportError, match=r"no int8 products for 1 layers of sample that were to be int8: 1$"):
        written(planned(program, DYNAMIC, images.reshape(-1, 2, 5, 4)[:, 0]), tmp_path / "m.pte")
    assert not (tmp_path / "m.pte").exists()


def test_what_the_partitioner_leaves_is_named_with_its_reason(tmp_path: Path) -> None:
    program, images = made(lambda: nn.Sequential(nn.Tanh(), nn.Conv2d(4, 4, 3, groups=4)), (1, 4, 6, 5))
    said = r"outside \(in 1\): XNNPACK only supports standard 2D convolutions for dynamic quantization$"
    with pytest.raises(ExportError, match=said):
        written(planned(program, DYNAMIC, images), tmp_path / "m.pte")
    assert not (tmp_path / "m.pte").exists()


def test_sequences_are_left_to_other_passes(tmp_path: Path) -> None:
    program, images = made(lambda: nn.Conv1d(3, 4, 3), (1, 3, 9))
    with pytest.raises(ExportError, match="no int8 products for 1 layers"):
        written(planned(program, STATIC, images), tmp_path / "m.pte")
    written(planned(optimize(program, INT8), STATIC, images), tmp_path / "m.pte")
    assert against(tmp_path / "m.pte", planned(optimize(program, INT8), STATIC, images), images)[0] > 30


class Spelled(nn.Module):
    """Linear layers as products of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.randn(4, 4) / 2) for _ in range(3))
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, torch.mm(x, self.a).relu(), self.b) @ self.c


@pytest.mark.parametrize("scheme", [DYNAMIC, STATIC])
def test_products_with_constants_are_linear_layers(scheme: Scheme, tmp_path: Path) -> None:
    program, images = made(Spelled, (1, 4))
    program = planned(program, scheme, images)
    file = written(program, tmp_path / "m.pte")
    assert sum(file.products.values()) == 3
    seen, simulated = against(tmp_path / "m.pte", program, images)
    assert seen > 25
    assert abs(seen - simulated) < 4
