"""From options as typed to recipes and a model; what is printed when all is done."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch

from edgevit.errors import UsageError
from edgevit.spec import Layout, ModelSpec, Task, Weights
from edgevit_export.__main__ import run
from edgevit_export.commands.export import ExportOptions, build, print_report, recipes
from edgevit_export.console import begin, hush
from edgevit_export.workflows.export import ExportReport, FormatOutcome
from export.artifact import Delegation, PassLog, Refusal
from export.recipe import Format, Optimize, Recipe

TINY = 'channels = [8, 16, 24, 32]\nblocks = [1, 1, 1, 1]\nhead_dim = 8\nname = "tiny"\n'


def test_an_option_of_one_format_goes_into_its_recipe_alone() -> None:
    options = ExportOptions(
        formats=["onnx,ptl,tflite", "onnx"], opset=14, dynamic_batch=True, ptl_bytecode=5, ptl_prepacked=True,
        optimize="none",
    )  # fmt: skip
    assert recipes(options) == (
        Recipe(format=Format.ONNX, opset=14, dynamic_batch=True, optimize=Optimize.NONE),
        Recipe(format=Format.PTL, ptl_bytecode=5, ptl_prepacked=True, dynamic_batch=True, optimize=Optimize.NONE),
        Recipe(format=Format.TFLITE, optimize=Optimize.NONE),
    )


def test_three_formats_by_default() -> None:
    assert [recipe.format for recipe in recipes(ExportOptions(input_layout="NHWC"))] == ["ptl", "onnx", "tflite"]
    assert {recipe.input_layout for recipe in recipes(ExportOptions(input_layout="NHWC"))} == {Layout.NHWC}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ExportOptions(formats=["tflite"], opset=17), "--opset belongs to onnx"),
        (ExportOptions(formats=["onnx"], ptl_bytecode=5), "--ptl-bytecode belongs to ptl"),
        (ExportOptions(formats=["tflite"], ptl_prepacked=True), "--ptl-prepacked belongs to ptl"),
        (ExportOptions(formats=[" , "]), "names no format"),
        (ExportOptions(input_layout="nchv"), "unknown input layout 'nchv'"),
    ],
)
def test_recipes_that_make_no_sense(options: ExportOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        recipes(options)


def test_the_model_is_what_the_options_say(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    options = ExportOptions(
        config=tmp_path / "tiny.toml", num_classes=2, labels=tmp_path / "labels.txt", input_size="64x96", batch=2,
        mean="0.5,0.5,0.5", std="0.2,0.2,0.2", delegate="avg", seed=3,
    )  # fmt: skip
    model, spec = build(options)
    assert spec.name == "edgevit-tiny-avg-delegates-2classes-batch2-64x96"
    assert (spec.labels, spec.weights.seed) == (("cat", "dog"), 3)
    assert spec.preprocessing is not None and spec.preprocessing.std == (0.2, 0.2, 0.2)
    assert tuple(model(torch.zeros(spec.inputs[0].shape)).shape) == (2, 2)


def test_two_models_or_half_a_normalisation_are_refused(tmp_path: Path) -> None:
    for options, words in (
        (ExportOptions(variant="s", config=tmp_path / "c.toml"), "both name a model"),
        (ExportOptions(variant="s", mean="0.5,0.5,0.5"), "belong together"),
        (ExportOptions(variant="s", checkpoint_entry="model"), "--checkpoint-entry without --checkpoint"),
    ):
        with pytest.raises(UsageError, match=words):
            build(options)


def test_a_whole_export_prints_a_row_a_format_and_what_is_next(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevit_export.workflows.export.can_fork", lambda: False)  # pytest's process has threads
    (tmp_path / "tiny.toml").write_text(TINY)
    words = ["--config", str(tmp_path / "tiny.toml"), "--input-size", "64", "-f", "ptl", "-o", str(tmp_path / "out")]
    assert run(words) == 0
    seen = capfd.readouterr()
    assert "edgevit-tiny-64x64: weights random, seed 0" in seen.out
    assert "passed: " in seen.out and "x yardstick" in seen.out
    assert f"{tmp_path / 'out' / 'edgevit-tiny-64x64.ptl'}\n" in seen.out
    assert "not as asked" not in seen.out
    assert "weights are random (seed 0)" in seen.err
    assert f"next: edgevit-export verify {tmp_path / 'out'}" in seen.err
    assert run([*words, "--no-verify", "--json", "-q"]) == 0
    seen = capfd.readouterr()
    report = json.loads(seen.out)
    assert [outcome["verdict"] for outcome in report["outcomes"]] == ["not verified"]
    assert seen.err == ""


def test_quiet_is_quiet_about_what_a_users_code_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(
        "import os, sys\nos.system('echo child')\nprint('out')\nsys.stderr.write('err')\n"
        "def get_model():\n    return 3\n"
    )
    words = ["--module", str(tmp_path / "net.py"), "-f", "ptl", "-o", str(tmp_path / "out")]
    assert run([*words, "-q"]) == 2
    seen = capfd.readouterr()
    assert seen.out == "" and seen.err.startswith("error: get_model() of net.py returns int, expected")
    assert len(seen.err.splitlines()) == 1


WIDEST = FormatOutcome(
    recipe=Recipe(format=Format.TFLITE),
    verdict="passed",
    exit_code=0,
    seconds=131.7,
    file="artifacts/edgevit-s-224x224.tflite",
    bytes=115_600_000,
    operators=612,
    delegation=Delegation(delegate="XNNPACK", delegated=611, total=612, partitions=2, left=("FULLY_CONNECTED x 1",)),
    passes=(
        *[PassLog(name="fold", rewrites=2)] * 19,
        PassLog(
            name="sink", rewrites=0, refused=(Refusal(operator="aten::batch_norm", count=2, why="others read it"),)
        ),
        *[PassLog(name="rest", rewrites=0)] * 2,
    ),
    shortfalls=("sink left aten::batch_norm x 2: others read it (in stages.0.blocks.0.attn, and other places) " * 2,),
)


def test_the_closing_table_fits_80_columns_and_says_what_was_not_done_as_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevit_export.console._PIPED_COLUMNS", 80)
    failed = FormatOutcome(recipe=Recipe(format=Format.PTE), verdict="error", exit_code=5, seconds=2, reasons=("no",))
    report = ExportReport(spec=build_spec(), directory="artifacts", outcomes=(WIDEST, failed))
    print_report(report, ExportOptions())
    seen = capsys.readouterr()
    lines = [line.rstrip() for line in seen.out.splitlines()]
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith("tflite") and "full" in line]
    assert "full: 19/22, 2 left" in row and "612 (611 in 2)" in row and "115.6 MB" in row and "131.7 s" in row
    assert "artifacts/edgevit-s-224x224.tflite" in lines
    assert any(line.startswith("tflite") and "sink left aten::batch_norm x 2" in line for line in lines)
    assert seen.err == "pte: no\n"


def test_a_format_that_leaves_no_batch_free_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    report = ExportReport(spec=build_spec(), directory="artifacts", outcomes=(WIDEST,))
    print_report(report, ExportOptions(dynamic_batch=True, batch=2))
    assert "tflite        --dynamic-batch: the batch is 2, litert-torch fixes every shape" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [True, False])
def test_why_a_format_could_not_be_finished_stands_on_stderr_whatever_is_printed(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    full = FormatOutcome(recipe=Recipe(format=Format.PTE), verdict="error", exit_code=5, seconds=2, reasons=("full",))
    wrong = FormatOutcome(recipe=Recipe(format=Format.PTL), verdict="failed", exit_code=1, seconds=2, reasons=("off",))
    right = msgspec.structs.replace(full, verdict="passed", exit_code=0, reasons=("a remark",))
    report = ExportReport(spec=build_spec(), directory="artifacts", outcomes=(full, wrong, right))
    print_report(report, ExportOptions(as_json=as_json))
    assert capsys.readouterr().err == "pte: full\nptl: off\npte: a remark\n"
    hush()
    print_report(report, ExportOptions(as_json=as_json))
    begin()
    assert capsys.readouterr().err == "pte: full\nptl: off\n", "of an exit code that is not 0"


def build_spec() -> ModelSpec:
    return ModelSpec(
        name="n", variant="n", task=Task.CLASSIFY, inputs=(), outputs=(), weights=Weights(source="random", seed=0)
    )
