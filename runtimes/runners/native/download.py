"""Downloads by the package managers' own clients: wheels by pip, AARs by Maven."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from edgevit.errors import FailureError, MissingDependencyError
from edgevit.shell import command_line
from runtimes.runners.exits import show_tail
from runtimes.runners.native.abis import Abi
from runtimes.runners.native.runtimes_table import NativeRow


@dataclass(frozen=True)
class Installed:
    """A package of this Python: its version, and the directory that it stands in."""

    version: str
    folder: Path


def installed_version(row: NativeRow) -> str | None:
    """The version of a runtime's package that this Python has, without what stands behind its ``+``."""
    if not row.followed:
        return None
    try:
        return metadata.version(row.package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def installed_at(abi: Abi, row: NativeRow, version: str | None) -> Installed | None:
    """Where this Python has the very package that would be downloaded; None where it does not."""
    seen = installed_version(row)
    if not abi.is_here or seen is None or (version is not None and version.partition("+")[0] != seen):
        return None
    return Installed(metadata.version(row.package), Path(str(metadata.distribution(row.package).locate_file(""))))


def download(abi: Abi, row: NativeRow, version: str | None, room: Path) -> Path:
    """A wheel or an AAR in ``room``.

    Raises:
        MissingDependencyError: pip, or Maven, is not installed.
        FailureError: It could not be downloaded.
    """
    if abi.android:  # whose AARs have versions of their own
        return _aar(abi, row, version, room)
    version = version or installed_version(row)
    return download_wheel(abi, row.package if version is None else f"{row.package}=={version}", row.python, room)


def download_wheel(abi: Abi, requirement: str, python: str, room: Path) -> Path:
    """A wheel of PyPI in ``room``, for the devices of an ABI and a version of Python.

    Raises:
        MissingDependencyError: This Python has no pip.
        FailureError: It could not be downloaded.
    """
    if find_spec("pip") is None:
        raise MissingDependencyError(
            f"cannot download {requirement} for {abi.name}: this Python has no pip",
            hint=f"{command_line(sys.executable)} -m ensurepip",
        )
    platforms = [word for tag in abi.wheel_platforms for word in ("--platform", tag)]
    words = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms,
        "--dest", str(room), requirement,
    ]  # fmt: skip
    _run(words, f"pip could not download {requirement} for {abi.name}", "give a wheel that you have: --from FILE.whl")
    return _only(room, "*.whl", f"pip left no wheel of {requirement}")


def _aar(abi: Abi, row: NativeRow, version: str | None, room: Path) -> Path:
    assert row.maven is not None, "refused as it was asked for"
    artifact = f"{row.maven}:{version or 'LATEST'}"
    which = f"the AAR of {artifact}" if version else f"an AAR of {row.maven}"
    hint = f"download {which} from Maven Central and give it: --from FILE.aar"
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingDependencyError(
            f"cannot fetch {row.runtime} for {abi.name}: Maven (mvn) is not installed",
            hint=f"install Maven, or {hint}",
        )
    words = [
        maven,
        "--batch-mode",
        "--quiet",
        "dependency:copy",
        f"-Dartifact={artifact}:aar",
        f"-DoutputDirectory={room}",
    ]
    _run(words, f"Maven could not fetch {artifact}", hint)
    return _only(room, "*.aar", f"Maven left no AAR of {artifact}")


def _run(words: Sequence[str], failed: str, hint: str) -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise FailureError(f"{failed}{show_tail(done.stdout)}", hint=hint)


def _only(room: Path, pattern: str, failed: str) -> Path:
    found = sorted(room.glob(pattern))
    if len(found) != 1:
        raise FailureError(f"{failed}: it left {len(found)} files")
    return found[0]
