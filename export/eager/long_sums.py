"""Float32 eager with its long averages added up one after the other, as runtimes do; torch adds in pairs.

On an image of one colour every term is the same and every rounding goes the same way: what torch loses there tells
nothing of what another order loses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

LONG = 128
"""Terms from which on an average counts as long. Chosen: EdgeViT's longest has 49 at 224 pixels and 121 at 352."""
_Call = Callable[..., object]


@contextmanager
def long_sums(*, in_order: bool) -> Iterator[list[int]]:
    """Note how many terms each long average has; where ``in_order``, also add them up one after the other."""
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    seen: list[int] = []
    known: dict[_Call, _Call] = {
        torch.mean: _mean, torch.Tensor.mean: _mean, functional.adaptive_avg_pool2d: _pool,
        functional.group_norm: _group_norm, functional.instance_norm: _instance_norm,
    }  # fmt: skip

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self,
            func: _Call,
            types: Sequence[type],
            args: Sequence[object] = (),
            kwargs: Mapping[str, object] | None = None,
        ) -> object:
            result = known[func](seen, *args, **(kwargs or {})) if func in known else None
            return result if in_order and result is not None else func(*args, **(kwargs or {}))

    with Mode():
        yield seen


def _average(values: Tensor, axes: Sequence[int], seen: list[int]) -> Tensor | None:
    """The mean over ``axes``, which stay as axes of 1; None if it is not long."""
    import torch

    terms = math.prod(values.shape[axis] for axis in axes)
    if terms < LONG or values.dtype != torch.float32:
        return None
    seen.append(terms)
    moved = np.moveaxis(values.detach().numpy(), axes, range(-len(axes), 0))
    flat = moved.reshape(*moved.shape[: -len(axes)], terms)
    mean = np.cumsum(flat, -1, dtype=np.float32)[..., -1] / np.float32(terms)
    return torch.from_numpy(np.ascontiguousarray(mean)).reshape(
        [1 if axis in axes else size for axis, size in enumerate(values.shape)]
    )


def _mean(seen: list[int], input: Tensor, dim: object = None, keepdim: bool = False, **others: object) -> Tensor | None:
    if others.get("dtype") is not None or "axis" in others or not input.numel():
        return None
    given = range(input.dim()) if dim is None else dim if isinstance(dim, list | tuple) else [dim]
    axes = sorted({int(axis) % input.dim() for axis in given})  # type: ignore[arg-type]
    mean = _average(input, axes, seen)
    return mean if mean is None or keepdim else mean.squeeze(axes)


def _pool(seen: list[int], input: Tensor, output_size: object, *others: object) -> Tensor | None:
    sizes = output_size if isinstance(output_size, list | tuple) else (output_size,)
    return _average(input, [input.dim() - 2, input.dim() - 1], seen) if set(sizes) == {1} else None


def _normalised(seen: list[int], values: Tensor, axes: Sequence[int], eps: float) -> Tensor | None:
    mean = _average(values, axes, seen)
    variance = None if mean is None else _average((values - mean).square(), axes, seen)
    return None if mean is None or variance is None else (values - mean) * (variance + eps).rsqrt()


def _group_norm(
    seen: list[int],
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor | None:
    groups = _normalised(seen, input.reshape(input.shape[0], num_groups, -1), [2], eps)
    return None if groups is None else _scaled(groups.reshape(input.shape), weight, bias)


def _instance_norm(
    seen: list[int],
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    found = _normalised(seen, input, list(range(2, input.dim())), eps) if use_input_stats else None
    return None if found is None else _scaled(found, weight, bias)


def _scaled(values: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = [1, -1, *[1] * (values.dim() - 2)]
    scaled = values if weight is None else values * weight.reshape(shape)
    return scaled if bias is None else scaled + bias.reshape(shape)
