"""What a delegate does worse with int8 than with the float32 file beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.artifact import AuditResult, Delegation, GoldenReference, Manifest
from export.manifest import manifest_path
from export.recipe import Format, Layout, Precision, Recipe
from validation.artifact.beside_float import delegation_beside, worse

SPEC = ModelSpec(
    name="small", variant="small", task=Task.CLASSIFY, inputs=(TensorSpec(name="image", shape=(1, 4)),),
    outputs=(TensorSpec(name="logits", shape=(1, 7)),), weights=Weights(source="random", seed=0),
)  # fmt: skip
PLAIN = Delegation(delegate="XNNPACK", delegated=98, total=100, partitions=2)
TORN = Delegation(delegate="XNNPACK", delegated=80, total=110, partitions=9)


def manifest(recipe: Recipe, delegation: Delegation | None) -> Manifest:
    return Manifest(
        file=recipe.file_name("small"), sha256="0" * 64, bytes=1, created_utc="2026-01-01T00:00:00Z", spec=SPEC,
        recipe=recipe, inputs=SPEC.inputs, outputs=SPEC.outputs, operators=(), requires="",
        audit=AuditResult(passed=True), golden=GoldenReference(file="g.npz", sha256="", inputs=1, yardstick={}),
        tools={}, command=(), delegation=delegation,
    )  # fmt: skip


def saved(directory: Path, found: Manifest) -> Path:
    path = directory / found.file
    found.save(manifest_path(path))
    return path


FLOAT, INT8 = Recipe(format=Format.TFLITE), Recipe(format=Format.TFLITE, precision=Precision.INT8)


def test_more_pieces_and_more_outside_are_told_and_fewer_are_not() -> None:
    assert worse(TORN, PLAIN) == (
        "XNNPACK takes it in 9 pieces, float32 in 2",
        "30 operators stay outside of XNNPACK, of float32 2",
    )
    assert worse(PLAIN, PLAIN) == worse(PLAIN, TORN) == ()
    assert worse(replace(PLAIN, total=500, delegated=498), PLAIN) == (), "more operators are no loss"


def test_the_float32_file_of_the_same_request_is_found(tmp_path: Path) -> None:
    saved(tmp_path, manifest(FLOAT, PLAIN))
    keep = replace(INT8, keep_float=("head",))
    for recipe in (INT8, keep):
        found = manifest(recipe, TORN)
        assert delegation_beside(tmp_path / found.file, found) == worse(TORN, PLAIN)
    other = manifest(replace(INT8, input_layout=Layout.NHWC), TORN)
    assert delegation_beside(tmp_path / other.file, other) == (), "that has another float32 file"


@pytest.mark.parametrize("beside", ["none", "another network", "broken", "no delegate"])
def test_without_one_to_compare_with_nothing_is_told(tmp_path: Path, beside: str) -> None:
    found = manifest(INT8, TORN)
    if beside == "another network":
        saved(tmp_path, replace(manifest(FLOAT, PLAIN), spec=replace(SPEC, num_classes=7)))
    if beside == "broken":
        manifest_path(tmp_path / FLOAT.file_name("small")).write_text("{")
    if beside == "no delegate":
        saved(tmp_path, manifest(FLOAT, None))
    assert delegation_beside(tmp_path / found.file, found) == ()


def test_float32_is_compared_with_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, manifest(FLOAT, PLAIN))
    assert delegation_beside(path, manifest(FLOAT, TORN)) == ()
    unknown = manifest(INT8, None)
    assert delegation_beside(tmp_path / unknown.file, unknown) == ()
