"""The first layer where outputs part: single weights are corrupted in real files, and the module must be named."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_sessions import FunctionSession, golden_set
from small_artifacts import SmallNet, corrupt_weight, small_golden, small_net, write_artifact

from edgevit.spec import Layout, TensorSpec
from export.artifact import Manifest
from export.fingerprint import TraceFingerprint, fingerprint, marginals, statistics
from export.recipe import Format
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session
from validation.artifact.divergence import (
    Divergence,
    find_divergence,
    first_parting,
    informative,
    match_module,
    module_in_name,
)
from validation.artifact.limits import Limits
from validation.artifact.parity import compare, compare_answers

Traced = dict[str, np.ndarray]

MODULES = [
    ("blocks.0.project.bias", "blocks.0.project"),
    ("blocks.1.expand.bias", "blocks.1.expand"),
    ("blocks.2.project.bias", "blocks.2.project"),
    ("head.bias", "head"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("artifacts")
    for format in (Format.ONNX, Format.TFLITE):
        write_artifact(directory / format, format)
    write_artifact(directory / "nhwc", Format.TFLITE, layout=Layout.NHWC, batch=2)
    return directory


def opened(directory: Path, tmp_path: Path, format: Format, weight: str | None, change: float = 0.5) -> Session:
    source = next(path for path in directory.iterdir() if path.suffix == f".{format}")
    path = tmp_path / source.name
    shutil.copy(source, path)
    if weight is not None:
        corrupt_weight(path, small_net().state_dict()[weight].numpy(), 3, change)
    return open_session(path, format)


def located(session: Session, inputs: tuple[TensorSpec, ...] | None = None) -> Divergence:
    golden = small_golden(small_net())
    report = compare(session, golden, inputs=inputs)
    assert not report.passed
    found = find_divergence(session, golden, report, inputs=inputs)
    assert found is not None
    return found


@pytest.mark.parametrize(("weight", "module"), MODULES)
@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_a_corrupted_weight_is_placed_in_its_module(
    directory: Path, tmp_path: Path, format: Format, weight: str, module: str
) -> None:
    found = located(opened(directory / format, tmp_path, format, weight))
    assert found.module == module
    assert found.tensor is not None
    assert found.operator is not None
    assert found.last_module is not None
    assert found.agreeing >= 1
    assert module in found.describe()


def test_a_small_corruption_is_placed_too(directory: Path, tmp_path: Path) -> None:
    session = opened(directory / "onnx", tmp_path, Format.ONNX, "blocks.1.project.bias", 1e-3)
    assert located(session).module == "blocks.1.project"


def test_nhwc_and_batch_two(directory: Path, tmp_path: Path) -> None:
    session = opened(directory / "nhwc", tmp_path, Format.TFLITE, "blocks.1.expand.bias")
    manifest = Manifest.load(next((directory / "nhwc").glob("*.json")))
    assert located(session, manifest.inputs).module == "blocks.1.expand"


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_a_sound_artifact_agrees_to_the_end(directory: Path, tmp_path: Path, format: Format) -> None:
    session = opened(directory / format, tmp_path, format, None)
    golden = small_golden(small_net())
    found = find_divergence(session, golden, compare(session, golden))
    assert found is not None
    assert found.tensor is None
    assert found.last_module in ("head", "(output)")


def test_a_nan_is_placed_without_fingerprints(directory: Path, tmp_path: Path) -> None:
    session = opened(directory / "onnx", tmp_path, Format.ONNX, "blocks.1.expand.bias", float("nan"))
    golden = dataclasses.replace(small_golden(small_net()), fingerprint=None)
    found = find_divergence(session, golden, compare(session, golden))
    assert found is not None
    assert found.tensor is not None
    assert "blocks/1/expand" in found.tensor
    assert "not finite" in found.describe()


def test_without_fingerprints_or_tracing_it_says_so(directory: Path, tmp_path: Path) -> None:
    session = opened(directory / "onnx", tmp_path, Format.ONNX, "head.bias")
    golden = dataclasses.replace(small_golden(small_net()), fingerprint=None)
    found = find_divergence(session, golden, compare(session, golden))
    assert found is not None
    assert "no fingerprints" in found.describe()
    x = np.zeros((1, 1), np.float32)
    fake = FunctionSession({"x": (1, 1)}, ("y",), lambda feed: {"y": feed["x"] + 1})
    golden = golden_set({"x": x}, {"y": x})
    assert find_divergence(fake, golden, compare(fake, golden)) is None


def test_manifest_of_the_written_artifact_is_complete(directory: Path) -> None:
    manifest = Manifest.load(next((directory / "onnx").glob("*.json")))
    assert manifest.audit.passed
    assert manifest.operators


def test_flat_inputs_are_no_evidence() -> None:
    class Flat(SmallNet):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image) * 0.0

    images = np.random.default_rng(7).normal(size=(3, 3, 16, 16)).astype(np.float32)
    prints = fingerprint(Flat().eval(), [images], [0, 2])
    usable = [str(prints.modules[module]) for module in informative(prints, 0)]
    assert "(output)" not in usable
    zeros = {"a": np.zeros((1, 12, 8, 8), np.float32), "b": np.zeros((1, 7), np.float32)}
    found = first_parting(zeros, prints, 0, 1, "flat")
    assert (found.agreeing, found.tensor, found.last_module) == (0, "a", None)
    assert "at the very start" in found.describe()


NOISE = 1e-6


def layers(count: int = 4, *, names: tuple[str, ...] = ("stem", "blocks.0.fc", "blocks.1.fc", "head")) -> Traced:
    """What modules give: ``(1, 5, 6)``, five channels, every one with values of its own."""
    generator = np.random.default_rng(count)
    return {name: generator.normal(number, 1 + number, (1, 5, 6)) for number, name in enumerate(names)}


def prints_of(*traces: Traced, inputs: tuple[int, ...] = (0,)) -> TraceFingerprint:
    """Fingerprints of what modules gave for each input."""
    arrays = [list(trace.values()) for trace in traces]
    return TraceFingerprint(
        inputs=np.array(inputs),
        modules=np.array(list(traces[0])),
        counts=np.array([array.size for array in arrays[0]]),
        channels=np.array([array.shape[1] for array in arrays[0]]),
        noise=np.full((len(arrays[0]), len(arrays)), NOISE),
        stats=np.stack([[statistics(array) for array in each] for each in arrays], axis=1),
        marginals=np.stack([np.concatenate([marginals(array, 1) for array in each], axis=1) for each in arrays]),
    )


def matched(array: np.ndarray, network: Traced, batch: int = 1) -> int | None:
    return match_module(array, prints_of(network), 0, batch, range(len(network)))


@pytest.mark.parametrize(
    ("factor", "found"), [(0.125, None), (0.25, 1), (0.5, 1), (1, 1), (2, 1), (4, 1), (8, None), (3, None), (-1, None)]
)
def test_halves_and_doublings_may_have_moved(factor: float, found: int | None) -> None:
    assert matched(factor * layers()["blocks.0.fc"], layers()) == found


@pytest.mark.parametrize(("shift", "found"), [(0.0, 1), (7.5e-6, 1), (-7.5e-6, 1), (9.5e-6, None), (-9.5e-6, None)])
def test_a_tensor_agrees_within_eight_times_the_noise(shift: float, found: int | None) -> None:
    assert matched(layers()["blocks.0.fc"] + shift, layers()) == found


def test_axes_may_be_anywhere_but_values_stay_in_their_channels() -> None:
    network = layers()
    array = network["blocks.1.fc"]
    assert matched(array.transpose(2, 0, 1), network) == 2
    assert matched(array.reshape(30), network) == 2, "no axis is as long as the channels"
    assert matched(array.reshape(1, 6, 5), network) is None, "an axis is, with other values"
    assert matched(np.concatenate([array, array]), network, batch=2) == 2
    assert matched(np.concatenate([array, array]), network) is None
    assert matched(array[:, :, :5], network) is None


def test_of_equal_modules_the_last_is_meant() -> None:
    network = layers()
    assert matched(network["stem"], network | {"head": network["stem"]}) == 3
    prints = prints_of(network | {"head": network["stem"]})
    assert match_module(network["stem"], prints, 0, 1, [0, 1]) == 0


def test_zeros_are_no_ones_output() -> None:
    network = layers() | {"head": np.zeros((1, 5, 6))}
    assert matched(np.zeros((1, 5, 6)), network) is None
    assert matched(network["stem"], network) == 0


def test_only_what_varies_far_more_than_it_is_uncertain_tells() -> None:
    spread = np.array([-1.0, 1.0] * 15).reshape(1, 5, 6)
    edge = 50 * (8 * NOISE + float(np.finfo(np.float32).eps) * 1e-3)
    network = {"just": spread * edge * 1.05, "not": spread * edge * 0.95, "one": np.ones((1, 1, 1))}
    assert informative(prints_of(network), 0) == [0]
    large = {"just": 1e4 + spread * edge * 1.05}
    assert informative(prints_of(large), 0) == [], "float32 rounds at the size of the values"


def parting(network: Traced, tensors: dict[str, np.ndarray]) -> Divergence:
    return first_parting(tensors, prints_of(network), 0, 1, "photo")


def test_the_place_is_behind_the_last_tensor_that_agrees() -> None:
    network = layers()
    tensors = {f"/{name.replace('.', '/')}/Gemm": array for name, array in network.items()}
    tensors |= {"ids": np.arange(30).reshape(1, 5, 6), "nothing": np.zeros((0, 5))}
    whole = parting(network, tensors)
    assert (whole.tensor, whole.last_module, whole.agreeing, whole.modules) == (None, "head", 4, 4)
    assert whole.describe() == "every intermediate tensor agrees up to the last one: only the final outputs differ"
    tensors["/blocks/1/fc/Gemm"] = tensors["/blocks/1/fc/Gemm"] + 1.0
    early = parting(network, {name: array for name, array in tensors.items() if "head" not in name})
    assert (early.tensor, early.module) == ("/blocks/1/fc/Gemm", "blocks.1.fc")
    assert (early.last_tensor, early.last_module, early.agreeing) == ("/blocks/0/fc/Gemm", "blocks.0.fc", 2)
    assert early.describe() == (
        "on photo, between blocks.0.fc (agrees) and /blocks/1/fc/Gemm, in or before module blocks.1.fc,"
    )
    nothing = parting(network, {"x": np.ones((1, 5, 6)), "y": np.ones(3)})
    assert (nothing.tensor, nothing.module, nothing.last_module, nothing.agreeing) == ("x", "stem", None, 0)


def test_what_passes_fold_away_everywhere_is_not_missed() -> None:
    network = layers(names=("blocks.0.norm", "blocks.0.fc", "blocks.1.norm", "blocks.1.fc", "blocks.2.fc"))
    tensors = {"a": network["blocks.0.fc"], "/blocks/1/norm/b": np.ones(3), "c": network["blocks.1.fc"] + 1.0}
    found = parting(network, tensors)
    assert (found.tensor, found.module) == ("c", "blocks.1.fc"), "the norm's tensor could not have agreed"
    kept = {"n": network["blocks.0.norm"], **tensors}
    assert parting(network, kept).module == "blocks.1.norm", "the first norm was there"


def test_a_name_inside_the_missed_module_does_not_widen_it() -> None:
    network = layers(names=("stem", "blocks.0.fc", "blocks.0", "head"))
    found = parting(network, {"s": network["stem"], "/blocks/0/Add": np.ones(3)})
    assert found.module == "blocks.0.fc"
    named = parting(network, {"s": network["stem"], "/head/Gemm": np.ones(3)})
    assert named.module == "head"


@pytest.mark.parametrize(
    ("tensor", "module"),
    [
        ("/blocks/0/fc/Gemm_output_0", "blocks.0.fc"),
        ("net/blocks.0.fc;net/blocks.0.fc/bias", "blocks.0.fc"),
        ("head:0", "head"),
        ("/blocks/0/fc2/Gemm", None),
        ("ahead", None),
        ("", None),
    ],
)
def test_modules_in_names(tensor: str, module: str | None) -> None:
    assert module_in_name(tensor, prints_of(layers())) == module


class Tracing(FunctionSession):
    """Hands out ``tensors`` and says that ``Gemm`` makes them all; answers with ``answer``."""

    def __init__(self, tensors: dict[str, np.ndarray], answer: np.ndarray) -> None:
        super().__init__({"x": (1, 1)}, ("y",), lambda _: {"y": answer})
        self.tensors = tensors
        self.traced: list[float] = []

    def trace(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.traced.append(float(arrays["x"][0, 0]))
        return self.tensors

    def producers(self) -> dict[str, str]:
        return dict.fromkeys(self.tensors, "Gemm")


def found_by(
    session: Tracing, errors: list[float], prints: TraceFingerprint | None, *, stick: float = 1e-6, compared: int = 9
) -> Divergence:
    """Where it parts, after a comparison in which each input has that error, of the first inputs or of all."""
    count = len(errors)
    golden = golden_set({"x": np.arange(count, dtype=np.float32)[:, None]}, {"y": np.zeros((count, 2))}, stick)
    answers = {1: {"y": np.array([[error, 0.0] for error in errors])[:compared]}}
    report = compare_answers(answers, golden[:compared], Limits(), runtime="", offered=["y"])
    found = find_divergence(session, dataclasses.replace(golden, fingerprint=prints), report)
    assert found is not None
    return found


def test_the_worst_input_that_has_fingerprints_is_traced() -> None:
    first, second = layers(1), layers(2)
    prints = prints_of(first, second, inputs=(0, 2))
    session = Tracing({"s": second["stem"], "b": first["head"]}, np.zeros((1, 2)))
    found = found_by(session, [0.1, 9.0, 0.2], prints)
    assert (found.input, found.last_module, session.traced) == ("input-2", "stem", [2.0])
    assert found_by(session, [0.2, 9.0, 0.1], prints).input == "input-0"
    assert found_by(session, [0.1, 9.0, float("nan")], prints).input == "input-2"
    assert found_by(session, [0.1, float("nan"), 0.2], None).input == "input-1"
    assert found_by(session, [0.2, 0.0, 0.7], prints, stick=1.0).input == "input-2"
    assert found_by(session, [0.2, 0.0, 0.7], prints, stick=1.0, compared=2).input == "input-0"


def test_the_first_tensor_that_is_not_finite_is_the_place() -> None:
    network = layers()
    broken = network["stem"].copy()
    broken[0, 0, :2] = np.nan, np.inf
    tensors = {"ids": np.arange(3), "a": network["stem"], "b": broken, "c": broken}
    found = found_by(Tracing(tensors, np.zeros((1, 2))), [1.0], prints_of(network))
    assert (found.tensor, found.last_tensor, found.operator) == ("b", "a", "Gemm")
    assert found.note == "2 of its 30 values are not finite"


@pytest.mark.parametrize(("size", "told"), [(7.9e-6, False), (8.1e-6, True), (-8.1e-6, True)])
def test_the_runtimes_own_optimiser_is_told_of(size: float, told: bool) -> None:
    network = layers()
    tensors = {"s": network["stem"], "other": np.ones(3), "y": np.full((1, 2), size)}
    found = found_by(Tracing(tensors, np.zeros((1, 2))), [1.0], prints_of(network))
    assert ("optimiser is involved" in (found.note or "")) == told
    nothing = {"s": network["stem"], "y": np.ones((2, 1))}
    assert found_by(Tracing(nothing, np.zeros((1, 2))), [1.0], prints_of(network)).note is None
