"""``verify``: table, JSON and JUnit XML of what was judged; the exit code is the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest
from small_artifacts import edit_manifest, write_artifact

from edgevit_export.__main__ import run
from export.recipe import Format


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "artifacts", Format.PTL)
    return tmp_path / "artifacts"


def test_a_sound_artifact_is_a_row_and_a_passed_suite(
    directory: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(directory), "--junit", str(tmp_path / "out.xml")]) == 0
    seen = capfd.readouterr()
    assert "small0.ptl" in seen.out and "passed" in seen.out
    assert "verifying small0.ptl: passed" in seen.err
    suites = xml.parse(tmp_path / "out.xml").getroot()
    assert (suites.get("failures"), suites.get("errors")) == ("0", "0")


def test_a_failed_check_is_the_exit_code_and_its_reason_a_note(
    directory: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_manifest(directory / "small0.ptl.json", sha256="0" * 64)
    monkeypatch.chdir(directory.parent)
    assert run(["verify"]) == 1
    seen = capfd.readouterr()
    assert "failed: checksum" in seen.out
    assert "small0.ptl: checksum: small0.ptl must have SHA-256 000" in seen.err
    assert run(["verify", "-q"]) == 1
    (reason,) = capfd.readouterr().err.splitlines()
    assert reason.startswith("small0.ptl: checksum: small0.ptl must have SHA-256 000")


def test_json_is_alone_on_stdout(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(directory), "--json", "--strict", "--quiet"]) == 0
    seen = capfd.readouterr()
    (report,) = json.loads(seen.out)["artifacts"]
    limits = report["parity"]["limits"]
    assert (limits["precision"], limits["multiple"], limits["atol"], limits["strict"]) == ("fp32", None, None, True)
    assert seen.err == ""


def test_what_was_not_done_as_asked_stands_under_the_table(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused = [{"operator": "aten::batch_norm", "count": 2, "why": "others read it", "modules": ["stem"]}]
    edit_manifest(directory / "small0.ptl.json", passes=[{"name": "fold", "rewrites": 1, "refused": refused}])
    assert run(["verify", str(directory)]) == 0
    seen = capfd.readouterr().out
    assert "not as asked" in seen
    assert "fold left aten::batch_norm x 2: others read it (in stem)" in seen
    assert run(["verify", str(directory), "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)["artifacts"][0]["shortfalls"]) == 1


def test_a_file_from_elsewhere_is_held_against_a_reference(
    directory: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs.ptl"
    theirs.write_bytes((directory / "small0.ptl").read_bytes())
    reference = ["--reference", str(directory / "small0.ptl")]
    assert run(["verify", str(theirs), *reference, "--json"]) == 0
    (report,) = json.loads(capfd.readouterr().out)["artifacts"]
    assert (report["file"], report["reference"], report["parity"]["passed"]) == ("theirs.ptl", "small0.ptl", True)
    assert run(["verify", str(theirs), *reference, "--map", "image=image", "--map", "logits=logits"]) == 0
    assert "passed" in capfd.readouterr().out
    assert run(["verify", str(theirs), *reference, "--map", "logits=image"]) == 1
    assert "'logits' cannot be 'image'" in capfd.readouterr().err


def test_a_file_of_verdicts_that_fails_is_in_the_document(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(directory), "--json", "--junit", "/dev/full"]) == 5
    document = json.loads(capfd.readouterr().out)
    assert len(document["artifacts"]) == 1
    assert document["error"]["message"] == "cannot write /dev/full: No space left on device"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--map", "a=b"], "--map is only used to hold files against a --reference"),
        (["--reference", "x.onnx"], "--reference needs the files to hold against it"),
        (["t.ptl", "--reference", "x.onnx", "--images", "."], "belong to artifacts with a manifest"),
        (["t.ptl", "--reference", "x.onnx", "--map", "a"], "--map 'a': expected FILE_NAME=REFERENCE_NAME"),
        (["t.ptl", "--reference", "x.onnx", "--map", "a=b", "--map", "a=c"], "'a' has a partner already"),
        (["t.ptl", "--reference", "x.onnx", "--map", "a=b", "--map", "c=b"], "'b' has a partner already"),
    ],
)
def test_options_that_say_nothing_together_are_refused(
    options: list[str], words: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.onnx").touch()
    assert run(["verify", *options]) == 2
    assert words in " ".join(capfd.readouterr().err.split())
