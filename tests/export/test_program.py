"""Capture: any module becomes a flat graph that computes the same, or a clear error."""

import dataclasses

import msgspec
import pytest
import torch
from small_models import conv_net, spec_of, two_inputs
from torch import nn

from edgevit.errors import ExportError, UsageError
from edgevit.spec import Layout, ModelSpec, TensorSpec
from export.program import Program, capture, module_of, with_input_layout


def answers(program: Program) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        result = program.module(*program.example)
    return result if isinstance(result, tuple) else (result,)


def changed(spec: ModelSpec, **fields: object) -> ModelSpec:
    return msgspec.structs.replace(spec, **fields)


def test_a_captured_program_computes_the_same() -> None:
    model, spec = two_inputs(batch=3)
    program = capture(model, spec)
    for seen, expected in zip(answers(program), model(*program.example), strict=True):
        assert torch.equal(seen, expected)


def test_every_call_knows_its_module() -> None:
    model, spec = conv_net()
    calls = [node for node in capture(model, spec).module.graph.nodes if node.op == "call_function"]
    assert [module_of(node) for node in calls] == ["stem.0", "stem.1", "stem.2", "pool", "", "head"]
    assert all(node.meta["val"].shape[0] == 1 for node in calls)


def test_the_model_stays_as_it_was() -> None:
    model, spec = conv_net()
    model.train()
    program = capture(model, spec)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    own = {parameter.data_ptr() for parameter in model.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in program.module.parameters())


def test_nhwc_input_is_a_permute_behind_the_image_alone() -> None:
    model, spec = two_inputs()
    native = capture(model, spec)
    program = with_input_layout(native, Layout.NHWC)
    assert [tensor.shape for tensor in program.inputs] == [(1, 16, 16, 3), (1, 5)]
    assert [tuple(tensor.shape) for tensor in program.example] == [(1, 16, 16, 3), (1, 5)]
    for seen, expected in zip(answers(program), answers(native), strict=True):
        torch.testing.assert_close(seen, expected)
    assert program.spec == spec
    assert with_input_layout(program, Layout.NCHW).inputs == spec.inputs


def test_nhwc_is_refused_without_an_image() -> None:
    spec = spec_of("flat", (TensorSpec(name="x", shape=(1, 4)),), (TensorSpec(name="y", shape=(1, 2)),))
    with pytest.raises(UsageError, match="flat has no image input"):
        with_input_layout(capture(nn.Linear(4, 2), spec), Layout.NHWC)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"hold NaN in head\.weight$"),
        (float("-inf"), r"hold Inf in head\.weight, and it answers NaN or Inf$"),
    ],
)
def test_weights_that_are_not_finite_are_refused_by_name(value: float, message: str) -> None:
    model, spec = conv_net()
    with torch.no_grad():
        model.head.weight[3, 4] = value
    with pytest.raises(ExportError, match=message):
        capture(model, spec)


def test_infinity_that_ends_on_the_way_is_kept() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.full((4, 4), float("-inf")).triu(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + self.mask).softmax(-1)

    shape = TensorSpec(name="x", shape=(1, 4, 4))
    spec = spec_of("masked", (shape,), (msgspec.structs.replace(shape, name="y"),))
    program = capture(Masked(), spec)
    assert torch.equal(answers(program)[0], Masked()(*program.example))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ((), "returns 1 outputs, its spec says 0"),
        ((TensorSpec(name="logits", shape=(1, 11)),), r"float32 \(1, 10\) for output 'logits', its spec says .* 11"),
        ((TensorSpec(name="logits", shape=(1, 10), dtype="float16"),), "its spec says float16"),
    ],
)
def test_outputs_must_be_those_of_the_spec(outputs: tuple[TensorSpec, ...], message: str) -> None:
    model, spec = conv_net()
    with pytest.raises(ExportError, match=message):
        capture(model, changed(spec, outputs=outputs))


def test_a_free_axis_and_a_module_that_cannot_be_captured_are_errors() -> None:
    model, spec = conv_net()
    free = changed(spec, inputs=(TensorSpec(name="image", shape=(-1, 3, 32, 32)),))
    with pytest.raises(ExportError, match="captured for a fixed shape"):
        capture(model, free)
    wrong = changed(spec, inputs=(TensorSpec(name="image", shape=(1, 4, 32, 32)),))
    with pytest.raises(ExportError, match=r"cannot capture conv-net with inputs image \(1, 4, 32, 32\)"):
        capture(model, wrong)


def test_a_program_is_frozen() -> None:
    program = capture(*conv_net())
    with pytest.raises(dataclasses.FrozenInstanceError):
        program.passes = ()  # type: ignore[misc]
