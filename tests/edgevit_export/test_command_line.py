"""What a person types wrong, and what they read then: exit code, message, hint. No model is built here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit_export.__main__ import run

WRONG = [
    (["--variant", "xl"], 2, "unknown variant 'xl'", "xs"),
    (["--variant", "s", "--format", "onx"], 2, "unknown format 'onx'", "did you mean 'onnx'"),
    (["--variant", "s", "--task", "clasify"], 2, "unknown task 'clasify'", "did you mean 'classify'"),
    (["--variant", "s", "--input-size", "225"], 2, "225", "224"),
    (["--variant", "s", "--input-size", "2x2x2"], 2, "is not a size", "--input-size 224x224"),
    (["--variant", "s", "--optimize", "max"], 2, "'max'", "full"),
    (["--variant", "s", "--input-layout", "nchv"], 2, "'nchv'", "did you mean 'nchw'"),
    (["--variant", "s", "--format", "tflite", "--opset", "17"], 2, "--opset belongs to onnx", "--format onnx"),
    (["--variant", "s", "--format", "onnx", "--ptl-bytecode", "5"], 2, "--ptl-bytecode belongs to ptl", "--format ptl"),
    (["--variant", "s", "--format", "ptl", "--dynamic-batch"], 2, "--dynamic-batch belongs to onnx", "--format onnx"),
    (["--variant", "s", "--config", "my.toml"], 2, "--variant and --config", "leave one"),
    (["--variant", "s", "--checkpoint", "missing.pth"], 2, "missing.pth", ""),
    (["--variant", "s", "--mean", "0.5"], 2, "--mean and --std belong together", "--std"),
    (["--variant", "s", "--mean", "a,b,c", "--std", "1,1,1"], 2, "expected numbers", "--mean 0.5"),
    (["--variant", "s", "--labels", "missing.txt"], 2, "missing.txt", ""),
    (["--variant", "s", "--mean", "nan,0,0", "--std", "1,1,1"], 2, "expected finite numbers", "--mean 0.5"),
    (["--variant", "s", "--format", ","], 2, "names no format", "--format ptl,onnx,tflite"),
    (["--variant", "s", "--format", "onnx", "--opset", "99"], 2, "choose from 11 to 20", "--opset 20"),
    (["--variant", "s", "--format", "onnx", "--opset", "0"], 2, "choose from 11 to 20", "--opset 11"),
    (["--variant", "s", "--format", "ptl", "--ptl-bytecode", "3"], 2, "choose from 7, 6, 5, 4", "--ptl-bytecode 7"),
    (["--variant", "s", "--propagation", "conv"], 2, "unknown propagation", "did you mean 'transposed-conv'"),
    (["export", "--variant", "s"], 2, "exporting needs none", "edgevit-export --variant s"),
    (["inspect", "."], 2, "is a directory", "edgevit-export verify"),
    (["--opset", "17"], 2, "nothing to export", "--variant s"),
    (["--variant", "s", "verify"], 2, "before 'verify'", "edgevit-export verify --help"),
    (["verfy"], 2, "verfy", ""),
    (["--variat", "s"], 2, "--variat", "--variant"),
    (["verify", "nowhere"], 2, "nowhere", ""),
    (["verify", ".", "--junit", "gone/x.xml"], 2, "no such directory: gone", "--junit verify.xml"),
    (["verify", ".", "--junit", "."], 2, "is a directory", "--junit verify.xml"),
    (["verify", "--checkpoint", "my.pth"], 2, "--checkpoint is only used", "--images"),
    (["bench", ".", "--vout", "3"], 2, "--vout without --energy", "--energy monsoon"),
    (["bench", ".", "--energy", "monsoon", "--dry-run"], 2, "--energy with --dry-run", ""),
    (["bench", ".", "--energy", "monsun"], 2, "unknown energy meter 'monsun'", "did you mean 'monsoon'"),
    (["inspect", "model.pb"], 2, "no artifact suffix", ".onnx"),
    (["inspect", "missing.onnx"], 2, "no such file", "edgevit-export --variant s"),
]


@pytest.mark.parametrize(("arguments", "code", "says", "offers"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_a_wrong_request_says_what_and_what_instead(
    arguments: list[str],
    code: int,
    says: str,
    offers: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    seen = capfd.readouterr()
    assert seen.out == ""
    assert "error: " in seen.err
    assert "Traceback" not in seen.err
    assert says in seen.err
    assert offers in seen.err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_output_that_is_a_file_is_refused_before_any_work(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert run(["--variant", "xxs", "--output", str(taken)]) == 2
    assert str(taken) in capfd.readouterr().err
    assert taken.read_text() == "mine"


def test_ctrl_c_says_that_nothing_unfinished_was_left(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgevit_export.commands.doctor.diagnose", interrupted)
    assert run(["doctor"]) == 130
    assert "interrupted: nothing unfinished" in capfd.readouterr().err


def test_without_arguments_it_helps(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Examples:" in capfd.readouterr().out


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capfd.readouterr().out.startswith("edgevit-export 0.")


def test_models_lists_the_paper_beside_our_counts(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    rows = {row["config"]["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert round(rows["s"]["complexity"]["parameters"] / 1e6, 2) == 13.11
    assert rows["s"]["paper_latency"]["top1_pct"] == 81.0
    assert rows["s-table1"]["paper_latency"] is None


def test_models_needs_no_torch() -> None:
    """``sys.modules[name] = None`` makes importing it fail, and hides it from ``find_spec``."""
    code = "import sys; sys.modules['torch'] = None; from edgevit_export.__main__ import run; sys.exit(run(['models']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "xs-table1" in done.stdout


def test_tables_are_plain_text_when_piped(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "48, 96, 240, 384" in out


def test_doctor_tells_what_can_be_done(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    abilities = {ability["what"]: ability for ability in found["abilities"]}
    assert abilities["export onnx"]["able"] is True
    assert "torch" in found["packages"]
    for ability in abilities.values():
        assert ability["able"] or ability["install"]


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from edgevit_export.commands import doctor as doctor_command

    real = doctor_command.find_spec
    monkeypatch.setattr(doctor_command, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    assert run(["doctor"]) == 0
    (line,) = (row for row in capfd.readouterr().out.splitlines() if "run and verify onnx" in row)
    assert "no" in line and "onnxruntime not installed" in line and "edgevit-export[verify]" in line


def test_shell_completion_is_offered() -> None:
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "edgevit_export", "--show-completion", "bash"], capture_output=True, text=True,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "SHELL": "/bin/bash"}, check=False,
    )  # fmt: skip
    assert "complete" in done.stdout + done.stderr
