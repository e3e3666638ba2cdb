"""Photos are cut for a network of timm's to the pixels that timm's own evaluation transform cuts."""

from __future__ import annotations

import torchvision_operators  # noqa: F401

# isort: split
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from timm.data import create_transform

from edgevit.sources.pretrained_cfg import preprocessing_of
from edgevit.spec import Layout, ModelSpec, Task, TensorSpec, Weights
from export.photos import load_photos

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize(
    ("crop", "share", "interpolation"),
    [
        ((64, 64), 0.875, "bicubic"),
        ((64, 64), 1.0, "bilinear"),
        ((48, 80), 0.95, "bicubic"),
        ((65, 33), 0.9, "lanczos"),
    ],
)
def test_the_pixels_are_timms(
    tmp_path: Path, crop: tuple[int, int], share: float, interpolation: str, crop_mode: str
) -> None:
    cfg = {"mean": MEAN, "std": STD, "crop_pct": share, "crop_mode": crop_mode, "interpolation": interpolation}
    spec = ModelSpec(
        name="net",
        variant="net",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(1, 3, *crop), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(1, 5)),),
        weights=Weights(source="random", seed=0),
        preprocessing=preprocessing_of(cfg, 3, crop),
    )
    theirs = create_transform(
        (3, *crop), interpolation=interpolation, mean=MEAN, std=STD, crop_pct=share, crop_mode=crop_mode
    )
    sizes = [(90, 70), (70, 90), (64, 64), (201, 113), (31, 40)]
    expected = []
    for number, size in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        photo = Image.fromarray(pixels)
        photo.save(tmp_path / f"{number}.png")
        expected.append(theirs(photo).numpy())
    found = load_photos(tmp_path, spec).arrays["image"]
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-6)
