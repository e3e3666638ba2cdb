"""int8 of modules that a network uses several times, and of equal layers: every call, with weights stored once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit_export import export, spec_for
from export.artifact import Manifest
from export.int8.record import Scheme
from export.manifest import load_manifest, manifest_path
from export.recipe import Format, Optimize, Precision, Recipe

SIDE, WIDTH = 16, 40
FLOAT, WEIGHTS, DYNAMIC, STATIC = Scheme.FLOAT, Scheme.WEIGHTS, Scheme.DYNAMIC, Scheme.STATIC
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Twice(nn.Module):
    """A linear layer that reads values up to some 20, and what it made of them, up to 1; or two that are equal."""

    def __init__(self, *, equal: bool = False) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem, self.fc, self.head = nn.Conv2d(3, WIDTH, 4, 4), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 7)
        self.stem.weight.data *= 12
        self.again = copy.deepcopy(self.fc) if equal else self.fc

    def forward(self, image: Tensor) -> Tensor:
        x = torch.sigmoid(self.fc(self.stem(image).flatten(2).transpose(1, 2)))
        scores: Tensor = self.head(torch.sigmoid(self.again(x)).mean(1))
        return scores


class Levels(nn.Module):
    """A tower of convolutions over two levels of an image, its last one the network's outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 2, 1)
        self.tower, self.boxes = nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 4, 3, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        large = self.first(image).relu()
        levels = large, self.second(large).relu()
        return tuple(self.boxes(torch.sigmoid(self.tower(level))) for level in levels)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "twice": (Twice, "fc"),
    "equal": (lambda: Twice(equal=True), "fc"),
    "levels": (Levels, "tower"),
}
"""Each network, and the module whose weights two of its layers have."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images as dark and as bright as those that exports are verified on."""
    made = np.random.default_rng(0)
    blocks = made.normal(size=(24, 3, 4, 4)).repeat(4, 2).repeat(4, 3)
    values = 3 * made.normal(size=(24, 3, 1, 1)) + blocks + 0.3 * made.normal(size=(24, 3, SIDE, SIDE))
    path = tmp_path_factory.mktemp("images") / "calibration.npz"
    np.savez(path, image=values.astype(np.float32))
    return path


def exported(model: nn.Module, recipe: Recipe, output: Path, images: Path | None) -> tuple[Manifest, bytes]:
    """What an export with its verification leaves."""
    spec = spec_for(model, torch.zeros(1, 3, SIDE, SIDE), input_names=["image"], name="network")
    report = export(model, spec, recipe, output=output, calibration_data=images)
    assert report.passed, report.outcomes[0].reasons
    path = Path(report.outcomes[0].file or "")
    return load_manifest(manifest_path(path)), path.read_bytes()


def times_stored(data: bytes, weight: Tensor) -> int:
    """How often a file holds the int8 weights of a layer, in any order of axes that a format has."""
    values = weight.detach().numpy()
    scale = np.abs(values).reshape(len(values), -1).max(1).reshape(-1, *[1] * (values.ndim - 1)) / np.float32(127)
    steps = np.rint(values / scale).astype(np.int8)
    orders = [(0, 1), (1, 0)] if values.ndim == 2 else [(0, 1, 2, 3), (0, 2, 3, 1)]
    return sum(data.count(np.ascontiguousarray(steps.transpose(order)).tobytes()) for order in orders)


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("format", list(Format))
def test_every_call_is_int8_and_the_weights_are_stored_once(
    format: Format, name: str, static: bool, images: Path, tmp_path: Path
) -> None:
    network, shared = NETWORKS[name]
    model = network().eval()
    recipe = Recipe(format=format, precision=Precision.INT8)
    manifest, data = exported(model, recipe, tmp_path, images if static else None)
    assert manifest.quantization is not None
    weight = model.get_submodule(shared).weight
    assert isinstance(weight, Tensor)
    layers = [layer for layer in manifest.quantization.layers if layer.module in {shared, "again"}]
    assert [layer.weights for layer in layers] == [weight.numel(), 0]
    assert FLOAT not in {layer.scheme for layer in manifest.quantization.layers}
    if static and (name, format) != ("levels", Format.ONNX):
        assert {layer.scheme for layer in layers} == {STATIC}
    assert times_stored(data, weight) == 1


@pytest.mark.parametrize("format", list(Format))
def test_equal_layers_that_nothing_merged_are_int8_too(format: Format, tmp_path: Path) -> None:
    model = Twice(equal=True).eval()
    recipe = Recipe(format=format, precision=Precision.INT8, optimize=Optimize.NONE)
    manifest, data = exported(model, recipe, tmp_path, None)
    assert manifest.quantization is not None
    assert [layer.weights for layer in manifest.quantization.layers if layer.module in {"fc", "again"}] == [1600, 0]
    assert times_stored(data, model.fc.weight) == 1


@pytest.mark.parametrize("format", list(Format))
def test_one_call_may_stay_float(format: Format, tmp_path: Path) -> None:
    """Its weights then stand in the file in float beside those of the other one in int8."""
    model = Twice().eval()
    recipe = Recipe(format=format, precision=Precision.INT8, optimize=Optimize.NONE, keep_float=("linear_1",))
    manifest, data = exported(model, recipe, tmp_path, None)
    assert manifest.quantization is not None
    layers = [layer for layer in manifest.quantization.layers if layer.module in {"fc", "again"}]
    assert [(layer.scheme, layer.weights) for layer in layers] == [(DYNAMIC, 1600), (FLOAT, 1600)]
    values = model.fc.weight.detach().numpy()
    assert times_stored(data, model.fc.weight) == 1
    assert data.count(values.tobytes()) + data.count(np.ascontiguousarray(values.T).tobytes()) == 1
