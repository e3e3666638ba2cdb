"""The reference's depthwise convolution against torch's own, in float64."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from export.reference_mode import reference_mode


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
    with reference_mode():
        seen = functional.conv2d(image, weight, **arguments)
    assert seen.shape == expected.shape
    assert torch.allclose(seen, expected, rtol=0, atol=1e-13)


def test_other_convolutions_stay_as_they_are() -> None:
    image = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    for weight, groups in ((torch.randn(4, 4, 3, 3), 1), (torch.randn(4, 2, 3, 3), 2), (torch.randn(8, 1, 3, 3), 4)):
        expected = functional.conv2d(image, weight.double(), groups=groups)
        with reference_mode():
            assert torch.equal(functional.conv2d(image, weight.double(), groups=groups), expected)


def test_float32_is_left_to_torch() -> None:
    image, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 3, 3)
    expected = functional.conv2d(image, weight, groups=4)
    with reference_mode():
        assert torch.equal(functional.conv2d(image, weight, groups=4), expected)
