"""The table of formats: names, what must be installed, and which recipes a format can be written by."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

from edgevit.errors import ArtifactError, MissingDependencyError, UsageError
from edgevit.installation import install_extra
from export.formats import table
from export.formats.table import FORMATS, check_recipe, load, parse_format, read_artifact, require_export
from export.recipe import Calibration, Format, Precision, Recipe


@pytest.mark.parametrize("format", list(Format))
def test_every_format_has_a_row_whose_strings_name_functions(format: Format) -> None:
    row = FORMATS[format]
    assert callable(load(row.exporter))
    assert callable(load(row.reader))
    assert Precision.FP32 in row.precisions
    check_recipe(Recipe(format=format))
    assert {parse_format(name) for name in (format, f".{format.upper()}", *row.aliases)} == {format}


def test_an_unknown_format_lists_the_choices() -> None:
    with pytest.raises(UsageError, match="choose from onnx, pte, ptl, tflite"):
        parse_format("coreml")


@pytest.mark.parametrize(
    ("recipe", "words", "hint"),
    [
        (Recipe(format=Format.ONNX, opset=10), "opset 10 for onnx: choose from 11 to 20", "--opset 11"),
        (Recipe(format=Format.ONNX, opset=21), "opset 21 for onnx: choose from 11 to 20", "--opset 20"),
        (Recipe(format=Format.PTL, ptl_bytecode=3), "bytecode 3 for ptl: choose from 7, 6, 5, 4", "--ptl-bytecode 7"),
        (Recipe(format=Format.TFLITE, opset=13), "opset 13 for tflite: opsets are those of onnx", "leave it out"),
        (Recipe(format=Format.ONNX, ptl_bytecode=7), "bytecode 7 for onnx: bytecodes are those of ptl", "leave it out"),
        (Recipe(format=Format.TFLITE, dynamic_batch=True), "tflite cannot leave the batch free", "--batch N"),
        (Recipe(format=Format.PTE, dynamic_batch=True), "pte cannot leave the batch free", "--batch N"),
    ],
)
def test_a_recipe_that_its_format_cannot_take_is_refused(recipe: Recipe, words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_recipe(recipe)
    assert hint in (caught.value.hint or "")


STATIC = Recipe(format=Format.ONNX, precision=Precision.INT8, calibration=Calibration(count=16, sha256="0" * 64))


@pytest.mark.parametrize("opset", [10, 11, 12])
def test_static_int8_has_no_form_in_the_oldest_opsets(opset: int) -> None:
    static = msgspec.structs.replace(STATIC, opset=opset)
    words = f"opset {opset} for static int8 in onnx: choose from 13 to 20, or leave out the images"
    for refused, calibrated in ((static, False), (msgspec.structs.replace(static, calibration=None), True)):
        with pytest.raises(UsageError, match=words) as caught:
            check_recipe(refused, calibrated=calibrated)
        assert caught.value.hint == "--opset 13"


def test_other_precisions_and_opsets_stay_free_beside_a_calibration() -> None:
    for opset in (None, 13, 17, 20):
        check_recipe(msgspec.structs.replace(STATIC, opset=opset))
    for precision in (Precision.FP32, Precision.FP16):
        check_recipe(Recipe(format=Format.ONNX, precision=precision, opset=11), calibrated=True)
    check_recipe(Recipe(format=Format.ONNX, precision=Precision.INT8, opset=11))
    check_recipe(Recipe(format=Format.PTL, precision=Precision.INT8, ptl_bytecode=7), calibrated=True)
    with pytest.raises(UsageError, match="opset 21 for static int8 in onnx: choose from 13 to 20") as caught:
        check_recipe(msgspec.structs.replace(STATIC, opset=21))
    assert caught.value.hint == "--opset 20"


def test_a_precision_that_the_format_does_not_offer_lists_those_that_it_does() -> None:
    class Later(StrEnum):
        INT4 = "int4"

    recipe = msgspec.structs.replace(Recipe(format=Format.ONNX), precision=Later.INT4)
    with pytest.raises(UsageError, match="int4 for onnx: choose from fp32, fp16, int8"):
        check_recipe(recipe)
    assert recipe.file_name("net") == "net-int4.onnx"


def test_what_is_not_installed_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "find_spec", lambda name: None if name == "litert_torch" else object())
    with pytest.raises(MissingDependencyError, match="cannot export tflite: litert_torch not installed") as caught:
        require_export(Format.TFLITE)
    assert caught.value.hint == install_extra("tflite")
    require_export(Format.ONNX)


@pytest.mark.parametrize(
    ("host", "format", "package"),
    [
        (("Linux", "aarch64"), Format.TFLITE, "litert-converter"),
        (("Linux", "aarch64"), Format.PTE, "coremltools"),
        (("Darwin", "x86_64"), Format.ONNX, "torch"),
    ],
)
def test_a_host_without_a_build_is_told_to_export_elsewhere(
    monkeypatch: pytest.MonkeyPatch, host: tuple[str, str], format: Format, package: str
) -> None:
    """To install it is no advice where there is nothing to install."""
    monkeypatch.setattr(table, "find_spec", lambda name: None)
    monkeypatch.setattr(table.platform, "system", lambda: host[0])
    monkeypatch.setattr(table.platform, "machine", lambda: host[1])
    with pytest.raises(MissingDependencyError, match=f"{host[1]}: {package} has no build for it") as caught:
        require_export(format)
    assert caught.value.hint is not None and "pip" not in caught.value.hint and "macOS arm64" in caught.value.hint


def test_extras_leave_out_what_an_arm64_linux_host_cannot_have() -> None:
    """So that ``pip install '.[export]'`` brings the rest there instead of nothing."""
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    arm = {"sys_platform": "linux", "platform_machine": "aarch64"}
    for row in table.FORMATS.values():
        needed = [requirement for requirement in map(Requirement, extras[row.extra]) if requirement.marker]
        assert bool(needed) == (("Linux", "aarch64") in row.unbuilt)
        assert not any(requirement.marker and requirement.marker.evaluate(arm) for requirement in needed)


def test_readers_import_no_converter() -> None:
    """All four in one bare process: neither torch, nor a converter, nor the modules of ours that drive one."""
    barred = {"torch", "onnxsim", "litert_torch", "ai_edge_litert", "executorch", "flatbuffers", "export.program"}
    code = (
        "import sys; from export.formats.table import FORMATS, load\n"
        "for row in FORMATS.values(): load(row.reader)\n"
        f"found = sorted(name for name in sys.modules if name in {barred!r} or name.endswith('.write'))\n"
        "sys.exit(' '.join(found) or None)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("format", list(Format))
def test_a_pipe_is_never_waited_for(format: Format, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"m.{format}")
    with pytest.raises(ArtifactError, match="no regular file"):
        read_artifact(tmp_path / f"m.{format}", format)


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_prepacked_weights_are_float32(precision: Precision) -> None:
    with pytest.raises(UsageError, match=f"prepacked weights in {precision}"):
        check_recipe(Recipe(format=Format.PTL, precision=precision, ptl_prepacked=True))
