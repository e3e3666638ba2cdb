"""A user's own photos as model inputs, prepared as the model's ``Preprocessing`` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import UsageError
from edgevit.spec import ModelSpec, Preprocessing, TensorSpec
from export.stimuli import Pixels, Samples, image_size, normalise

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


def load_photos(directory: Path, spec: ModelSpec) -> Samples:
    """Every image file in ``directory``, by name, as samples for the image input of ``spec``.

    Resizes the short side, crops the centre, turns by EXIF orientation and normalises.

    Raises:
        UsageError: No such directory, no images in it, a file that is no image, or a model that takes none.
    """
    tensor, preprocessing = _image_input(spec)
    if not directory.is_dir():
        raise UsageError(f"no such directory of images: {directory}")
    files = sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UsageError(f"no images in {directory}: looked for {', '.join(sorted(SUFFIXES))}")
    pixels = np.stack([_load(path, preprocessing, image_size(tensor)) for path in files])
    return Samples(tuple(path.name for path in files), {tensor.name: normalise(pixels, tensor, preprocessing)})


def _image_input(spec: ModelSpec) -> tuple[TensorSpec, Preprocessing]:
    if len(spec.inputs) != 1 or spec.inputs[0].layout is None:
        names = ", ".join(tensor.name for tensor in spec.inputs)
        raise UsageError(f"{spec.name} cannot take photos: it has the inputs {names}, not a single image")
    if spec.preprocessing is None:
        raise UsageError(f"{spec.name} cannot take photos: its spec has no preprocessing (mean, std, resize, crop)")
    height, width, channels = image_size(spec.inputs[0])
    if spec.preprocessing.crop_px != (height, width):
        raise UsageError(
            f"{spec.name} takes {height}x{width} images, its preprocessing crops {spec.preprocessing.crop_px}"
        )
    if channels != (1 if spec.preprocessing.color_order == "gray" else 3):
        raise UsageError(
            f"{spec.name} takes {channels} channels in the order {spec.preprocessing.color_order}: no photo has them"
        )
    return spec.inputs[0], spec.preprocessing


def _load(path: Path, preprocessing: Preprocessing, size: tuple[int, int, int]) -> Pixels:
    """``(H, W, C) uint8`` of ``size``, channels in the order of ``preprocessing``."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            photo = ImageOps.exif_transpose(file).convert("L" if preprocessing.color_order == "gray" else "RGB")
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UsageError(f"cannot read the image {path}: {error}") from error
    pixels = np.asarray(_crop(_resize(photo, preprocessing), size[:2], path), np.uint8).reshape(size)
    return pixels[..., ::-1] if preprocessing.color_order == "BGR" else pixels


def _resize(photo: Image, preprocessing: Preprocessing) -> Image:
    from PIL.Image import Resampling

    short = min(photo.size)
    width, height = (int(preprocessing.resize_px * side / short) for side in photo.size)
    return photo.resize((width, height), Resampling[preprocessing.interpolation.upper()])


def _crop(photo: Image, crop_px: tuple[int, int], path: Path) -> Image:
    height, width = crop_px
    if photo.height < height or photo.width < width:
        raise UsageError(
            f"cannot crop {height}x{width} from {path}, which is {photo.height}x{photo.width} when resized"
        )
    top, left = round((photo.height - height) / 2), round((photo.width - width) / 2)
    return photo.crop((left, top, left + width, top + height))
