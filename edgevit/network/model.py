"""``EdgeViT``: four stages of local-global-local blocks, state-dict compatible with the published code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.network.describe import IMAGENET_CLASSES, ModelRequest
from edgevit.network.layers import LglBlock, PatchEmbed, SparseAttention
from edgevit.network.variants import PATCH_STRIDES, VariantConfig
from edgevit.spec import Task


class EdgeViT(nn.Module):
    """The network of arXiv 2205.03436 as its published code has it.

    ``forward`` takes ``(B, in_channels, H, W)`` with H and W multiples of ``config.size_multiple`` and returns logits
    ``(B, num_classes)`` for ``Task.CLASSIFY``, or for ``Task.FEATURES`` the outputs of the four stages
    ``(B, channels[k], H / s, W / s)`` with s = 4, 8, 16, 32 (no normalisation after them).

    Args:
        config: The architecture.
        task: ``classify`` or ``features``; the latter has no ``norm`` and no ``head``.
        num_classes: Length of the logits.
        in_channels: Channels of the input image.
    """

    def __init__(
        self, config: VariantConfig, *, task: Task = Task.CLASSIFY, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.config = config
        self.task = task
        self.patch_embed1 = _embed(config, 0, in_channels)
        self.patch_embed2 = _embed(config, 1, config.channels[0])
        self.patch_embed3 = _embed(config, 2, config.channels[1])
        self.patch_embed4 = _embed(config, 3, config.channels[2])
        self.blocks1 = _blocks(config, 0)
        self.blocks2 = _blocks(config, 1)
        self.blocks3 = _blocks(config, 2)
        self.blocks4 = _blocks(config, 3)
        if task is Task.CLASSIFY:
            self.norm = nn.BatchNorm2d(config.channels[-1])
            self.head = nn.Linear(config.channels[-1], num_classes)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(B, in_channels, H, W)`` to logits ``(B, num_classes)``, or to the stages' outputs."""
        stage1 = self.blocks1(self.patch_embed1(image))  # (B, C1, H/4, W/4)
        stage2 = self.blocks2(self.patch_embed2(stage1))  # (B, C2, H/8, W/8)
        stage3 = self.blocks3(self.patch_embed3(stage2))  # (B, C3, H/16, W/16)
        stage4 = self.blocks4(self.patch_embed4(stage3))  # (B, C4, H/32, W/32)
        if self.task is Task.FEATURES:
            return stage1, stage2, stage3, stage4
        logits: Tensor = self.head(self.norm(stage4).flatten(2).mean(dim=-1))  # (B, num_classes)
        return logits


def _embed(config: VariantConfig, stage: int, in_channels: int) -> PatchEmbed:
    """The patch embedding in front of stage ``stage`` (0..3)."""
    return PatchEmbed(in_channels, config.channels[stage], PATCH_STRIDES[stage])


def _blocks(config: VariantConfig, stage: int) -> nn.Sequential:
    """The blocks of stage ``stage`` (0..3)."""
    return nn.Sequential(*(_block(config, stage) for _ in range(config.blocks[stage])))


def _block(config: VariantConfig, stage: int) -> LglBlock:
    """A block of stage ``stage`` (0..3)."""
    channels = config.channels[stage]
    attention = SparseAttention(
        channels, config.heads[stage], config.sample_rates[stage], config.delegate, config.propagation
    )
    aggregation = config.has_aggregation(stage)
    return LglBlock(channels, config.hidden_channels(stage), attention, aggregation=aggregation)


def empty_model(request: ModelRequest) -> EdgeViT:
    """The requested model on the meta device: names and shapes without numbers, and no random state is touched."""
    with torch.device("meta"):
        return EdgeViT(
            request.config,
            task=request.task,
            num_classes=request.num_classes or IMAGENET_CLASSES,
            in_channels=request.in_channels,
        )
