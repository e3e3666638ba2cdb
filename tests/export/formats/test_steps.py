"""A program as a tree of named calls: the same function, and every operator knows its module."""

from __future__ import annotations

import pytest
import torch
from mobile_artifacts import small_program
from pass_rig import Lambda, captured

from export.formats.steps import Steps, module_of_step, modules_by_operator, step_name, trace
from export.program import module_of


def test_steps_compute_the_same_and_are_named_by_module() -> None:
    program = small_program()
    steps = Steps(program)
    torch.testing.assert_close(steps(*program.example), program.module(*program.example))
    calls = [node for node in program.module.graph.nodes if node.op == "call_function"]
    assert list(steps._modules)[1:] == [step_name(node, node.name) for node in calls]
    (head,) = (name for name in steps._modules if "linear" in name)
    assert (head, module_of_step(head)) == ("head/linear", "head")


def test_the_calls_of_a_module_may_share_a_step() -> None:
    program = small_program()
    steps = Steps(program, together=True)
    torch.testing.assert_close(steps(*program.example), program.module(*program.example))
    calls = [node for node in program.module.graph.nodes if node.op == "call_function"]
    names = list(dict.fromkeys(step_name(node, "calls") for node in calls))
    assert list(steps._modules)[1:] == names
    assert len(names) < len(calls)
    assert {module_of_step(name) for name in names} == {module_of(node) for node in calls}


def test_traced_operators_name_the_modules_that_they_came_from() -> None:
    found = modules_by_operator(trace(small_program()))
    assert found["aten::linear"] == ["head"]
    assert found["aten::_convolution"] == ["mix", "stem.0"]
    assert "prim::Constant" not in found


CALLS_NAMED_LIKE_A_MODULE_S_OWN = {
    "to": lambda x: x.to(torch.float64).to(torch.float32),
    "half": lambda x: torch.ops.aten.to.dtype(x, torch.float64).float(),
    "steps": lambda x: x + 1,
    "type": lambda x: x.type_as(x.double()).float(),
    "apply": lambda x: x * 2,
    "forward": lambda x: x * 2,
    "to_": lambda x: x.to(torch.float64).float(),
}


@pytest.mark.parametrize("name", CALLS_NAMED_LIKE_A_MODULE_S_OWN)
def test_a_call_of_the_root_may_be_named_like_what_a_module_has(name: str) -> None:
    function = CALLS_NAMED_LIKE_A_MODULE_S_OWN[name]
    program = captured(Lambda(lambda m, x: function(x) + 1), (2, 3), torch.float32)
    first = next(node for node in program.module.graph.nodes if node.op == "call_function")
    first._rename(name)
    program.module.recompile()
    image = torch.randn(2, 3)
    torch.testing.assert_close(trace(program)(image), program.module(image))
