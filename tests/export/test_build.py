"""From program to committed artifact: manifests, integrity, kills at any moment, full disks, silence."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import onnxruntime
import pytest
import torch
import torch.jit.mobile
from small_models import conv_net, edgevit_xxs, two_inputs

from edgevit.errors import ArtifactError, ExportError, UsageError
from edgevit.spec import Layout, Task
from export.artifact import AuditResult, Manifest
from export.build import StagedGolden, export_artifact, make_manifest, stage_golden
from export.formats.ptl_file import write as to_ptl
from export.golden import load_golden, make_golden
from export.manifest import (
    check_integrity,
    created_utc,
    find_manifests,
    load_manifest,
    manifest_path,
    manifest_schema_text,
)
from export.program import Program, capture
from export.recipe import Format, Optimize, Recipe
from export.staging import check_output, commit, remove_stale, staging

ROOT = Path(__file__).parents[2]
FORMATS = (Format.PTL, Format.ONNX)


def plain(format: Format) -> Recipe:
    return Recipe(format=format, optimize=Optimize.NONE)


def export_to(directory: Path, seed: int = 0, formats: tuple[Format, ...] = (Format.PTL,)) -> list[Path]:
    """What the front door does, without the judges."""
    model, spec = conv_net(seed=seed)
    with staging(directory) as stage:
        golden = stage_golden(make_golden(model, spec), spec, stage)
        program = capture(model, spec)
        return [commit_one(program, plain(format), golden, stage, directory) for format in formats]


def commit_one(program: Program, recipe: Recipe, golden: StagedGolden, stage: Path, directory: Path) -> Path:
    staged = export_artifact(program, recipe, stage)
    manifest = make_manifest(staged, golden, audit=AuditResult(passed=True), command=("edgevit-export", "--seed", "0"))
    return commit(manifest, staged.path, golden.path, directory)


def test_exported_files_are_whole_and_alone(tmp_path: Path) -> None:
    manifests = export_to(tmp_path, formats=FORMATS)
    assert [path.name for path in manifests] == ["conv-net.ptl.json", "conv-net.onnx.json"]
    for path in manifests:
        manifest = load_manifest(path)
        assert check_integrity(path) == []
        assert manifest.recipe.format in FORMATS
        assert manifest.tools["torch"].startswith("2.")
        assert len(load_golden(tmp_path / manifest.golden.file, manifest.golden)) == manifest.golden.inputs >= 16
    assert len(list(tmp_path.iterdir())) == 5  # two artifacts, two manifests, one golden set


@pytest.mark.parametrize(("format", "task"), [(Format.PTL, Task.FEATURES), (Format.ONNX, Task.CLASSIFY)])
def test_edgevit_fully_optimised_takes_camera_frames_in_any_batch(tmp_path: Path, format: Format, task: Task) -> None:
    model, spec = edgevit_xxs(task, size_px=64)
    recipe = Recipe(format=format, input_layout=Layout.NHWC, dynamic_batch=True)
    staged = export_artifact(capture(model, spec), recipe, tmp_path)
    assert staged.passes
    images = torch.randn(3, 64, 64, 3)
    if format is Format.PTL:
        result = torch.jit.mobile._load_for_lite_interpreter(str(staged.path))(images)
    else:
        result = torch.from_numpy(
            onnxruntime.InferenceSession(str(staged.path)).run(None, {"image": images.numpy()})[0]
        )
    torch.testing.assert_close(result, model(images.permute(0, 3, 1, 2)), rtol=1e-3, atol=1e-4)


def test_the_published_schema_is_current_and_fits(tmp_path: Path) -> None:
    published = (ROOT / "docs" / "manifest.schema.json").read_text()
    assert published == manifest_schema_text(), "write manifest_schema_text() to docs/manifest.schema.json"
    (path,) = export_to(tmp_path)
    document = json.loads(path.read_text())
    validator = jsonschema.Draft202012Validator(json.loads(published))
    validator.validate(document)
    del document["sha256"]
    assert not validator.is_valid(document)


def test_manifests_are_found_by_directory_artifact_and_name(tmp_path: Path) -> None:
    ptl, onnx = export_to(tmp_path, formats=FORMATS)
    assert set(find_manifests([tmp_path])) == {ptl, onnx}
    assert find_manifests([tmp_path / "conv-net.ptl", ptl]) == (ptl,)
    ptl.unlink()
    with pytest.raises(ArtifactError, match=r"conv-net\.ptl has no manifest"):
        find_manifests([tmp_path / "conv-net.ptl"])
    with pytest.raises(UsageError, match="no such file"):
        find_manifests([tmp_path / "nothing.onnx"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no manifest in"):
        find_manifests([tmp_path / "empty"])


def test_integrity_names_the_check_that_failed(tmp_path: Path) -> None:
    ptl, onnx = export_to(tmp_path, formats=FORMATS)
    artifact = tmp_path / "conv-net.ptl"
    data = artifact.read_bytes()
    artifact.write_bytes(data[:-1])
    assert [problem.partition(":")[0] for problem in check_integrity(ptl)] == ["size"]
    artifact.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    assert [problem.partition(":")[0] for problem in check_integrity(ptl)] == ["SHA-256"]
    artifact.unlink()
    assert check_integrity(ptl) == ["artifact conv-net.ptl is missing"]
    golden = tmp_path / load_manifest(onnx).golden.file
    golden.write_bytes(golden.read_bytes() + b" ")
    assert "golden set" in check_integrity(onnx)[0]
    ptl.write_bytes(onnx.read_bytes())
    assert "of another artifact" in check_integrity(ptl)[0]
    ptl.write_text(onnx.read_text().replace('"conv-net.onnx"', '"../conv-net.onnx"'))
    with pytest.raises(ArtifactError, match="not beside it"):
        check_integrity(ptl)
    ptl.write_text("{}")
    with pytest.raises(ArtifactError, match="not a valid Manifest"):
        check_integrity(ptl)


def test_a_new_export_replaces_only_its_own(tmp_path: Path) -> None:
    ptl, onnx = export_to(tmp_path, formats=FORMATS)
    old = load_manifest(ptl)
    export_to(tmp_path, seed=1, formats=(Format.ONNX,))
    assert check_integrity(ptl) == check_integrity(onnx) == []
    assert load_manifest(ptl) == old != load_manifest(onnx)
    export_to(tmp_path, seed=1)
    assert not (tmp_path / old.golden.file).exists(), "nobody speaks of the first golden set any more"


KILLED_COMMIT = """
import os, pathlib, shutil, signal, sys
from export.artifact import Manifest
from export.staging import commit, staging
target, new, moment = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
calls, real = [0], {name: getattr(pathlib.Path, name) for name in ("replace", "unlink", "write_text")}
def counted(name):
    def call(path, *args, **kwargs):
        calls[0] += 1
        if calls[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return real[name](path, *args, **kwargs)
    return call
for name in real:
    setattr(pathlib.Path, name, counted(name))
manifest = Manifest.load(new / "conv-net.ptl.json")
with staging(target) as stage:
    artifact, golden = (shutil.copy(new / name, stage / name) for name in (manifest.file, manifest.golden.file))
    commit(manifest, artifact, golden, target)
"""


def test_killed_at_any_moment_a_manifest_means_a_complete_artifact(tmp_path: Path) -> None:
    """SIGKILL before each move, removal and write of a second export, until one runs through."""
    old, new, target = (tmp_path / name for name in ("old", "new", "target"))
    (old_manifest,), (new_manifest,) = export_to(old), export_to(new, seed=1)
    seen, code = [], None
    for moment in range(1, 20):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(old, target)
        arguments = [sys.executable, "-c", KILLED_COMMIT, str(target), str(new), str(moment)]
        code = subprocess.run(arguments, check=False, cwd=ROOT, timeout=120).returncode
        manifest = target / old_manifest.name
        text = manifest.read_text() if manifest.exists() else None
        seen.append({None: "none", old_manifest.read_text(): "old", new_manifest.read_text(): "new"}[text])
        assert text is None or check_integrity(manifest) == []
        assert (target / "conv-net.ptl").exists()
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert code == 0
    assert seen == sorted(seen, key=["old", "none", "new"].index), seen
    assert set(seen) == {"old", "none", "new"}
    assert not list(target.glob(".*"))


def test_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive = int(gone.stdout), os.getpid()
    for name in (f".staging-{dead}-abc", f".staging-{alive}-abc", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / f".model.{dead}.partial.npz").touch()
    remove_stale(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f".staging-{alive}-abc", "mine"}


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), ExportError("no"), OSError(errno.ENOSPC, "No space left")])
def test_staging_leaves_nothing_behind(tmp_path: Path, raised: BaseException) -> None:
    with pytest.raises((KeyboardInterrupt, ExportError)) as caught, staging(tmp_path) as stage:
        (stage / "half.onnx").touch()
        raise raised
    assert not list(tmp_path.iterdir())
    if isinstance(raised, OSError):
        assert "no room left" in str(caught.value)


def test_an_output_that_cannot_take_files_is_refused_early(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep", needed_bytes=1000)
    with pytest.raises(UsageError, match="not enough room in"):
        check_output(tmp_path, needed_bytes=1 << 60)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to"):
        check_output(tmp_path / "file", needed_bytes=0)
    if Path("/proc/self").exists():  # not even root may write there
        with pytest.raises(UsageError, match="cannot write to /proc/self"):
            check_output(Path("/proc/self/artifacts"), needed_bytes=0)


def test_a_disk_that_fills_up_is_told_and_keeps_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (manifest,) = export_to(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(program: Program, recipe: Recipe, path: Path) -> None:
        path.write_bytes(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("converter gave up") from error

    monkeypatch.setattr(to_ptl, "write", full)
    with pytest.raises(ExportError, match="no room left"):
        export_to(tmp_path, seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert check_integrity(manifest) == []


def test_a_failing_converter_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(program: Program, recipe: Recipe, path: Path) -> None:
        os.write(2, b"native chatter\n")
        print("python chatter")
        raise RuntimeError("pass pipeline failed\nlots of detail")

    monkeypatch.setattr(to_ptl, "write", broken)
    with pytest.raises(ExportError) as caught:
        export_to(tmp_path)
    assert caught.value.message == "cannot write conv-net as ptl: pass pipeline failed"
    assert "native chatter" in caught.value.__notes__[0]
    assert "python chatter" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "chatter" not in "".join(capfd.readouterr())


def test_a_file_with_other_inputs_than_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = to_ptl.write
    monkeypatch.setattr(to_ptl, "write", lambda program, recipe, path: real(capture(*two_inputs()), recipe, path))
    with pytest.raises(ExportError, match=r"conv-net\.ptl has the inputs .*context"):
        export_to(tmp_path)


def test_the_time_of_creation_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert created_utc() == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        created_utc()


def test_equal_commands_give_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    for name in ("first", "second"):
        export_to(tmp_path / name, formats=FORMATS)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_a_manifest_knows_where_it_belongs() -> None:
    assert manifest_path(Path("a/edgevit-s-224x224.onnx")) == Path("a/edgevit-s-224x224.onnx.json")
    assert Manifest.__struct_fields__[0] == "schema_version"
