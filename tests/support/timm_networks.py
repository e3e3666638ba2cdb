"""Networks of other people, as data: small forms of many families for tests, built from timm with weights at random."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torchvision_operators
from small_models import spec_of
from torch import Tensor, nn

from edgevit.spec import Layout, ModelSpec, TensorSpec

_ = torchvision_operators  # timm is imported below


@dataclass(frozen=True)
class Network:
    """``name`` and ``options`` as ``timm.create_model`` takes them; ``size`` in pixels, small for tests."""

    name: str
    family: str
    size: int = 64
    options: dict[str, object] = field(default_factory=dict)


def build(network: Network, *, classes: int = 10, seed: int = 0) -> tuple[nn.Module, ModelSpec]:
    """The network in eval mode with every constant of its initialisation at random, and its spec."""
    import timm

    torch.manual_seed(seed)
    model = timm.create_model(network.name, num_classes=classes, **network.options).eval().requires_grad_(False)
    randomise_constants(model, seed)
    image = TensorSpec(name="image", shape=(1, 3, network.size, network.size), layout=Layout.NCHW)
    return model, spec_of(network.name, (image,), (TensorSpec(name="logits", shape=(1, classes)),), seed=seed)


def randomise_constants(model: nn.Module, seed: int) -> None:
    """Draw anew what an initialisation leaves constant: biases, norms, statistics, layer scales, gates, positions.

    Zeros and ones hide what a pass may forget, and a branch that ends in a zero may be deleted whole.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if not tensor.is_floating_point() or not tensor.numel() or bool((tensor != tensor.flatten()[0]).any()):
            continue
        _draw(name, tensor, generator)


def _draw(name: str, tensor: Tensor, generator: torch.Generator) -> None:
    with torch.no_grad():
        if name.endswith("running_var") or float(tensor.flatten()[0]) > 0:  # scales, the tiny ones of layers included
            tensor.uniform_(0.5, 1.5, generator=generator)
        else:
            tensor.normal_(0, 0.1, generator=generator)
