"""From a ``ModelSpec`` back to the network with the same weights: an EdgeViT, one of timm's, or a user's own code.

A specification may come from a stranger's manifest. EdgeViT and timm's networks are built of names and numbers. Code is
run only where the user names its file, and only if that is the file that the specification speaks of.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgevit.build import build_model
from edgevit.errors import CheckpointError, UsageError, first_line
from edgevit.network.config_file import range_problems
from edgevit.network.describe import ModelRequest
from edgevit.network.variants import Delegate, Propagation, VariantConfig, VariantTable, variants
from edgevit.records import sha256_file
from edgevit.shell import quoted
from edgevit.sources.cost import refuse_cost
from edgevit.sources.from_module import AN_IMAGE, FILE_SHA256, INPUTS, OWN_SPEC, SEED, build_module
from edgevit.sources.from_module import PREFIX as MODULE
from edgevit.sources.from_timm import EMBEDDING, Source, build_timm
from edgevit.sources.from_timm import PREFIX as TIMM
from edgevit.sources.timm_names import read_architecture
from edgevit.sources.user_code import split_target
from edgevit.spec import ModelSpec, Task
from edgevit.text import printable

if TYPE_CHECKING:
    from torch import nn


_NAMED: dict[str, Source] = {"hub": "hub", "random": "random"}  # weights that need no file of the user's


def rebuild_model(
    spec: ModelSpec, checkpoint: Path | None = None, module: str | None = None, held_bytes: int | None = None
) -> nn.Module:
    """The network that ``spec`` describes: random weights from its seed, the hub's, or those in ``checkpoint``.

    Args:
        spec: As ``build_model``, ``build_timm`` or ``build_module`` made it, perhaps read back from a manifest.
        checkpoint: The weights file, when ``spec`` says that they came from one.
        module: The user's own code, as ``build_module`` takes it, when ``spec`` says that the network is from there.
        held_bytes: Size of the artifact that ``spec`` came with: a network of names and numbers that goes beyond what
            such a file can hold is not built. None: ``spec`` is no stranger's.

    Raises:
        UsageError: ``spec`` describes nothing that can be rebuilt, or names options that this version does not know;
            the code was not given, or is another; weights from a seed come out otherwise here.
        CheckpointError: The file is missing or another one than ``spec`` says.
        FailureError: The hub's weights are not in its cache; nothing is downloaded because a manifest says so.
    """
    if spec.weights.source != "hub" or checkpoint is not None:
        _check_weights_file(spec, checkpoint)
    if module is not None and not spec.variant.startswith(MODULE):
        raise UsageError(f"{spec.name} is {spec.variant}, which needs no --module", hint="leave --module out")
    if spec.variant.startswith(TIMM):
        return _timm(spec, checkpoint, held_bytes)
    if spec.variant.startswith(MODULE):
        return _module(spec, checkpoint, module)
    return _edgevit(spec, checkpoint, held_bytes)


def _edgevit(spec: ModelSpec, checkpoint: Path | None, held_bytes: int | None) -> nn.Module:
    batch, channels, height, width = _image_shape(spec)
    config = configuration_of(spec)
    if held_bytes is not None:
        from edgevit.network.model import empty_model

        request = ModelRequest(
            config=config, task=spec.task, num_classes=spec.num_classes, in_channels=channels,
            input_size=(height, width), batch=batch,
        )  # fmt: skip
        refuse_cost(lambda: empty_model(request), spec.inputs[0].shape, held_bytes, spec.name)
    model, _ = build_model(
        config,
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


def _timm(spec: ModelSpec, checkpoint: Path | None, held_bytes: int | None) -> nn.Module:
    """One of timm's networks; what a stranger's specification may ask of timm is names and small numbers."""
    batch, channels, height, width = _image_shape(spec)
    embeds = [tensor.name for tensor in spec.outputs] == [EMBEDDING]
    source = spec.weights.source
    model, found = build_timm(
        spec.variant.removeprefix(TIMM),
        task=Task.CLASSIFY if embeds else spec.task,
        architecture=read_architecture(spec.options.get("architecture", "{}")),
        weights=None if checkpoint is not None else _NAMED.get(source),
        revision=spec.weights.revision or "",
        checkpoint=checkpoint,
        entry=spec.weights.entry,
        seed=spec.weights.seed or 0,
        num_classes=spec.num_classes,
        in_channels=channels,
        input_size=(height, width),
        batch=batch,
        held_bytes=held_bytes,
    )
    _check_weights(spec, found)
    return model


def _module(spec: ModelSpec, checkpoint: Path | None, module: str | None) -> nn.Module:
    """The user's own code, where the user names it."""
    file = printable(spec.options.get("file", "a file"))
    wanted = spec.options.get(FILE_SHA256)
    if wanted is None:
        raise UsageError(f"{spec.name} does not say which file its network is from")
    factory = spec.variant.rpartition(":")[2]
    if module is None:
        raise UsageError(
            f"{spec.name} is a network from {file}: to compare on photos its code has to run, and no manifest can ask "
            "for that",
            hint=f"--module {quoted(Path(f'{file}:{factory}'))}, if you trust that file",
        )
    place, named = split_target(module)
    if named not in ("", factory):
        raise UsageError(
            f"{spec.name} was made by {printable(factory)}() of {file}, not by {printable(named)}()",
            hint=f"--module {quoted(Path(f'{place}:{factory}'))}",
        )
    target = f"{place}:{factory}"
    seed = spec.options.get(SEED, "0")
    channels, size, batch = _asked_image(spec)
    model, found = build_module(
        target,
        task=None if spec.options.get(INPUTS) == OWN_SPEC else spec.task,
        checkpoint=checkpoint,
        entry=spec.weights.entry,
        seed=msgspec.convert(seed, int, strict=False) if seed.isascii() and seed.isdecimal() else 0,
        in_channels=channels,
        input_size=size,
        batch=batch,
        file_sha256=wanted,
    )
    _check_weights(spec, found)
    return model


