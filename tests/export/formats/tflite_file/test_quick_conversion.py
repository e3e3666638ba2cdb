"""What is spared leaves the file as it is, byte for byte, and is spared only where that was read in the sources."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mobile_artifacts import small_program
from small_models import conv_net, spec_of
from torch import Tensor, nn

from edgevit.spec import Layout, TensorSpec
from export.formats.tflite_file import quick_conversion
from export.formats.tflite_file.write import write
from export.pipeline import optimize
from export.program import Program, capture
from export.quiet import quiet
from export.recipe import Format, Optimize, Recipe


class Attention(nn.Module):
    """Norm, a linear layer on channels-last tokens of an image, GELU, attention: ``(1, 3, 16, 16)`` to ``(1, 8)``."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.project, self.head = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.norm(self.patches(image).permute(0, 2, 3, 1))
        query, key, value = self.project(tokens).flatten(1, 2).chunk(3, dim=-1)
        shares = (query @ key.transpose(1, 2)).softmax(dim=-1)
        scores: Tensor = self.head(nn.functional.gelu(shares @ value).mean(1))
        return scores


class Sixfold(nn.Module):
    """A fifth axis that comes and goes, which a pass behind the retrace looks for: ``(1, 3, 8, 8)`` to itself."""

    def forward(self, image: Tensor) -> Tensor:
        return image.unsqueeze(0).permute(3, 1, 2, 0, 4).squeeze(3).permute(1, 2, 0, 3).relu()


def _of(model: nn.Module, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Program:
    torch.manual_seed(3)
    image = TensorSpec(name="image", shape=inputs, layout=Layout.NCHW)
    spec = spec_of("small", (image,), (TensorSpec(name="logits", shape=outputs),))
    return capture(model.eval(), spec)


NETWORKS = {
    "batch norm": small_program,
    "attention": lambda: _of(Attention(), (1, 3, 16, 16), (1, 8)),
    "pooling": lambda: capture(*conv_net()),
    "five axes": lambda: _of(Sixfold(), (1, 3, 8, 8), (1, 3, 8, 8)),
}
CASES = (
    ("attention", Optimize.FULL, True), ("batch norm", Optimize.NONE, False), ("pooling", Optimize.FULL, False),
    ("five axes", Optimize.NONE, False),
)  # fmt: skip


@pytest.mark.parametrize(("name", "level", "spared"), CASES)
def test_the_bytes_are_those_of_the_whole_conversion(
    name: str, level: Optimize, spared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(format=Format.TFLITE, optimize=level)
    program = optimize(NETWORKS[name](), recipe)
    answers: list[bool] = []
    asked = quick_conversion.is_spared
    monkeypatch.setattr(quick_conversion, "is_spared", lambda exported: answers.append(asked(exported)) or answers[-1])
    with quiet():
        write(program, recipe, tmp_path / "quick.tflite")
        monkeypatch.setattr(quick_conversion, "is_known", lambda: False)
        write(program, recipe, tmp_path / "whole.tflite")
    assert answers == [spared]
    assert (tmp_path / "quick.tflite").read_bytes() == (tmp_path / "whole.tflite").read_bytes()


def test_the_installed_release_is_the_one_that_was_read() -> None:
    assert quick_conversion.is_known()


def test_another_release_or_another_source_is_converted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from jax._src.interpreters import mlir
    from litert_torch.fx_infra import CanonicalizePass

    whole, context = CanonicalizePass.call, mlir.make_ir_context
    with quick_conversion.quick_conversion():
        assert CanonicalizePass.call is not whole
        assert mlir.make_ir_context() is mlir.make_ir_context()
    assert (CanonicalizePass.call, mlir.make_ir_context) == (whole, context)
    for package in quick_conversion.RELEASES:
        with monkeypatch.context() as patch:
            patch.setitem(quick_conversion.RELEASES, package, "0.0.1")
            with quick_conversion.quick_conversion():
                assert (CanonicalizePass.call, mlir.make_ir_context) == (whole, context)
    monkeypatch.setattr(quick_conversion, "SOURCES", quick_conversion.SOURCES[:-1])
    with quick_conversion.quick_conversion():
        assert CanonicalizePass.call is whole


PLAIN = """module @jit_f attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2xf32>) -> (tensor<2xf32> {jax.result_info = "result"}) {
    %0 = stablehlo.negate %arg0 : tensor<2xf32>
    return %0 : tensor<2xf32>
  }
}
"""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (PLAIN, True),
        (PLAIN.replace("stablehlo.negate", "chlo.erf"), False),
        (PLAIN.replace("stablehlo.negate", "stablehlo.unheard_of"), False),
        (PLAIN.replace("jax.result_info", "sdy.sharding"), False),
        (PLAIN.replace("stablehlo.negate", '"mhlo.topk"'), False),
    ],
)
def test_only_stablehlo_that_can_be_read_goes_as_text(text: str, read: bool) -> None:
    from litert_torch.backend import export_utils

    carry = quick_conversion._text_where_read(lambda given: given.encode())
    with export_utils.create_ir_context():
        assert carry(text) == (text if read else text.encode())
