"""A manifest's own record of its proof: every figure that contradicts another, or what is seen now, is told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_sessions import FunctionSession, golden_set
from msgspec.structs import replace

from edgevit.errors import ImpossibleError
from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.artifact import (
    AuditResult,
    Delegation,
    FileFacts,
    GoldenReference,
    Manifest,
    Operator,
    ParityResult,
)
from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme
from export.quantization.calibration import calibration_of
from export.recipe import Calibration, Format, Precision, Recipe
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare
from validation.artifact.record_checks import delegation_difference, figure_problems, record_problems, tool_problems

RUNTIME = "ai-edge-litert 2.3.0"
IMAGE, LOGITS = TensorSpec(name="image", shape=(1, 4)), TensorSpec(name="logits", shape=(1, 7))
SPEC = ModelSpec(
    name="small", variant="small", task=Task.CLASSIFY, inputs=(IMAGE,), outputs=(LOGITS,),
    weights=Weights(source="random", seed=0),
)  # fmt: skip


def seen(error: float = 1e-6) -> ParityReport:
    """A comparison of 12 inputs whose answers are ``error`` off, at a yardstick of 1e-6."""
    inputs = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    outputs = np.random.default_rng(1).normal(size=(12, 7))
    table = dict(zip(map(bytes, inputs), outputs, strict=True))
    session = FunctionSession(
        {"image": (1, 4)}, ("logits",), lambda feed: {"logits": table[bytes(feed["image"][0])][None] + error}
    )
    return compare(session, golden_set({"image": inputs}, {"logits": outputs}, 1e-6))


RECORDED = replace(seen().summary(), runtime=RUNTIME)
DELEGATION = Delegation(delegate=f"XNNPACK of {RUNTIME}", delegated=2, total=3, partitions=1, left=("MEAN x 1: rank",))
MANIFEST = Manifest(
    file="small.tflite", sha256="", bytes=1, created_utc="", spec=SPEC, recipe=Recipe(format=Format.TFLITE),
    inputs=(IMAGE,), outputs=(LOGITS,), operators=(Operator(name="CONV_2D", count=3),), requires="",
    audit=AuditResult(passed=True), tools={"ai-edge-litert": "2.3.0", "torch": "2.13.0+cpu"}, command=(),
    golden=GoldenReference(file="g.npz", sha256="", inputs=12, yardstick={"logits": 1e-6}),
    parity=RECORDED, delegation=DELEGATION,
)  # fmt: skip


def test_a_sound_record_has_no_problems_and_may_be_silent() -> None:
    assert record_problems(MANIFEST) == []
    assert record_problems(replace(MANIFEST, parity=None, delegation=None)) == []
    assert figure_problems(RECORDED, seen()) == []


@pytest.mark.parametrize("factor", [0.25, 2.6, 7.5])
def test_another_machine_may_round_otherwise(factor: float) -> None:
    assert figure_problems(RECORDED, seen(factor * 1e-6)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"passed": False, "reasons": ("error 3",)}, "records parity that failed: error 3"),
        ({"passed": False}, "records parity that failed: without a reason"),
        ({"reasons": ("error 3",)}, "records parity that passed: error 3"),
        ({"inputs_compared": 11}, "11 inputs, of 12"),
        ({"max_abs_error": 1e-9}, "which cannot be"),
        ({"multiple": 0.5}, "which cannot be"),
        ({"yardstick": 2e-6}, "which cannot be"),
        ({"mean_abs_error": 1e-3}, "which cannot be"),
        ({"runtime": "ai-edge-litert 2.4.0"}, "'ai-edge-litert 2.4.0', but lists ai-edge-litert 2.3.0"),
        ({"runtime": "onnxruntime 1.2"}, "'onnxruntime 1.2', but lists onnxruntime nowhere"),
        ({"runtime": ""}, "records parity in ''"),
    ],
)
def test_a_parity_that_says_no_or_cannot_be(changes: dict[str, object], words: str) -> None:
    problems = record_problems(replace(MANIFEST, parity=replace(RECORDED, **changes)))
    assert any(words in problem for problem in problems)


@pytest.mark.parametrize(
    ("audit", "words"),
    [
        (AuditResult(passed=False, violations=("FlexErf",)), "an audit that failed: FlexErf"),
        (AuditResult(passed=False), "an audit that failed: without a reason"),
        (AuditResult(passed=True, violations=("FlexErf",)), "an audit that passed: FlexErf"),
    ],
)
def test_an_audit_that_says_no(audit: AuditResult, words: str) -> None:
    assert words in record_problems(replace(MANIFEST, audit=audit))[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"delegated": 3}, "cannot be of 3 operators"),
        ({"delegated": -1}, "cannot be of 3 operators"),
        ({"total": 4}, "cannot be of 3 operators"),
        ({"partitions": -1}, "cannot be of 3 operators"),
        ({"left": ()}, "cannot be of 3 operators"),
        ({"delegate": "XNNPACK of ai-edge-litert 2.2.0"}, f"but parity in '{RUNTIME}'"),
    ],
)
def test_a_delegation_that_cannot_be(changes: dict[str, object], words: str) -> None:
    assert words in record_problems(replace(MANIFEST, delegation=replace(DELEGATION, **changes)))[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"yardstick": 1.1e-6}, "a yardstick of 1.1e-06, which the golden set does not have"),
        ({"multiple": 9.0}, "9 yardsticks, but here it is 1"),
        ({"multiple": 0.01}, "0.01 yardsticks, but here it is 1"),
        ({"mean_abs_error": 1e-8}, "a mean error of 1e-08"),
        ({"sqnr_db": 150.0}, "an SQNR of 150.0 dB"),
        ({"sqnr_db": float("nan")}, "an SQNR of nan dB"),
        ({"cosine": 0.9999}, "a cosine of 0.9999"),
        ({"top1_agreement": 0.7}, "agreement on the top class"),
        ({"top1_agreement": None}, "agreement on the top class"),
        ({"top5_agreement": 0.7}, "agreement on the top five classes"),
    ],
)
def test_a_figure_that_no_machine_gave(changes: dict[str, object], words: str) -> None:
    (problem,) = figure_problems(replace(RECORDED, **changes), seen())
    assert words in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"mean_abs_error": -1e-9},
        {"mean_abs_error": float("nan")},
        {"cosine": float("nan")},
        {"cosine": 1.1},
        {"top1_agreement": 1.1},
    ],
)
def test_a_figure_that_nothing_gives_cannot_even_be_recorded(changes: dict[str, object]) -> None:
    with pytest.raises(ImpossibleError, match=f"{next(iter(changes))} is "):
        replace(RECORDED, **changes)


def test_errors_far_below_the_yardstick_are_all_alike() -> None:
    """Bit for bit equal there, a rounding off here."""
    exact = ParityResult(**{**dict_of(RECORDED), "multiple": 0.0, "max_abs_error": 0.0, "sqnr_db": 300.0})
    exact = replace(exact, mean_abs_error=0.0)
    assert figure_problems(exact, seen(1e-8)) == []


def dict_of(record: ParityResult) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def facts(**metadata: str) -> FileFacts:
    return FileFacts(format=Format.ONNX, inputs=(), outputs=(), operators=(), requires="", metadata=metadata)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"producer": "pytorch 2.12.0"}, "written by torch 2.12.0, but the manifest lists torch 2.13.0+cpu"),
        ({"executorch": "1.4.1"}, "written by executorch 1.4.1, but the manifest lists executorch nowhere"),
    ],
)
def test_converters_that_the_file_tells_must_be_those_of_the_manifest(metadata: dict[str, str], words: str) -> None:
    assert words in tool_problems(MANIFEST, facts(**metadata))[0]
    assert tool_problems(MANIFEST, facts(producer="pytorch 2.13.0")) == []
    assert tool_problems(MANIFEST, facts(producer="someone 1")) == []


def test_another_share_of_the_delegate_is_told_in_words() -> None:
    other = replace(DELEGATION, delegated=3, left=())
    words = delegation_difference(DELEGATION, other)
    assert words is not None
    assert "2 of 3 operators in 1 partitions, all but MEAN x 1: rank; here" in words
    assert "here no delegate is at work" in (delegation_difference(DELEGATION, None) or "")
    assert delegation_difference(DELEGATION, DELEGATION) is None
    assert delegation_difference(None, other) is None


def test_only_prepacked_weights_may_have_been_proven_by_another_torch() -> None:
    recipe = Recipe(format=Format.PTL, ptl_prepacked=True)
    parity = replace(RECORDED, runtime="torch 2.1.0 lite interpreter elsewhere, with XNNPACK")
    told = "but lists torch"
    assert not any(told in line for line in record_problems(replace(MANIFEST, recipe=recipe, parity=parity)))
    for other in (replace(recipe, ptl_prepacked=False), Recipe(format=Format.TFLITE)):
        assert any(told in line for line in record_problems(replace(MANIFEST, recipe=other, parity=parity)))
    near = replace(parity, runtime="torch 2.1.0 lite interpreter")
    assert any(told in line for line in record_problems(replace(MANIFEST, recipe=recipe, parity=near)))


def test_where_inputs_have_slack_the_worst_multiple_may_be_of_a_smaller_error() -> None:
    smaller = replace(MANIFEST, parity=replace(RECORDED, multiple=RECORDED.multiple / 2))
    assert record_problems(smaller, slack=True) == []
    assert record_problems(smaller) != []
    larger = replace(MANIFEST, parity=replace(RECORDED, multiple=RECORDED.multiple * 2))
    assert record_problems(larger, slack=True) != []


DIGESTS = tuple(f"{k:016x}" for k in range(16))


def layers(*schemes: Scheme, images: tuple[str, ...] = ()) -> QuantizationRecord:
    rows = tuple(
        LayerRecord(name=f"l{k}", module="m", kind=LayerKind.LINEAR, weights=8, scheme=scheme)
        for k, scheme in enumerate(schemes)
    )
    return QuantizationRecord(layers=rows, measured_on="the golden inputs", images=images)


def in_int8(record: QuantizationRecord | None, calibration: Calibration | None = None) -> Manifest:
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, calibration=calibration)
    parity = replace(RECORDED, precision=Precision.INT8)
    return replace(MANIFEST, recipe=recipe, quantization=record, parity=parity)


def test_sound_records_of_int8_have_no_problems() -> None:
    assert record_problems(in_int8(layers(Scheme.DYNAMIC, Scheme.FLOAT))) == []
    static = layers(Scheme.STATIC, Scheme.DYNAMIC, images=DIGESTS)
    assert record_problems(in_int8(static, calibration_of(DIGESTS))) == []
    assert record_problems(in_int8(static, calibration_of(DIGESTS[::-1]))) == [], "their order does not matter"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (in_int8(None), "records no layers of its int8 artifact"),
        (in_int8(layers(Scheme.STATIC)), "records static layers, the recipe has no calibration"),
        (in_int8(layers(Scheme.STATIC), calibration_of(DIGESTS)), "records 0 images of a calibration, the recipe asks"),
        (
            in_int8(layers(Scheme.STATIC, images=DIGESTS[:-1]), calibration_of(DIGESTS)),
            "records 15 images of a calibration, the recipe asks for 16",
        ),
        (
            in_int8(layers(Scheme.STATIC, images=(*DIGESTS[:-1], "f" * 16)), calibration_of(DIGESTS)),
            "records 16 images of a calibration, the recipe asks for 16, or others",
        ),
        (
            in_int8(layers(Scheme.DYNAMIC, images=DIGESTS)),
            "16 images of a calibration, the recipe asks for none",
        ),
        (
            replace(MANIFEST, quantization=layers(Scheme.STATIC)),
            "what became int8, but the recipe asks for fp32",
        ),
        (
            replace(MANIFEST, parity=replace(RECORDED, precision=Precision.INT8)),
            "records a comparison in int8, of an artifact in fp32",
        ),
        (
            replace(in_int8(layers(Scheme.DYNAMIC)), parity=RECORDED),
            "a comparison in fp32, of an artifact in int8",
        ),
    ],
)
def test_a_record_of_layers_or_images_that_is_not_the_recipes(manifest: Manifest, words: str) -> None:
    (problem,) = record_problems(manifest)
    assert words in problem


def seen_in_int8(sqnr_db: float, seed: int) -> ParityReport:
    """A comparison of 12 inputs whose answers carry noise of that size."""
    inputs = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    outputs = np.random.default_rng(1).normal(size=(12, 3, 3))
    noise = np.random.default_rng(seed).normal(size=outputs.shape)
    noisy = outputs + noise * np.sqrt((outputs**2).sum() / (noise**2).sum()) * 10 ** (-sqnr_db / 20)
    table = dict(zip(map(bytes, inputs), noisy, strict=True))
    session = FunctionSession({"image": (1, 4)}, ("map",), lambda feed: {"map": table[bytes(feed["image"][0])][None]})
    golden = golden_set({"image": inputs}, {"map": outputs}, 1e-6)
    golden = dataclasses.replace(golden, rounded={"map": outputs * 1.01})
    return compare(session, golden, Limits(precision=Precision.INT8, static=True))


def test_another_machine_may_round_int8_otherwise() -> None:
    """Kernels round each their own way: noise of the same size, but not the same noise."""
    here = seen_in_int8(33.0, 9)
    for other_db, seed in ((33.0, 2), (31.0, 3), (36.0, 4)):
        assert figure_problems(seen_in_int8(other_db, seed).summary(), here) == []


def test_figures_of_int8_that_are_of_another_size_are_told() -> None:
    here = seen_in_int8(33.0, 9)
    problems = figure_problems(seen_in_int8(60.0, 2).summary(), here)
    assert any("an SQNR of 60.0 dB" in problem for problem in problems)
    assert any("a cosine of" in problem for problem in problems)
    (problem,) = figure_problems(replace(here.summary(), rounded_sqnr_db=50.0), here)
    assert "an SQNR of 50.0 dB of torch with the same rounding, the golden set has an SQNR of 40.0 dB" in problem
    (problem,) = figure_problems(replace(here.summary(), rounded_sqnr_db=None), here)
    assert "no SQNR of torch" in problem
