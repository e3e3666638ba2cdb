"""Deterministic inputs that put an artifact to the test: images with natural statistics, extremes, patterns, noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ExportError
from edgevit.spec import Layout, ModelSpec, Preprocessing, TensorSpec

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

SPECTRAL_IMAGES = 7
DEAD_LEAVES_IMAGES = 5
"""Chosen, because two models of photographs that know nothing of each other are harder to fit by accident than one."""
DISCS = 250
"""Chosen: discs then cover 66 to 85 % of an image of 224 pixels, and the rest shows a smooth background."""
SEED = 2205
SIGNED = 2.5
"""The largest value of a normalised image whose preprocessing is not known; ImageNet's reach from -2.2 to 2.7."""
_EDGES: dict[str, Callable[[Floats], Floats]] = {
    "zeros": np.zeros_like,
    "ones": np.ones_like,
    "minus-ones": lambda normal: -np.ones_like(normal),
    "ramp": lambda normal: np.linspace(-1, 1, normal.size).reshape(normal.shape),
    "large": lambda normal: normal * 100,
    "tiny": lambda normal: normal * 1e-6,
}
"""Edge values of an input that is no image, of the shape of normal ones."""


@dataclass(frozen=True)
class Samples:
    """Inputs for a model, one row per sample: ``arrays[name]`` is ``(count, *shape without batch)``, native layout."""

    labels: tuple[str, ...]
    arrays: dict[str, Array]


def make_samples(spec: ModelSpec) -> Samples:
    """At least 16 deterministic samples for the inputs of ``spec``.

    Image inputs get the images of ``images``, normalised by ``spec.preprocessing``. Where that is missing, nobody says
    whether the network takes values of 0 to 1 or of both signs: it gets both in turns. Other floats get normal values
    and edge values, integers and booleans 0 and 1.
    """
    labels = sample_labels(spec)
    drawn = {tensor.name: _images(*image_size(tensor)) for tensor in spec.inputs if tensor.layout is not None}
    arrays: dict[str, Array] = {}
    for position, tensor in enumerate(spec.inputs):
        if tensor.name in drawn:
            values = normalise(drawn[tensor.name], tensor, spec.preprocessing)
            if spec.preprocessing is None and tensor.dtype != "uint8":
                values[1::2] = SIGNED * (2 * values[1::2].astype(np.float64) - 1)
            arrays[tensor.name] = values
        else:
            arrays[tensor.name] = _values(tensor, labels, position)
    return Samples(labels, arrays)


def sample_labels(spec: ModelSpec) -> tuple[str, ...]:
    """The names of the samples of ``make_samples``, without drawing them."""
    if any(tensor.layout is not None for tensor in spec.inputs):
        return _image_labels()
    return (*(f"normal-{i:02}" for i in range(12)), *_EDGES)


@cache
def _image_labels() -> tuple[str, ...]:
    return tuple(label for label, _ in images(8, 8, 1))


def image_size(tensor: TensorSpec) -> tuple[int, int, int]:
    """Height, width and channels of an image input.

    Raises:
        ExportError: The input has a layout but not four axes.
    """
    if len(tensor.shape) != 4:
        raise ExportError(f"input '{tensor.name}' has the layout {tensor.layout} but the shape {tensor.shape}, not 4-D")
    _, *rest = tensor.shape
    channels, height, width = rest if tensor.layout is Layout.NCHW else (rest[2], rest[0], rest[1])
    return height, width, channels


def normalise(pixels: Pixels, tensor: TensorSpec, preprocessing: Preprocessing | None) -> Array:
    """Pixels ``(N, H, W, C)`` as the input ``tensor`` wants them: scaled, normalised, in its layout and dtype."""
    if tensor.dtype == "uint8":
        values: Array = pixels.copy()
    else:
        scaled = pixels.astype(np.float64) / 255
        if preprocessing is not None:
            scaled = (scaled - np.array(preprocessing.mean)) / np.array(preprocessing.std)
        values = scaled.astype(tensor.dtype)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if tensor.layout is Layout.NCHW else values)


def images(height: int, width: int, channels: int) -> Iterator[tuple[str, Pixels]]:
    """Labelled images ``(H, W, C) uint8``: 12 with natural statistics, then extremes, patterns and noise."""
    for number in range(SPECTRAL_IMAGES):
        yield f"natural-{number:02}", _spectral(_generator(0, number), height, width, channels)
    for number in range(SPECTRAL_IMAGES, SPECTRAL_IMAGES + DEAD_LEAVES_IMAGES):
        yield f"natural-{number:02}", _dead_leaves(_generator(0, number), height, width, channels)
    shape = (height, width, channels)
    yield "black", np.zeros(shape, np.uint8)
    yield "white", np.full(shape, 255, np.uint8)
    yield "saturated", _saturated(height, width, channels)
    yield "checkerboard-1", _checkerboard(height, width, channels, 1)
    yield "checkerboard-16", _checkerboard(height, width, channels, 16)
    yield "noise", _generator(1, 0).integers(0, 256, shape, dtype=np.uint8)


