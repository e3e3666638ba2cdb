"""From a ``ModelSpec`` back to the network with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgevit.build import build_model
from edgevit.errors import CheckpointError, UsageError, first_line
from edgevit.network.config_file import range_problems
from edgevit.network.variants import Delegate, Propagation, VariantConfig, VariantTable, variants
from edgevit.records import sha256_file
from edgevit.spec import ModelSpec

if TYPE_CHECKING:
    from edgevit.network.model import EdgeViT


def rebuild_model(spec: ModelSpec, checkpoint: Path | None = None) -> EdgeViT:
    """The EdgeViT that ``spec`` describes: random weights from its seed, or those in ``checkpoint``.

    Args:
        spec: As ``build_model`` made it, perhaps read back from a manifest.
        checkpoint: The weights file, when ``spec`` says that they came from one.

    Raises:
        UsageError: ``spec`` does not describe an EdgeViT, or names options that this version does not know.
        CheckpointError: The file is missing or another one than ``spec`` says.
    """
    _check_weights_file(spec, checkpoint)
    batch, channels, height, width = _image_shape(spec)
    model, _ = build_model(
        configuration_of(spec),
        task=spec.task,
        num_classes=spec.num_classes,
        in_channels=channels,
        input_size=(height, width),
        batch=batch,
        checkpoint=checkpoint,
        entry=spec.weights.entry,
        seed=spec.weights.seed or 0,
        labels=spec.labels,
        preprocessing=spec.preprocessing,
    )
    return model


def _image_shape(spec: ModelSpec) -> tuple[int, ...]:
    """(batch, channels, height, width) of the one image that an EdgeViT takes."""
    if len(spec.inputs) != 1 or len(spec.inputs[0].shape) != 4:
        shapes = ", ".join(str(tensor.shape) for tensor in spec.inputs) or "none"
        raise UsageError(f"{spec.name} is no EdgeViT that can be rebuilt: its inputs are {shapes}, expected one image")
    return spec.inputs[0].shape


def _check_weights_file(spec: ModelSpec, checkpoint: Path | None) -> None:
    """Refuse another file than the one that ``spec`` speaks of, before its contents are looked at."""
    wanted = spec.weights.sha256 or "none"
    try:
        seen = "none" if checkpoint is None else sha256_file(checkpoint)
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {checkpoint}: {error.strerror}") from error
    if seen != wanted:
        raise CheckpointError(
            f"{checkpoint} has SHA-256 {seen[:12]}..., but {spec.name} came from {spec.weights.file} "
            f"with {wanted[:12]}..."
        )


def configuration_of(spec: ModelSpec) -> VariantConfig:
    """The architecture that ``spec`` names: a built-in variant with its ablations, or a user's own configuration.

    Raises:
        UsageError: ``spec`` describes no EdgeViT.
    """
    try:
        return _configuration(spec)
    except (ValueError, OverflowError, msgspec.ValidationError) as error:
        raise UsageError(f"{spec.name} is no EdgeViT that can be rebuilt: {first_line(error)}") from error


def _configuration(spec: ModelSpec) -> VariantConfig:
    options = dict(spec.options)
    delegate = options.pop("delegate", Delegate.CENTER)
    propagation = options.pop("propagation", Propagation.TRANSPOSED_CONV)
    aggregation = options.pop("aggregation", "on") == "on"
    if spec.variant in variants() and not options:
        config = variants()[spec.variant]
    elif "channels" in options:
        numbers = {key: [float(part) for part in value.split(",")] for key, value in options.items()}
        config = msgspec.convert({"name": spec.variant, **numbers}, VariantConfig, strict=False)
        told = {field: getattr(config, field) for field in ("channels", "blocks", "heads", "sample_rates")}
        if problems := range_problems(VariantTable(ffn_ratio=config.ffn_ratios, **told)):
            raise ValueError("; ".join(problems))
    else:
        raise UsageError(f"{spec.name} is no EdgeViT that can be rebuilt: unknown variant '{spec.variant}'")
    return config.with_options(
        delegate=Delegate(delegate), propagation=Propagation(propagation), aggregation=aggregation
    )
