"""Parameters and multiply-adds, counted on the network itself (on the meta device, so no number is computed)."""

from __future__ import annotations

from collections.abc import Iterable

from edgevit.choices import parse_choice
from edgevit.describe import IMAGENET_CLASSES, ModelRequest, check_input_size
from edgevit.paper import EnergyRow, LatencyRow, energy_row, latency_row
from edgevit.records import Record
from edgevit.spec import Task
from edgevit.variants import VariantConfig, variants


class Complexity(Record):
    """Size and cost of one model for one image.

    ``multiply_adds`` counts convolutions, linear layers and the two matrix products of attention; norms,
    activations, softmax, pooling and interpolation are left out, as the paper does (its "FLOPs" are these).
    """

    parameters: int
    multiply_adds: int


class VariantSummary(Record):
    """What ``models`` lists for one variant. The paper's rows are None where it does not report the architecture."""

    config: VariantConfig
    task: Task
    num_classes: int | None
    input_size: tuple[int, int]
    complexity: Complexity
    paper_latency: LatencyRow | None = None
    paper_energy: EnergyRow | None = None


def complexity(request: ModelRequest) -> Complexity:
    """Count the requested model.

    Raises:
        UsageError: The input size does not fit the variant.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from edgevit.network import empty_model

    check_input_size(request.config, request.input_size)
    model = empty_model(request).eval()
    image = torch.empty(1, request.in_channels, *request.input_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(parameters=parameters, multiply_adds=counter.get_total_flops() // 2)


def summarise(
    configs: Iterable[VariantConfig] | None = None,
    *,
    task: Task | str = Task.CLASSIFY,
    num_classes: int | None = None,
    in_channels: int = 3,
    input_size: tuple[int, int] = (224, 224),
) -> tuple[VariantSummary, ...]:
    """One record for each configuration (None: the built-in variants), with the paper's figures beside our counts.

    Raises:
        UsageError: The input size does not fit a variant.
    """
    task = parse_choice("task", Task, task)
    classes = None if task is Task.FEATURES else num_classes or IMAGENET_CLASSES
    return tuple(
        _summary(
            ModelRequest(
                config=config,
                task=task,
                num_classes=classes,
                in_channels=in_channels,
                input_size=input_size,
                batch=1,
            )
        )
        for config in (variants().values() if configs is None else configs)
    )


def _summary(request: ModelRequest) -> VariantSummary:
    """Count one variant and put the paper's rows beside it."""
    name = None if request.config.options() else request.config.paper_model
    return VariantSummary(
        config=request.config,
        task=request.task,
        num_classes=request.num_classes,
        input_size=request.input_size,
        complexity=complexity(request),
        paper_latency=None if name is None else latency_row(name),
        paper_energy=None if name is None else energy_row(name),
    )
