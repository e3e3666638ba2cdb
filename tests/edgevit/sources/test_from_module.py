"""From a user's code to a module and its specification."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edgevit.errors import CheckpointError, UsageError
from edgevit.sources.digest import weights_sha256
from edgevit.sources.from_module import build_module
from edgevit.spec import Layout, Preprocessing, Task, TensorSpec

CODE = """
import torch
from torch import nn
from edgevit_export import Layout, ModelSpec, Task, TensorSpec, Weights

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head, self.drop = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.Dropout()
    def forward(self, pixels):
        return self.head(self.drop(self.conv(pixels).mean((2, 3))))

def make():
    return Net()
def grey():
    net = Net(); net.conv = nn.Conv2d(1, 4, 3); return net
def described():
    tensor = TensorSpec(name="x", shape=(2, 3, 8, 8), layout=Layout.NCHW)
    out = TensorSpec(name="y", shape=(2, 5))
    return Net(), ModelSpec(name="own", variant="mine", task=Task.CLASSIFY, inputs=(tensor,), outputs=(out,),
                            weights=Weights(source="random", seed=3), num_classes=5, options={"depth": "1"})
def number(): return 3
def pair(): return Net(), "a spec"
def scripted(): return torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3)))
def double(): return Net().double()
def compiled(): return torch.compile(Net())
def get_model(): return Net()
"""
ARGS = "def get_args():\n    return (torch.zeros(2, 3, 12, 10),)\n"


@pytest.fixture(autouse=True)
def paths_as_they_were() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path / "net.py"


def test_a_factory_makes_a_module_that_takes_one_image(file: Path) -> None:
    model, spec = build_module(f"{file}:make", input_size=(16, 20), batch=2)
    assert spec.name == "net-make-batch2-16x20"
    assert spec.variant == "module:net:make"
    assert spec.inputs == (TensorSpec(name="pixels", shape=(2, 3, 16, 20), layout=Layout.NCHW),)
    assert spec.outputs == (TensorSpec(name="logits", shape=(2, 5)),)
    assert spec.weights.source == "module" and spec.weights.sha256 == weights_sha256(model)
    assert spec.options.keys() == {"file", "file_sha256", "seed", "inputs"} and spec.options["file"] == "net.py"
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())


def test_the_same_seed_gives_the_same_weights_and_no_global_state_moves(file: Path) -> None:
    state = torch.random.get_rng_state()
    one, same, other = (build_module(f"{file}:make", seed=seed, input_size=(8, 8))[1] for seed in (1, 1, 2))
    assert one.weights == same.weights != other.weights
    assert torch.equal(torch.random.get_rng_state(), state)


def test_files_as_the_converter_of_litert_takes_them(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CODE + ARGS)
    _, spec = build_module(str(tmp_path / "net.py"))
    assert (spec.name, spec.inputs[0].shape) == ("net-batch2-12x10", (2, 3, 12, 10))
    with pytest.raises(UsageError, match=r"an input size, a batch beside get_args\(\)"):
        build_module(str(tmp_path / "net.py"), input_size=(8, 8), batch=1)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("7", "int"),
        ("{'x': torch.zeros(1)}", "dict"),
        ("(torch.zeros(1, 3, 8, 8), 3)", r"tuple \(Tensor, int\)"),
        ("((torch.zeros(1),), {})", r"tuple \(tuple, dict\)"),
    ],
)
def test_arguments_that_are_none(tmp_path: Path, returned: str, words: str) -> None:
    (tmp_path / "net.py").write_text(f"{CODE}def get_args(): return {returned}\n")
    with pytest.raises(UsageError, match=rf"get_args\(\) returns {words}, expected a tuple of tensors"):
        build_module(str(tmp_path / "net.py"))


def test_a_specification_of_ones_own_is_kept(file: Path) -> None:
    _, spec = build_module(f"{file}:described")
    assert (spec.name, spec.variant, spec.inputs[0].name) == ("own", "module:net:described", "x")
    assert spec.options["depth"] == "1" and spec.weights.source == "random"
    with pytest.raises(UsageError, match="a batch, labels beside a ModelSpec"):
        build_module(f"{file}:described", batch=2, labels=["a"])


def test_labels_preprocessing_and_task_are_put_in(file: Path) -> None:
    given = Preprocessing(mean=(0.5,), std=(0.5,), resize_px=16, crop_px=(16, 16), color_order="gray")
    _, spec = build_module(
        f"{file}:grey", in_channels=1, input_size=(16, 16), labels=list("abcde"), preprocessing=given, task="classify"
    )
    assert (spec.labels, spec.preprocessing, spec.task) == (tuple("abcde"), given, Task.CLASSIFY)


def test_a_checkpoint_goes_into_the_module(file: Path, tmp_path: Path) -> None:
    trained, _ = build_module(f"{file}:make", seed=9, input_size=(8, 8))
    torch.save({"model": trained.state_dict()}, tmp_path / "w.pth")
    model, spec = build_module(f"{file}:make", checkpoint=tmp_path / "w.pth", input_size=(8, 8))
    assert (spec.weights.source, spec.weights.file, spec.weights.entry) == ("checkpoint", "w.pth", "model")
    assert torch.equal(model.head.weight, trained.head.weight)
    with pytest.raises(CheckpointError, match=r"w.pth does not fit module:net:grey: .*conv.weight"):
        build_module(f"{file}:grey", checkpoint=tmp_path / "w.pth", in_channels=1)


@pytest.mark.parametrize(
    ("factory", "options", "words"),
    [
        ("number", {}, r"number\(\) of net.py returns int, expected a torch.nn.Module"),
        ("scripted", {}, r"scripted\(\) of net.py returns a module that torch.jit has compiled"),
        ("double", {"input_size": (12, 12)}, r"Net is float64 \(conv.weight, conv.bias, head.weight\): an artifact is"),
        ("pair", {}, r"returns \(Net, str\), expected"),
        ("make", {"entry": "ema"}, "checkpoint entry 'ema' was asked for"),
        ("make", {"in_channels": 1}, r"Net fails on inputs of shape \(1, 1, 224, 224\): .*net.py:11, in forward"),
        ("make", {"file_sha256": "0" * 64}, "nothing of it was run"),
    ],
)
def test_what_makes_no_network(file: Path, factory: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_module(f"{file}:{factory}", **options)  # type: ignore[arg-type]


def test_what_torch_compiled_is_the_module_inside(file: Path) -> None:
    model, spec = build_module(f"{file}:compiled", input_size=(12, 12))
    assert type(model).__name__ == "Net"
    assert not any("_orig_mod" in name for name in model.state_dict())
    assert spec.outputs[0].shape == (1, 5)


def test_a_module_of_a_package_is_called_by_its_whole_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_nets").mkdir()
    (tmp_path / "own_nets" / "small.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    spec = build_module("own_nets.small:make", input_size=(12, 12))[1]
    assert (spec.name, spec.variant) == ("own_nets-small-make-12x12", "module:own_nets-small:make")
