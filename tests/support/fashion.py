"""The trained network of the tests, and real images for it: Fashion-MNIST (``tests/data/fashion``)."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from edgevit.build import build_model
from edgevit.network.config_file import read_config
from edgevit.network.model import EdgeViT
from edgevit.spec import ModelSpec, Preprocessing
from export.stimuli import Samples

DATA = Path(__file__).resolve().parents[1] / "data" / "fashion"
CONFIG, CHECKPOINT = DATA / "tiny.toml", DATA / "tiny.safetensors"
MEAN, STD, SIDE = 0.286, 0.353, 64


def fashion_network() -> tuple[EdgeViT, ModelSpec]:
    """The network with its trained weights; it takes ``(1, 1, 64, 64)``."""
    how = Preprocessing(
        mean=(MEAN,), std=(STD,), resize_px=SIDE, crop_px=(SIDE, SIDE), interpolation="bilinear", color_order="gray"
    )
    return build_model(read_config(CONFIG), checkpoint=CHECKPOINT, input_size=(SIDE, SIDE), preprocessing=how)


@cache
def pixels(name: str) -> np.ndarray:
    """``train`` (1000, 28, 28), ``test`` (2000, 28, 28) or ``labels`` (2000,) of the test images; uint8."""
    with np.load(DATA / "images.npz") as archive:
        return archive[name]


def prepared(images: np.ndarray) -> Samples:
    """``(N, 28, 28) uint8`` as the network takes them, as it was trained: torch's bilinear to 64 pixels."""
    scaled = (torch.from_numpy(images.copy())[:, None].float() / 255 - MEAN) / STD
    sized = functional.interpolate(scaled, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return Samples(tuple(f"image-{row}" for row in range(len(images))), {"image": sized.numpy()})


def save_photos(images: np.ndarray, directory: Path) -> Path:
    """The images as PNG files in ``directory``, as a user has them."""
    directory.mkdir(parents=True, exist_ok=True)
    for row, image in enumerate(images):
        Image.fromarray(image).save(directory / f"{row:04}.png")
    return directory
