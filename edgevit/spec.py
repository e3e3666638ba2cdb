"""``ModelSpec``: all that the rooms to the right need to know about a model, whatever network it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from edgevit.records import Record

OTHER_WEIGHTS = " (weights)"
"""Ends what ``Weights.beside`` says of another set of weights in the file."""


class Layout(StrEnum):
    """Order of an image tensor's axes."""

    NCHW = "nchw"
    NHWC = "nhwc"


class Task(StrEnum):
    """What the model hands out: ``logits``, or the feature maps ``stage1..4``."""

    CLASSIFY = "classify"
    FEATURES = "features"


class TensorSpec(Record):
    """Name, shape and type of one input or output.

    ``shape`` holds positive ints, -1 where the axis is free (dynamic batch). ``layout`` is set for image-like 4-D
    tensors and None for the rest.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: Layout | None = None


class Preprocessing(Record):
    """From a decoded photo to the input tensor: resize, centre crop, scale to 0..1, normalise.

    ``value = (pixel / 255 - mean[c]) / std[c]`` with channels in ``color_order``. ``crop_px`` is (height, width), and
    so is ``resize_px``, where one number stands for both. ``crop_mode`` says what a photo is resized to: ``squash`` to
    just that, ``center`` so that it covers it, ``border`` so that it fits into it, the latter two by one factor for
    both sides. What is then smaller than the crop is padded with the colour of ``mean`` (``border``), or has no crop.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize_px: int | tuple[int, int]
    crop_px: tuple[int, int]
    crop_mode: Literal["center", "squash", "border"] = "center"
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bicubic"
    color_order: Literal["RGB", "BGR", "gray", "other"] = "RGB"


class Weights(Record):
    """Where the weights came from.

    ``random`` has a ``seed``, and where another library drew them the ``sha256`` of what it drew; ``checkpoint`` a
    ``file``; ``hub`` also the repository and commit (``revision``) that the file is from; ``module`` came with the
    module that was handed over, whose tensors have the ``sha256`` (``edgevit.sources.digest``).

    ``entry`` is the key inside the file that held the state dict (None: the file is one). ``prefix`` was taken off the
    names there, e.g. ``module._orig_mod.``; ``beside`` says what else is in the file. ``stored_dtype`` names the
    floating types in the file that were converted to the model's float32 (None: they were float32 already).
    """

    source: Literal["random", "checkpoint", "hub", "module"]
    seed: int | None = None
    file: str | None = None
    sha256: str | None = None
    entry: str | None = None
    prefix: str | None = None
    beside: tuple[str, ...] = ()
    stored_dtype: str | None = None
    repository: str | None = None
    revision: str | None = None

    def describe(self) -> str:
        """One phrase for consoles and reports, e.g. ``random, seed 0``."""
        if self.source == "random":
            return f"random, seed {self.seed}"
        if self.source == "module":
            return f"of the module itself (sha256 {(self.sha256 or '')[:12]})"
        if self.source == "hub":
            return f"hub {self.repository} at {(self.revision or '')[:12]} (sha256 {(self.sha256 or '')[:12]})"
        entry = f", entry {self.entry}" if self.entry else ""
        prefix = f", names without {self.prefix}" if self.prefix else ""
        converted = f", converted from {self.stored_dtype}" if self.stored_dtype else ""
        return f"{self.file} (sha256 {(self.sha256 or '')[:12]}{entry}{prefix}{converted})"


class Network(Record):
    """What tells one network from another, whatever file holds it: the architecture, and its ``weights`` in words."""

    variant: str
    task: Task
    num_classes: int | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)
    weights: str


class ModelSpec(Record):
    """A model's contract with the outside.

    ``inputs`` and ``outputs`` are those of the ``nn.Module`` itself, in the order of its forward arguments and
    results, with the batch size that the user asked for. ``name`` is the file stem of its artifacts.
    ``options`` names architecture choices that differ from the variant's defaults.
    """

    schema_version: Literal[1] = 1
    name: str
    variant: str
    task: Task
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: Weights
    num_classes: int | None = None
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    options: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The network alone, without its tensors."""
        return Network(
            variant=self.variant,
            task=self.task,
            num_classes=self.num_classes,
            options=self.options,
            weights=self.weights.describe(),
        )
