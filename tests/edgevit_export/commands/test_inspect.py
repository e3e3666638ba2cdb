"""``inspect``: what stands in a file, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_artifacts import edit_manifest, write_artifact

from edgevit.errors import ArtifactError, UsageError
from edgevit_export.__main__ import run
from edgevit_export.commands.inspect import _weights_in_words, read_facts
from export.recipe import Format


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("built"), Format.ONNX, dynamic=True).with_suffix("")


def test_inputs_operators_and_metadata_are_shown(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(artifact)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{artifact}: ONNX, ")
    assert "needs ONNX Runtime" in out
    assert "Nx3x16x16" in out and "Nx7" in out
    assert "operators of" in out and "Conv" in out and "yes" in out
    assert "recipe" in out


def test_long_metadata_is_cut_and_json_holds_all(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(artifact), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "onnx"
    (text,) = [value for key, value in found["metadata"].items() if key.rpartition(".")[2] == "spec"]
    assert json.loads(text)["name"] == "small0"
    assert len(text) > 300
    run(["inspect", str(artifact)])
    assert f"({len(text)} characters, all with --json)" in " ".join(capsys.readouterr().out.split())


def test_what_is_no_artifact_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ArtifactError, match="is empty: expected a ONNX file"):
        read_facts(tmp_path / "empty.onnx")
    with pytest.raises(UsageError, match=r"'\.pb' is no artifact suffix"):
        read_facts(tmp_path / "model.pb")
    with pytest.raises(UsageError, match="is a directory"):
        read_facts(tmp_path)


PASSES = [
    {"name": "fold", "rewrites": 3, "detail": "3 folded"},
    {"name": "in_place", "rewrites": 0, "not_run": "old bytecode"},
]


def test_the_manifest_beside_tells_how_it_was_optimised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_artifact(tmp_path, Format.ONNX)
    edit_manifest(manifest, passes=PASSES)
    assert run(["inspect", str(manifest.with_suffix(""))]) == 0
    out = capsys.readouterr().out
    assert "optimisation full: 1 of 2 passes rewrote calls" in out and "3 folded" in out
    assert "in_place did not run: old bytecode" in out
    assert run(["inspect", str(manifest.with_suffix("")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema_version"], found["optimised"], found["manifest"]) == (1, "full: 1/2", str(manifest))
    assert found["shortfalls"] == ["in_place did not run: old bytecode"]


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"sha256": 1}', "not a valid Manifest record"), (None, "speaks of another file")],
)
def test_a_manifest_that_does_not_fit_is_not_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: str
) -> None:
    manifest = write_artifact(tmp_path, Format.ONNX)
    if text is None:
        edit_manifest(manifest, passes=PASSES, sha256="0" * 64)
    else:
        manifest.write_text(text)
    assert run(["inspect", str(manifest.with_suffix(""))]) == 0
    out = capsys.readouterr().out
    assert "nothing is known of the export" in out and words in out and "in_place" not in out


LAYERS = [
    {"name": f"linear_{at}", "module": f"stages.{at}.fc", "kind": "linear", "weights": 100, "scheme": scheme, **told}
    for at, (scheme, told) in enumerate(
        [("static", {"sqnr_db": 40.0 + at}) for at in range(5)]
        + [("dynamic", {"sqnr_db": 50.0, "why": "as static it would lose too much"}), ("float", {"why": "kept"})]
    )
]
INT8 = {
    "recipe__precision": "int8",
    "recipe__calibration": {"count": 100, "sha256": "1a2b3c4d" * 8},
    "recipe__keep_float": ["stages.6"],
    "quantization": {"layers": LAYERS, "measured_on": "32 images of the calibration"},
}


def test_what_became_of_an_int8_file_is_summed_up_and_json_holds_every_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_artifact(tmp_path, Format.ONNX)
    edit_manifest(manifest, **INT8)
    file = str(manifest.with_suffix(""))
    assert run(["inspect", file]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "precision: int8 static, ranges of 100 images (SHA-256 1a2b3c4d…); left float: stages.6" in out
    assert "7 layers: 5 static, 1 dynamic, 1 float; SQNR of each one's output alone, over 32 images of the" in out
    shown = [layer["module"] for layer in LAYERS if f"{layer['module']} linear" in out]
    assert shown == ["stages.0.fc", "stages.1.fc", "stages.2.fc", "stages.5.fc", "stages.6.fc"]
    assert "as static it would lose too much" in out
    assert run(["inspect", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["precision"], found["calibration"]["count"], found["keep_float"]) == (
        "int8 static",
        100,
        ["stages.6"],
    )
    assert [layer["name"] for layer in found["quantization"]["layers"]] == [layer["name"] for layer in LAYERS]


def test_the_weights_are_counted_by_dtype_and_tell_the_precision_where_no_manifest_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_artifact(tmp_path, Format.TFLITE)
    file = str(manifest.with_suffix(""))
    capsys.readouterr()  # what the converter printed
    assert run(["inspect", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["weights"]["float32"] > 1000 and found["precision"] == "fp32"
    manifest.unlink()
    assert run(["inspect", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "fp32"
    assert run(["inspect", file]) == 0
    assert f"weights: {found['weights']['float32']:,} float32 (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"float32": 4060540, "int32": 163}, "4,060,540 float32, 163 int32"),
        ({"float32": 20, "int8": 60, "int32": 20}, "60 int8 (60.0 %), 20 float32 (20.0 %), 20 int32 (20.0 %)"),
    ],
)
def test_small_change_among_the_weights_has_no_share(weights: dict[str, int], words: str) -> None:
    assert _weights_in_words(weights) == words
