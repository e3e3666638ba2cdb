"""The images of a calibration: from a directory of photos or an ``.npz``, whole and distinct, or refused by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevit.arrays import Array, read_arrays
from edgevit.errors import UsageError
from edgevit.shell import quoted
from edgevit.spec import Layout, ModelSpec, Preprocessing, TensorSpec
from edgevit.text import printable
from export.photos import SUFFIXES, load_photos
from export.recipe import Calibration
from export.stimuli import Samples, image_size, normalise

FEWEST = 16
"""Measured: ranges of 16 images of the tests' trained network answer within 3 dB of those of 100; fewer is luck."""
MOST = 512
"""Chosen: least and largest values hardly move after 100 images, and all are held in memory at once."""
_ENOUGH = "a hundred that are like those the app will see serve well"
_HIDDEN = " is hidden, as what macOS puts"
OVERSHOOT = 1.0
"""Share of the range of pixels by which prepared values may leave it. Chosen: no augmentation goes so far, and values
of 0 to 255 that nobody normalised are fifty times beyond."""
DIGITS = 16
"""Of the SHA-256 of one image, by which ``verify`` knows it again. Chosen: 64 bits tell any number of photos apart."""


@dataclass(frozen=True)
class CalibrationImages:
    """Images as a network takes them; ``digests`` has one for each, in their order."""

    samples: Samples
    digests: tuple[str, ...]

    @property
    def record(self) -> Calibration:
        """What recipe and name say of them; the order of the images does not matter."""
        return calibration_of(self.digests)


def calibration_of(digests: tuple[str, ...]) -> Calibration:
    """What a recipe says of images with those digests, in any order."""
    return Calibration(count=len(digests), sha256=hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest())


def load_calibration(path: Path, spec: ModelSpec, note: Callable[[str], None] = lambda text: None) -> CalibrationImages:
    """The images at ``path``: a directory of photos, which ``spec`` says how to prepare, or an ``.npz``.

    An ``.npz`` has one array for each input, by its name: ``(count, *shape without batch)`` of its dtype in its own
    layout, prepared; or for an image input ``uint8`` pixels ``(count, H, W, C)``, which are scaled and normalised.
    Images that are equal count once, and ``note`` is told so.

    Raises:
        UsageError: Names the file, or the image in it: it cannot be read, has another size or number of channels, holds
            NaN or Inf, or one value everywhere; or there are too few images, or too many.
    """
    if not path.exists():
        raise UsageError(f"--calibration-data: {path} does not exist")
    if path.is_dir() and (below := sorted(each for each in path.iterdir() if each.is_dir())):
        note(f"{path}: what is in its {len(below)} subdirectories, such as {printable(below[0].name)}, is not used")
    samples = _from_photos(path, spec) if path.is_dir() else _from_arrays(path, spec)
    _refuse_flat(path, samples, spec)
    digests = digests_of(samples)
    kept = [place for place, digest in enumerate(digests) if digest not in digests[:place]]
    if len(kept) < len(digests):
        twice = next(samples.labels[place] for place in range(len(digests)) if place not in kept)
        note(f"{path}: {len(digests) - len(kept)} images are there twice, and count once (such as {twice})")
    if not FEWEST <= len(kept) <= MOST:
        raise UsageError(
            f"{path} has {len(kept)} different images, expected {FEWEST} to {MOST}",
            hint=_ENOUGH,
        )
    arrays = {name: array[kept] for name, array in samples.arrays.items()}
    chosen = Samples(tuple(samples.labels[place] for place in kept), arrays)
    return CalibrationImages(chosen, tuple(digests[place] for place in kept))


def digests_of(samples: Samples) -> tuple[str, ...]:
    """The first digits of the SHA-256 of each sample, all its inputs together."""
    names = sorted(samples.arrays)
    return tuple(
        hashlib.sha256(
            b"".join(np.ascontiguousarray(samples.arrays[name][row]).tobytes() for name in names)
        ).hexdigest()[:DIGITS]
        for row in range(len(samples.labels))
    )


def refuse_calibrated_on(digests: tuple[str, ...], photos: Samples, what: str) -> None:
    """Refuse to verify on images that the ranges were taken on.

    Args:
        digests: Of the images of the calibration.
        photos: Those to verify on.
        what: Where these come from, for the message.

    Raises:
        UsageError: Some are the same; names them.
    """
    used = set(digests)
    if same := [label for label, digest in zip(photos.labels, digests_of(photos), strict=True) if digest in used]:
        raise UsageError(
            f"{what}: {len(same)} of its {len(photos.labels)} images are among those of the calibration, such as "
            f"{same[0]}: on them int8 looks better than it is",
            hint="verify on others",
        )


