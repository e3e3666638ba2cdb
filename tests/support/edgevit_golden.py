"""The published code's recorded answers, and the recipe for the weights and the image that they belong to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).parents[1] / "data" / "edgevit"


def published_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Every tensor name and shape of the published code, in its order."""
    stored = json.loads((DATA / f"edgevit_{variant}_state_dict.json").read_text())
    return {name: tuple(shape) for name, shape in stored.items()}


def golden_state(shapes: dict[str, tuple[int, ...]], seed: int = 2205) -> dict[str, Tensor]:
    """The weights under which the answers were recorded."""
    return {
        name: torch.from_numpy(np.asarray(_golden_tensor(name, shapes[name], [seed, index])))
        for index, name in enumerate(sorted(shapes))
    }


def _golden_tensor(name: str, shape: tuple[int, ...], seed: list[int]) -> NDArray[np.generic]:
    draw = np.random.Generator(np.random.PCG64(seed))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        values = draw.uniform(0.5, 2.0, shape)
    elif name.endswith("running_mean"):
        values = draw.normal(0, 0.3, shape)
    elif name.endswith("bias"):
        values = draw.normal(0, 0.2, shape)
    elif len(shape) == 1:
        values = draw.uniform(0.5, 1.5, shape)
    else:
        values = draw.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def golden_image() -> Tensor:
    """The image under which the answers were recorded, (2, 3, 224, 224) float32."""
    values = np.random.Generator(np.random.PCG64(3436)).normal(0, 1, (2, 3, 224, 224))
    return torch.from_numpy(values.astype(np.float32))


def golden_answers() -> dict[str, NDArray[np.float64]]:
    """The recorded arrays of XXS at 224x224, float64."""
    with np.load(DATA / "edgevit_xxs_224x224.npz") as stored:
        return dict(stored)
