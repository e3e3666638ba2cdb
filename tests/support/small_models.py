"""Two small networks that are no EdgeViT, and a small EdgeViT, with their specs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.network.model import EdgeViT
from edgevit.network.variants import find_variant
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights

PREPROCESSING = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), resize_px=36, crop_px=(32, 32))


class ConvNet(nn.Module):
    """conv, batch norm, relu, max pool, linear: ``(N, 3, 32, 32)`` to ``(N, 10)``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(4)
        self.head = nn.Linear(8 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.stem(x)).flatten(1))


class TwoInputs(nn.Module):
    """An image and a vector in, two outputs out; nothing about the names matches the spec's."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Conv2d(3, 4, 3, stride=2)
        self.mix = nn.Linear(4 + 5, 6)

    def forward(self, picture: Tensor, hints: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.encode(picture).mean(dim=(2, 3))
        mixed = self.mix(torch.cat([pooled, hints], dim=1))
        return mixed, mixed.softmax(dim=-1)


def conv_net(batch: int = 1, *, seed: int = 0) -> tuple[ConvNet, ModelSpec]:
    """A ``ConvNet`` whose batch norm does something, and its spec."""
    torch.manual_seed(seed)
    model = ConvNet().eval()
    with torch.no_grad():
        model.stem[1].running_mean.uniform_(-0.5, 0.5)
        model.stem[1].running_var.uniform_(0.5, 2.0)
    return model, spec_of(
        "conv-net",
        (TensorSpec(name="image", shape=(batch, 3, 32, 32), layout=Layout.NCHW),),
        (TensorSpec(name="logits", shape=(batch, 10)),),
        seed=seed,
        preprocessing=PREPROCESSING,
    )


def two_inputs(batch: int = 1) -> tuple[TwoInputs, ModelSpec]:
    """A ``TwoInputs`` and its spec."""
    torch.manual_seed(1)
    inputs = (
        TensorSpec(name="image", shape=(batch, 3, 16, 16), layout=Layout.NCHW),
        TensorSpec(name="context", shape=(batch, 5)),
    )
    outputs = (TensorSpec(name="scores", shape=(batch, 6)), TensorSpec(name="shares", shape=(batch, 6)))
    return TwoInputs().eval(), spec_of("two-inputs", inputs, outputs, seed=1)


def edgevit_xxs(task: Task, size_px: int = 32) -> tuple[EdgeViT, ModelSpec]:
    """EdgeViT-XXS with random weights for a small square image, and its spec."""
    torch.manual_seed(0)
    config = find_variant("xxs")
    if task is Task.CLASSIFY:
        outputs: tuple[TensorSpec, ...] = (TensorSpec(name="logits", shape=(1, 1000)),)
    else:
        outputs = tuple(
            TensorSpec(name=f"stage{k + 1}", shape=(1, channels, size_px >> k + 2, size_px >> k + 2))
            for k, channels in enumerate(config.channels)
        )
    image = TensorSpec(name="image", shape=(1, 3, size_px, size_px), layout=Layout.NCHW)
    return EdgeViT(config, task=task).eval(), spec_of("edgevit-xxs", (image,), outputs)


def spec_of(
    name: str,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    *,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
) -> ModelSpec:
    """A classification spec with random weights."""
    return ModelSpec(
        name=name,
        variant=name,
        task=Task.CLASSIFY,
        inputs=inputs,
        outputs=outputs,
        weights=Weights(source="random", seed=seed),
        preprocessing=preprocessing,
    )
