"""From paths to what is measured: what is found, what is refused, and who judges the answers."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_artifacts import edit_manifest, write_artifact, write_hostile

from edgevit.errors import ArtifactError, UsageError
from edgevit_export.workflows.subjects import NO_GOLDEN, find_subjects
from export.recipe import Format
from runtimes.sessions.table import open_session


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("artifacts"), Format.ONNX).parent


@pytest.fixture
def artifact(written: Path, tmp_path: Path) -> Path:
    """The file; its manifest and its golden set stand beside it."""
    return Path(shutil.copytree(written, tmp_path / "artifacts")) / "small0.onnx"


def manifest_of(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + ".json")


def test_a_file_its_manifest_and_its_directory_are_the_same_subject(artifact: Path) -> None:
    for paths in ([artifact], [manifest_of(artifact)], [artifact.parent], [artifact, artifact.parent]):
        (subject,) = find_subjects(paths).subjects
        assert (subject.name, subject.format, subject.size_bytes) == ("small0.onnx", "onnx", artifact.stat().st_size)


def test_copies_of_other_names_are_subjects_of_their_own(artifact: Path) -> None:
    other = artifact.with_name("other.onnx")
    shutil.copy(artifact, other)
    assert [each.name for each in find_subjects([artifact, other]).subjects] == ["small0.onnx", "other.onnx"]


def test_right_answers_pass_and_wrong_ones_fail(artifact: Path) -> None:
    found = find_subjects([artifact])
    (subject,) = found.subjects
    with closing(open_session(artifact, Format.ONNX)) as session:
        answers = [session.run(feed) for feed in subject.feeds]
    judged = found.judge(subject, answers, "onnxruntime 1")
    assert judged.status == "passed" and judged.parity is not None
    wrong = [{name: array + np.float32(0.1) for name, array in answer.items()} for answer in answers]
    judged = found.judge(subject, wrong, "onnxruntime 1")
    assert judged.status == "failed" and judged.reason


def test_without_a_manifest_inputs_are_the_same_random_ones_and_nothing_is_judged(artifact: Path) -> None:
    manifest_of(artifact).unlink()
    found = find_subjects([artifact])
    (subject,), (again,) = found.subjects, find_subjects([artifact]).subjects
    (name,) = subject.feeds[0]
    array = subject.feeds[0][name]
    assert array.dtype == np.float32 and 0.0 <= array.min() < array.max() <= 1.0
    np.testing.assert_array_equal(array, again.feeds[0][name])
    judged = found.judge(subject, [], "onnxruntime 1")
    assert (judged.status, judged.reason) == ("not verified", NO_GOLDEN)


def test_paths_that_lead_nowhere(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such file or directory") as refused:
        find_subjects([artifact, tmp_path / "nowhere"])
    assert refused.value.hint and "edgevit-export" in refused.value.hint
    (tmp_path / "photo.jpg").write_bytes(b"jpeg")
    with pytest.raises(UsageError, match=r"'\.jpg' is no artifact suffix: expected one of \."):
        find_subjects([tmp_path / "photo.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises((UsageError, ArtifactError), match="empty"):
        find_subjects([tmp_path / "empty"])


def test_a_manifest_without_its_artifact(artifact: Path) -> None:
    artifact.unlink()
    with pytest.raises(ArtifactError, match="the manifest is there, but the artifact is not"):
        find_subjects([artifact.parent])


def test_a_file_that_is_not_the_manifests(artifact: Path) -> None:
    with artifact.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match=r"is not the file of its manifest: expected SHA-256 \w{12}, got \w{12}"):
        find_subjects([artifact])


def test_a_golden_set_that_is_not_the_manifests(artifact: Path) -> None:
    edit_manifest(manifest_of(artifact), golden__sha256="0" * 64)
    with pytest.raises(ArtifactError, match="golden"):
        find_subjects([artifact])


def test_what_is_no_model_inside(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"rubbish")
    with pytest.raises(ArtifactError, match=r"m\.onnx"):
        find_subjects([tmp_path / "m.onnx"])


def test_a_file_whose_audit_fails_is_run_nowhere(tmp_path: Path) -> None:
    manifest = write_artifact(tmp_path / "built", Format.PTL)
    write_hostile(manifest, tmp_path / "victim")
    artifact = manifest.with_suffix("")
    for path in (manifest, artifact):
        with pytest.raises(ArtifactError, match=r"is not run, because its audit fails: aten::from_file.*opens files"):
            find_subjects([path])
    manifest.unlink()
    with pytest.raises(ArtifactError, match="is not run"):
        find_subjects([artifact])
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(("kind", "shape"), [("FLOAT", [10**6, 10**6]), ("FLOAT", [0, 3]), ("STRING", [2])])
def test_inputs_that_cannot_be_made_up_are_refused_before_memory_is_taken(
    tmp_path: Path, kind: str, shape: list[int]
) -> None:
    values = [onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match=r"'x' is .* elements at most|no input can be made up for 'x'"):
        find_subjects([tmp_path / "m.onnx"])
