"""The ``ModelSpec`` of an EdgeViT: checked sizes, tensor names, preprocessing, file stem. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgevit.errors import UsageError
from edgevit.network.variants import STAGE_STRIDES, Delegate, Propagation, VariantConfig, variants
from edgevit.records import Record
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_CLASSES = 1000
RESIZE_RATIO = 256 / 224  # the authors' evaluation: resize to 256, crop 224


class ModelRequest(Record):
    """The shape of the model that was asked for; ``num_classes`` is None for ``features``."""

    config: VariantConfig
    task: Task
    num_classes: int | None
    in_channels: int
    input_size: tuple[int, int]
    batch: int


def check_counts(task: Task, num_classes: int | None, in_channels: int | None, batch: int) -> None:
    """Refuse numbers that describe no model.

    Raises:
        UsageError: Less than one, or classes for the features task.
    """
    if num_classes is not None and task is Task.FEATURES:
        raise UsageError(f"{num_classes} classes were asked for, but the features task has no classes")
    counts = {"number of classes": num_classes, "number of input channels": in_channels, "batch": batch}
    for what, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"the {what} is {value}, expected at least 1")


def check_input_size(config: VariantConfig, input_size: tuple[int, int]) -> None:
    """Refuse a height or width that the variant cannot take.

    Raises:
        UsageError: Not a positive multiple of ``config.size_multiple``; lists the nearest valid sizes.
    """
    multiple = config.size_multiple
    if all(side > 0 and side % multiple == 0 for side in input_size):
        return
    height, width = input_size
    near = [f"{h}x{w}" for h in nearest_sizes(height, multiple) for w in nearest_sizes(width, multiple)]
    raise UsageError(
        f"input size {height}x{width} (height x width) does not fit {config.name}: "
        f"both must be multiples of {multiple}; the nearest valid sizes are {', '.join(near)}",
        hint=f"--input-size {near[-1]}",
    )


def nearest_sizes(side: int, multiple: int) -> tuple[int, ...]:
    """The valid side, or the valid ones just below and above ``side``, in pixels."""
    below = side // multiple * multiple
    if below <= 0:
        return (multiple,)
    return (below,) if below == side else (below, below + multiple)


def artifact_stem(request: ModelRequest) -> str:
    """File stem of the model's artifacts, e.g. ``edgevit-s-224x224``.

    Whatever differs from the plain classifier is part of it, so that different models do not overwrite each other.
    """
    parts = ["edgevit", request.config.name.removeprefix("edgevit-")]
    if request.task is Task.FEATURES:
        parts.append("features")
    parts += _stem_parts(request.config)
    if request.num_classes not in (None, IMAGENET_CLASSES):
        parts.append(f"{request.num_classes}classes")
    if request.in_channels != 3:
        parts.append(f"{request.in_channels}ch")
    if request.batch != 1:
        parts.append(f"batch{request.batch}")
    height, width = request.input_size
    return "-".join([*parts, f"{height}x{width}"])


def _stem_parts(config: VariantConfig) -> list[str]:
    """Ablation options away from the paper's own, as parts of a file stem."""
    parts = [] if config.delegate is Delegate.CENTER else [f"{config.delegate}-delegates"]
    if config.propagation is Propagation.NONE:
        parts.append("no-propagation")
    elif config.propagation is not Propagation.TRANSPOSED_CONV:
        parts.append(f"{config.propagation}-propagation")
    return parts if config.aggregation else [*parts, "no-aggregation"]


def spec_options(config: VariantConfig) -> dict[str, str]:
    """Ablation options away from the paper's own, and for a user's configuration all that is needed to rebuild it."""
    options = config.options()
    if config.name not in variants():
        for field in ("channels", "blocks", "heads", "sample_rates", "ffn_ratios"):
            options[field] = ",".join(f"{value:g}" for value in getattr(config, field))
    return options


def output_specs(request: ModelRequest) -> tuple[TensorSpec, ...]:
    """``logits``, or ``stage1`` to ``stage4``."""
    if request.num_classes is not None:
        return (TensorSpec(name="logits", shape=(request.batch, request.num_classes)),)
    height, width = request.input_size
    return tuple(
        TensorSpec(
            name=f"stage{number}",
            shape=(request.batch, channels, height // stride, width // stride),
            layout=Layout.NCHW,
        )
        for number, (channels, stride) in enumerate(zip(request.config.channels, STAGE_STRIDES, strict=True), 1)
    )


def standard_preprocessing(
    input_size: tuple[int, int], mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> Preprocessing:
    """What the authors evaluate with, at any input size; ``mean`` and ``std`` are ImageNet's unless given.

    The short side is resized so that the crop fits into a photo of any orientation: from the longer side of the crop.
    """
    colors: dict[int, Literal["RGB", "gray"]] = {1: "gray", 3: "RGB"}
    return Preprocessing(
        mean=mean,
        std=std,
        resize_px=int(RESIZE_RATIO * max(input_size)),
        crop_px=input_size,
        color_order=colors.get(len(mean), "other"),
    )


def check_preprocessing(given: Preprocessing, request: ModelRequest) -> None:
    """Refuse a preprocessing that does not produce the model's input.

    Raises:
        UsageError: Wrong number of means or deviations, a deviation that is not positive, or another crop.
    """
    channels = request.in_channels
    if len(given.mean) != channels or len(given.std) != channels:
        raise UsageError(
            f"preprocessing has {len(given.mean)} means and {len(given.std)} deviations for {channels} input channels"
        )
    if min(given.std) <= 0:
        raise UsageError(f"preprocessing has a standard deviation of {min(given.std)}, expected more than 0")
    if given.crop_px != request.input_size:
        raise UsageError(f"preprocessing crops to {given.crop_px}, but the input size is {request.input_size}")


def check_labels(labels: Sequence[str], num_classes: int | None) -> None:
    """Refuse labels that do not name every class.

    Raises:
        UsageError: Labels for a model without classes, or another number than it has.
    """
    if labels and num_classes is None:
        raise UsageError(f"{len(labels)} labels were given, but the features task has no classes to name")
    if labels and len(labels) != num_classes:
        raise UsageError(f"{len(labels)} labels were given for {num_classes} classes: one label per class is expected")


def model_spec(
    request: ModelRequest, weights: Weights, *, labels: Sequence[str] = (), preprocessing: Preprocessing | None = None
) -> ModelSpec:
    """The specification of the requested model.

    ``preprocessing`` defaults to ImageNet's for three channels. For any other number of channels nothing is known
    about the pixels, so it stays None unless given.

    Raises:
        UsageError: Labels or preprocessing do not fit the model.
    """
    check_labels(labels, request.num_classes)
    if preprocessing is not None:
        check_preprocessing(preprocessing, request)
    elif request.in_channels == len(IMAGENET_MEAN):
        preprocessing = standard_preprocessing(request.input_size)
    image = TensorSpec(
        name="image", shape=(request.batch, request.in_channels, *request.input_size), layout=Layout.NCHW
    )
    return ModelSpec(
        name=artifact_stem(request),
        variant=request.config.name,
        task=request.task,
        inputs=(image,),
        outputs=output_specs(request),
        weights=weights,
        num_classes=request.num_classes,
        preprocessing=preprocessing,
        labels=tuple(labels),
        options=spec_options(request.config),
    )
