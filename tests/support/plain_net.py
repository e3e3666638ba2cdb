"""A very small network with its spec, for programs that a test runs in a process of its own."""

from __future__ import annotations

import torch
from torch import nn

from edgevit.spec import Layout, ModelSpec, Task, TensorSpec, Weights


def model() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return net.eval().requires_grad_(False)


def spec() -> ModelSpec:
    return ModelSpec(
        name="plain",
        variant="plain",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(1, 3, 16, 16), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(1, 5)),),
        weights=Weights(source="random", seed=0),
        num_classes=5,
    )
