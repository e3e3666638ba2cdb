"""Static products of shared weights under XNNPACK's weight cache, which tells them apart by their biases alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.cpu_options import CpuOptions
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.options import Options
from int8_plans import planned
from pass_rig import captured
from torch import Tensor, nn

from export.formats.tflite_file.contents import parse
from export.formats.tflite_file.flat_model import unpacked
from export.formats.tflite_file.own_biases import give_biases
from export.formats.tflite_file.write import write
from export.int8.record import LayerKind, Scheme
from export.program import Program
from export.quiet import quiet
from export.recipe import Format, Precision, Recipe
from validation.artifact.agreement import sqnr_db_of

INT8 = Recipe(format=Format.TFLITE, precision=Precision.INT8)


class Twice(nn.Module):
    """A layer without a bias that reads values of several times 3, and then up to 1."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.fc, self.head = nn.Linear(32, 32, bias=False), nn.Linear(32, 5)
        self.fc.weight.data *= 4

    def forward(self, x: Tensor) -> Tensor:
        first = nn.functional.gelu(self.fc(x))
        return self.head(first + nn.functional.gelu(self.fc(torch.sin(first))))


@pytest.fixture(scope="module")
def program() -> Program:
    feeds = tuple((torch.randn(1, 32),) for _ in range(24))
    return planned(captured(Twice().eval(), (1, 32), torch.float32), {LayerKind.LINEAR: Scheme.STATIC}, feeds)


@pytest.fixture(scope="module")
def path(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("file") / "m.tflite"
    with quiet():
        write(program, INT8, found)
    return found


def answers(path: Path, program: Program, cache: Path | None) -> np.ndarray:
    """What an app gets that runs the file with a weight cache at ``cache``, or without one."""
    cpu = CpuOptions(num_threads=1, xnnpack_weight_cache_path=str(cache or ""))
    model = CompiledModel.from_file(str(path), options=Options(HardwareAccelerator.CPU, cpu_options=cpu))
    given, made = model.create_input_buffers(0), model.create_output_buffers(0)
    assert program.quantization is not None
    seen = []
    for (x,) in program.quantization.feeds:
        given[0].write(x.numpy())
        model.run_by_index(0, given, made)
        seen.append(made[0].read(5, np.float32).copy())
    return np.stack(seen)


def test_a_weight_cache_changes_nothing(path: Path, program: Program, tmp_path: Path) -> None:
    plain = answers(path, program, None)
    assert program.quantization is not None
    wanted = torch.cat([program.module(x) for (x,) in program.quantization.feeds]).detach().numpy()
    assert sqnr_db_of(plain, wanted) > 25
    for _ in range(2):  # it is written, then read
        np.testing.assert_array_equal(answers(path, program, tmp_path / "cache"), plain)
    assert (tmp_path / "cache").stat().st_size > 0


def test_the_weights_are_shared_and_the_second_has_a_bias(path: Path) -> None:
    graph = parse(path).graphs[0]
    products = [operator for operator in graph.operators if operator.name == "FULLY_CONNECTED"]
    assert len(products) == 3
    assert products[0].inputs[1] == products[1].inputs[1]
    biases = [[index for index in product.inputs[2:] if index >= 0] for product in products]
    assert [len(found) for found in biases] == [0, 1, 1]
    (given,) = biases[1]
    assert (graph.tensors[given].dtype, graph.tensors[given].shape) == ("int32", (32,))


def test_nothing_is_left_to_give(path: Path) -> None:
    model = unpacked(path.read_bytes())
    before = len(model.buffers), len(model.subgraphs[0].tensors)
    give_biases(model)
    assert (len(model.buffers), len(model.subgraphs[0].tensors)) == before


def test_a_bias_that_two_products_share_is_copied(path: Path) -> None:
    """As where both read one range: the scale of what they give may still differ."""
    places = [place for place, one in enumerate(parse(path).graphs[0].operators) if one.name == "FULLY_CONNECTED"][:2]
    model = unpacked(path.read_bytes())
    graph = model.subgraphs[0]
    first, second = (graph.operators[place] for place in places)
    first.inputs = second.inputs = [*second.inputs]
    model.buffers[graph.tensors[second.inputs[2]].buffer].data = np.arange(128, dtype=np.uint8)
    give_biases(model)
    given = [graph.tensors[one.inputs[2]].buffer for one in (first, second)]
    assert given[0] != given[1]
    assert all(bytes(model.buffers[place].data) == bytes(range(128)) for place in given)
