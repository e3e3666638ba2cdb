"""Makes float64 eager the reference of every export: in float64 whatever the network's code asks for, and fast enough.

torch has no fast float64 depthwise convolution on the CPU: it runs one small im2col product per channel, which took
two thirds of EdgeViT's reference. Inside ``reference_mode`` such a convolution is the sum over its taps of the shifted
input times the tap's weights: the same products and sums in float64, in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def reference_mode(*, double: bool) -> Iterator[None]:
    """Run eager without gradients while the block lasts; where ``double``, with float64 in the place of float32.

    ``double`` is for a network whose weights and inputs are float64 already. What its code asks for in float32 (a cast,
    a new tensor, a result) it gets in float64, what still is float32 (a tensor that is no buffer, a number in an
    array) is read as float64, and depthwise convolutions are sums of shifted products. Half precision stays what it
    is: ``export.program.capture`` refuses networks that compute in it.
    """
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
            if func is torch.Tensor.float:
                func = torch.Tensor.double
            args, kwargs = _widened(func, args, kwargs or {})
            if func is torch.conv2d and (result := _depthwise(*args, **kwargs)) is not None:
                return result
            if func is torch.conv_transpose2d and (result := _spread(*args, **kwargs)) is not None:
                return result
            return func(*args, **kwargs)

    before = torch.get_default_dtype()
    with torch.no_grad():
        if not double:
            yield
            return
        try:
            torch.set_default_dtype(torch.float64)
            with Mode():
                yield
        finally:
            torch.set_default_dtype(before)


def _widened(
    func: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[Sequence[object], Mapping[str, object]]:
    """The arguments of a call with float64 for float32, in names of types and in tensors.

    A call that writes into its first argument, or asks for a tensor's own memory, gets that one as it is.
    """
    name = getattr(func, "__name__", "")
    is_own = name in _OF_THE_TENSOR_ITSELF or (name.endswith("_") and not name.endswith("__")) or name in _WRITING
    widen = _widen()
    kept, rest = (args[:1], args[1:]) if is_own else ((), args)
    return (*kept, *map(widen, rest)), {key: widen(value) for key, value in kwargs.items()}


@cache
def _widen() -> Callable[[object], object]:
    """What puts float64 for float32 into a value, and into those in a list, tuple or other tree of torch's."""
    import torch
    from torch.utils._pytree import tree_map

    dtypes = {torch.float32: torch.float64, torch.complex64: torch.complex128}
    names: dict[object, object] = {torch.FloatTensor: torch.DoubleTensor, "torch.FloatTensor": "torch.DoubleTensor"}

    def leaf(value: object) -> object:
        if isinstance(value, torch.Tensor):
            return value.to(dtypes[value.dtype]) if value.dtype in dtypes else value
        if isinstance(value, torch.dtype):
            return dtypes.get(value, value)
        return names.get(value, value) if isinstance(value, type | str) else value

    def widen(value: object) -> object:
        if isinstance(value, int | float | torch.Tensor):  # nearly all; walking trees takes ten times as long
            return leaf(value)
        return tree_map(leaf, value)

    return widen


_WRITING = frozenset({"__setitem__"} | {f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "pow")})
_OF_THE_TENSOR_ITSELF = frozenset({"data_ptr", "untyped_storage", "__deepcopy__", "__set__", "__delete__"})


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


def _spread(
    input: object,
    weight: object,
    bias: object = None,
    stride: object = 1,
    padding: object = 0,
    output_padding: object = 0,
    groups: object = 1,
    dilation: object = 1,
) -> Tensor | None:
    """``torch.conv_transpose2d`` of ``(N, C, H, W) float64`` with ``(C, 1, kh, kw)`` to ``(N, C, H kh, W kw)``.

    Bit for bit, since every result is one product and the bias; torch runs each channel by itself. None for any other
    dtype, where there is not one channel per group, and where windows overlap or leave gaps.
    """
    import torch

    from export.patterns import pair

    if not isinstance(input, torch.Tensor) or not isinstance(weight, torch.Tensor):
        return None
    if input.dtype is not torch.float64 or input.ndim != 4 or weight.shape[:2] != (groups, 1):
        return None
    if groups != input.shape[1] or not (bias is None or isinstance(bias, torch.Tensor)):
        return None
    plain = (pair(padding), pair(output_padding), pair(dilation)) == ((0, 0), (0, 0), (1, 1))
    if not plain or pair(stride) != tuple(weight.shape[2:]):
        return None
    spread = input[:, :, :, None, :, None] * weight[:, 0][None, :, None, :, None, :]
    count, channels, height, rows, width, columns = spread.shape
    spread = spread.reshape(count, channels, height * rows, width * columns)
    return spread if bias is None else spread.add_(bias[None, :, None, None])