def _from_photos(path: Path, spec: ModelSpec) -> Samples:
    """All photos of a directory; one that cannot be used is an error here, and no less."""
    left_out: list[str] = []
    files = sum(file.suffix.lower() in SUFFIXES for file in path.iterdir())
    if files > MOST:  # known before thousands are decoded and held
        raise UsageError(f"{path} has {files} images, expected {FEWEST} to {MOST}", hint=_ENOUGH)
    try:
        samples = load_photos(path, spec, left_out.append)
    except UsageError as error:
        raise UsageError(f"--calibration-data: {error.message}", hint=error.hint) from error
    if refused := [line for line in left_out if _HIDDEN not in line]:
        raise UsageError(
            f"--calibration-data: {refused[0].removeprefix('left out: ')}"
            + (f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""),
            hint="mend it or take it out of the directory",
        )
    return samples


def _from_arrays(path: Path, spec: ModelSpec) -> Samples:
    if path.suffix.lower() != ".npz":
        raise UsageError(f"--calibration-data: {path} is neither a directory of images nor an .npz")
    arrays = read_arrays(path, what="set of calibration images", failure=UsageError)
    names = [tensor.name for tensor in spec.inputs]
    if set(arrays) != set(names):
        raise UsageError(f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}, expected {', '.join(names)}")
    prepared = {tensor.name: _prepared(path, arrays[tensor.name], tensor, spec) for tensor in spec.inputs}
    counts = {name: len(array) for name, array in prepared.items()}
    if len(set(counts.values())) != 1:
        raise UsageError(f"{path} has another number of samples for each input: {counts}")
    count = next(iter(counts.values()))
    return Samples(tuple(f"{printable(path.name)}[{row}]" for row in range(count)), prepared)


def _prepared(path: Path, array: Array, tensor: TensorSpec, spec: ModelSpec) -> Array:
    """One input of all samples as the network takes it."""
    wanted = tensor.shape[1:]
    if tensor.layout is not None and array.dtype == np.uint8 and tensor.dtype != "uint8":
        height, width, channels = image_size(tensor)
        if array.shape[1:] != (height, width, channels):
            raise UsageError(
                f"{path}: '{tensor.name}' holds uint8 images of the shape {array.shape[1:]}, "
                f"expected ({height}, {width}, {channels}): height, width, channels"
            )
        return normalise(array.astype(np.uint8), tensor, spec.preprocessing)
    if array.ndim < 1 or array.shape[1:] != wanted or str(array.dtype) != tensor.dtype:
        pixels = " or uint8 pixels (height, width, channels)" if tensor.layout is not None else ""
        raise UsageError(
            f"{path}: '{tensor.name}' holds {array.dtype} {array.shape[1:]} for each sample, expected "
            f"{tensor.dtype} {wanted}{pixels}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        raise UsageError(f"{path}: '{tensor.name}' holds NaN or Inf in sample {row}")
    if tensor.layout is not None and array.dtype.kind == "f" and array.size and spec.preprocessing is not None:
        _refuse_unprepared(path, array, tensor.name, spec.preprocessing)
    return array


def _refuse_unprepared(path: Path, array: Array, name: str, preprocessing: Preprocessing) -> None:
    """Refuse images with values that no pixel has once it is normalised: ranges would be those of another network."""
    dark = min(-mean / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True))
    light = max((1 - mean) / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True))
    beyond = OVERSHOOT * (light - dark)
    low, high = float(array.min()), float(array.max())
    if low < dark - beyond or high > light + beyond:
        raise UsageError(
            f"{path}: '{name}' holds values from {low:.4g} to {high:.4g}, but pixels of this network are {dark:.4g} to "
            f"{light:.4g} when normalised",
            hint="give uint8 pixels (count, height, width, channels), or normalise them by its mean and std",
        )


def _refuse_flat(path: Path, samples: Samples, spec: ModelSpec) -> None:
    """Refuse images of one colour, which say nothing of ranges and are the mark of a broken pipeline."""
    for tensor in (tensor for tensor in spec.inputs if tensor.layout is not None):
        sides = (-2, -1) if tensor.layout is Layout.NCHW else (-3, -2)
        for row, label in enumerate(samples.labels):
            if not np.ptp(samples.arrays[tensor.name][row], axis=sides).any():
                raise UsageError(
                    f"--calibration-data: {label} in {path} is all of one colour: "
                    "it says nothing of what the app will see",
                    hint=f"take it out of {quoted(path)}",
                )
