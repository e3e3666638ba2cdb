"""Parameters and multiply-adds of an EdgeViT by arithmetic, so that ``models`` answers at once and without torch.

The tests hold every count against the network itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgevit.network.describe import IMAGENET_CLASSES, ModelRequest, check_input_size
from edgevit.network.variants import PATCH_STRIDES, STAGE_STRIDES, STAGES, Propagation, VariantConfig
from edgevit.paper import EnergyRow, LatencyRow, paper_tables, reported
from edgevit.records import Record
from edgevit.spec import Task


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
    """Count the requested model, for one image whatever the batch.

    Raises:
        UsageError: The input size does not fit the variant.
    """
    check_input_size(request.config, request.input_size)
    parts = [_stage(request, stage) for stage in range(STAGES)]
    if request.num_classes is not None:
        width = request.config.channels[-1]
        parts += [_norms(1, width), _product(width, request.num_classes, positions=1)]
    return _total(parts)


def _total(parts: Sequence[Complexity]) -> Complexity:
    """The sum of several parts."""
    return Complexity(
        parameters=sum(part.parameters for part in parts), multiply_adds=sum(part.multiply_adds for part in parts)
    )


def _product(inputs: int, outputs: int, *, positions: int) -> Complexity:
    """A linear layer or 1x1 convolution with bias at ``positions`` positions."""
    return Complexity(parameters=inputs * outputs + outputs, multiply_adds=inputs * outputs * positions)


def _depthwise(channels: int, kernel: int, *, positions: int) -> Complexity:
    """A depthwise convolution with bias; ``positions`` are those that its kernel is laid on."""
    return _product(kernel * kernel, channels, positions=positions)


def _stage(request: ModelRequest, stage: int) -> Complexity:
    """The patch embedding and the blocks of stage ``stage`` (0..3)."""
    config = request.config
    height, width = (side // STAGE_STRIDES[stage] for side in request.input_size)
    inputs = config.channels[stage - 1] if stage else request.in_channels
    channels = config.channels[stage]
    embed = _product(inputs * PATCH_STRIDES[stage] ** 2, channels, positions=height * width)
    block = [*_local(config, stage, height * width), *_global(config, stage, height * width)]
    return _total([embed, _norms(1, channels), *block * config.blocks[stage]])


def _norms(count: int, channels: int) -> Complexity:
    """Scales and shifts of normalisations; they are not counted as multiply-adds."""
    return Complexity(parameters=2 * count * channels, multiply_adds=0)


def _ffn(config: VariantConfig, stage: int, positions: int) -> list[Complexity]:
    """The two products of a feed-forward network."""
    channels, hidden = config.channels[stage], config.hidden_channels(stage)
    return [_product(channels, hidden, positions=positions), _product(hidden, channels, positions=positions)]


def _local(config: VariantConfig, stage: int, positions: int) -> list[Complexity]:
    """Local aggregation of one block, where the stage has it."""
    if not config.has_aggregation(stage):
        return []
    channels = config.channels[stage]
    return [
        _depthwise(channels, 3, positions=positions),
        _depthwise(channels, 5, positions=positions),
        *[_product(channels, channels, positions=positions)] * 2,
        _norms(2, channels),
        *_ffn(config, stage, positions),
    ]


def _global(config: VariantConfig, stage: int, positions: int) -> list[Complexity]:
    """Sparse attention, local propagation and FFN of one block."""
    channels, rate = config.channels[stage], config.sample_rates[stage]
    delegates = positions // rate**2
    projected = delegates if config.propagation is Propagation.NONE else positions
    parts = [
        _depthwise(channels, 3, positions=positions),
        _product(channels, 3 * channels, positions=delegates),
        Complexity(parameters=0, multiply_adds=2 * delegates**2 * channels),  # q @ k and weights @ v
        _product(channels, channels, positions=projected),
        _norms(2, channels),
        *_ffn(config, stage, positions),
    ]
    if rate > 1 and config.propagation is Propagation.TRANSPOSED_CONV:
        parts.append(_depthwise(channels, rate, positions=delegates))
    if rate > 1 and config.propagation is not Propagation.NONE:
        parts.append(_norms(1, channels))
    return parts


def summarise(config: VariantConfig, input_size: tuple[int, int]) -> VariantSummary:
    """The configuration as an ImageNet classifier, with the paper's figures beside our counts.

    Raises:
        UsageError: The input size, (height, width) in pixels, does not fit the variant.
    """
    request = ModelRequest(
        config=config, task=Task.CLASSIFY, num_classes=IMAGENET_CLASSES, in_channels=3, input_size=input_size, batch=1
    )
    tables = paper_tables()
    name = None if config.options() else config.paper_model
    return VariantSummary(
        config=config,
        task=request.task,
        num_classes=request.num_classes,
        input_size=input_size,
        complexity=complexity(request),
        paper_latency=None if name is None else reported(2, tables.table_2, name),
        paper_energy=None if name is None else reported(3, tables.table_3, name),
    )
