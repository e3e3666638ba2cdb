"""What a foreign file may be held against, and what is no reference."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_artifacts import edit_manifest, reseal, write_artifact

from edgevit.errors import ArtifactError, UsageError
from export.golden import load_golden
from export.recipe import Format
from validation.artifact.limits import Limits
from validation.artifact.reference import load_reference


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_artifact(tmp_path, Format.PTL)


def test_artifact_manifest_and_golden_set_are_the_same_reference(manifest: Path) -> None:
    for path in (manifest, manifest.with_suffix(""), manifest.parent / "small0.npz"):
        found = load_reference(path)
        assert found.measured
        assert found.golden.labels[0] == "natural-00"
        assert found.golden.yardstick["logits"] > 0
        assert [(spec.name, spec.shape, spec.dtype) for spec in found.inputs] == [("image", (1, 3, 16, 16), "float32")]


def test_a_manifest_whose_artifact_is_gone_is_a_reference_still(manifest: Path) -> None:
    manifest.with_suffix("").unlink()
    assert load_reference(manifest).origin == "small0.ptl"


def test_what_was_changed_is_no_reference(manifest: Path) -> None:
    golden = load_golden(manifest.parent / "small0.npz")
    golden[:3].save(manifest.parent / "small0.npz")
    reseal(manifest)
    edit_manifest(manifest, golden__inputs=3)
    with pytest.raises(ArtifactError, match=r"small0\.npz is no reference: a golden set begins with 18 inputs"):
        load_reference(manifest)
    dataclasses.replace(golden, yardstick={"logits": 0.1}).save(manifest.parent / "small0.npz")
    reseal(manifest)
    edit_manifest(manifest, golden__inputs=18, golden__yardstick={"logits": 0.1})
    with pytest.raises(ArtifactError, match="cannot be the error of float32"):
        load_reference(manifest)
    manifest.with_suffix("").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="is not the file of its manifest"):
        load_reference(manifest)


def test_what_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_reference(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"no manifest x\.onnx\.json beside it"):
        load_reference(tmp_path / "x.onnx")


def test_limits_are_those_asked_for_and_an_absolute_error_is_needed_without_yardstick(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", **{"inputs/x": np.zeros((2, 3), np.float32), "outputs/y": np.ones((2, 1))})
    plain = load_reference(tmp_path / "g.npz")
    assert not plain.measured
    assert plain.inputs[0].shape == (1, 3)
    with pytest.raises(UsageError) as caught:
        plain.limits(Limits(strict=True))
    assert "--atol" in (caught.value.hint or "")
    assert plain.limits(Limits(atol=0.1, strict=True)) == Limits(atol=0.1, strict=True)
