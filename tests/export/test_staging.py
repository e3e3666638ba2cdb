"""Kills at any moment, full disks and what dead processes left: a manifest means a complete artifact."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from export_rig import ONNX, PTL, assert_whole, export_to

from edgevit.errors import ExportError, UsageError
from export.manifest import (
    load_manifest,
)
from export.staging import check_output, remove_stale, staging

ROOT = Path(__file__).parents[2]


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
        if text is not None:
            assert_whole(manifest)
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


def test_a_new_export_replaces_only_its_own(tmp_path: Path) -> None:
    ptl, onnx = export_to(tmp_path, PTL, ONNX)
    old = load_manifest(ptl)
    export_to(tmp_path, ONNX, seed=1)
    assert_whole(ptl)
    assert_whole(onnx)
    assert load_manifest(ptl) == old != load_manifest(onnx)
    export_to(tmp_path, seed=1)
    assert not (tmp_path / old.golden.file).exists(), "nobody speaks of the first golden set any more"
