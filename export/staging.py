"""A directory beside the final files where artifacts are made, and the order in which they move into place.

A manifest's presence means a complete artifact, at every instant: the new files are whole and on disk before anything
is touched; then the old manifest goes, the artifact is replaced, and the new manifest comes last. Killed in between,
the artifact stands without a manifest and counts as incomplete; the next export mends that. Golden sets carry their
hash in their name, so that no new one replaces one that an older manifest speaks of.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgevit.errors import ArtifactError, ExportError, UsageError
from edgevit.names import file_name
from edgevit.records import in_the_way, require_room
from edgevit.temporary import exclusive, remove_abandoned, temporary_directory, to_disk
from export.artifact import Manifest
from export.manifest import load_manifest, manifest_path, manifests_in

COMMITTING = ".edgevit-committing"


def check_output(directory: Path, needed_bytes: int) -> None:
    """Make ``directory`` and refuse early when files cannot be written there.

    Raises:
        UsageError: Not a directory, not writable, or with less room than ``needed_bytes``.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        require_room(directory)
        free_bytes = shutil.disk_usage(directory).free
    except OSError as error:
        why = "it is a file" if os.path.isfile(directory) else in_the_way(directory, error)  # noqa: PTH113  # may raise
        raise UsageError(f"cannot write to {directory}: {why}", hint="choose another with --output") from error
    if free_bytes < needed_bytes:
        raise UsageError(
            f"not enough room in {directory}: {free_bytes >> 20} MiB free, about {needed_bytes >> 20} MiB needed",
            hint="free some, or choose another directory with --output",
        )


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A fresh directory inside ``directory`` that is gone afterwards, whatever happens.

    Those that a killed process has left are removed first.

    Raises:
        ExportError: The disk is full, or writing fails otherwise; earlier files are untouched.
    """
    remove_abandoned(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with temporary_directory(directory) as place:
            yield place
    except OSError as error:
        raise translate(error, directory) from error


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, has no room left."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def translate(error: OSError, directory: Path) -> ExportError:
    """An error of the file system in words; earlier files are untouched whenever it is raised here."""
    if is_full(error):
        said = f"no room left in {directory}; what stands there is whole"
        return ExportError(said, hint="free some, or choose another with --output")
    return ExportError(f"cannot write in {directory}: {error.strerror or error}; what stands there is whole")


def commit(manifest: Manifest, staged_artifact: Path, staged_golden: Path, directory: Path) -> Path:
    """Move a staged artifact into ``directory``, a copy of its golden set before it and the manifest behind it.

    ``directory`` is made where there is none, but not what is above it.
    Ctrl-C waits until the moves are done, and so does what another process commits there: a manifest must not meet
    that one's artifact. Golden sets that no manifest speaks of are removed afterwards.

    Returns:
        The manifest's path.

    Raises:
        ExportError: Writing fails. The earlier artifact stands with its manifest, or the new one without and the
            message says so.
    """
    final = manifest_path(directory / manifest.file)
    staged_manifest = staged_artifact.with_name(final.name)
    try:
        directory.mkdir(exist_ok=True)
        staged_manifest.write_text(manifest.to_json(), encoding="utf-8")
        for path in (staged_artifact, staged_manifest):
            to_disk(path)
        with exclusive(directory / COMMITTING):
            _move(manifest, staged_artifact, staged_golden, directory)
            _remove_orphans(directory, manifest.spec.name)
    except OSError as error:
        raise translate(error, directory) from error
    return final


def _move(manifest: Manifest, staged_artifact: Path, staged_golden: Path, directory: Path) -> None:
    artifact, golden = directory / manifest.file, directory / manifest.golden.file
    final = manifest_path(artifact)
    golden_is_new = not golden.exists()
    try:
        _place_golden(staged_golden, golden)
        with _uninterrupted():
            _replace_artifact(staged_artifact, artifact, final)
            _place_manifest(staged_artifact.with_name(final.name), final, artifact)
    except OSError:
        if golden_is_new:
            with suppress(OSError):
                golden.unlink()
        raise


def golden_name(model: str, sha256: str) -> str:
    """File name of a golden set: ``edgevit-s-224x224.golden-0f3a9c21.npz``."""
    return f"{file_name(model)}.golden-{sha256[:8]}.npz"


def _place_golden(staged: Path, golden: Path) -> None:
    """Put a copy in place, not the staged file itself: other artifacts of the same command share it."""
    copy = staged.with_name(f"{golden.name}.copy")
    shutil.copyfile(staged, copy)
    to_disk(copy)
    copy.replace(golden)


def _replace_artifact(staged: Path, artifact: Path, manifest: Path) -> None:
    """Take ``manifest`` away, then move the artifact; if that fails, the manifest of the earlier one comes back."""
    withdrawn = staged.with_name(f"{manifest.name}.withdrawn")
    withdrawn.touch()  # over a file, no directory that stands in the way can be moved
    with suppress(FileNotFoundError):
        manifest.replace(withdrawn)
    try:
        staged.replace(artifact)
    except OSError:
        if withdrawn.stat().st_size > 0:
            withdrawn.replace(manifest)
        raise


def _place_manifest(staged: Path, manifest: Path, artifact: Path) -> None:
    """Let the moves of the artifact reach the disk before its manifest does."""
    try:
        to_disk(artifact.parent)
        staged.replace(manifest)
        to_disk(artifact.parent)
    except OSError as error:
        raise ExportError(
            f"{artifact} is new, but its manifest cannot be written: {error.strerror}", hint="export again"
        ) from error


def _remove_orphans(directory: Path, model: str) -> None:
    """Remove golden sets that no manifest speaks of; one that cannot be removed does no harm."""
    with suppress(ArtifactError, OSError):  # a damaged manifest may speak of any of them
        wanted = {load_manifest(path).golden.file for path in manifests_in(directory)}
        for path in directory.glob(golden_name(model, "?" * 8)):
            if path.name not in wanted:
                path.unlink(missing_ok=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM while a few renames run.

    A mask would hold them from this thread alone: another one takes the signal, and the handler still runs here.
    """
    caught: list[int] = []
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread() or None in previous.values():
        yield  # handlers run in the main thread; one that is not Python's could not be put back
        return
    for number in previous:
        signal.signal(number, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for late in caught:
            signal.raise_signal(late)
