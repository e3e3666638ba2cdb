"""Images from a seed that are noise at every scale, as photographs roughly are: for networks without photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def noise_images(shape: tuple[int, int, int, int], seed: int = 0) -> Tensor:
    """``(N, C, H, W) float32`` of mean 0 and standard deviation 1: noise in blocks of 1, 2, 4, ... pixels, summed.

    Each octave has the same share, which is the spectrum of photographs (Field, 1987). White noise would not do: what
    a convolution answers to it is smaller, and statistics taken from it are off by as much.
    """
    import torch

    count, channels, height, width = shape
    draw = np.random.Generator(np.random.PCG64([seed, 3]))
    total = np.zeros(shape)
    block = 1
    while block <= max(height, width):
        rows, columns = -(-height // block), -(-width // block)
        plane = draw.normal(size=(count, channels, rows, columns))
        total += plane.repeat(block, axis=2).repeat(block, axis=3)[:, :, :height, :width]
        block *= 2
    centred = (total - total.mean()) / max(float(total.std()), 1e-9)
    return torch.from_numpy(centred.astype(np.float32))
