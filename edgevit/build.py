"""From a request to a model in eval mode and its ``ModelSpec``: the one door into this room."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import MissingDependencyError, UsageError, parse_choice
from edgevit.network.describe import IMAGENET_CLASSES, ModelRequest, check_counts, check_input_size, model_spec
from edgevit.network.variants import Delegate, Propagation, VariantConfig, find_variant
from edgevit.spec import ModelSpec, Preprocessing, Task, Weights

if TYPE_CHECKING:
    from torch import Tensor

    from edgevit.checkpoint.load import Checkpoint
    from edgevit.network.model import EdgeViT


def build_model(
    variant: str | VariantConfig,
    *,
    task: Task | str = Task.CLASSIFY,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: tuple[int, int] = (224, 224),
    batch: int = 1,
    checkpoint: Path | str | None = None,
    entry: str | None = None,
    seed: int = 0,
    labels: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    delegate: Delegate | str | None = None,
    propagation: Propagation | str | None = None,
    aggregation: bool | None = None,
) -> tuple[EdgeViT, ModelSpec]:
    """An EdgeViT in eval mode, without gradients, that takes ``(batch, in_channels, H, W)`` float32; its specification.

    Args:
        variant: Name of a built-in variant, or a configuration (``edgevit.network.config_file.read_config``).
        task: ``classify`` or ``features``.
        num_classes: Length of the logits; None takes it from the checkpoint's head, or 1000 without a checkpoint.
        in_channels: Channels of the image; None takes them from the checkpoint, or 3 without a checkpoint.
        input_size: (height, width) in pixels, multiples of ``VariantConfig.size_multiple``.
        batch: Images per run.
        checkpoint: Weights file; None gives random weights.
        entry: Which weights in the checkpoint to take (``model_ema``, ``teacher``...); None as in ``find_weights``.
        seed: Seed of the random weights; unused with a checkpoint.
        labels: One name per class.
        preprocessing: Overrides ImageNet's.
        delegate: Ablation (paper, Table 4b); None keeps the configuration's, as with the next two.
        propagation: Ablation (paper, Table 4c).
        aggregation: Ablation (paper, Table 4a).

    Raises:
        UsageError: Unknown variant, impossible size or number, labels that do not fit.
        CheckpointError: The weights file cannot be used for this model.
        MissingDependencyError: torch is not installed.
    """
    _require_torch()
    task = parse_choice("task", Task, task)
    config = _configured(variant, delegate, propagation, aggregation)
    check_input_size(config, input_size)
    check_counts(task, num_classes, in_channels, batch)
    loaded = _read(checkpoint, entry, config)
    request = _request(config, task, num_classes, in_channels, input_size, batch, loaded)
    weights = loaded.weights if loaded else Weights(source="random", seed=seed)
    spec = model_spec(request, weights, labels=labels, preprocessing=preprocessing)
    return _with_weights(request, loaded, seed), spec


def _require_torch() -> None:
    """Refuse early where there is no torch.

    Raises:
        MissingDependencyError: Names the extra that brings it.
    """
    if find_spec("torch") is None:
        raise MissingDependencyError("cannot build a model: torch is not installed", extra="ptl")


def _configured(
    variant: str | VariantConfig,
    delegate: Delegate | str | None,
    propagation: Propagation | str | None,
    aggregation: bool | None,
) -> VariantConfig:
    """The variant with the ablation options that were asked for."""
    config = find_variant(variant) if isinstance(variant, str) else variant
    return config.with_options(
        delegate=None if delegate is None else parse_choice("delegate", Delegate, delegate),
        propagation=None if propagation is None else parse_choice("propagation", Propagation, propagation),
        aggregation=aggregation,
    )


def _read(checkpoint: Path | str | None, entry: str | None, config: VariantConfig) -> Checkpoint | None:
    """The checkpoint's tensors, or None without a checkpoint."""
    if checkpoint is None and entry is not None:
        raise UsageError(f"checkpoint entry '{entry}' was asked for, but no checkpoint was given")
    if checkpoint is None:
        return None
    from edgevit.checkpoint.load import read_checkpoint

    return read_checkpoint(checkpoint, entry=entry, config=config)


def _request(
    config: VariantConfig,
    task: Task,
    num_classes: int | None,
    in_channels: int | None,
    input_size: tuple[int, int],
    batch: int,
    loaded: Checkpoint | None,
) -> ModelRequest:
    """What is built; classes and input channels as asked for, else the checkpoint's, else ImageNet's."""
    classes = loaded.classes(num_classes) if loaded else num_classes or IMAGENET_CLASSES
    return ModelRequest(
        config=config,
        task=task,
        num_classes=None if task is Task.FEATURES else classes,
        in_channels=loaded.input_channels(in_channels) if loaded else in_channels or 3,
        input_size=input_size,
        batch=batch,
    )


def _with_weights(request: ModelRequest, loaded: Checkpoint | None, seed: int) -> EdgeViT:
    """The requested model with its weights in place."""
    from edgevit.network.initialise import random_state
    from edgevit.network.model import empty_model

    model = empty_model(request)
    state: dict[str, Tensor] = random_state(model, seed) if loaded is None else loaded.state_for(request, model)
    model.load_state_dict(state, strict=True, assign=True)
    return model.requires_grad_(False).eval()
