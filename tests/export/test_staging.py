"""Kills at any moment, full disks and what dead processes left: a manifest means a complete artifact."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from export_rig import ONNX, PTL, assert_whole, export_to
from number_space import ProcessOne, needs_number_space
from small_disk import mounted

from edgevit.errors import ExportError, UsageError
from export.manifest import load_manifest
from export.staging import check_output, commit, staging, translate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier and a later export of the same name, in two directories."""
    directory = tmp_path_factory.mktemp("exports")
    export_to(directory / "new", seed=1)
    export_to(directory / "target")
    return directory


@pytest.fixture
def new(exports: Path) -> Path:
    """A directory with the later export; nothing writes into it."""
    return exports / "new"


@pytest.fixture
def target(exports: Path, tmp_path: Path) -> Path:
    """A directory with the earlier export."""
    return shutil.copytree(exports / "target", tmp_path / "target")


def _staged(new: Path, stage: Path) -> tuple[Path, Path]:
    """Copies in ``stage`` of the artifact and the golden set in ``new``."""
    manifest = load_manifest(new / "conv-net.ptl.json")
    artifact, golden = (shutil.copy(new / name, stage / name) for name in (manifest.file, manifest.golden.file))
    return artifact, golden


def _contents(directory: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


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


def test_killed_at_any_moment_a_manifest_means_a_complete_artifact(exports: Path, tmp_path: Path) -> None:
    """SIGKILL before each move, removal and write of a second export, until one runs through."""
    old, new, target = exports / "target", exports / "new", tmp_path / "target"
    old_manifest, new_manifest = (directory / "conv-net.ptl.json" for directory in (old, new))
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


@needs_number_space
def test_an_export_leaves_the_staging_of_another_container_alone(tmp_path: Path) -> None:
    """Both are process 1 of their own numbers, where the one's number says nothing of the other."""
    with ProcessOne("staging", tmp_path) as other:
        with staging(tmp_path) as stage:
            assert {path.name for path in tmp_path.iterdir()} == {stage.name, other.said[1]}
        assert (tmp_path / other.said[1] / "half.onnx").exists()
        other.kill()
    with staging(tmp_path) as stage:
        assert {path.name for path in tmp_path.iterdir()} == {stage.name}


def test_what_another_process_commits_meanwhile_waits(
    new: Path, exports: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an artifact and its manifest, another one of that name: no manifest may meet the other's artifact."""
    replace, others = Path.replace, []

    def second() -> None:
        with staging(target) as stage:
            commit(load_manifest(exports / "target" / "conv-net.ptl.json"), *_staged(exports / "target", stage), target)

    def interleaved(path: Path, to: Path) -> Path:
        moved = replace(path, to)
        if to == target / "conv-net.ptl" and not others:
            others.append(threading.Thread(target=second))
            others[0].start()
            others[0].join(0.5)
            assert others[0].is_alive(), "it waits"
            assert moved.read_bytes() == (new / "conv-net.ptl").read_bytes()
        return moved

    monkeypatch.setattr(Path, "replace", interleaved)
    with staging(target) as stage:
        path = commit(load_manifest(new / "conv-net.ptl.json"), *_staged(new, stage), target)
    others[0].join(60)
    assert_whole(path)
    assert path.read_text() == (exports / "target" / "conv-net.ptl.json").read_text()
    assert not list(target.glob(".*"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_disk_that_fills_at_any_moment_of_a_commit(new: Path, exports: Path, tmp_path: Path) -> None:
    """A real file system, with less and less room: what stands is whole, and no failure is taken for a success."""
    target, seen = tmp_path / "target", []
    needed = sum(path.stat().st_size for path in new.iterdir())
    for room_kib in (4, needed // 2048, needed // 1024, 2 * needed // 1024, 3 * needed // 1024 + 64):
        with mounted(target, size_kib=room_kib):
            try:
                with staging(target) as stage:
                    commit(load_manifest(new / "conv-net.ptl.json"), *_staged(new, stage), target)
                seen.append("committed")
                assert_whole(target / "conv-net.ptl.json")
            except (ExportError, OSError) as error:
                assert isinstance(error, ExportError) and "no room left in" in error.message, error
                seen.append("refused")
                assert list(target.iterdir()) == []
    assert seen == sorted(seen, reverse=True) and set(seen) == {"refused", "committed"}


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), ExportError("no"), OSError(errno.ENOSPC, "No space left")])
def test_staging_leaves_nothing_behind(tmp_path: Path, raised: BaseException) -> None:
    with pytest.raises((KeyboardInterrupt, ExportError)) as caught, staging(tmp_path) as stage:
        (stage / "half.onnx").touch()
        raise raised
    assert not list(tmp_path.iterdir())
    if isinstance(raised, OSError):
        assert "no room left" in str(caught.value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_no_room_is_said_as_such_by_disk_and_quota(number: int) -> None:
    said = translate(OSError(number, os.strerror(number)), Path("out"))
    assert said.message == (
        "cannot write in out: Input/output error; what stands there is whole"
        if number == errno.EIO
        else "no room left in out; what stands there is whole"
    )
    said = translate(OSError("no number"), Path("out"))
    assert said.message == "cannot write in out: no number; what stands there is whole"


def test_an_output_that_cannot_take_files_is_refused_early(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep", needed_bytes=1000)
    assert not list((tmp_path / "new" / "deep").iterdir())
    with pytest.raises(UsageError, match="not enough room in"):
        check_output(tmp_path, needed_bytes=1 << 60)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to"):
        check_output(tmp_path / "file", needed_bytes=0)
    if Path("/proc/self").exists():  # not even root may write there
        with pytest.raises(UsageError, match="cannot write to /proc/self"):
            check_output(Path("/proc/self/artifacts"), needed_bytes=0)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("manifest on a full disk", "no room left in"),
        ("golden set on a full disk", "no room left in"),
        ("golden set that cannot be read", "Input/output error"),
        ("directory in place of the artifact", "Is a directory"),
        ("directory in place of the manifest", "Not a directory"),
        ("directory in place of the golden set", "Is a directory"),
    ],
)
def test_a_commit_that_fails_is_an_error_and_changes_nothing(new: Path, target: Path, damage: str, said: str) -> None:
    """The errors are the system's own: /dev/full has no room, and no process may read its memory at 0."""
    manifest = load_manifest(new / "conv-net.ptl.json")
    in_the_way = {"artifact": manifest.file, "manifest": "conv-net.ptl.json", "golden set": manifest.golden.file}
    if damage.startswith("directory"):
        blocked = target / in_the_way[damage.removeprefix("directory in place of the ")]
        blocked.unlink(missing_ok=True)
        blocked.mkdir()
        (blocked / "mine").write_text("kept")
    before = _contents(target)
    with pytest.raises(ExportError, match=said) as caught, staging(target) as stage:
        artifact, golden = _staged(new, stage)
        if damage.startswith("manifest"):
            (stage / "conv-net.ptl.json").symlink_to("/dev/full")
        elif damage.startswith("golden set on"):
            (stage / f"{manifest.golden.file}.copy").symlink_to("/dev/full")
        elif damage.startswith("golden set that"):
            golden.unlink()
            golden.symlink_to("/proc/self/mem")
        commit(manifest, artifact, golden, target)
    assert caught.value.message.endswith("what stands there is whole")
    assert (caught.value.hint is None) is ("no room" not in said)
    assert _contents(target) == before


def test_a_manifest_that_cannot_follow_its_artifact_is_said(
    new: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one stand-in: no system's error comes between two moves into the same directory."""
    manifest, replace = load_manifest(new / "conv-net.ptl.json"), Path.replace

    def failing(path: Path, to: Path) -> Path:
        if to == target / "conv-net.ptl.json":
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", failing)
    said = r"conv-net\.ptl is new, but its manifest cannot be written"
    with pytest.raises(ExportError, match=said) as caught, staging(target) as stage:
        commit(manifest, *_staged(new, stage), target)
    assert caught.value.hint == "export again"
    assert not (target / "conv-net.ptl.json").exists()
    assert (target / "conv-net.ptl").read_bytes() == (new / "conv-net.ptl").read_bytes()


def test_a_golden_set_that_cannot_be_removed_spoils_no_commit(new: Path, target: Path) -> None:
    (target / "conv-net.golden-00000000.npz").mkdir()
    with staging(target) as stage:
        path = commit(load_manifest(new / "conv-net.ptl.json"), *_staged(new, stage), target)
    assert_whole(path)


def test_golden_sets_stay_while_a_damaged_manifest_may_speak_of_them(new: Path, target: Path) -> None:
    (target / "other.onnx.json").write_text("{")
    old = load_manifest(target / "conv-net.ptl.json").golden.file
    with staging(target) as stage:
        commit(load_manifest(new / "conv-net.ptl.json"), *_staged(new, stage), target)
    assert (target / old).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_the_moves_are_done(
    new: Path, target: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    replace = Path.replace

    def interrupted(path: Path, to: Path) -> Path:
        if to == target / "conv-net.ptl":
            os.kill(os.getpid(), number)
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", interrupted)
    previous = signal.signal(number, signal.default_int_handler)  # a shell's background job has it ignored
    try:
        with pytest.raises(KeyboardInterrupt), staging(target) as stage:
            commit(load_manifest(new / "conv-net.ptl.json"), *_staged(new, stage), target)
    finally:
        signal.signal(number, previous)
    assert_whole(target / "conv-net.ptl.json")
    assert (target / "conv-net.ptl.json").read_text() == (new / "conv-net.ptl.json").read_text()


def test_everything_is_on_the_disk_before_it_has_its_name(
    new: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, replace, fsync = load_manifest(new / "conv-net.ptl.json"), Path.replace, os.fsync
    events: list[tuple[str, str]] = []

    def moved(path: Path, to: Path) -> Path:
        events.append(("named", to.name))
        return replace(path, to)

    def synced(descriptor: int) -> None:
        events.append(("on disk", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    with staging(target) as stage:
        artifact, golden = _staged(new, stage)
        monkeypatch.setattr(Path, "replace", moved)
        monkeypatch.setattr(os, "fsync", synced)
        commit(manifest, artifact, golden, target)
    assert events == [
        ("on disk", "conv-net.ptl"),
        ("on disk", "conv-net.ptl.json"),
        ("on disk", f"{manifest.golden.file}.copy"),
        ("named", manifest.golden.file),
        ("named", "conv-net.ptl.json.withdrawn"),
        ("named", "conv-net.ptl"),
        ("on disk", "target"),
        ("named", "conv-net.ptl.json"),
        ("on disk", "target"),
    ]


def test_a_new_export_replaces_only_its_own(tmp_path: Path) -> None:
    ptl, onnx = export_to(tmp_path, PTL, ONNX)
    old = load_manifest(ptl)
    export_to(tmp_path, ONNX, seed=1)
    assert_whole(ptl)
    assert_whole(onnx)
    assert load_manifest(ptl) == old != load_manifest(onnx)
    export_to(tmp_path, seed=1)
    assert not (tmp_path / old.golden.file).exists(), "nobody speaks of the first golden set any more"
