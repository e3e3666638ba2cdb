"""A program as a tree of named calls: the same function, and every operator knows its module."""

from __future__ import annotations

import torch
from mobile_artifacts import small_program

from export.formats.steps import Steps, module_of_step, modules_by_operator, step_name, trace


def test_steps_compute_the_same_and_are_named_by_module() -> None:
    program = small_program()
    steps = Steps(program)
    torch.testing.assert_close(steps(*program.example), program.module(*program.example))
    calls = [node for node in program.module.graph.nodes if node.op == "call_function"]
    assert list(steps._modules)[1:] == [step_name(node) for node in calls]
    (head,) = (name for name in steps._modules if "linear" in name)
    assert (head, module_of_step(head)) == ("head/linear", "head")


def test_traced_operators_name_the_modules_that_they_came_from() -> None:
    found = modules_by_operator(trace(small_program()))
    assert found["aten::linear"] == ["head"]
    assert found["aten::_convolution"] == ["mix", "stem.0"]
    assert "prim::Constant" not in found
