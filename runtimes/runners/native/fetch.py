"""From a wheel, an AAR or a directory to a library in the store, with all that it needs beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from edgevit.errors import ArtifactError, UsageError
from edgevit.names import why_not_beside
from edgevit.text import printable
from runtimes.runners.native.abis import ABIS, Abi, require_abi
from runtimes.runners.native.archives import Archive, open_archive
from runtimes.runners.native.download import download, installed_at
from runtimes.runners.native.elf import ElfFile, read_elf, version_key
from runtimes.runners.native.runtimes_table import NativeRow
from runtimes.runners.native.store import MOST_FILES, Found, StoredLibrary, keep_library, stored_file, workplace

# What every system of the kind has, or the glibc bundle brings.
_SYSTEM = {
    False: re.compile(
        r"(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|libutil|libresolv|libmvec|ld-linux[\w-]*)\.so\.\d+"
    ),
    True: re.compile(
        r"lib(c|m|dl|log|android|z|EGL|GLESv[123]|OpenSLES|jnigraphics|nativewindow|neuralnetworks|vulkan|mediandk"
        r"|camera2ndk|aaudio|binder_ndk|sync|stdc\+\+)\.so"
    ),
}
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,4}([.+-]?[A-Za-z]\w{0,20})?", re.ASCII)
_IN_FILE_NAME = re.compile(r"-(\d+(?:\.\d+)+)\.(?:aar|zip)")


@dataclass(frozen=True)
class Wanted:
    """One library to be fetched.

    Attributes:
        abi: For which devices.
        row: Which runtime.
        version: Of the package; None for that of this host, or the newest.
        sources: Wheels, AARs or directories to take it from, the library's own first; empty to download it.
    """

    abi: Abi
    row: NativeRow
    version: str | None = None
    sources: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what nobody has, before anything else is fetched.

        Raises:
            UsageError: The version is none, or the runtime has no library for Android.
        """
        self.row.require_library(android=self.abi.android)
        if self.version is not None and not _VERSION.fullmatch(self.version):
            told = printable(self.version[:80])
            raise UsageError(f"--version '{told}' is no version: expected one like 1.31.1", hint="--version 1.31.1")


def fetch_library(wanted: Wanted) -> Found[StoredLibrary]:
    """Bring one library into the store, in the place of the one that was there.

    Raises:
        UsageError: A source is none, or does not hold the library, or nobody says of which version it is.
        ArtifactError: A source or a library in it is damaged, of another ABI, or lacks what it needs.
        MissingDependencyError: What downloads is not installed.
        FailureError: It cannot be downloaded, or the disk is full.
    """
    if wanted.sources:
        return _taken(wanted, wanted.sources)
    if (installed := installed_at(wanted.abi, wanted.row, wanted.version)) is not None:
        return _taken(
            wanted, (installed.folder,), origin=f"{wanted.row.package} {installed.version}, as installed here"
        )
    with workplace() as room:
        return _taken(wanted, (download(wanted.abi, wanted.row, wanted.version, room),))


def _taken(wanted: Wanted, sources: Sequence[Path], origin: str | None = None) -> Found[StoredLibrary]:
    with workplace() as room, open_archive(sources[0]) as archive:
        main = _main_member(archive, wanted)
        version = _version(archive, wanted)
        files = _extract(archive, main, wanted.abi, room)
        for other in sources[1:]:
            with open_archive(other) as further:
                files.take_missing(further)
        files.require_all(sources[0].name, wanted.row.elsewhere)
        record = StoredLibrary(
            runtime=wanted.row.runtime,
            version=version,
            abi=wanted.abi.name,
            files=tuple(map(stored_file, files.paths)),
            origin=origin or sources[0].resolve().name,
            needs_glibc=highest_glibc(files.headers),
        )
        return keep_library(record, files.paths)


def highest_glibc(headers: Iterable[ElfFile]) -> str | None:
    """The highest version of glibc's symbols that any of some files needs."""
    return max(filter(None, (elf.highest("GLIBC") for elf in headers)), key=version_key, default=None)


def _main_member(archive: Archive, wanted: Wanted) -> str:
    """The member that is the library: where its package has it, or for a directory by its name alone."""
    patterns = _patterns(wanted)
    for pattern in patterns:
        found = [member for member in archive.members if fnmatchcase(member, pattern)]
        if len(found) > 1:
            raise UsageError(
                f"{archive.path} holds {len(found)} of '{pattern}', expected one: {', '.join(sorted(found)[:4])}",
                hint="give --from the directory of the one alone",
            )
        if found:
            return found[0]
    wheel = f"give a wheel of {wanted.row.package} for {wanted.abi.name}, or the directory that one was unpacked to"
    hint = None if wanted.abi.android else wheel
    if wanted.abi.android and (held := _abis_in(archive, wanted)):
        hint = f"it has it for {', '.join(held)}"
    if not wanted.sources:
        hint = f"another --version: that of this host's own package, or the newest, {wanted.row.package} has it"
    origin = archive.path if wanted.sources else archive.path.name
    expected = f"'{patterns[0]}' or '{patterns[-1]}'"
    raise UsageError(f"{origin} holds no library of {wanted.row.title}: expected {expected} in it", hint=hint)


