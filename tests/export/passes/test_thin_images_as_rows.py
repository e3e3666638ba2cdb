"""Linear layers and norms over one position, or one column of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pass_rig import Lambda, apply, captured
from torch import Tensor, nn

from export.formats.tflite_file.write import write
from export.passes import thin_images_as_rows
from export.patterns import aten, operand, rank_of
from export.pipeline import optimize
from export.recipe import Format, Recipe


@pytest.mark.parametrize(
    ("shape", "rewrites"),
    [
        *(((1, 1, 1, 3), 1), ((1, 5, 1, 3), 1), ((2, 4, 1, 3), 1), ((1, 1, 2, 1, 3), 1)),
        *(((1, 1, 5, 3), 0), ((1, 1, 3), 0), ((1, 3), 0), ((2, 4, 5, 3), 0)),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_thin_ones_alone_become_matrices(shape: tuple[int, ...], rewrites: int, bias: bool) -> None:
    module, log = apply(nn.Linear(3, 4, bias=bias), shape, thin_images_as_rows)
    assert log.rewrites == rewrites
    (linear,) = (node for node in module.graph.nodes if node.target is aten.linear.default)
    assert rank_of(operand(linear)) == (2 if rewrites else len(shape))


def test_normalisations_too() -> None:
    module, log = apply(nn.LayerNorm(3), (2, 4, 1, 3), thin_images_as_rows)
    assert log.rewrites == 1
    (norm,) = (node for node in module.graph.nodes if node.target is aten.layer_norm.default)
    assert rank_of(operand(norm)) == 2
    assert apply(nn.LayerNorm((1, 3)), (2, 4, 1, 3), thin_images_as_rows)[1].rewrites == 0


def squeeze_excite(m: nn.ModuleDict, x: Tensor) -> Tensor:
    y = m["conv"](x)
    gate = m["expand"](m["reduce"](y.mean((2, 3), keepdim=True)).relu()).sigmoid()
    return m["head"]((y * gate).mean((2, 3)))


def norm_of_a_pooled_map(m: nn.ModuleDict, x: Tensor) -> Tensor:
    pooled = m["conv"](x).mean((2, 3), keepdim=True).permute(0, 2, 3, 1)
    return m["head"](m["norm"](pooled).permute(0, 3, 1, 2).flatten(1))


def a_column_of_tokens(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["expand"](m["reduce"](m["conv"](x).mean(3, keepdim=True)).relu()).mean((2, 3))


@pytest.mark.parametrize("forward", [squeeze_excite, norm_of_a_pooled_map, a_column_of_tokens])
def test_the_converter_takes_what_is_left(tmp_path: Path, forward: object) -> None:
    """The smallest networks that it refused, optimised: "invalid output rank, expected 3 but got 4"."""
    layers = {
        "conv": nn.Conv2d(3, 8, 3),
        "reduce": nn.Conv2d(8, 4, 1),
        "expand": nn.Conv2d(4, 8, 1),
        "norm": nn.LayerNorm(8),
        "head": nn.Linear(8, 5),
    }
    torch.manual_seed(0)
    model = Lambda(forward, **layers).eval()  # type: ignore[arg-type]
    program = captured(model, (1, 3, 8, 8), torch.float32)
    recipe = Recipe(format=Format.TFLITE)
    path = tmp_path / "model.tflite"
    write(optimize(program, recipe), recipe, path)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    run = interpreter.get_signature_runner()
    (image,) = program.example
    (result,) = run(**{program.inputs[0].name: image.numpy()}).values()
    torch.testing.assert_close(torch.from_numpy(result), model(image), rtol=1e-4, atol=1e-5)
