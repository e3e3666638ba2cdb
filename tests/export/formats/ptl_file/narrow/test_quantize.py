"""int8 in the file: what every bytecode's file answers in torch's own interpreter, and which calls it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from int8_plans import planned as planned_by_hand
from pass_rig import Lambda, captured
from ptl_layers import SHAPE, dynamic, images, network, planned, sqnr_db, static, written
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

from edgevit.errors import ExportError
from export.formats.ptl_file.narrow.quantize import Rewriting, narrowed
from export.formats.ptl_file.read import read, read_archive
from export.formats.ptl_file.versions import BYTECODES
from export.formats.ptl_file.write import write
from export.graph_editor import GraphEditor
from export.int8.plan import Quantization
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.recipe import Format, Optimize, Precision, Recipe


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """int8 as phones compute it."""
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, "qnnpack"
    yield
    torch.backends.quantized.engine = before


def answers(path: Path, inputs: list[Tensor]) -> Tensor:
    module = _load_for_lite_interpreter(str(path))
    with torch.no_grad():
        return torch.cat([module.forward(image) for image in inputs])


@pytest.mark.parametrize("how", [Optimize.NONE, Optimize.FULL])
@pytest.mark.parametrize("bytecode", [None, *BYTECODES])
@pytest.mark.parametrize(("choice", "floor"), [(dynamic, 30.0), (static, 25.0)])
def test_every_bytecode_answers_as_the_network_does(
    tmp_path: Path, bytecode: int | None, how: Optimize, choice: object, floor: float
) -> None:
    path = written(tmp_path / "int8.ptl", Precision.INT8, choice, optimize=how, ptl_bytecode=bytecode)  # type: ignore[arg-type]
    inputs = images(6, seed=5)
    with torch.no_grad():
        expected = torch.cat([network()(image) for image in inputs])
    assert floor < sqnr_db(expected, answers(path, inputs)) < 60  # and not float: that would be above 100
    assert all(row.standard for row in read(path).operators)


def test_each_layer_has_its_scheme(tmp_path: Path) -> None:
    calls = read_archive(written(tmp_path / "static.ptl", Precision.INT8, static)).calls
    assert (calls["quantized::linear"], calls["quantized::conv2d.new"]) == (3, 2)
    assert "quantized::linear_dynamic" not in calls and "aten::linear" not in calls
    calls = read_archive(written(tmp_path / "dynamic.ptl", Precision.INT8, dynamic)).calls
    assert calls["quantized::linear_dynamic"] == 3 and "quantized::linear" not in calls
    assert "aten::quantize_per_tensor" not in calls


def test_layers_without_float_between_them_share_their_tensors_and_an_activation_is_cut_off(tmp_path: Path) -> None:
    calls = read_archive(written(tmp_path / "static.ptl", Precision.INT8, static)).calls
    # stem and mix, wide and narrow; only the head's reading is its own
    assert calls["aten::quantize_per_tensor"] == 3
    assert not any("relu6" in name or "hardtanh" in name for name in calls)


def test_all_weights_are_int8_and_stand_there_once(tmp_path: Path) -> None:
    path = written(tmp_path / "static.ptl", Precision.INT8, static)
    weights = sum(tensor.numel() for name, tensor in network().state_dict().items() if "weight" in name)
    assert read(path).weights["int8"] == weights
    again = written(tmp_path / "again.ptl", Precision.INT8, static)
    assert again.read_bytes() == path.read_bytes()


def test_a_float_layer_stays_exact(tmp_path: Path) -> None:
    recipe, path = Recipe(format=Format.PTL, precision=Precision.INT8), tmp_path / "some.ptl"
    write(planned(recipe, lambda kind: Scheme.FLOAT), recipe, path)
    inputs = images(2)
    with torch.no_grad():
        expected = torch.cat([network()(image) for image in inputs])
    assert sqnr_db(expected, answers(path, inputs)) > 100


def test_a_large_bias_does_not_overflow(tmp_path: Path) -> None:
    module = network()
    with torch.no_grad():
        module.head.weight.mul_(1e-6)
        module.head.bias.copy_(torch.tensor([5.0, -4.0, 3.0, 2.0, 1.0]))
    recipe, path = Recipe(format=Format.PTL, precision=Precision.INT8), tmp_path / "bias.ptl"
    write(planned(recipe, static, module), recipe, path)
    torch.testing.assert_close(answers(path, images(1)), module.head.bias[None].detach(), rtol=0.01, atol=0.02)


def test_an_activation_that_does_not_let_zero_through_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, inputs = Lambda(lambda m, x: m["fc"](x).clamp(0.5, 2.0), fc=nn.Linear(12, 9)).eval(), torch.randn(1, 4, 12)
    program = captured(net, (1, 4, 12), torch.float32)
    recipe, path = Recipe(format=Format.PTL, precision=Precision.INT8), tmp_path / "clamp.ptl"
    write(planned_by_hand(program, {LayerKind.LINEAR: Scheme.STATIC}, ((inputs,),)), recipe, path)
    with torch.no_grad():
        assert sqnr_db(net(inputs), answers(path, [inputs])) > 30
    assert float(answers(path, [inputs]).min()) == 0.5


def test_weights_are_rounded_by_channels() -> None:
    values, scales = narrowed(torch.tensor([[1.0, -0.5], [0.0, 0.0], [127.0, 1.0]]))
    assert values.tolist() == [[127, -64], [0, 0], [127, 1]] and values.dtype is torch.int8
    assert scales[[0, 2]].tolist() == pytest.approx([1 / 127, 1.0]) and scales[1] > 0
    values, scales = narrowed(torch.tensor([[1.0, 127.0], [-0.5, 3.0]]), axis=1)
    assert values.tolist() == [[127, 127], [-64, 3]]


def asked_for(module: nn.Module, shape: tuple[int, ...], kind: LayerKind, scheme: Scheme, name: str) -> Rewriting:
    program = captured(module.eval(), shape, torch.float32)
    layer = LayerRecord(name=name, module="", kind=kind, weights=1, scheme=scheme)
    return Rewriting(GraphEditor(program.module), Quantization({name: layer}))


def test_what_cannot_be_int8_is_refused_by_name() -> None:
    with pytest.raises(ExportError, match=r"conv2d \(conv\) cannot be int8 with dynamic ranges"):
        asked_for(nn.Conv2d(3, 4, 3), SHAPE, LayerKind.CONV, Scheme.DYNAMIC, "conv2d").run()
    with pytest.raises(ExportError, match="not in the graph: linear_7"):
        asked_for(nn.Conv2d(3, 4, 3), SHAPE, LayerKind.LINEAR, Scheme.DYNAMIC, "linear_7").run()


def test_a_program_without_a_plan_and_prepacked_weights_are_refused(tmp_path: Path) -> None:
    recipe = Recipe(format=Format.PTL, precision=Precision.INT8)
    with pytest.raises(ExportError, match="nothing says which of its layers"):
        write(planned(recipe), recipe, tmp_path / "none.ptl")
    both = Recipe(format=Format.PTL, precision=Precision.FP16, ptl_prepacked=True)
    with pytest.raises(ExportError, match="prepacked weights are float32, not fp16"):
        write(planned(both), both, tmp_path / "none.ptl")
    assert not (tmp_path / "none.ptl").exists()
