"""What the operator computes while a graph is traced: torch's own int8 arithmetic, but for its rounding."""

from __future__ import annotations

import pytest
import torch

from export.formats.ptl_file.narrow.int8_call import CALL
from export.formats.ptl_file.narrow.quantized import Quantized

pytestmark = pytest.mark.filterwarnings("ignore")


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_linear_layers_answer_in_float_or_in_uint8() -> None:
    x, scales, bias = draw(2, 3, 4), torch.tensor([0.01, 0.5]), torch.tensor([0.25, -1.0])
    weight = torch.tensor([[1, -127, 3, 4], [5, 6, 7, 127]], dtype=torch.int8)
    expected = x @ (weight * scales[:, None]).T + bias
    dynamic = CALL(x, weight, scales, bias, Quantized(kind="linear_dynamic").to_json())
    torch.testing.assert_close(dynamic, expected)
    x = torch.quantize_per_tensor(x, 0.125, 100, torch.quint8)
    static = CALL(x, weight, scales, None, Quantized(kind="linear", scale=2.0, zero_point=128).to_json())
    assert static.dtype is torch.quint8 and (static.q_scale(), static.q_zero_point()) == (2.0, 128)
    torch.testing.assert_close(static.dequantize(), x.dequantize() @ (weight * scales[:, None]).T, atol=1.0, rtol=0)


def test_a_convolution_moves_as_it_is_told() -> None:
    image = torch.quantize_per_tensor(draw(1, 2, 9, 7), 0.0625, 128, torch.quint8)
    weight, scales = draw(4, 1, 3, 3).mul(50).to(torch.int8), torch.full((4,), 0.02)
    told = Quantized(kind="conv2d", scale=0.5, zero_point=90, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
    found = CALL(image, weight, scales, None, told.to_json())
    expected = torch.conv2d(image.dequantize(), weight * 0.02, None, (2, 1), (1, 2), (1, 2), 2)
    torch.testing.assert_close(found.dequantize(), expected, atol=0.2501, rtol=0)
