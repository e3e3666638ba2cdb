"""A captured batch is freed, and what cannot be freed is refused with its place."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, calls, captured
from small_models import conv_net, spec_of, two_inputs
from torch import Tensor, nn

from edgevit.errors import ExportError
from edgevit.spec import TensorSpec
from export.dynamic_batch import with_dynamic_batch
from export.pipeline import optimize
from export.program import Program, capture
from export.recipe import Format, Optimize, Recipe

aten = torch.ops.aten


def freed(module: nn.Module, shape: tuple[int, ...]) -> Program:
    """The program of ``module``, float32 tensors of ``shape``, for any batch."""
    with torch.no_grad():
        result = module(torch.zeros(shape))
    outputs = (TensorSpec(name="y", shape=tuple(result.shape)),)
    return with_dynamic_batch(capture(module, spec_of("sample", (TensorSpec(name="x", shape=shape),), outputs)))


@pytest.mark.parametrize("batch", [1, 3])
def test_a_freed_program_runs_at_other_batches(batch: int) -> None:
    model, spec = conv_net(batch=batch)
    program = with_dynamic_batch(capture(model, spec))
    assert program.inputs[0].shape == (-1, 3, 32, 32) and program.outputs[0].shape == (-1, 10)
    assert program.spec == spec
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(program.module(images), model(images))
    assert with_dynamic_batch(program) is program


@pytest.mark.parametrize("batch", [1, 2])
def test_sizes_that_tracing_wrote_down_are_freed(batch: int) -> None:
    """A class token is expanded to the batch and concatenated; views and a flatten name the batch."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.ones(1, 1, 4))

        def forward(self, x: Tensor) -> Tensor:
            tokens = torch.concat([self.token.expand(x.shape[0], -1, -1), x.view(x.shape[0], -1, 4)], dim=1)
            return tokens.reshape(x.shape[0], 2, -1).flatten(1)

    program = freed(Tokens(), (batch, 3, 4))
    assert calls(program.module, torch.ops.aten.flatten.using_ints) == 0
    x = torch.randn(7, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(program.module(x), Tokens()(x))


class Tokens(nn.Module):
    """Patches behind two tokens, as DeiT has them: one made by a parameter alone, one by a product, with a position."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = nn.Parameter(torch.ones(1, 1, 4)), nn.Parameter(torch.arange(4.0))
        self.mixed, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.token.expand(len(x), -1, -1)
        x = torch.cat([tokens, self.mixed(tokens) + self.place, x.new_zeros(len(x), 1, 4), x], dim=1)
        scores = (x @ x.transpose(1, 2)).softmax(-1)
        return self.head((scores @ x)[:, 0])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("optimize_", Optimize)
@pytest.mark.parametrize("format", [Format.PTL, Format.ONNX])
def test_tokens_are_copied_for_every_sample_whatever_passes_compute(
    format: Format, optimize_: Optimize, batch: int
) -> None:
    torch.manual_seed(0)
    model = Tokens().double().eval()
    program = captured(model, (batch, 5, 4))
    freed = with_dynamic_batch(optimize(program, Recipe(format=format, optimize=optimize_, dynamic_batch=True)))
    images = torch.randn(7, 5, 4).double()
    with torch.no_grad():
        torch.testing.assert_close(freed.module(images), model(images))


def test_what_no_sample_needs_is_not_there() -> None:
    assert calls(with_dynamic_batch(captured(Tokens().double(), (1, 5, 4))).module, aten.zeros_like.default) == 1
    assert calls(with_dynamic_batch(captured(nn.Linear(4, 4).double(), (1, 4))).module, aten.zeros_like.default) == 0


def test_a_network_that_mixes_samples_is_refused() -> None:
    with pytest.raises(ExportError, match="output 'y' of sample depends on the other samples of the batch"):
        freed(Lambda(lambda m, x: x - x.mean(0, keepdim=True)), (2, 4))


def test_a_size_that_stays_fixed_is_refused_with_its_place() -> None:
    constant = torch.arange(8.0).reshape(2, 4)

    class Added(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + constant

    place = r"The size of tensor .* at .*test_dynamic_batch.py:\d+ in forward: return x \+ constant$"
    with pytest.raises(ExportError, match=f"captured for batch 2, fails for 4: {place}") as raised:
        freed(nn.Sequential(Added()), (2, 4))
    assert "-1" in (raised.value.hint or "")


class Writes(nn.Module):
    """Into parts of what it computed: by slices, by numbers of rows, by a mask; a diagonal at last."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y[:, 1:, ::2] = 0.5
        y[:, 0] = x[:, 1]
        y[:, [0, 2]] += 1
        y[y > 3] = -3.0
        y.transpose(1, 2)[:, -1].mul_(0.25)
        y.diagonal(0, 1, 2).fill_(1.0)
        return y


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("optimize_", [Optimize.NONE, Optimize.FULL])
def test_writes_into_parts_are_freed(optimize_: Optimize, batch: int) -> None:
    program = captured(Writes(), (batch, 3, 5))
    freed = with_dynamic_batch(optimize(program, Recipe(format=Format.PTL, optimize=optimize_, dynamic_batch=True)))
    images = torch.randn(7, 3, 5).double()
    with torch.no_grad():
        torch.testing.assert_close(freed.module(images), Writes()(images))


def test_a_write_into_one_sample_is_refused_with_its_line() -> None:
    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y[:1] = x[:1].expand(len(x), -1, -1)
            return y

    program = captured(First(), (1, 3, 3))
    recipe = Recipe(format=Format.PTL, optimize=Optimize.NONE, dynamic_batch=True)
    with pytest.raises(ExportError, match=r"dynamic batch: .* at .*test_dynamic_batch.py:\d+ in forward: y\[:1\] ="):
        with_dynamic_batch(optimize(program, recipe))


def test_tensors_without_a_shared_batch_are_refused() -> None:
    with pytest.raises(ExportError, match="do not share their first axis"):
        freed(Lambda(lambda m, x: x.sum(0)), (2, 4))


def test_several_inputs_share_their_batch() -> None:
    model, spec = two_inputs()
    program = with_dynamic_batch(capture(model, spec))
    picture, hints = torch.randn(3, 3, 16, 16), torch.randn(3, 5)
    with torch.no_grad():
        for seen, expected in zip(program.module(picture, hints), model(picture, hints), strict=True):
            torch.testing.assert_close(seen, expected)
