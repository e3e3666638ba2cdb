"""A user's own photos as model inputs, prepared as the model's ``Preprocessing`` says, and not otherwise.

The pixels are those of the file, as the protocol of ImageNet takes them: an orientation in EXIF turns nothing, an alpha
channel is dropped, colour profiles are not applied. Grey images of 16 bits are scaled to 8.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import UsageError, first_line
from edgevit.spec import ModelSpec, Preprocessing, TensorSpec
from edgevit.text import printable
from export.stimuli import Pixels, Samples, image_size, normalise

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # Pillow reads more, and runs Ghostscript for some
MOST_PIXELS = 128_000_000  # chosen: the largest phone photos but those of 200 MP, and 0.4 GB of RGB
MOST_ASPECT = 50  # chosen: a panorama has 10; the short side is resized, and the long one grows with it
_WIDE_GREY = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})  # Pillow's modes of 16 bits
_WIDE_STEP = 257  # white is 65535 of 16 bits, 255 of 8


def load_photos(directory: Path, spec: ModelSpec, note: Callable[[str], None] = lambda text: None) -> Samples:
    """Every image file in ``directory``, by name, as samples for the image input of ``spec``.

    Resizes and crops as its ``Preprocessing`` says, and normalises. What cannot be read and hidden files are left out,
    and ``note`` is told so.

    Raises:
        UsageError: No such directory, no images in it, none that can be read, or a model that takes none.
    """
    tensor, preprocessing = _image_input(spec)
    if not directory.is_dir():
        raise UsageError(f"no such directory of images: {directory}")
    files = sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UsageError(f"no images in {directory}: looked for {', '.join(sorted(SUFFIXES))}")
    labels, pixels, refusals = [], [], []
    for path in files:
        try:
            pixels.append(_load(path, preprocessing, image_size(tensor)))
            labels.append(printable(path.name))
        except UsageError as error:
            refusals.append(error.message)
            note(f"left out: {error.message}")
    if not pixels:
        raise UsageError(f"no image in {printable(str(directory))} can be used: {'; '.join(refusals[:3])}")
    return Samples(tuple(labels), {tensor.name: normalise(np.stack(pixels), tensor, preprocessing)})


def _image_input(spec: ModelSpec) -> tuple[TensorSpec, Preprocessing]:
    if len(spec.inputs) == 1 and spec.inputs[0].layout is None:
        raise UsageError(
            f"{spec.name} cannot take photos: its input {spec.inputs[0].name} is {spec.inputs[0].shape}, expected an "
            "image of 1 or 3 channels"
        )
    if len(spec.inputs) != 1:
        names = ", ".join(tensor.name for tensor in spec.inputs)
        raise UsageError(f"{spec.name} cannot take photos: it has the inputs {names}, not a single image")
    if spec.preprocessing is None:
        half = ",".join(["0.5"] * image_size(spec.inputs[0])[2])
        raise UsageError(
            f"{spec.name} cannot take photos: its spec has no preprocessing (mean, std, resize, crop)",
            hint=f"export it with --mean {half} --std {half}, or what it was trained with",
        )
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
    shown = printable(str(path))
    if path.name.startswith("."):
        raise UsageError(f"{shown} is hidden, as what macOS puts beside files that it copies")
    try:
        photo = _decoded(path, "L" if preprocessing.color_order == "gray" else "RGB")
    except UsageError as error:
        raise UsageError(f"cannot read the image {shown}: {error.message}") from error
    except Exception as error:  # Pillow's readers raise whatever their arithmetic does
        raise UsageError(f"cannot read the image {shown}: {printable(first_line(error))}") from error
    pixels = np.asarray(_crop(_resize(photo, preprocessing, shown), preprocessing, shown), np.uint8).reshape(size)
    return pixels[..., ::-1] if preprocessing.color_order == "BGR" else pixels


def _decoded(path: Path, mode: str) -> Image:
    """The pixels of a file whose header tells a size that can be handled."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on damaged metadata, which is not used
        with Image.open(path, formats=FORMATS) as file:
            width, height = file.size
            if width * height > MOST_PIXELS:
                raise UsageError(f"it has {width}x{height} pixels, expected {MOST_PIXELS:,} at most")
            if max(width, height) > MOST_ASPECT * min(width, height):
                raise UsageError(f"it has {width}x{height} pixels, expected sides of 1 to {MOST_ASPECT} at most")
            if file.mode in _WIDE_GREY or (file.mode == "I" and file.format == "PNG"):
                wide = np.asarray(file, np.uint32)
                return Image.fromarray(np.uint8((wide + _WIDE_STEP // 2) // _WIDE_STEP)).convert(mode)
            if file.mode in ("I", "F"):
                raise UsageError(f"it has pixels of 32 bits (mode {file.mode}), and nothing says how bright they are")
            return file.convert(mode)


def _resize(photo: Image, preprocessing: Preprocessing, shown: str) -> Image:
    from PIL.Image import Resampling

    width, height = _resized(photo.size, preprocessing)
    if min(width, height) < 1 or width * height > MOST_PIXELS:
        raise UsageError(f"cannot resize {shown} to {height}x{width}: expected {MOST_PIXELS:,} pixels at most")
    return photo.resize((width, height), Resampling[preprocessing.interpolation.upper()])


def _resized(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """(width, height) that a photo of ``size`` is resized to, rounded as torchvision and timm round it."""
    wanted = preprocessing.resize_px
    if isinstance(wanted, int) and preprocessing.crop_mode == "center":  # torchvision's ``Resize``
        width, height = (wanted * side // min(size) for side in size)
        return width, height
    target = (wanted, wanted) if isinstance(wanted, int) else (wanted[1], wanted[0])
    if preprocessing.crop_mode == "squash":
        return target
    ratios = [side / aim for side, aim in zip(size, target, strict=True)]  # timm's ``ResizeKeepRatio``
    ratio = min(ratios) if preprocessing.crop_mode == "center" else max(ratios)
    width, height = (round(side / ratio) for side in size)
    return width, height


def _crop(photo: Image, preprocessing: Preprocessing, shown: str) -> Image:
    height, width = preprocessing.crop_px
    if preprocessing.crop_mode == "border":
        photo = _padded(photo, preprocessing)
    if photo.height < height or photo.width < width:
        raise UsageError(
            f"cannot crop {height}x{width} from {shown}, which is {photo.height}x{photo.width} when resized"
        )
    top, left = round((photo.height - height) / 2), round((photo.width - width) / 2)
    return photo.crop((left, top, left + width, top + height))


def _padded(photo: Image, preprocessing: Preprocessing) -> Image:
    """The photo in the middle of what is at least as large as the crop, around it the colour of the mean."""
    from PIL import Image

    height, width = preprocessing.crop_px
    missing = (max(0, width - photo.width), max(0, height - photo.height))
    colour = tuple(round(255 * share) for share in preprocessing.mean)
    ground = Image.new(
        photo.mode, (photo.width + missing[0], photo.height + missing[1]), colour if len(colour) > 1 else colour[0]
    )
    ground.paste(photo, (missing[0] // 2, missing[1] // 2))
    return ground