@lru_cache(maxsize=1)
def _images(height: int, width: int, channels: int) -> Pixels:
    """The pixels ``(count, H, W, C)`` of ``images``, read only: the artifacts of one network share them."""
    stacked = np.stack([pixels for _, pixels in images(height, width, channels)])
    stacked.flags.writeable = False
    return stacked


def _generator(kind: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([SEED, kind, number]))


def _spectral(generator: np.random.Generator, height: int, width: int, channels: int) -> Pixels:
    """``(H, W, C) uint8`` with random phases under an amplitude of 1/f, as photographs have on average (Field, 1987).

    The channels share their luminance. Contrast and brightness are chosen so that at most 4 % of it are clipped.
    """
    planes = np.stack([_pink(generator, height, width) for _ in range(channels)], axis=-1)
    luminance = planes[..., :1]
    mixed = 0.9 * luminance + 0.35 * planes
    contrast = generator.uniform(35, 60)
    return _to_pixels(mixed * contrast + generator.uniform(90, 150))


def _pink(generator: np.random.Generator, height: int, width: int) -> Floats:
    """``(H, W)`` of mean 0 and standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = math.inf
    spectrum = np.fft.rfft2(generator.normal(size=(height, width))) / frequency
    plane = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(plane / max(float(plane.std()), 1e-9))


def _dead_leaves(generator: np.random.Generator, height: int, width: int, channels: int) -> Pixels:
    """``(H, W, C) uint8``: discs that hide each other, as objects do in photographs.

    The density of radii falls with their third power, which makes the image look alike at every scale (Lee, Mumford,
    Huang: Occlusion models for natural images, 2001); the smallest and the largest one are chosen.
    """
    canvas = _spectral(generator, height, width, channels).astype(np.float64)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for _ in range(DISCS):
        radius = max(2.0, min(height, width) * 0.02 * (1 - generator.uniform(0, 0.995)) ** -0.5)
        y, x = generator.uniform(0, height), generator.uniform(0, width)
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        part = np.s_[top : int(y + radius) + 1, left : int(x + radius) + 1]
        inside = (rows[part[0]] - y) ** 2 + (columns[:, part[1]] - x) ** 2 < radius**2
        shade = generator.uniform(0, 255) + generator.normal(0, 25, channels)
        texture = generator.normal(0, 6, inside.shape)[..., None]
        canvas[part] = np.where(inside[..., None], shade + texture, canvas[part])
    return _to_pixels(canvas)


def _saturated(height: int, width: int, channels: int) -> Pixels:
    """``(H, W, C) uint8``: vertical stripes of all fully saturated colours, each channel 0 or 255."""
    stripe = np.arange(width) * 2 ** min(channels, 3) // max(width, 1)
    bits = [(stripe >> (channel % 3)) & 1 for channel in range(channels)]
    row = np.stack(bits, axis=-1).astype(np.uint8) * np.uint8(255)
    return np.broadcast_to(row, (height, width, channels)).copy()


def _checkerboard(height: int, width: int, channels: int, period: int) -> Pixels:
    """``(H, W, C) uint8``: cells of ``period`` pixels, black and white."""
    cells = (np.arange(height)[:, None] // period + np.arange(width)[None, :] // period) % 2
    plane = cells.astype(np.uint8) * np.uint8(255)
    return np.repeat(plane[..., None], channels, axis=-1)


def _to_pixels(values: Floats) -> Pixels:
    """``values``, 0 to 255, of any shape, rounded and clipped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _values(tensor: TensorSpec, labels: tuple[str, ...], position: int) -> Array:
    """``(count, *shape without batch)`` in the dtype of ``tensor``, the input at ``position``."""
    shape = tensor.shape[1:]
    rows = []
    for number, label in enumerate(labels):
        normal = np.asarray(_generator(2 + position, number).normal(size=shape))
        rows.append(_EDGES[label](normal) if label in _EDGES else normal)
    stacked = np.stack(rows)
    if np.dtype(tensor.dtype).kind == "f":
        return stacked.astype(tensor.dtype)
    return (stacked > 0).astype(tensor.dtype)
