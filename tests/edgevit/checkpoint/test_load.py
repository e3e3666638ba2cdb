"""Checkpoints against models: what fits is loaded exactly, what does not is named together with what would have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from edgevit_golden import golden_state, published_shapes
from edgevit_tiny import tiny
from safetensors.torch import save_file
from torch import Tensor

from edgevit.build import build_model
from edgevit.errors import CheckpointError, UsageError
from edgevit.spec import Task

State = dict[str, Tensor]
SIZE = (64, 64)


@pytest.fixture
def state() -> State:
    """Weights of the small model with 37 classes and 4 input channels."""
    model, _ = build_model(tiny(), num_classes=37, in_channels=4, input_size=SIZE, seed=5)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.pth"


def test_classes_and_channels_come_from_the_file(path: Path, state: State) -> None:
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    model, spec = build_model(tiny(), checkpoint=path, input_size=SIZE)
    assert (spec.num_classes, spec.inputs[0].shape) == (37, (1, 4, 64, 64))
    assert spec.name == "edgevit-tiny-37classes-4ch-64x64"
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)
    assert spec.weights.source == "checkpoint"
    assert spec.weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (spec.weights.file, spec.weights.entry, spec.weights.seed) == ("w.pth", "model", None)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("variant", ["xxs", "xs"])
def test_a_checkpoint_of_the_published_code(path: Path, variant: str) -> None:
    weights = golden_state(published_shapes(variant))
    save_file(weights, path.with_suffix(".safetensors"))
    model, spec = build_model(variant, checkpoint=path.with_suffix(".safetensors"))
    assert spec.num_classes == 1000
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_features_leave_the_head_unused(path: Path, state: State) -> None:
    torch.save(state, path)
    model, spec = build_model(tiny(), checkpoint=path, task=Task.FEATURES, input_size=SIZE)
    assert spec.num_classes is None
    assert torch.equal(model.blocks4[0].SelfAttn.attn.proj.bias, state["blocks4.0.SelfAttn.attn.proj.bias"])
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith(("norm.", "head."))}, path)
    build_model(tiny(), checkpoint=path, task=Task.FEATURES, input_size=SIZE)


@pytest.mark.parametrize(("option", "what"), [("num_classes", "37"), ("in_channels", "4")])
def test_numbers_that_the_file_contradicts(path: Path, state: State, option: str, what: str) -> None:
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=f"is {what}, but 10 was asked for"):
        build_model(tiny(), checkpoint=path, input_size=SIZE, **{option: 10})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["head.bias", "norm.running_var", "blocks3.0.SelfAttn.attn.qkv.weight"])
def test_non_finite_weights_are_refused(path: Path, state: State, value: float, name: str) -> None:
    state[name].view(-1)[1] = value
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=f"{name} holds NaN or Inf in 1 of {state[name].numel()} values"):
        build_model(tiny(), checkpoint=path, input_size=SIZE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_converted_and_said(path: Path, state: State, dtype: torch.dtype) -> None:
    stored = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    torch.save(stored, path)
    model, spec = build_model(tiny(), checkpoint=path, input_size=SIZE)
    assert spec.weights.stored_dtype == str(dtype).removeprefix("torch.")
    assert f"converted from {spec.weights.stored_dtype}" in spec.weights.describe()
    assert torch.equal(model.head.weight, stored["head.weight"].float())
    assert model.head.weight.dtype == torch.float32


def test_double_precision_beyond_float32_is_refused(path: Path, state: State) -> None:
    torch.save(state | {"head.bias": state["head.bias"].double() * 1e300}, path)
    with pytest.raises(CheckpointError, match=r"head\.bias holds NaN or Inf"):
        build_model(tiny(), checkpoint=path, input_size=SIZE)


@pytest.mark.parametrize(
    "change", [lambda t: t.to(torch.int8), lambda t: t.to(torch.complex64), lambda t: t.to_sparse()]
)
def test_types_without_a_float32_meaning_are_refused(
    path: Path, state: State, change: Callable[[Tensor], Tensor]
) -> None:
    torch.save(state | {"head.weight": change(state["head.weight"])}, path)
    with pytest.raises(CheckpointError, match=r"head\.weight is .*, expected dense float16"):
        build_model(tiny(), checkpoint=path, input_size=SIZE)


def test_an_entry_needs_a_checkpoint() -> None:
    with pytest.raises(UsageError, match="entry 'model' was asked for, but no checkpoint"):
        build_model(tiny(), entry="model", input_size=SIZE)


def test_a_negative_variance_is_refused(path: Path, state: State) -> None:
    name = next(name for name in state if name.endswith("running_var"))
    state[name][0] = -0.25
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=rf"{name} holds -0.25, and a variance is never negative"):
        build_model(tiny(), checkpoint=path, input_size=SIZE)


def test_a_path_may_be_a_string(path: Path, state: State) -> None:
    torch.save(state, path)
    assert build_model(tiny(), checkpoint=str(path), input_size=SIZE)[1].weights.file == path.name