def _asked_image(spec: ModelSpec) -> tuple[int, tuple[int, int], int] | tuple[None, None, None]:
    """Channels, size and batch of the image that the module was run on; None where its code said what it takes."""
    if spec.options.get(INPUTS) != AN_IMAGE:
        return None, None, None
    batch, channels, height, width = _image_shape(spec)
    return channels, (height, width), batch


def _check_weights(spec: ModelSpec, found: ModelSpec) -> None:
    """Refuse weights that are others than those of ``spec``, and a network that takes or returns something else."""
    if (spec.inputs, spec.outputs) != (found.inputs, found.outputs):
        raise UsageError(
            f"{spec.variant} is built otherwise here: what it takes and returns is not what {spec.name} says"
        )
    if found.weights.sha256 != spec.weights.sha256:
        raise UsageError(
            f"the weights of {spec.name} ({spec.weights.describe()}) come out otherwise here: another version of torch "
            "or of the code drew them",
            hint="export again here, or verify where it was exported; without --images no network is needed",
        )


def _image_shape(spec: ModelSpec) -> tuple[int, ...]:
    """(batch, channels, height, width) of the one image that the network takes."""
    if len(spec.inputs) != 1 or len(spec.inputs[0].shape) != 4:
        shapes = ", ".join(str(tensor.shape) for tensor in spec.inputs) or "none"
        raise UsageError(f"{spec.name} cannot be rebuilt: its inputs are {shapes}, expected one image")
    return spec.inputs[0].shape


def _check_weights_file(spec: ModelSpec, checkpoint: Path | None) -> None:
    """Refuse another file than the one that ``spec`` speaks of, before its contents are looked at."""
    wanted = (spec.weights.sha256 if spec.weights.source in ("checkpoint", "hub") else None) or "none"
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
