"""Two small convolutional networks for Fashion-MNIST, trained here, which ``precision_accuracy.py`` rounds too.

``inverted`` is of MobileNetV2's blocks (Sandler et al., 2018), ``residual`` of ResNet's (He et al., 2016): in both,
int8 passes from one convolution to the next. Both take 28 x 28 pixels.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from fashion import MEAN, STD
from torch import Tensor, nn
from torch.nn import functional

EPOCHS, BATCH, RATE = 2, 128, 3e-3
CLASSES = 10


def _normed(convolution: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
    return convolution, nn.BatchNorm2d(convolution.out_channels)


class Inverted(nn.Module):
    """Pointwise, depthwise, pointwise, with ReLU6 between."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.is_residual = stride == 1 and channels == out
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(channels, wide, 1, bias=False)),
            nn.ReLU6(),
            *_normed(nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)),
            nn.ReLU6(),
            *_normed(nn.Conv2d(wide, out, 1, bias=False)),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.layers(x)
        return x + changed if self.is_residual else changed


class Residual(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_normed(nn.Conv2d(channels, out, 3, stride, 1, bias=False)), nn.ReLU())
        self.second = nn.Sequential(*_normed(nn.Conv2d(out, out, 3, 1, 1, bias=False)))
        same = stride == 1 and channels == out
        self.shortcut = nn.Sequential(*(() if same else _normed(nn.Conv2d(channels, out, 1, stride, bias=False))))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.second(self.first(x)))


def inverted() -> nn.Module:
    """Six inverted blocks, 16 to 64 channels, 256 features."""
    sizes = ((16, 24, 1), (24, 24, 1), (24, 40, 2), (40, 40, 1), (40, 64, 2), (64, 64, 1))
    return nn.Sequential(
        *_normed(nn.Conv2d(1, 16, 3, 2, 1, bias=False)),
        nn.ReLU6(),
        *(Inverted(*size) for size in sizes),
        *_normed(nn.Conv2d(64, 256, 1, bias=False)),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, CLASSES),
    )


def residual() -> nn.Module:
    """Three residual blocks, 16 to 64 channels."""
    return nn.Sequential(
        *_normed(nn.Conv2d(1, 16, 3, 2, 1, bias=False)),
        nn.ReLU(),
        *(Residual(*size) for size in ((16, 16, 1), (16, 32, 2), (32, 64, 2))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


NETWORKS = {"inverted": inverted, "residual": residual}


def prepared_small(images: np.ndarray) -> Tensor:
    """``(N, 1, 28, 28) float32`` of ``(N, 28, 28) uint8``."""
    return (torch.from_numpy(images.copy())[:, None].float() / 255 - MEAN) / STD


def trained(name: str, directory: Path) -> nn.Module:
    """The network ``name`` after two epochs of the data in ``directory``, as ``tests/data/fashion/train.py`` has it."""
    images = _read(directory, "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = _read(directory, "train-labels-idx1-ubyte.gz", 8).astype(np.int64)
    torch.manual_seed(0)
    model = NETWORKS[name]().train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps * EPOCHS)
    for epoch in range(EPOCHS):
        order = np.random.default_rng(epoch).permutation(len(images))[: steps * BATCH]
        for rows in order.reshape(-1, BATCH):
            batch = prepared_small(images[rows]).to(memory_format=torch.channels_last)
            loss = functional.cross_entropy(model(batch), torch.from_numpy(labels[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval().to(memory_format=torch.contiguous_format)


def _read(directory: Path, name: str, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress((directory / name).read_bytes()), np.uint8, offset=offset)
