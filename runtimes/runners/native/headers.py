"""Headers of the runtimes that a program is linked with: of the same version as the library, or the build is refused.

ExecuTorch's headers come with its Python package. Where the one that is installed here is of another version, the
fetch keeps those of the right one in the store, as one zip, so that a build needs no network.
"""

from __future__ import annotations

import zipfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from edgevit.errors import ArtifactError, MissingDependencyError, UsageError
from edgevit.installation import install_packages
from runtimes.runners.native.abis import ABIS, Abi
from runtimes.runners.native.archives import open_archive
from runtimes.runners.native.download import download_wheel
from runtimes.runners.native.runtimes_table import NativeRow
from runtimes.runners.native.store import (
    Found,
    StoredLibrary,
    fetch_command,
    find_library,
    keep_library,
    stored_file,
    workplace,
)

_ZIP = "headers.zip"
_INSIDE = "executorch/include/"
_TIME = (2000, 1, 1, 0, 0, 0)
# Its wheels: headers do not differ between platforms, and there are none for some.
_WHEELS_OF, _PYTHON = "x86_64-linux", "3.11"
_MOST_HEADERS = 10_000  # chosen: ExecuTorch 1.4.1 has 528


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _installed(package: str, minor: str) -> Path | None:
    """The folder of headers of a package of this Python, if it is of that minor version."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    if _minor(version) != minor or not places:
        return None
    return next((folder for place in places if (folder := Path(place) / "include").is_dir()), None)


def _name(row: NativeRow) -> str:
    return f"{row.runtime}-headers"


def keep_headers(abi: Abi, row: NativeRow, version: str) -> Found[StoredLibrary] | None:
    """Bring the headers for a library into the store; None where this Python has them, or nothing is compiled with any.

    Raises:
        MissingDependencyError, FailureError: They cannot be downloaded.
        ArtifactError: The wheel is damaged.
    """
    if row.headers is None or _installed(row.headers, _minor(version)) is not None or row.headers != "executorch":
        return None
    with workplace() as room:
        wheel = download_wheel(ABIS[_WHEELS_OF], f"{row.headers}=={version}", _PYTHON, room)
        path = room / _ZIP
        with open_archive(wheel) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            members = sorted(member for member in archive.members if member.startswith(_INSIDE))
            for member in members:
                target.writestr(zipfile.ZipInfo(member, _TIME), archive.text(member), zipfile.ZIP_DEFLATED)
        if not members:
            raise ArtifactError(f"{wheel.name} holds no headers: nothing is in {_INSIDE}")
        record = StoredLibrary(
            runtime=_name(row), version=version, abi=abi.name, files=(stored_file(path),), origin=wheel.name
        )
        return keep_library(record, (path,))


def headers_for(library: StoredLibrary, abi: Abi, row: NativeRow, named: Path | None, room: Path) -> Path:
    """The folder of headers to compile with; ``named`` is the user's own choice, ``room`` for what is unpacked.

    Raises:
        UsageError: ``named`` is no such folder.
        MissingDependencyError: There are none of the library's version.
        ArtifactError: What the store has is damaged.
    """
    if named is not None:
        if not named.is_dir():
            raise UsageError(f"--include {named}: there is no such directory")
        return named.resolve()
    assert row.headers is not None, "only what is compiled with headers is linked"
    if (folder := _installed(row.headers, _minor(library.version))) is not None:
        return folder
    found = find_library(abi, _name(row), row.format)
    if found is not None and _minor(found.record.version) == _minor(library.version):
        _unpack(found.main, room)
        return room / _INSIDE
    stated = f"no headers of {row.headers} {_minor(library.version)} for the library of {library.version} in the store"
    if row.headers == "executorch":
        raise MissingDependencyError(f"cannot build {row.program}: {stated}", hint=fetch_command(abi, row.format))
    hint = install_packages(f"{row.headers}=={library.version}")
    raise MissingDependencyError(f"cannot build {row.program}: {stated}", hint=f"{hint}, or --include DIR")


def _unpack(path: Path, room: Path) -> None:
    """The headers of a zip that was made here, by paths that lead nowhere else."""
    with open_archive(path) as archive:
        if len(archive.members) > _MOST_HEADERS:
            raise ArtifactError(f"{path} holds {len(archive.members):,} headers, expected at most {_MOST_HEADERS:,}")
        for member in archive.members:
            if not member.startswith(_INSIDE) or ".." in PurePosixPath(member).parts:
                raise ArtifactError(f"{path} holds '{member[:80]}', expected only what is in {_INSIDE}")
            target = room / member
            target.parent.mkdir(parents=True, exist_ok=True)
            archive.extract(member, target)