def _patterns(wanted: Wanted) -> tuple[str, ...]:
    abi, row = wanted.abi, wanted.row
    if not abi.android:
        return (row.wheel_main, f"*/{row.wheel_main}", PurePosixPath(row.wheel_main).name)
    assert row.aar_main is not None, "refused as it was asked for"
    return (
        f"{abi.aar_folder}/{row.aar_main}", f"{abi.name}/{row.aar_main}", f"*/{abi.name}/{row.aar_main}", row.aar_main
    )  # fmt: skip


def _abis_in(archive: Archive, wanted: Wanted) -> list[str]:
    """The other ABIs for which an AAR holds the library."""
    held = (PurePosixPath(member) for member in archive.members)
    pattern = wanted.row.aar_main or ""
    return sorted({path.parent.name for path in held if fnmatchcase(path.name, pattern)} & set(ABIS))


def _version(archive: Archive, wanted: Wanted) -> str:
    """The runtime's version, as the archive says it, or as the user does."""
    row = wanted.row
    folder = f"{row.package.replace('-', '_')}-*.dist-info/metadata"
    metadata = [archive.text(member) for member in archive.members if fnmatchcase(member.lower(), folder)]
    told = re.search(r"^Version: *(\S+)", metadata[0], re.MULTILINE) if len(metadata) == 1 else None
    told = told or _IN_FILE_NAME.search(archive.path.name)
    if told is None and wanted.version is None:
        raise UsageError(
            f"nothing in {archive.path} says which version of {row.title} it is", hint="say it: --version 1.31.1"
        )
    version = told[1] if told is not None else wanted.version or ""
    if wanted.version is not None and _release(wanted.version) != _release(version):
        raise UsageError(
            f"{archive.path} holds {row.title} {version}, --version says {wanted.version}", hint="leave --version out"
        )
    if row.told_version and metadata and (inside := re.search(row.told_version, metadata[0])):
        return inside[1]
    return version


def _release(version: str) -> tuple[str, ...]:
    """A version to compare, without what stands behind its ``+``; 1.0 and 1.0.0 are the same (PEP 440)."""
    parts = version.partition("+")[0].split(".")
    while len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return tuple(parts)


class _Files:
    """Files that were taken out, by the names under which others ask for them."""

    def __init__(self, abi: Abi, room: Path) -> None:
        self.paths: list[Path] = []
        self.headers: list[ElfFile] = []
        self._abi, self._room = abi, room / "files"
        self._room.mkdir()
        self._missing: dict[str, str] = {}

    def take(self, archive: Archive, member: str, name: str | None = None) -> None:
        """One library, under the name that was asked for, else its own."""
        if len(self.paths) == MOST_FILES:
            raise ArtifactError(f"{archive.path}: its library needs more than {MOST_FILES} others")
        path = self._room / f"{len(self.paths)}.part"
        archive.extract(member, path)
        elf = read_elf(path)
        require_abi(elf, self._abi, f"'{member}' in {archive.path}")
        name = name or elf.soname or PurePosixPath(member).name
        if problem := why_not_beside(name):
            raise ArtifactError(f"'{member}' in {archive.path} calls itself {name[:80]!r}: {problem}")
        self.paths.append(path.rename(self._room / name))
        self.headers.append(elf)
        taken = {each.name for each in self.paths}
        self._missing.pop(name, None)
        self._missing.update({each: name for each in elf.needed if each not in taken})

    def take_missing(self, archive: Archive, main: str | None = None) -> None:
        """What is asked for and the archive holds, and what that asks for.

        Args:
            archive: Where it may be.
            main: The library around which its own package is; None for an archive of nothing else.
        """
        while found := self._next(archive, main):
            name, member = found
            self.take(archive, member, name)

    def _next(self, archive: Archive, main: str | None) -> tuple[str, str] | None:
        """A name that is asked for, and the member that it is."""
        for name in self._missing:
            held = [member for member in archive.members if PurePosixPath(member).name == name]
            held = [member for member in held if main is None or _beside(member, main)]
            if self._abi.android:
                held = [member for member in held if PurePosixPath(member).parent.name in (self._abi.name, "")]
            if held:
                return name, held[0]
        return None

    def require_all(self, origin: str, elsewhere: str | None) -> None:
        """Refuse libraries of which one asks for what is neither here nor part of the system."""
        system = _SYSTEM[self._abi.android]
        for name, of in self._missing.items():
            if not system.fullmatch(name):
                raise ArtifactError(
                    f"'{of}' from {origin} needs '{name}', which is not in it",
                    hint=f"add a --from with what holds {name}{f'; {elsewhere}' if elsewhere else ''}",
                )


def _extract(archive: Archive, main: str, abi: Abi, room: Path) -> _Files:
    files = _Files(abi, room)
    files.take(archive, main)
    files.take_missing(archive, main)
    return files


def _beside(member: str, main: str) -> bool:
    """Whether a member is of the package of ``main``: in its folder, or where wheels keep what they bring along."""
    path, library = PurePosixPath(member), PurePosixPath(main)
    return path.parent == library.parent or path.parts[0] == f"{library.parts[0]}.libs"
