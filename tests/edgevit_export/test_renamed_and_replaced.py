"""Files that were renamed are known by their content; what stands in the place of one is told as what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_artifacts import write_artifact

from export.recipe import Format
from runtimes.sessions.table import open_session
from validation.artifact.checks import VerifyReport
from validation.artifact.verify import verify_artifact


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("built")
    for format in (Format.ONNX, Format.TFLITE):
        write_artifact(directory / format, format)
    return directory


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "artifacts"))


def manifest_in(directory: Path) -> Path:
    (path,) = directory.glob("*.json")
    return path


def verified(directory: Path) -> VerifyReport:
    return verify_artifact(manifest_in(directory), opener=open_session)


def failed_at(report: VerifyReport) -> list[str]:
    assert not report.passed
    return [check.name for check in report.failed_checks]


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_renamed_file_is_known_by_its_content_and_told(copy: Path, with_manifest: bool) -> None:
    path = manifest_in(copy / "onnx")
    rename(path.parent / "small0.onnx", "model.onnx")
    if with_manifest:
        path = rename(path, "model.onnx.json")
    report = verify_artifact(path, opener=open_session)
    assert report.passed
    assert report.file == "model.onnx"
    (remark,) = report.checks[1].details
    assert remark == f"model.onnx is called small0.onnx in its manifest, {path.name}: it is known by its content"


def test_a_renamed_golden_set_is_known_by_its_content_and_told(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    rename(path.parent / "small0.npz", "golden.npz")
    report = verify_artifact(path, opener=open_session)
    assert report.passed
    assert report.checks[3].details == (
        "the golden set golden.npz is called small0.npz in the manifest: it is known by its content",
    )


def test_a_pair_that_was_renamed_and_changed_fails_as_changed(copy: Path) -> None:
    path = rename(manifest_in(copy / "onnx"), "model.onnx.json")
    moved = rename(path.parent / "small0.onnx", "model.onnx")
    data = bytearray(moved.read_bytes())
    data[len(data) // 2] ^= 1
    moved.write_bytes(data)
    report = verify_artifact(path, opener=open_session)
    assert failed_at(report) == ["checksum"]
    assert report.failed_checks[0].details[0].startswith("model.onnx must have SHA-256")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 5002168\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (LFS, "it is a git LFS pointer, not the file itself: run git lfs pull"),
        (b"/annex/objects/SHA256E-s5--ab.onnx\n", "it is a git-annex pointer, not the file itself: run git annex get"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "it is an HTML page"),
        (b"", "it is empty"),
    ],
)
def test_what_stands_in_the_place_of_a_file_is_told(copy: Path, data: bytes, words: str) -> None:
    path = manifest_in(copy / "onnx")
    (path.parent / "small0.onnx").write_bytes(data)
    report = verify_artifact(path, opener=open_session)
    assert failed_at(report) == ["file"]
    assert words in report.failed_checks[0].details[0]


def test_other_places_of_pointers_are_told_too(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    (path.parent / "small0.npz").write_bytes(LFS)
    assert "run git lfs pull" in verified(copy / "onnx").failed_checks[0].details[0]
    (path.parent / "small0.onnx").unlink()
    (path.parent / "small0.onnx").symlink_to("../.git/annex/objects/aa/small0.onnx")
    assert "is not there: run git annex get" in verified(copy / "onnx").failed_checks[0].details[0]
    path.write_bytes(LFS)
    assert "run git lfs pull" in verified(copy / "onnx").failed_checks[0].details[0]


def test_a_cut_and_a_grown_file_are_told_apart(copy: Path) -> None:
    artifact = copy / "onnx" / "small0.onnx"
    data = artifact.read_bytes()
    artifact.write_bytes(data[:-1])
    assert "it is cut off" in verified(copy / "onnx").failed_checks[0].details[0]
    artifact.write_bytes(data + b"x")
    assert "it is another file" in verified(copy / "onnx").failed_checks[0].details[0]
    shutil.copy(copy / "tflite" / "small0.tflite", artifact)
    assert "it is a TFLite file" in verified(copy / "onnx").failed_checks[0].details[0]
