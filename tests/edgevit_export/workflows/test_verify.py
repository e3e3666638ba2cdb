"""Verification of what stands on disk, file by file and directory by directory."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from edgevit_tiny import tiny
from PIL import Image
from small_artifacts import edit_manifest, small_net
from small_exports import small_spec

from edgevit.build import build_model
from edgevit.errors import ArtifactError, UsageError
from edgevit_export import export, verify
from edgevit_export.api import ExportReport
from edgevit_export.console import Progress
from edgevit_export.workflows.verify import targets, verify_against
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
    (tmp_path / "stray.onnx").write_bytes(source.read_bytes() + b"x")
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


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    directory = tmp_path / "photos"
    directory.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(directory / f"{number}.png")
    return directory


def test_photos_are_compared_and_a_network_beyond_its_file_is_not_built(photos: Path, tmp_path: Path) -> None:
    model, spec = build_model(tiny(), input_size=(64, 64))
    assert export(model, spec, "ptl", output=tmp_path / "out").passed
    (report,) = verify(tmp_path / "out", images=photos)
    assert report.passed and report.parity_extra is not None and report.parity_extra.inputs_compared == 2
    options = {**spec.options, "channels": "8,16,24,60000", "heads": "1,2,3,1"}
    edit_manifest(tmp_path / "out" / f"{spec.name}.ptl.json", spec__options=options)
    (report,) = verify(tmp_path / "out", images=photos)
    assert report.failed_checks[0].name == "contents", "the file says otherwise: nothing is built for it"
    export(model, msgspec.structs.replace(spec, options=options), "ptl", output=tmp_path / "agreed")
    with pytest.raises(UsageError, match=r"the manifest of .+ describes is not built"):
        verify(tmp_path / "agreed", images=photos)
    assert verify(tmp_path / "agreed")[0].passed, "which builds nothing"


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
    found = targets([directory, directory / "small-net.ptl", tmp_path, tmp_path / "stray.tflite"])
    assert [path.name for path, _ in found] == ["small-net.onnx.json", "small-net.ptl.json", "stray.tflite.json"]
    assert all(artifact is None for _, artifact in found)
    assert targets([directory / "small-net.onnx.json"]) == [(directory / "small-net.onnx.json", None)]


def test_a_checkpoint_that_no_artifact_came_from_is_refused(
    exported: ExportReport, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(UsageError, match="no artifact here came from a weights file"):
        verify(exported.directory, images=photos, checkpoint=tmp_path / "notes.txt")


def test_a_checkpoint_is_refused_where_nothing_is_compared_on_photos(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--checkpoint is only used"):
        verify(tmp_path, checkpoint=tmp_path / "w.pth")


@pytest.fixture
def copy(exported: ExportReport, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.directory, tmp_path / "copy"))


@pytest.mark.parametrize("whole_directory", [True, False])
def test_a_renamed_file_is_judged_once_by_its_content(copy: Path, whole_directory: bool) -> None:
    renamed = (copy / "small-net.onnx").rename(copy / "model.onnx")
    reports = verify(copy if whole_directory else renamed)
    assert [(report.file, report.passed) for report in reports][:1] == [("model.onnx", True)]
    assert len(reports) == (len(FORMATS) if whole_directory else 1)
    assert "is called small-net.onnx in its manifest" in reports[0].checks[1].details[0]


def test_a_copy_of_another_name_is_judged_beside_its_original(copy: Path) -> None:
    shutil.copy(copy / "small-net.onnx", copy / "copy.onnx")
    assert [report.file for report in verify(copy)] == ["small-net.onnx", "small-net.ptl", "copy.onnx"]
    (report,) = verify(copy / "copy.onnx")
    assert (report.file, report.passed) == ("copy.onnx", True)


def test_files_from_elsewhere_are_held_against_an_artifact(copy: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    shutil.copy(copy / "small-net.ptl", theirs / "t.ptl")
    (theirs / "u.onnx").write_bytes(b"rubbish")
    reports = verify_against(theirs, reference=copy / "small-net.onnx")
    assert [(report.file, report.passed, report.reference) for report in reports] == [
        ("t.ptl", True, "small-net.onnx"), ("u.onnx", False, "small-net.onnx"),
    ]  # fmt: skip
    assert verify_against(theirs / "t.ptl", reference=copy / "small-net.onnx", atol=1e-12)[0].passed is False


def test_what_cannot_be_held_against_anything_is_a_wrong_request(copy: Path, tmp_path: Path) -> None:
    reference = copy / "small-net.onnx"
    (tmp_path / "empty").mkdir()
    for path, words in (
        ("none.onnx", "no such file"),
        ("empty", "no artifact in"),
        ("copy/small-net.onnx.json", "suffix"),
    ):
        with pytest.raises(UsageError, match=words):
            verify_against(tmp_path / path, reference=reference)
    with pytest.raises(UsageError, match=r"--reference .*no such file"):
        verify_against(reference, reference=tmp_path / "none.npz")
