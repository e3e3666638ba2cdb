"""Exponentials, logarithms and angles are the same in forms that hold anywhere; compared with eager float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls, captured, decomposing
from torch import Tensor
from torch.nn import functional

from export.graph_editor import GraphEditor
from export.passes import decompose
from export.recipe import Format

aten = torch.ops.aten
Form = Callable[[Tensor], Tensor]


def _loss(x: Tensor, **given: object) -> Tensor:
    return functional.binary_cross_entropy_with_logits(x, x.sigmoid(), **given).reshape(-1)  # type: ignore[arg-type]


FORMS: dict[str, tuple[Form, Format, object]] = {
    "log_sigmoid": (functional.logsigmoid, Format.ONNX, aten.log_sigmoid.default),
    "cross entropy": (_loss, Format.ONNX, aten.binary_cross_entropy_with_logits.default),
    "its sum": (lambda x: _loss(x, reduction="sum"), Format.ONNX, aten.binary_cross_entropy_with_logits.default),
    "its weights": (
        lambda x: _loss(x, weight=x.abs(), pos_weight=x.exp(), reduction="none"),
        Format.ONNX,
        aten.binary_cross_entropy_with_logits.default,
    ),
    "log1p": (lambda x: torch.log1p(x.abs() - 0.9), Format.ONNX, aten.log1p.default),
    "log1p of little": (lambda x: torch.log1p(x * 1e-9) * 1e9, Format.TFLITE, aten.log1p.default),
    "expm1": (torch.expm1, Format.TFLITE, aten.expm1.default),
    "expm1 of little": (lambda x: torch.expm1(x * 1e-9) * 1e9, Format.TFLITE, aten.expm1.default),
    "atan2": (lambda x: torch.atan2(x, x.flip(-1)), Format.ONNX, aten.atan2.default),
}


@pytest.mark.parametrize("name", FORMS)
def test_it_is_the_same_without_the_call(name: str) -> None:
    form, format, gone = FORMS[name]
    module, log = apply(Lambda(lambda m, x: form(x)), (2, 4, 5), decomposing(format))
    assert (log.rewrites, calls(module, gone)) == (1, 0)


@pytest.mark.parametrize(
    ("beta", "threshold", "rewrites"), [(1.0, 20.0, 0), (3.0, 0.5, 1), (1.0, 2.0, 1), (-0.5, 20.0, 1)]
)
def test_softplus_of_another_slope_or_threshold(beta: float, threshold: float, rewrites: int) -> None:
    layer = Lambda(lambda m, x: functional.softplus(x, beta, threshold))
    assert apply(layer, (2, 4, 5), decomposing(Format.ONNX))[1].rewrites == rewrites


def test_far_from_zero() -> None:
    """Where exp(x) is infinite or 0, and 1 + exp(x) is 1."""

    def forward(x: Tensor) -> Tensor:
        loss = functional.binary_cross_entropy_with_logits(x, (x > 1).to(x.dtype), reduction="none")
        return torch.stack([functional.logsigmoid(x), functional.softplus(x, 3, 5), loss, torch.log1p(x.abs())])

    program = captured(Lambda(lambda m, x: forward(x)).double(), (6,))
    editor = GraphEditor(program.module)
    assert decompose.run(editor, Format.ONNX).rewrites == 4
    x = torch.tensor([-2e4, -800.0, -0.0, 0.0, 90.0, 3e4], dtype=torch.float64)
    torch.testing.assert_close(editor.finish()(x), forward(x), rtol=1e-12, atol=1e-12)


def test_angles_of_zeros() -> None:
    program = captured(Lambda(lambda m, x: torch.atan2(x[0], x[1])).double(), (2, 16))
    editor = GraphEditor(program.module)
    decompose.run(editor, Format.ONNX)
    values = torch.tensor([0.0, -0.0, 2.0, -3.0], dtype=torch.float64)
    x = torch.stack([values.repeat(4), values.repeat_interleave(4)])
    torch.testing.assert_close(editor.finish()(x), torch.atan2(x[0], x[1]), rtol=1e-14, atol=0)
