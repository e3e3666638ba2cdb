"""What a person types wrong, and what they read then: exit code, message, hint. No model is built here."""

import json
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
    (
        ["--variant", "s", "--format", "pte", "--dynamic-batch"],
        2,
        "--dynamic-batch belongs to ptl and onnx",
        "--format onnx",
    ),
    (["--variant", "s", "--config", "."], 2, "--variant and --config", "leave one"),
    (["--variant", "s", "--checkpoint", "missing.pth"], 2, "missing.pth", ""),
    (["--variant", "s", "--mean", "0.5"], 2, "--mean and --std belong together", "--std"),
    (["--variant", "s", "--mean", "a,b,c", "--std", "1,1,1"], 2, "expected numbers", "--mean 0.5"),
    (["--variant", "s", "--labels", "missing.txt"], 2, "missing.txt", ""),
    (["--variant", "s", "--mean", "nan,0,0", "--std", "1,1,1"], 2, "expected finite numbers", "--mean 0.5"),
    (["--variant", "s", "--format", ","], 2, "names no format", "--format ptl,onnx,tflite"),
    (["--variant", "s", "--format", "onnx", "--opset", "99"], 2, "choose from 11 to 20", "--opset 20"),
    (["--variant", "s", "--format", "onnx", "--opset", "0"], 2, "choose from 11 to 20", "--opset 11"),
    (["--variant", "s", "--format", "ptl", "--ptl-bytecode", "3"], 2, "choose from 7, 6, 5, 4", "--ptl-bytecode 7"),
    (
        [
            "--variant",
            "s",
            *["--format", "onnx,tflite", "--opset", "11", "--precision", "fp32,int8", "--calibration-data", "."],
        ],
        2,
        "opset 11 for static int8 in onnx: choose from 13 to 20",
        "--opset 13",
    ),
    (["--variant", "s", "--propagation", "conv"], 2, "unknown propagation", "did you mean 'transposed-conv'"),
    (["export"], 2, "nothing to export", "edgevit-export --variant s"),
    (["export", "--variant", "xl"], 2, "unknown variant 'xl'", "xs"),
    (["convert"], 2, "No such command 'convert'", "edgevit-export export --variant s"),
    (["quantize"], 2, "No such command 'quantize'", "float32 alone"),
    (["visualize"], 2, "No such command 'visualize'", "edgevit-export report"),
    (["xs"], 2, "No such command 'xs'", "edgevit-export export --variant xs"),
    (["inspect", "."], 2, "is a directory", "edgevit-export verify"),
    (["--opset", "17"], 2, "nothing to export", "--variant s"),
    (["--variant", "s", "verify"], 2, "before 'verify'", "edgevit-export verify --help"),
    (["verfy"], 2, "verfy", "edgevit-export verify"),
    (["--variat", "s"], 2, "--variat", "--variant"),
    (["verify", "nowhere"], 2, "nowhere", ""),
    (["verify", ".", "--junit", "."], 2, "is a directory", ""),
    (["verify", "--checkpoint", "."], 2, "--checkpoint is only used", "--images"),
    (["bench", ".", "--vout", "3"], 2, "--vout without --energy", "--energy monsoon"),
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


NAMED = [
    ["verify", "gone"], ["verify", "FILE", "--images", "gone"], ["verify", "FILE", "--checkpoint", "gone"],
    ["verify", "FILE", "--reference", "gone"], ["verify", "gone.onnx", "--reference", "FILE"], ["bench", "gone"],
    ["bench", "FILE", "--tools-dir", "gone"], ["bench", "FILE", "--replay", "gone"], ["inspect", "gone.onnx"],
    ["compare", "gone", "FILE"], ["compare", "FILE", "gone"], ["energy", "analyze", "gone.csv"],
    ["energy", "analyze", "gone.npz"], ["energy", "analyze", "gone.json"],
    ["energy", "analyze", "FILE", "--stamps", "gone"], ["report", "gone"], ["report", "gone.json"],
    ["devices", "--tools-dir", "gone"], ["-m", "xxs", "--checkpoint", "gone"], ["-m", "xxs", "--labels", "gone"],
    ["--config", "gone"], ["-m", "xxs", "--images", "gone"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", NAMED, ids=" ".join)
def test_a_path_that_is_not_there_is_usage_before_any_work(
    arguments: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").touch()
    assert run(["there.onnx" if word == "FILE" else word for word in arguments]) == 2
    seen = capfd.readouterr()
    assert "gone" in seen.err and "building" not in seen.err and seen.out == ""


HOSTILE = "a\x1b]0;mine\x07\x9b31m\u202eb"


@pytest.mark.parametrize(
    "arguments",
    [[HOSTILE], ["verify", HOSTILE], ["verify", f"--{HOSTILE}"], ["bench", ".", "--runs", HOSTILE], ["-m", HOSTILE],
     ["compare", HOSTILE, HOSTILE], ["inspect", f"{HOSTILE}.onnx"], ["verify", ".", "--map", HOSTILE],
     ["energy", HOSTILE], ["report", "--format", HOSTILE], ["bench", ".", "--affinity", HOSTILE]],
    ids=range(11),
)  # fmt: skip
def test_what_was_typed_is_quoted_without_steering_the_terminal(
    arguments: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "--json"]) == 2
    seen = capfd.readouterr()
    assert all(line.isprintable() for line in (seen.out + seen.err).split("\n"))
    assert json.loads(seen.out)["error"]["kind"] == "usage"


@pytest.mark.parametrize(
    "command",
    [
        ["models"],
        ["inspect", "x"],
        ["energy", "analyze"],
        ["energy", "meters"],
        ["runner", "build"],
        ["runner", "fetch"],
    ],
)
def test_a_failure_is_json_where_json_was_asked_for(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--json", "--bogus"]) == 2
    told = json.loads(capfd.readouterr().out)
    assert (told["schema_version"], told["error"]["exit_code"]) == (1, 2)
    assert "--bogus" in told["error"]["message"] or "Missing argument" in told["error"]["message"]
