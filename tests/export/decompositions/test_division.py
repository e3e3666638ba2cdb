"""Divisions with a rest are torch's, at exact multiples, for either sign and for whole numbers; compared with eager."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, captured
from torch import Tensor

from export.graph_editor import GraphEditor
from export.passes import decompose
from export.recipe import Format

Form = Callable[[Tensor, Tensor], Tensor]
FORMS: dict[str, tuple[Form, Format, bool]] = {
    "floor_divide": (lambda x, y: x // y, Format.ONNX, True),
    "by a number": (lambda x, y: x // 0.3, Format.ONNX, True),
    "by one below 0": (lambda x, y: x // -0.3, Format.ONNX, True),
    "div": (lambda x, y: torch.div(x, y, rounding_mode="floor"), Format.ONNX, True),
    "div by a number": (lambda x, y: torch.div(x, 0.3, rounding_mode="floor"), Format.ONNX, True),
    "div by the other rest": (lambda x, y: torch.div(x, y, rounding_mode="floor"), Format.TFLITE, True),
    "by a number in TFLite": (lambda x, y: x // 0.3, Format.TFLITE, False),
    "cut off": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), Format.ONNX, False),
    "remainder": (torch.remainder, Format.ONNX, True),
    "remainder of a number": (lambda x, y: x % -0.3, Format.ONNX, True),
    "fmod": (torch.fmod, Format.TFLITE, True),
    "fmod of a number": (lambda x, y: torch.fmod(x, -0.3), Format.TFLITE, True),
    "whole": (lambda x, y: x.int() // 3, Format.ONNX, True),
    "whole by those below 0": (lambda x, y: x.long() // (y.long() - 9), Format.ONNX, True),
    "whole remainder": (lambda x, y: x.int() % -3, Format.PTE, True),
    "whole remainders": (lambda x, y: x.long() % (y.long() - 9), Format.PTE, True),
    "whole fmod": (lambda x, y: torch.fmod(x.int(), 3), Format.TFLITE, False),
    "shift": (lambda x, y: x.int() >> 2, Format.TFLITE, True),
    "bitwise shift": (lambda x, y: torch.bitwise_right_shift(x.int(), 3), Format.PTE, True),
}


@pytest.mark.parametrize("name", FORMS)
def test_it_is_what_torch_computes(name: str) -> None:
    form, format, is_rewritten = FORMS[name]
    program = captured(Lambda(lambda m, x: form(x[0], x[1]).float()), (2, 3, 64), torch.float32)
    editor = GraphEditor(program.module)
    assert (decompose.run(editor, format).rewrites > 0) == is_rewritten
    whole = torch.arange(-96.0, 96.0).reshape(3, 64)
    others = torch.tensor([0.3, -0.7, 1.5]).reshape(3, 1).expand(3, 64)
    module = editor.finish()
    for x in (whole, whole * 0.3, whole * 0.7, whole * 1e4, torch.randn(3, 64)):
        both = torch.stack([x, others])
        torch.testing.assert_close(module(both), form(both[0], both[1]).float(), rtol=0, atol=0)


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_by_zero(format: Format) -> None:
    program = captured(Lambda(lambda m, x: x[0] // x[1]), (2, 3), torch.float32)
    editor = GraphEditor(program.module)
    decompose.run(editor, format)
    both = torch.tensor([[2.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.equal(editor.finish()(both)[:2], torch.tensor([torch.inf, -torch.inf]))
