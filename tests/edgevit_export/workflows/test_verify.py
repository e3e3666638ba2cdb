"""Verification of what stands on disk, file by file and directory by directory."""

import shutil
from pathlib import Path

import pytest
from small_artifacts import small_net
from small_exports import small_spec

from edgevit.errors import ArtifactError, UsageError
from edgevit_export import export, verify
from edgevit_export.api import ExportReport
from edgevit_export.console import Progress
from edgevit_export.workflows.verify import manifests_to_verify
from export.manifest import load_manifest, manifest_path
from export.recipe import Format

FORMATS = (Format.ONNX, Format.PTL)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    return export(small_net(), small_spec(), FORMATS, output=tmp_path_factory.mktemp("exported"))


def test_what_export_wrote_is_accepted(exported: ExportReport) -> None:
    reports = verify(exported.directory)
    assert [report.passed for report in reports] == [True] * len(FORMATS)


def test_an_artifact_without_manifest_beside_good_ones_fails(exported: ExportReport, tmp_path: Path) -> None:
    (outcome,) = (outcome for outcome in exported.outcomes if outcome.recipe.format is Format.ONNX)
    assert outcome.file is not None
    source = Path(outcome.file)
    manifest = load_manifest(manifest_path(source))
    for name in (manifest.file, manifest.golden.file, manifest_path(source).name):
        (tmp_path / name).write_bytes((source.parent / name).read_bytes())
    (tmp_path / "stray.onnx").write_bytes(source.read_bytes())
    by_file = {Path(report.manifest).name: report.passed for report in verify(tmp_path)}
    assert by_file == {manifest_path(source).name: True, "stray.onnx.json": False}


def test_an_artifact_without_manifest_fails_by_its_own_name_too(exported: ExportReport, tmp_path: Path) -> None:
    (tmp_path / "lonely.onnx").write_bytes(b"anything")
    (report,) = verify(tmp_path / "lonely.onnx")
    assert report.exit_code == 1
    (check,) = report.failed_checks
    assert check.name == "manifest" and "without its manifest is incomplete" in check.details[0]


def test_the_line_of_a_verification_says_how_it_ended(
    exported: ExportReport, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(exported.directory, tmp_path / "copy")
    (tmp_path / "copy" / "small-net.onnx").write_bytes(b"cut")
    verify(tmp_path / "copy" / "small-net.onnx", tmp_path / "copy" / "small-net.ptl", progress=Progress())
    seen = capfd.readouterr().err
    assert "verifying small-net.onnx: failed" in seen
    assert "verifying small-net.ptl: passed" in seen


def test_nothing_to_verify_is_an_error_not_a_pass(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no manifest"):
        verify(tmp_path)
    (tmp_path / "x.onnx").write_bytes(b"rubbish")
    assert [report.passed for report in verify(tmp_path)] == [False]
    with pytest.raises((ArtifactError, UsageError)):
        verify(tmp_path / "missing.onnx")


def test_every_place_is_verified_once_and_gaps_stand_where_they_are(exported: ExportReport, tmp_path: Path) -> None:
    directory = Path(exported.directory)
    (tmp_path / "stray.tflite").write_bytes(b"anything")
    found = manifests_to_verify([directory, directory / "small-net.ptl", tmp_path, tmp_path / "stray.tflite"])
    assert [path.name for path in found] == ["small-net.onnx.json", "small-net.ptl.json", "stray.tflite.json"]
    assert manifests_to_verify([directory / "small-net.onnx.json"]) == (directory / "small-net.onnx.json",)


def test_a_checkpoint_is_refused_where_nothing_is_compared_on_photos(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--checkpoint is only used"):
        verify(tmp_path, checkpoint=tmp_path / "w.pth")
