"""A tiny network of each layer of ``torch.nn`` that a vision network could use, in the forms that make a difference."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

IMAGE, TOKENS, ROW, VOLUME = (1, 4, 8, 8), (1, 6, 8), (1, 4, 12), (1, 2, 4, 6, 6)


class _Of(nn.Module):
    """A function of layers and the input."""

    def __init__(self, function: Callable[[nn.ModuleDict, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.function = nn.ModuleDict(layers), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layers, x)


class Behind(nn.Module):
    """A layer behind a product, so that each input of the golden set arrives at it as another one."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape[1], shape[1], 1) if len(shape) == 4 else nn.Linear(shape[-1], shape[-1])
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.stem(x))


def build(name: str) -> tuple[nn.Module, Tensor]:
    """The network of ``LAYERS[name]`` in eval mode, with weights and statistics that do something, and an example."""
    torch.manual_seed(1)
    layer, shape = LAYERS[name]()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5)
        for kind, tensor in layer.named_buffers():
            if kind.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif kind.endswith("running_mean"):
                tensor.normal_()
    return Behind(layer, shape).eval(), torch.randn(shape)


def _self_attention(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["a"](x, x, x)[0]


def _unpooled(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["back"](*m["pool"](x))


Layer = tuple[nn.Module, tuple[int, ...]]
LAYERS: dict[str, Callable[[], Layer]] = {}
PLAIN = (
    "ELU", "Hardshrink", "Hardsigmoid", "Hardtanh", "Hardswish", "LeakyReLU", "LogSigmoid", "PReLU", "ReLU", "ReLU6",
    "RReLU", "SELU", "CELU", "GELU", "Sigmoid", "SiLU", "Mish", "Softplus", "Softshrink", "Softsign", "Tanh",
    "Tanhshrink", "Softmax2d", "Identity", "Dropout", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout", "Flatten",
)  # fmt: skip
LAYERS |= {name: lambda name=name: (getattr(nn, name)(), IMAGE) for name in PLAIN}  # type: ignore[misc]
LAYERS |= {
    "GELU tanh": lambda: (nn.GELU("tanh"), IMAGE),
    "Threshold": lambda: (nn.Threshold(0.1, 0.3), IMAGE),
    "GLU": lambda: (nn.GLU(1), IMAGE),
    "Softmin": lambda: (nn.Softmin(1), IMAGE),
    "Softmax": lambda: (nn.Softmax(1), IMAGE),
    "LogSoftmax": lambda: (nn.LogSoftmax(1), IMAGE),
    "BatchNorm1d": lambda: (nn.BatchNorm1d(4), ROW),
    "BatchNorm2d": lambda: (nn.BatchNorm2d(4), IMAGE),
    "BatchNorm3d": lambda: (nn.BatchNorm3d(2), VOLUME),
    "SyncBatchNorm": lambda: (nn.SyncBatchNorm(4), IMAGE),
    "InstanceNorm1d": lambda: (nn.InstanceNorm1d(4, affine=True), ROW),
    "InstanceNorm2d": lambda: (nn.InstanceNorm2d(4), IMAGE),
    "InstanceNorm2d tracked": lambda: (nn.InstanceNorm2d(4, affine=True, track_running_stats=True), IMAGE),
    "InstanceNorm3d": lambda: (nn.InstanceNorm3d(2), VOLUME),
    "GroupNorm": lambda: (nn.GroupNorm(2, 4), IMAGE),
    "LayerNorm": lambda: (nn.LayerNorm(8), IMAGE),
    "LayerNorm of three axes": lambda: (nn.LayerNorm([4, 8, 8]), IMAGE),
    "RMSNorm": lambda: (nn.RMSNorm(8), IMAGE),
    "LocalResponseNorm": lambda: (nn.LocalResponseNorm(3), IMAGE),
    "AvgPool2d of a divisor": lambda: (nn.AvgPool2d(2, divisor_override=3), IMAGE),
    "AvgPool2d without border": lambda: (nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "AvgPool2d rounded up": lambda: (nn.AvgPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "MaxPool2d rounded up": lambda: (nn.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "AdaptiveAvgPool2d uneven": lambda: (nn.AdaptiveAvgPool2d((3, 5)), IMAGE),
    "AdaptiveMaxPool2d uneven": lambda: (nn.AdaptiveMaxPool2d((3, 5)), IMAGE),
    "FractionalMaxPool2d": lambda: (nn.FractionalMaxPool2d(2, output_size=(4, 4)), IMAGE),
    "Conv2d reflect": lambda: (nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"), IMAGE),
    "Conv2d replicate": lambda: (nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate"), IMAGE),
    "Conv2d same, even": lambda: (nn.Conv2d(4, 3, (4, 3), padding="same", dilation=2), IMAGE),
    "PixelShuffle": lambda: (nn.PixelShuffle(2), IMAGE),
    "PixelUnshuffle": lambda: (nn.PixelUnshuffle(2), IMAGE),
    "ChannelShuffle": lambda: (nn.ChannelShuffle(2), IMAGE),
    "Fold": lambda: (nn.Fold((6, 6), 2, stride=2), (1, 16, 9)),
    "Fold overlapping": lambda: (nn.Fold((6, 6), 3, padding=1), (1, 18, 36)),
    "Unfold": lambda: (nn.Unfold(3, padding=1), IMAGE),
    "Unflatten": lambda: (nn.Unflatten(1, (2, 2)), IMAGE),
    "Upsample nearest": lambda: (nn.Upsample(scale_factor=2), IMAGE),
    "Upsample nearest to a size": lambda: (nn.Upsample(size=(11, 5)), IMAGE),
    "Upsample nearest-exact": lambda: (nn.Upsample(size=(11, 5), mode="nearest-exact"), IMAGE),
    "Upsample bilinear": lambda: (nn.Upsample(size=(11, 5), mode="bilinear"), IMAGE),
    "Upsample corners": lambda: (nn.Upsample(size=(11, 5), mode="bilinear", align_corners=True), IMAGE),
    "Upsample bicubic": lambda: (nn.Upsample(scale_factor=2, mode="bicubic"), IMAGE),
    "Upsample linear": lambda: (nn.Upsample(scale_factor=2, mode="linear"), ROW),
    "Upsample trilinear": lambda: (nn.Upsample(scale_factor=2, mode="trilinear"), VOLUME),
    "MultiheadAttention": lambda: (_Of(_self_attention, a=nn.MultiheadAttention(8, 2, batch_first=True)), TOKENS),
    "TransformerEncoderLayer": lambda: (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), TOKENS),
    "TransformerDecoderLayer": lambda: (
        _Of(lambda m, x: m["d"](x, x), d=nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)), TOKENS
    ),
    "Linear": lambda: (nn.Linear(8, 3), TOKENS),
    "Bilinear": lambda: (_Of(lambda m, x: m["b"](x, x), b=nn.Bilinear(8, 8, 3)), TOKENS),
    "CosineSimilarity": lambda: (_Of(lambda m, x: m["c"](x, x.flip(1) + 0.2), c=nn.CosineSimilarity()), IMAGE),
}  # fmt: skip
OVER = {1: ROW, 2: IMAGE, 3: VOLUME}
POOLS = ("MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool")
BORDERS = ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad")


def _of_axes(axes: int) -> dict[str, Callable[[], Layer]]:
    shape = OVER[axes]

    def layer(name: str, *args: object, **kwargs: object) -> Callable[[], Layer]:
        return lambda: (getattr(nn, f"{name}{axes}d")(*args, **kwargs), shape)

    def unpooling() -> Layer:
        pool = getattr(nn, f"MaxPool{axes}d")(2, return_indices=True)
        return _Of(_unpooled, pool=pool, back=getattr(nn, f"MaxUnpool{axes}d")(2)), shape

    return {
        **{f"{name}{axes}d": layer(name, 2) for name in POOLS},
        **{f"{name}{axes}d": layer(name, 1) for name in BORDERS},
        f"LPPool{axes}d": layer("LPPool", 2, 2),
        f"ConstantPad{axes}d": layer("ConstantPad", 1, 0.5),
        f"Conv{axes}d": layer("Conv", shape[1], 3, 3),
        f"Conv{axes}d same": layer("Conv", shape[1], 3, 3, padding="same"),
        f"Conv{axes}d circular": layer("Conv", shape[1], 3, 3, padding=1, padding_mode="circular"),
        f"ConvTranspose{axes}d": layer("ConvTranspose", shape[1], 3, 2, 2),
        f"MaxUnpool{axes}d": unpooling,
    }


for _axes in OVER:
    LAYERS |= _of_axes(_axes)
