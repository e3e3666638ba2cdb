"""Images from a seed that are noise at every scale, as photographs roughly are: for networks without photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


_CONTRASTS = (1.0, 2.0, 0.1, 0.1, 1.5, 1.0, 0.5, 0.0)
_LEVELS = (0.0, 0.0, -2.0, 2.3, 1.0, -1.0, 0.0, 0.0)
"""Of the measured images, in deviations: normalised pixels lie in -2.1 to 2.6 (ImageNet's black and white)."""
_FINE = 1.5  # deviation of what the last two have on top, pixel by pixel; chosen: a checkerboard's is 2


def varied_images(channels: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """``(8, C, H, W) float32``: images as different as those that a network may meet, to take statistics from.

    Dark, bright, flat and steep ones, one with a checkerboard and one of white noise. Batch norms that saw images of
    one brightness and contrast have small variances, and blow up what any other image sends them, layer by layer: a
    white image came out a thousand times larger than noise, and float32 lost all digits on the way.
    """
    import torch

    height, width = size
    images = noise_images((len(_LEVELS), channels, height, width), seed).numpy()
    images = images * np.reshape(_CONTRASTS, (-1, 1, 1, 1)) + np.reshape(_LEVELS, (-1, 1, 1, 1))
    rows, columns = np.ogrid[:height, :width]
    images[-2] += _FINE * np.where((rows + columns) % 2, 1.0, -1.0)
    images[-1] += np.random.Generator(np.random.PCG64([seed, 4])).normal(0.0, _FINE, (channels, height, width))
    return torch.from_numpy(images.astype(np.float32))


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
