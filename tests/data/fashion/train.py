"""Train the small EdgeViT of the tests on Fashion-MNIST, and choose the images that the tests use.

    python tests/data/fashion/train.py DIRECTORY

DIRECTORY holds the four ``*-ubyte.gz`` of Fashion-MNIST (MIT licence), e.g. from Debian's ``dataset-fashion-mnist``:
``apt-get download dataset-fashion-mnist; dpkg -x dataset-fashion-mnist_*.deb fashion``, then
``fashion/usr/share/datasets/fashion-mnist``. Writes beside itself ``tiny.safetensors`` (half precision, as published
checkpoints often are), and ``images.npz``: ``train`` ``(1000, 28, 28) uint8`` of the training set, for calibration, and
``test`` ``(2000, 28, 28)`` of the test set with ``labels`` ``(2000,)``.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from edgevit.build import build_model
from edgevit.network.config_file import read_config

HERE = Path(__file__).parent
EPOCHS = ((32, 1), (64, 1))
"""Side of the images in pixels, and epochs of the 60,000 at that size."""
MEAN, STD = 0.286, 0.353  # of the training pixels
BATCH = 128


def read(directory: Path, name: str, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress((directory / name).read_bytes()), np.uint8, offset=offset)


def inputs(images: np.ndarray, side: int) -> torch.Tensor:
    """``(N, 1, side, side) float32`` of ``(N, 28, 28) uint8``."""
    scaled = (torch.from_numpy(images.copy())[:, None].float() / 255 - MEAN) / STD
    return functional.interpolate(scaled, (side, side), mode="bilinear", align_corners=False, antialias=True)


def train(images: np.ndarray, labels: np.ndarray) -> torch.nn.Module:
    torch.manual_seed(0)
    config = read_config(HERE / "tiny.toml")
    model, _ = build_model(config, num_classes=10, in_channels=1, input_size=(64, 64))
    model.to(memory_format=torch.channels_last).train().requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    steps = sum(epochs * (len(images) // BATCH) for _, epochs in EPOCHS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    for side, epochs in EPOCHS:
        for epoch in range(epochs):
            order = np.random.default_rng(epoch + side).permutation(len(images))[: len(images) // BATCH * BATCH]
            for rows in order.reshape(-1, BATCH):
                batch = inputs(images[rows], side)
                if np.random.default_rng(int(rows[0])).random() < 0.5:
                    batch = batch.flip(-1)
                loss = functional.cross_entropy(model(batch), torch.from_numpy(labels[rows].astype(np.int64)))
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
            print(f"{side} px, epoch {epoch}: loss {loss.item():.3f}", flush=True)
    return model.eval()


@torch.no_grad()
def accuracy(model: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    answers = [model(inputs(images[i : i + 500], 64)).argmax(1) for i in range(0, len(images), 500)]
    return float((torch.cat(answers).numpy() == labels).mean())


def main(directory: Path) -> None:
    images = read(directory, "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = read(directory, "train-labels-idx1-ubyte.gz", 8)
    test = read(directory, "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    answers = read(directory, "t10k-labels-idx1-ubyte.gz", 8)
    model = train(images, labels)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    weights = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(weights, HERE / "tiny.safetensors")
    model.load_state_dict(weights)
    print(f"top-1 of the 10,000 test images: {accuracy(model, test, answers):.2%}")
    np.savez_compressed(HERE / "images.npz", train=images[:1000], test=test[:2000], labels=answers[:2000])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
