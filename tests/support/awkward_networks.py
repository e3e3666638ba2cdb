"""Small networks that do what careful ones do not: each a kind of forward that people write, with its spec."""

from __future__ import annotations

import dataclasses
import threading
import warnings

import torch
from small_models import PREPROCESSING, spec_of
from torch import Tensor, nn

from edgevit.spec import Layout, ModelSpec, TensorSpec
from export.eager.results import tensors_of

NETWORKS: dict[str, type[Net]] = {}


class Net(nn.Module):
    """A convolution and a head; what is awkward stands in ``between``."""

    dtype = "float32"

    def __init_subclass__(cls) -> None:
        NETWORKS[cls.__name__] = cls

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> object:
        return self.head(self.between(self.norm(self.conv(image)), image).mean((2, 3)))

    def between(self, y: Tensor, image: Tensor) -> Tensor:
        return y


class Residual(Net):
    def between(self, y: Tensor, image: Tensor) -> Tensor:
        identity = y * 0.5
        y = y.sigmoid()
        y += identity
        return torch.relu_(y)


class SlicesInPlace(Net):
    def between(self, y: Tensor, image: Tensor) -> Tensor:
        y[:, 0] += y[:, 1]
        y[:, :4].mul_(2)
        y[:, :, ::2] = y[:, :, 1::2] * 0.5
        return y


class DoubleBuffer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("k", torch.linspace(0.5, 1.5, 8, dtype=torch.float64)[:, None, None])

    def between(self, y: Tensor, image: Tensor) -> Tensor:
        y *= self.k
        return y


class WritesIntoItsInput(Net):
    def forward(self, image: Tensor) -> object:
        image.sub_(0.5).div_(0.25)
        return super().forward(image)


class ScratchBuffer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scratch", torch.zeros(1, 8, 16, 16))

    def between(self, y: Tensor, image: Tensor) -> Tensor:
        self.scratch.copy_(y)
        return self.scratch * 2


class CastsOutside(Net):
    def forward(self, image: Tensor) -> object:
        return super().forward(image.to(torch.float64).to(torch.float32)).to(torch.float32)


class FactoriesAndCasts(Net):
    def between(self, y: Tensor, image: Tensor) -> Tensor:
        line = torch.arange(16, dtype=torch.float32) / 15
        return y.float() * torch.tensor(0.3) + line @ torch.eye(16, dtype=torch.float32) + torch.zeros(16)


class AutocastOff(Net):
    def between(self, y: Tensor, image: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return y.float() * y.sigmoid()


class Pixels(Net):
    dtype = "uint8"

    def forward(self, image: Tensor) -> object:
        return super().forward(image / 255)


class InfiniteMask(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((16, 16), float("-inf")).triu(1))

    def between(self, y: Tensor, image: Tensor) -> Tensor:
        return y + (y + self.mask).softmax(-1)


class Cached(Net):
    def __init__(self) -> None:
        super().__init__()
        self.cache = {"scale": self.head.weight * 2}
        self.lock = threading.Lock()
        self.conv.register_forward_hook(self.doubled)

    def doubled(self, module: nn.Module, given: object, result: Tensor) -> Tensor:
        return result * 2

    def between(self, y: Tensor, image: Tensor) -> Tensor:
        with self.lock:
            return y * self.cache["scale"].mean(0)[:, None, None]


class Parametrised(Net):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(self.conv)
        self.head = nn.utils.parametrizations.spectral_norm(self.head)


class WeightNormOfOld(Net):
    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings(action="ignore"):
            self.conv = nn.utils.weight_norm(self.conv)


class Tied(Net):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 5)
        self.other.weight = self.head.weight

    def forward(self, image: Tensor) -> object:
        y = self.conv(image).mean((2, 3))
        return self.head(y) + self.other(y.relu())


@dataclasses.dataclass
class Answer:
    scores: Tensor
    loss: Tensor | None
    boxes: dict[str, Tensor]


class DataclassOfAll(Net):
    def forward(self, image: Tensor) -> object:
        y = self.conv(image)
        return Answer(self.head(y.mean((2, 3))), None, {"map": y.sigmoid()})


class WithoutBatch(Net):
    def forward(self, image: Tensor) -> object:
        logits = super().forward(image)
        anchors = torch.arange(12, dtype=torch.float32).reshape(4, 3)
        return logits, logits.abs().mean(), anchors * 2, self.head.weight.mean(1)


class SeveralTimesTheSame(Net):
    def forward(self, image: Tensor) -> object:
        logits = super().forward(image)
        return logits, logits, image, 3, None


class Whole(Net):
    """Classes as integers, and a mask of booleans."""

    def forward(self, image: Tensor) -> object:
        logits = super().forward(image)
        return logits, logits.argmax(1), logits > 100


def awkward(name: str, size_px: int = 16) -> tuple[nn.Module, ModelSpec]:
    """A network of ``NETWORKS`` and its spec."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    image = TensorSpec(name="image", shape=(1, 3, size_px, size_px), dtype=model.dtype, layout=Layout.NCHW)
    with torch.no_grad():
        results = tensors_of(model(torch.ones(image.shape, dtype=getattr(torch, model.dtype))))
    outputs = tuple(
        TensorSpec(name=f"out{i}", shape=tuple(each.shape), dtype=str(each.dtype).removeprefix("torch."))
        for i, each in enumerate(results)
    )
    return model, spec_of(f"awkward-{name.lower()}", (image,), outputs, preprocessing=PREPROCESSING)
