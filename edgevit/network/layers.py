"""The parts of an EdgeViT block: local aggregation, sparse global attention, local propagation (paper, Section 3.2).

The formulation is that of the published code, token for token: this is what ``--optimize none`` converts. Attribute
names are the checkpoint's names (``LocalAgg``, ``LocalProp``, ``fc1``...), so they do not follow this project's style.
Shapes stand at the line's end: C channels, H x W positions, N = H * W tokens, r sample rate, h = H / r, w = W / r.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.network.variants import Delegate, Propagation

TOKEN_NORM_EPS = 1e-6  # published code; PatchEmbed's norm keeps torch's 1e-5, as there


class PatchEmbed(nn.Module):
    """Convolution with kernel = stride s, then LayerNorm over channels."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.proj = nn.Conv2d(in_channels, channels, kernel_size=stride, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, Cin, H*s, W*s)`` to ``(B, C, H, W)``, float32 like every tensor here."""
        x = self.proj(x)  # (B, C, H, W)
        b, c, h, w = x.shape
        x = self.norm(x.flatten(2).transpose(1, 2))  # (B, N, C)
        return x.reshape(b, h, w, c).permute(0, 3, 1, 2).contiguous()  # (B, C, H, W)


class Ffn(nn.Module):
    """FFN of two layers: 1x1 convolutions over positions, or linear layers over tokens."""

    def __init__(self, layer: Callable[[int, int], nn.Module], channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = layer(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = layer(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` in and out for convolutions, ``(B, N, C)`` for linear layers."""
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class LocalAggregation(nn.Module):
    """Depthwise and pointwise convolutions gather each token's neighbourhood."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=1)
        self.attn = nn.Conv2d(channels, channels, kernel_size=5, padding=2, groups=channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = Ffn(partial(nn.Conv2d, kernel_size=1), channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` in and out."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def _sampler(delegate: Delegate, rate: int) -> nn.Module:
    """One token for each ``rate`` x ``rate`` window: ``(B, C, H, W)`` to ``(B, C, h, w)``."""
    if delegate is Delegate.AVG:
        return nn.AvgPool2d(rate, rate)
    if delegate is Delegate.MAX:
        return nn.MaxPool2d(rate, rate)
    return nn.AvgPool2d(1, rate)


class SparseAttention(nn.Module):
    """Self-attention among the delegates, then local propagation to their windows."""

    def __init__(self, channels: int, heads: int, rate: int, delegate: Delegate, propagation: Propagation) -> None:
        super().__init__()
        self.heads = heads
        self.rate = rate
        self.propagation = propagation
        self.scale = float((channels // heads) ** -0.5)
        self.qkv = nn.Linear(channels, channels * 3)
        self.proj = nn.Linear(channels, channels)
        if rate > 1:
            self.sampler = _sampler(delegate, rate)
        if rate > 1 and propagation is Propagation.TRANSPOSED_CONV:
            self.LocalProp = nn.ConvTranspose2d(channels, channels, kernel_size=rate, stride=rate, groups=channels)
        if rate > 1 and propagation is not Propagation.NONE:
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """``(B, N, C)`` in and out; N = height * width."""
        if self.rate == 1:
            out: Tensor = self.proj(self._attend(x))  # (B, N, C)
            return out
        b, _, c = x.shape
        x = self.sampler(x.transpose(1, 2).reshape(b, c, height, width))  # (B, C, h, w)
        x = self._attend(x.flatten(2).transpose(1, 2))  # (B, h*w, C)
        return self._propagate(x, height // self.rate, width // self.rate)  # (B, N, C)

    def _attend(self, x: Tensor) -> Tensor:
        """Multi-head self-attention without the output projection; ``(B, n, C)`` in and out."""
        b, n, c = x.shape
        qkv: Tensor = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, B, heads, n, C/heads)
        q, k, v = qkv[0], qkv[1], qkv[2]  # (B, heads, n, C/heads) each
        weights = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1)  # (B, heads, n, n)
        return (weights @ v).transpose(1, 2).reshape(b, n, c)  # (B, n, C)

    def _propagate(self, x: Tensor, height: int, width: int) -> Tensor:
        """From the delegates' tokens ``(B, h*w, C)`` to those of all positions ``(B, N, C)``, projected."""
        if self.propagation is Propagation.NONE:
            projected: Tensor = self.proj(x)  # (B, h*w, C)
            return spread(projected, height, width, self.rate)
        b, _, c = x.shape
        x = x.transpose(1, 2).reshape(b, c, height, width)  # (B, C, h, w)
        if self.propagation is Propagation.BILINEAR:
            size = (height * self.rate, width * self.rate)
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)  # (B, C, H, W)
        else:
            x = self.LocalProp(x)  # (B, C, H, W)
        out: Tensor = self.proj(self.norm(x.flatten(2).transpose(1, 2)))  # (B, N, C)
        return out


def spread(x: Tensor, height: int, width: int, rate: int) -> Tensor:
    """Put delegates' tokens ``(B, h*w, C)`` at their own positions among zeros: ``(B, N, C)``.

    Only pads and reshapes: scatter and strided assignment are no standard operators in every format.
    """
    b, _, c = x.shape
    x = F.pad(x, (0, (rate - 1) * c))  # (B, h*w, r*C): zeros behind each delegate in its row
    x = x.reshape(b, height, width * rate * c)
    x = F.pad(x, (0, (rate - 1) * width * rate * c))  # (B, h, r*W*C): rows of zeros below
    return x.reshape(b, height * rate * width * rate, c)


class GlobalBlock(nn.Module):
    """Positional convolution, sparse attention and FFN with residuals."""

    def __init__(self, channels: int, hidden: int, attention: SparseAttention) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels, eps=TOKEN_NORM_EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels, eps=TOKEN_NORM_EPS)
        self.mlp = Ffn(nn.Linear, channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` in and out."""
        x = x + self.pos_embed(x)
        b, c, h, w = x.shape
        x = x.flatten(2).transpose(1, 2)  # (B, N, C)
        x = x + self.attn(self.norm1(x), h, w)
        x = x + self.mlp(self.norm2(x))
        return x.transpose(1, 2).reshape(b, c, h, w)  # (B, C, H, W)


class LglBlock(nn.Module):
    """Local-global-local bottleneck (paper, Figure 2d)."""

    def __init__(self, channels: int, hidden: int, attention: SparseAttention, *, aggregation: bool) -> None:
        super().__init__()
        if aggregation:
            self.LocalAgg = LocalAggregation(channels, hidden)
        self.aggregation = aggregation
        self.SelfAttn = GlobalBlock(channels, hidden, attention)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` in and out."""
        if self.aggregation:
            x = self.LocalAgg(x)
        out: Tensor = self.SelfAttn(x)
        return out
