"""Calls that write into what int8 products give; more of it in the tests of the pass ``in_place``."""

from __future__ import annotations

import torch
from pass_rig import Lambda, captured, randomised
from torch import nn
from torch.nn import functional

from export.formats.ptl_file.narrow.writing import WRITING, let_write
from export.graph_editor import GraphEditor
from export.patterns import aten


def test_an_activation_writes_into_a_product_that_nobody_else_reads() -> None:
    module = randomised(Lambda(lambda layers, x: functional.gelu(layers["fc"](x)).reshape(-1), fc=nn.Linear(3, 4)))
    program = captured(module, (2, 3))
    editor, x = GraphEditor(program.module), torch.randn(2, 3, dtype=torch.float64)
    assert let_write(editor) == 1
    assert [node.target for node in editor.nodes(*WRITING.values())] == [aten.gelu_.default]
    torch.testing.assert_close(editor.finish()(x), module(x))


def test_nothing_writes_into_an_input_or_what_two_read() -> None:
    program = captured(Lambda(lambda layers, x: functional.gelu(x) + (x * 2).relu() * (x * 2)).double(), (2, 3))
    editor, x = GraphEditor(program.module), torch.randn(2, 3, dtype=torch.float64)
    kept = x.clone()
    let_write(editor)
    torch.testing.assert_close(editor.finish()(x), functional.gelu(kept) + (kept * 2).relu() * (kept * 2))
    assert torch.equal(x, kept)
