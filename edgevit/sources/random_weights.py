"""Random weights that leave a network whole: nothing in it is a constant that an optimiser could compute away.

Training starts from weights that switch branches off: the last norm of a residual branch (ResNet, LeViT), layer scale,
gates and position tables are 0, or 1e-6; norms scale by 1 and shift by 0. A converter may delete what is multiplied by
0 and what adds 0 or multiplies by 1, and then file, size and latency are those of another network (ResNet18 shrank to
14 operators). A branch times 1e-6 is below the rounding of the sum that it joins, so that no comparison sees it broken.
Every tensor of one value is therefore drawn anew, and statistics of batch norm are those of what really arrives.

Each tensor has its own generator, keyed by seed and name; no global random state is read or changed.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from edgevit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.nn.modules.batchnorm import _BatchNorm

TINY = 0.1
"""Constants below it switch a branch off: layer scale begins at 1e-6 to 0.1 (CaiT, ConvNeXt, EVA)."""
_BRANCH = (0.25, 0.75)  # chosen: trained layer scales are of this order, and a sum of branches does not run away
_AROUND_ONE = (0.5, 1.5)  # as EdgeViT's own random weights; the mean stays
_BIAS = 0.1  # standard deviation; chosen: seen at the output, small against a normalised signal
# ``ln(b / a) = b - a``: the mean of 1 / var is 1, so that a hundred norms neither shrink nor grow a signal.
_VARIANCE = (0.5, 1.7564)
_MEAN = 0.3  # in standard deviations; as EdgeViT's own
_STATISTICS = ("running_mean", "running_var")
_SCALES = ("weight", "gamma", "gamma1", "gamma2", "gamma3", "scale", "alpha", "gain", "skipinit_gain", "ls1", "ls2")
"""Last parts of names that multiply, where the tensor is 0 and its value cannot tell."""


def randomise_zeros(model: nn.Module, seed: int, example: Sequence[Tensor] | None = None) -> nn.Module:
    """Draw anew, in place, every parameter of one value and every statistic of batch norm; returns ``model``.

    A constant ``c`` of at least 0.1 becomes ``c`` times 0.5 to 1.5. A smaller one that multiplies becomes 0.25 to
    0.75; one that is added (biases, tables of positions) normal of deviation 0.1; the weights of a convolution or a
    product keep the variance of what passes through.

    Args:
        model: Any network with float parameters.
        seed: From 0.
        example: Inputs of the network, a few images. With them a batch norm gets the mean and variance of what arrives
            at it, a little shifted, found by one run in float64 (so that machines agree); without, some near 0 and 1.
            A deep network with the latter ends in signals too small or too large for its activations.

    Raises:
        UsageError: ``seed`` is negative.
    """
    import torch

    if seed < 0:
        raise UsageError(f"the seed is {seed}, expected a whole number from 0")
    with torch.no_grad():
        for owner, name, tensor in _parameters(model):
            if tensor.is_floating_point() and _is_constant(tensor):
                tensor.copy_(_drawn(owner, name, tensor, seed))
        for name, norm in _norms(model):
            _draw_statistics(norm, name, seed)
        if example is not None:
            _measure_statistics(model, example, seed)
    return model


def _parameters(model: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Every parameter once, with its module and its whole name."""
    owners = dict(model.named_modules())
    for name, tensor in model.named_parameters():
        yield owners[name.rpartition(".")[0]], name, tensor


def _is_constant(tensor: Tensor) -> bool:
    return tensor.numel() > 0 and bool((tensor == tensor.flatten()[0]).all())


def _drawn(owner: nn.Module, name: str, like: Tensor, seed: int) -> Tensor:
    """New values for a parameter of one value."""
    import torch

    value, shape, draw = float(like.flatten()[0]), tuple(like.shape), _generator(seed, name)
    last = name.rpartition(".")[2]
    if abs(value) >= TINY:
        values = value * draw.uniform(*_AROUND_ONE, shape)
    elif last == "weight" and isinstance(owner, torch.nn.Linear | torch.nn.modules.conv._ConvNd):
        values = draw.normal(0.0, float(np.prod(shape[1:])) ** -0.5, shape)
    elif value != 0 or last in _SCALES:
        values = draw.uniform(*_BRANCH, shape) * (-1 if value < 0 else 1)
    else:
        values = draw.normal(0.0, _BIAS, shape)
    return torch.from_numpy(np.asarray(values)).to(like.dtype)


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))


def _norms(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    """Every batch norm that keeps statistics, by its path."""
    return ((name, module) for name, module in model.named_modules() if _keeps_statistics(module))


def _keeps_statistics(module: nn.Module) -> TypeGuard[_BatchNorm]:
    from torch.nn.modules.batchnorm import _BatchNorm

    return isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None


def _draw_statistics(norm: _BatchNorm, name: str, seed: int) -> None:
    """A mean around 0 and a variance around 1 for each channel."""
    shift, spread = _noise(norm, name, seed)
    _set(norm, spread**0.5 * shift, spread)


def _noise(norm: _BatchNorm, name: str, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each channel a mean in standard deviations, and a factor of its variance."""
    draw, shape = _generator(seed, f"{name}.statistics"), (norm.num_features,)
    return draw.normal(0.0, _MEAN, shape), draw.uniform(*_VARIANCE, shape)


def _set(norm: _BatchNorm, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> None:
    import torch

    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.from_numpy(mean))
    norm.running_var.copy_(torch.from_numpy(variance))


def _measure_statistics(model: nn.Module, example: Sequence[Tensor], seed: int) -> None:
    """Give each batch norm, in the order of execution, the statistics of its own input, a little off."""
    twin = copy.deepcopy(model).double().eval()
    seen: set[str] = set()
    inside = dict(_norms(twin))

    def measure(name: str, norm: _BatchNorm, arrived: Tensor) -> None:
        if name in seen:  # shared by several places: the first one sets it
            return
        seen.add(name)
        mean, variance = _moments(arrived)
        shift, spread = _noise(norm, name, seed)
        _set(norm, mean + variance**0.5 * shift, variance * spread)

    hooks = [
        norm.register_forward_pre_hook(lambda module, inputs, name=name: measure(name, module, inputs[0]))
        for name, norm in inside.items()
    ]
    try:
        twin(*(tensor.double() if tensor.is_floating_point() else tensor for tensor in example))
    finally:
        for hook in hooks:
            hook.remove()
    for name, norm in _norms(model):
        for kept, found in (
            (norm.running_mean, inside[name].running_mean),
            (norm.running_var, inside[name].running_var),
        ):
            assert kept is not None and found is not None
            kept.copy_(found)


def _moments(arrived: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of each channel of ``(N, C, ...)``.

    Half of the variance is that of all channels, since a pooled map of a few images tells little about one channel.
    """
    values = arrived.transpose(0, 1).flatten(1).numpy()  # (C, N...)
    mean, variance = values.mean(axis=1), values.var(axis=1)
    level = float(variance.mean())
    if not np.isfinite(level) or level < np.finfo(np.float32).tiny:  # nothing arrives: leave it as it is drawn
        return mean, np.ones_like(variance)
    return mean, (variance + level) / 2
