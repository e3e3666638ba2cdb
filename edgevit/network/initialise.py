"""Random weights from a seed, the same on every machine and torch version.

The authors start training from small weights and trivial statistics (scales 1, shifts 0, running mean 0, running
variance 1). A network like that proves little: a converter that drops a running mean, swaps two scales or loses a
residual branch would go unseen. So the weights here are as busy as trained ones: matrices keep the variance of what
passes through them, and every scale, shift, bias and statistic is drawn too.

Each tensor has its own generator, keyed by seed and name: a variant's ``features`` model carries the same weights as
its ``classify`` model, and no global random state is read or changed.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from edgevit.errors import UsageError


def random_state(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Random float32 tensors for every entry of ``model.state_dict()``; the model may be on the meta device.

    Raises:
        UsageError: ``seed`` is negative.
    """
    if seed < 0:
        raise UsageError(f"the seed is {seed}, expected a whole number from 0")
    return {name: _random_tensor(name, tuple(like.shape), seed) for name, like in model.state_dict().items()}


def _random_tensor(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """One entry of ``shape``, float32 (counters: int64); its role, which the end of its name tells, says how drawn.

    The ranges are chosen: wide enough that a statistic that a converter drops or swaps shows at the output, narrow
    enough that signals neither vanish nor grow (the tests hold the logits' deviation between 0.3 and 10).
    """
    draw = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        values = draw.uniform(0.5, 2.0, shape)
    elif name.endswith("running_mean"):
        values = draw.normal(0.0, 0.3, shape)
    elif name.endswith("bias"):
        values = draw.normal(0.0, 0.2, shape)
    elif len(shape) == 1:
        values = draw.uniform(0.5, 1.5, shape)
    else:
        values = draw.normal(0.0, 1.0 / math.sqrt(math.prod(shape[1:])), shape)
    return torch.from_numpy(values.astype(np.float32))
