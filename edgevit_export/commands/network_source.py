"""Which network the options of an export name (an EdgeViT, one of timm's, a user's own code), and the door to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from edgevit.errors import UsageError, parse_choice
from edgevit.labels import read_labels
from edgevit.spec import Preprocessing, Task
from edgevit_export.commands.export_options import ExportOptions
from edgevit_export.commands.options import parse_floats, parse_size

if TYPE_CHECKING:
    from torch import nn

    from edgevit.spec import ModelSpec

TIMM = "timm:"
DEFAULT_SIZE_PX = (224, 224)
_SOURCES = ("variant", "config", "model", "module")
_ONLY_FOR = {
    "delegate": ("variant", "config"),
    "propagation": ("variant", "config"),
    "aggregation": ("variant", "config"),
    "num_classes": ("variant", "config", "model"),
    "weights": ("variant", "config", "model"),
}
"""Options that only some kinds of networks have; all others belong to each."""


def check_source(options: ExportOptions) -> str:
    """The one option that names the network, after what contradicts it was refused; nothing is imported.

    Raises:
        UsageError: None, or several, or options that belong to other networks.
    """
    named = [name for name in _SOURCES if getattr(options, name) is not None]
    if not named:
        raise UsageError(
            "nothing to export: --variant, --config, --model or --module is missing", hint="edgevit-export --variant s"
        )
    if len(named) > 1:
        raise UsageError(f"{_flags(named)} both name a model", hint="leave one of them out")
    for option, owners in _ONLY_FOR.items():
        if getattr(options, option) is not None and named[0] not in owners:
            raise UsageError(
                f"{_flag(option)} belongs to {_flags(owners)}, not to {_flag(named[0])}",
                hint=f"leave {_flag(option)} out",
            )
    if options.checkpoint_entry is not None and options.checkpoint is None:
        raise UsageError("--checkpoint-entry without --checkpoint", hint="--checkpoint my.pth")
    _check_weights(options)
    return named[0]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flags(names: tuple[str, ...] | list[str]) -> str:
    *others, last = map(_flag, names)
    return f"{', '.join(others)} and {last}" if others else last


def _check_weights(options: ExportOptions) -> None:
    """Refuse words for weights that there are not, and two sources of them."""
    if options.weights not in (None, "hub", "random"):
        raise UsageError(f"unknown weights '{options.weights}': choose from hub, random", hint="--weights random")
    if options.weights is not None and options.checkpoint is not None:
        raise UsageError(
            f"--weights {options.weights} and --checkpoint both name weights", hint="leave one of them out"
        )
    if options.weights == "hub" and options.model is None:
        raise UsageError(
            "--weights hub: the authors of EdgeViT have no weights on a hub",
            hint="--checkpoint my.pth, or --weights random",
        )


def build(options: ExportOptions) -> tuple[nn.Module, ModelSpec]:
    """The model and its specification as the options ask for them.

    Raises:
        UsageError: Options that contradict each other or name something unknown.
        CheckpointError: The weights file cannot be used.
        FailureError: The hub's weights are neither in its cache nor to be downloaded.
    """
    named = check_source(options)
    size_px = None if options.input_size is None else parse_size(options.input_size)
    labels = () if options.labels is None else read_labels(options.labels)
    normalisation = _normalisation(options)
    door = {"model": _timm, "module": _module}.get(named, _edgevit)
    model, spec = door(options, size_px, labels)
    return model, spec if normalisation is None else _normalised(spec, *normalisation)


_Numbers = tuple[float, ...]


def _normalisation(options: ExportOptions) -> tuple[_Numbers, _Numbers] | None:
    """Mean and deviation a channel, where they were given."""
    mean, std = parse_floats("--mean", options.mean), parse_floats("--std", options.std)
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        half = ",".join(["0.5"] * (options.in_channels or len(mean or std or ())))
        raise UsageError("--mean and --std belong together: one of them is missing",
                         hint=f"--mean {half} --std {half}")  # fmt: skip
    if max(mean) > 1:
        scaled = " ".join(f"--{name} {','.join(f'{value / 255:.4g}' for value in values)}"
                          for name, values in (("mean", mean), ("std", std)))  # fmt: skip
        raise UsageError(f"--mean {max(mean):g} is no mean of pixels from 0 to 1", hint=f"of 0 to 255: {scaled}")
    return mean, std


def _edgevit(
    options: ExportOptions, size_px: tuple[int, int] | None, labels: tuple[str, ...]
) -> tuple[nn.Module, ModelSpec]:
    from edgevit.build import build_model
    from edgevit.network.config_file import read_config

    model = options.variant if options.config is None else read_config(options.config)
    assert model is not None  # ``check_source`` has refused the case of neither
    return build_model(
        model,
        task=parse_choice("task", Task, options.task or Task.CLASSIFY),
        num_classes=options.num_classes,
        in_channels=options.in_channels,
        input_size=size_px or DEFAULT_SIZE_PX,
        batch=options.batch or 1,
        checkpoint=options.checkpoint,
        entry=options.checkpoint_entry,
        seed=options.seed,
        labels=labels,
        delegate=options.delegate,
        propagation=options.propagation,
        aggregation=options.aggregation,
    )


def _timm(
    options: ExportOptions, size_px: tuple[int, int] | None, labels: tuple[str, ...]
) -> tuple[nn.Module, ModelSpec]:
    from edgevit.sources.from_timm import build_timm

    assert options.model is not None
    if not options.model.startswith(TIMM):
        raise _no_source(options.model)
    return build_timm(
        options.model.removeprefix(TIMM),
        task=options.task or Task.CLASSIFY,
        weights=cast(Literal["hub", "random"] | None, options.weights),
        checkpoint=options.checkpoint,
        entry=options.checkpoint_entry,
        seed=options.seed,
        num_classes=options.num_classes,
        in_channels=options.in_channels,
        input_size=size_px,
        batch=options.batch or 1,
        labels=labels,
    )


def _no_source(name: str) -> UsageError:
    from edgevit.network.variants import variants

    own = name if name.startswith("hf-hub:") else name.rpartition(":")[2]
    meant = f"--variant {name}" if name in variants() else f"--model {TIMM}{own}"
    return UsageError(f"--model '{name}' does not say whose it is: expected {TIMM}NAME", hint=meant)


def _module(
    options: ExportOptions, size_px: tuple[int, int] | None, labels: tuple[str, ...]
) -> tuple[nn.Module, ModelSpec]:
    from edgevit.sources.from_module import build_module

    assert options.module is not None
    return build_module(
        options.module,
        task=options.task,
        checkpoint=options.checkpoint,
        entry=options.checkpoint_entry,
        seed=options.seed,
        in_channels=options.in_channels,
        input_size=size_px,
        batch=options.batch,
        labels=labels,
    )


def _normalised(spec: ModelSpec, mean: _Numbers, std: _Numbers) -> ModelSpec:
    """``spec`` with another mean and deviation; what it says of resizing stays.

    Raises:
        UsageError: It takes no image, or one of another number of channels.
    """
    import msgspec

    from edgevit.network.describe import standard_preprocessing
    from edgevit.spec import Layout

    images = [tensor for tensor in spec.inputs if tensor.layout is not None]
    if len(images) != 1:
        raise UsageError(f"--mean and --std: {spec.name} takes no single image")
    _, *rest = images[0].shape
    channels, height, width = rest if images[0].layout is Layout.NCHW else (rest[2], rest[0], rest[1])
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise UsageError(
            f"--mean and --std have {len(mean)} and {len(std)} values: expected {channels}, deviations of more than 0"
        )
    changed: Preprocessing = (
        standard_preprocessing((height, width), mean, std)
        if spec.preprocessing is None
        else msgspec.structs.replace(spec.preprocessing, mean=mean, std=std)
    )
    return msgspec.structs.replace(spec, preprocessing=changed)
