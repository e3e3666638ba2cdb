"""The reference's depthwise convolution against torch's own, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from export.eager.reference_mode import reference_mode


@given(
    channels=st.integers(2, 6),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_same_convolution(
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    bias: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, channels, 11, 12, generator=generator, dtype=torch.float64)
    weight = torch.randn(channels, 1, *kernel, generator=generator, dtype=torch.float64)
    shift = torch.randn(channels, generator=generator, dtype=torch.float64) if bias else None
    arguments = {"bias": shift, "stride": stride, "padding": padding, "dilation": dilation, "groups": channels}
    expected = functional.conv2d(image, weight, **arguments)
    with reference_mode(double=True):
        seen = functional.conv2d(image, weight, **arguments)
    assert seen.shape == expected.shape
    assert torch.allclose(seen, expected, rtol=0, atol=1e-13)


@given(
    channels=st.integers(1, 5), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), more=st.integers(0, 1),
    padding=st.integers(0, 1), extra=st.integers(0, 1), dilation=st.integers(1, 2), bias=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_transposed_one_per_channel_is_the_same_to_the_bit(
    channels: int, kernel: tuple[int, int], more: int, padding: int, extra: int, dilation: int, bias: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, channels, 5, 6, generator=generator, dtype=torch.float64)
    weight = torch.randn(channels, 1, *kernel, generator=generator, dtype=torch.float64)
    shift = torch.randn(channels, generator=generator, dtype=torch.float64) if bias else None
    stride = (kernel[0] + more, kernel[1])
    extra = extra if extra < max(min(stride), dilation) else 0
    arguments = {
        "bias": shift, "stride": stride, "padding": padding, "output_padding": extra, "groups": channels,
        "dilation": dilation,
    }  # fmt: skip
    if padding * 2 >= min(kernel):
        arguments["padding"] = 0
    expected = functional.conv_transpose2d(image, weight, **arguments)
    with reference_mode(double=True):
        seen = functional.conv_transpose2d(image, weight, **arguments)
    assert torch.equal(seen, expected)


def test_other_convolutions_stay_as_they_are() -> None:
    image = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    for weight, groups in ((torch.randn(4, 4, 3, 3), 1), (torch.randn(4, 2, 3, 3), 2), (torch.randn(8, 1, 3, 3), 4)):
        expected = functional.conv2d(image, weight.double(), groups=groups)
        with reference_mode(double=True):
            assert torch.equal(functional.conv2d(image, weight.double(), groups=groups), expected)


def test_float32_is_left_to_torch() -> None:
    image, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 3, 3)
    expected = functional.conv2d(image, weight, groups=4)
    with reference_mode(double=False):
        assert torch.equal(functional.conv2d(image, weight, groups=4), expected)


W = torch.randn(4, 4, generator=torch.Generator().manual_seed(3))
DOUBLE = W.double()
THIRD = torch.full((2, 4), 1 / 3, dtype=torch.float64)


def a_part_written(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(2, 4, dtype=torch.float32)
    y[:, 1] = x[:, 0] / 3
    return y @ W


ASKS_FOR_FLOAT32 = {
    "a cast": (lambda x: x.to(torch.float32) @ W, lambda x: x @ DOUBLE),
    "float()": (lambda x: x.float() @ W, lambda x: x @ DOUBLE),
    "a type's name": (lambda x: x.type("torch.FloatTensor") @ W.type(torch.FloatTensor), lambda x: x @ DOUBLE),
    "a cast to another's": (lambda x: x.type_as(W) @ W.to(W), lambda x: x @ DOUBLE),
    "a range": (
        lambda x: x * torch.arange(4, dtype=torch.float32) @ W,
        lambda x: x * torch.arange(4, dtype=torch.float64) @ DOUBLE,
    ),
    "a number": (lambda x: x * torch.tensor(1 / 3) @ W, lambda x: x * (1 / 3) @ DOUBLE),
    "a line": (
        lambda x: torch.linspace(0, 1, 4).expand(2, 4) @ W + x,
        lambda x: torch.linspace(0, 1, 4, dtype=torch.float64).expand(2, 4) @ DOUBLE + x,
    ),
    "like another": (lambda x: torch.full_like(x, 1 / 3, dtype=torch.float32) @ W, lambda x: THIRD @ DOUBLE),
    "a new one": (lambda x: x.new_full((2, 4), 1 / 3, dtype=torch.float32) @ W, lambda x: THIRD @ DOUBLE),
    "a sum": (lambda x: x.softmax(-1, dtype=torch.float32) @ W, lambda x: x.softmax(-1) @ DOUBLE),
    "memory of its own": (lambda x: torch.zeros(2, 4).add_(x).mul_(W[0]) @ W, lambda x: x * DOUBLE[0] @ DOUBLE),
    "a part written": (a_part_written, lambda x: (x[:, :1] / 3) @ DOUBLE[1:2]),
    "an array": (lambda x: x @ torch.from_numpy(W.numpy()), lambda x: x @ DOUBLE),
    "pixels": (
        lambda x: (x.abs() * 50).to(torch.uint8) / 255 @ W,
        lambda x: (x.abs() * 50).floor() * (1 / 255) @ DOUBLE,
    ),
    "complex": (
        lambda x: torch.view_as_complex(x.float().view(2, 2, 2)).abs() @ W[:2],
        lambda x: x.view(2, 2, 2).square().sum(-1).sqrt() @ DOUBLE[:2],
    ),
}


@pytest.mark.parametrize("name", ASKS_FOR_FLOAT32)
def test_what_the_code_asks_for_in_float32_it_gets_in_float64(name: str) -> None:
    """Against the same arithmetic written in float64: what goes through float32 once is off by 1e-8."""
    forward, exact = ASKS_FOR_FLOAT32[name]
    x = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with reference_mode(double=True):
        seen = forward(x)
    assert seen.dtype == torch.float64
    assert torch.allclose(seen, exact(x), rtol=0, atol=1e-13)


def test_nothing_of_the_reference_is_left_behind() -> None:
    with pytest.raises(RuntimeError), reference_mode(double=True):
        raise RuntimeError
    assert torch.get_default_dtype() == torch.float32
    assert torch.zeros(1).dtype == torch.float32 and torch.ones(1, dtype=torch.float64).float().dtype == torch.float32


def test_half_precision_stays_what_it_is() -> None:
    with reference_mode(double=True):
        assert torch.ones(2, dtype=torch.float64).half().dtype == torch.float16
        assert torch.ones(2, dtype=torch.bfloat16).dtype == torch.bfloat16
