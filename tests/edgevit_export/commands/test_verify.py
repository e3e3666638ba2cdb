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


def test_json_is_alone_on_stdout(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(directory), "--json", "--strict"]) == 0
    seen = capfd.readouterr()
    (report,) = json.loads(seen.out)
    assert report["parity"]["limits"] == {"precision": "fp32", "multiple": None, "atol": None, "strict": True}
    assert seen.err == ""
