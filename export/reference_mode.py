"""Makes float64 eager fast enough to be the reference of every export.

torch has no fast float64 depthwise convolution on the CPU: it runs one small im2col product per channel, which took
two thirds of EdgeViT's reference. Inside ``reference_mode`` such a convolution is the sum over its taps of the shifted
input times the tap's weights: the same products and sums in float64, in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def reference_mode() -> Iterator[None]:
    """No gradients, and float64 depthwise convolutions as sums of shifted products, while the block runs."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Callable[..., object],
            types: Sequence[type],
            args: Sequence[object] = (),
            kwargs: Mapping[str, object] | None = None,
        ) -> object:
            if func is torch.conv2d and (result := _depthwise(*args, **(kwargs or {}))) is not None:
                return result
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Mode():
        yield


def _depthwise(
    input: object,
    weight: object,
    bias: object = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: object = 1,
) -> Tensor | None:
    """``torch.conv2d`` of ``(N, C, H, W) float64`` with ``(C, 1, kh, kw)`` and bias ``(C,)`` to ``(N, C, H', W')``.

    None for any other dtype, and where there is not one channel per group.
    """
    import torch
    from torch.nn import functional

    from export.patterns import pair

    if not isinstance(input, torch.Tensor) or not isinstance(weight, torch.Tensor) or isinstance(padding, str):
        return None
    if input.dtype is not torch.float64 or input.ndim != 4 or groups != input.shape[1] or groups == 1:
        return None
    if weight.shape[0] != groups or not (bias is None or isinstance(bias, torch.Tensor)):
        return None
    steps, spread, (above, beside) = pair(stride), pair(dilation), pair(padding)
    taps = [(row, column) for row in range(weight.shape[2]) for column in range(weight.shape[3])]
    padded = functional.pad(input, (beside, beside, above, above))
    height, width = (
        (padded.shape[axis + 2] - spread[axis] * (weight.shape[axis + 2] - 1) - 1) // steps[axis] + 1 for axis in (0, 1)
    )
    total = None
    for row, column in taps:
        top, left = row * spread[0], column * spread[1]
        shifted = padded[
            :,
            :,
            top : top + (height - 1) * steps[0] + 1 : steps[0],
            left : left + (width - 1) * steps[1] + 1 : steps[1],
        ]
        scaled = shifted * weight[:, :, row, column, None]
        total = scaled if total is None else total.add_(scaled)
    assert total is not None
    return total if bias is None else total.add_(bias[None, :, None, None])
