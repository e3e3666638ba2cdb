"""Manifests on disk: named after their artifact, found, and checked against the files that they speak of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgevit.errors import ArtifactError, UsageError
from edgevit.names import LONGEST_BYTES, why_not_beside
from edgevit.records import sha256_file
from export.artifact import Manifest
from export.formats.table import FORMATS
from export.identify import told, what_it_is

SUFFIX = ".json"
EXPORT_HINT = "edgevit-export --variant s writes artifacts/"
TOOLS = (
    "edgevit-export",
    "torch",
    "onnx",
    "onnxsim",
    "onnxruntime",
    "litert-torch",
    "ai-edge-litert",
    "tflite-runtime",
    "executorch",
    "numpy",
)


def manifest_path(artifact: Path) -> Path:
    """Where the manifest of ``artifact`` stands: ``edgevit-s-224x224.onnx.json`` beside it."""
    return artifact.with_name(artifact.name + SUFFIX)


def load_manifest(path: Path) -> Manifest:
    """Read the manifest at ``path``; its file names must stay within its directory.

    Raises:
        ArtifactError: The file cannot be read, is no manifest, or names files elsewhere.
    """
    if not path.exists():
        gone = told(f"{path} is missing", path) if path.is_symlink() else f"{path} is missing"
        raise ArtifactError(f"{gone}: an artifact without its manifest is incomplete or from elsewhere")
    try:
        manifest = Manifest.load(path)
    except ArtifactError as error:
        found = what_it_is(path)
        raise ArtifactError(f"{path} {found}" if found and "JSON" not in found else error.message) from error
    for name in (manifest.file, manifest.golden.file):
        if problem := why_not_beside(name):
            raise ArtifactError(f"{path} names the file {name[:LONGEST_BYTES]!r}, which is not beside it: {problem}")
    return manifest


def renamed(directory: Path, pattern: str, sha256: str, size: int | None = None) -> Path | None:
    """The file in ``directory`` that has these bytes, whatever its name; None if there is none.

    Args:
        directory: Where to look, not below it.
        pattern: Which names come into question.
        sha256: Of the file.
        size: In bytes, where it is known: only files of this size are read.
    """
    files = (path for path in sorted(directory.glob(pattern)) if path.is_file())
    candidates = (path for path in files if size is None or path.stat().st_size == size)
    return next((path for path in candidates if sha256_file(path) == sha256), None)


def manifest_of_content(artifact: Path) -> Path | None:
    """The manifest beside ``artifact`` that speaks of its very bytes, whatever they are called there."""
    size, digest = artifact.stat().st_size, None
    for path in manifests_in(artifact.parent):
        try:
            manifest = load_manifest(path)
        except ArtifactError:
            continue
        if manifest.bytes == size:
            digest = digest or sha256_file(artifact)
            if manifest.sha256 == digest:
                return path
    return None


def find_manifests(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The manifests that ``paths`` stand for: all in a directory, that of an artifact, or a manifest itself.

    Raises:
        UsageError: A path does not exist, or a directory holds no manifest.
        ArtifactError: An artifact has no manifest.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = manifests_in(path)
            if not inside:
                raise UsageError(f"no manifest in {path}: looked for *.<format>{SUFFIX}", hint=EXPORT_HINT)
            found.update(dict.fromkeys(inside))
        elif path.suffix == SUFFIX and path.is_file():
            found[path] = None
        else:
            found[_manifest_of(path)] = None
    return tuple(found)


def manifests_in(directory: Path) -> list[Path]:
    """The manifests directly in ``directory``, by name."""
    suffixes = tuple(f".{format}{SUFFIX}" for format in FORMATS)
    return sorted(path for path in directory.iterdir() if path.name.endswith(suffixes) and path.is_file())


def _manifest_of(artifact: Path) -> Path:
    path = manifest_path(artifact)
    if path.is_file():
        return path
    if not artifact.exists():
        raise UsageError(f"no such file or directory: {artifact}")
    raise ArtifactError(
        f"{artifact} has no manifest: expected {path.name} beside it",
        hint="an artifact without one is incomplete or from elsewhere: export again",
    )


def created_utc() -> str:
    """Now in UTC as ISO 8601, or the time in ``SOURCE_DATE_EPOCH`` for builds that must repeat.

    Raises:
        UsageError: ``SOURCE_DATE_EPOCH`` is not a number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        moment = datetime.now(UTC)
    else:
        try:
            moment = datetime.fromtimestamp(int(epoch), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise UsageError(f"SOURCE_DATE_EPOCH is '{epoch}', expected a number of seconds since 1970") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def tool_versions(names: Iterable[str] = TOOLS) -> dict[str, str]:
    """Versions of those packages that are installed, without importing them; by default what shapes an artifact."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
