"""Whole numbers beside floating tensors are written as floating ones."""

from __future__ import annotations

from pass_rig import Lambda, apply

from export.passes import numbers_as_floats


def test_sums_differences_products_and_quotients() -> None:
    module, log = apply(Lambda(lambda m, x: ((x + 1) * 3 - 2) / 4), (2, 3), numbers_as_floats)
    assert log.rewrites == 4
    numbers = [node.args[1] for node in module.graph.nodes if node.op == "call_function"]
    assert [(type(number), number) for number in numbers] == [(float, 1.0), (float, 3.0), (float, 2.0), (float, 4.0)]


def test_leaves_integers_and_floating_numbers_alone() -> None:
    for work in (lambda x: ((x.long() + 1) * 2.0).double(), lambda x: x * 2.0 + x):
        assert apply(Lambda(lambda m, x, work=work: work(x)), (2, 3), numbers_as_floats)[1].rewrites == 0
