"""aarch64 devices without the hardware, behind the real adb client and adbd.

Programs for aarch64 that are started on them run in an emulator; this machine's own programs are what the device's
shell and tools are made of, and below the device's own directory they are of another ABI, as on a board. Built by
``tests/support/emulator/build.sh DIR``; found in ``$EDGEVIT_EMULATOR``, or ``.emulator`` in the repository.
"""

from __future__ import annotations

import enum
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import adbd_rig
import pytest
from adbd_rig import Adbd, AdbRig

from runtimes.devices.adb.adb_device import AdbDevice

CROSS_COMPILER = "aarch64-linux-gnu-g++"
SYSTEM_ROOT = Path("/usr/aarch64-linux-gnu")

UNAME = '#!/bin/sh\n{uname} "$@" | sed s/x86_64/aarch64/g\n'
PROPERTIES = """[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.cpu.abilist]: [arm64-v8a]
[ro.product.manufacturer]: [Test]
[ro.product.model]: [Emulated]
[ro.build.version.release]: [13]
[ro.build.version.sdk]: [33]
[ro.serialno]: [EMULATED]
"""


class Kind(enum.Enum):
    """What the emulated device is; none of them has Python.

    ``BOARD``: Linux with glibc 2.36 and libstdc++. ``OLD_BOARD``: Linux with glibc 2.31 and nothing else. ``NOEXEC``: a
    board that runs nothing from where files can be pushed to; ``DENIED``: one that runs scripts from there and no
    programs, as SELinux may have it. ``PHONE``: arm64-v8a Android, so no glibc: only what
    brings its own loader runs, and nothing that the NDK builds (its loader is bionic's, which is not there either).
    """

    BOARD = "board"
    OLD_BOARD = "old board"
    NOEXEC = "noexec"
    DENIED = "denied"
    PHONE = "phone"


def emulator_directory() -> Path:
    """Where the emulator is, or would be."""
    named = os.environ.get("EDGEVIT_EMULATOR")
    return Path(named).resolve() if named else adbd_rig.ROOT / ".emulator"


def why_not() -> str | None:
    """Why no device can be emulated here; None when it can. In CI what is missing fails, as for adbd."""
    reason = adbd_rig.why_not()
    if reason is None and not all((emulator_directory() / name).exists() for name in ("qemu-aarch64", "foreign.so")):
        reason = "no emulator (build it with: tests/support/emulator/build.sh .emulator)"
    elif reason is None and set(str(emulator_directory())) & set(" :"):
        reason = f"LD_PRELOAD takes no path with a space or a colon, and the emulator is in '{emulator_directory()}'"
    elif reason is None and shutil.which(CROSS_COMPILER) is None:
        reason = f"no {CROSS_COMPILER} (apt install g++-aarch64-linux-gnu)"
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and in CI its tests must run", pytrace=False)
    return reason


@contextmanager
def emulated(rig: AdbRig, directory: Path, kind: Kind = Kind.BOARD) -> Iterator[AdbDevice]:
    """An emulated device, connected; tests skip where there is no emulator."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    daemon = _start(directory, kind)
    try:
        rig.connect(daemon.serial)
        yield AdbDevice(daemon.serial, rig.server, scratch=str(daemon.root / "scratch dir"))
    finally:
        daemon.close()
        rig.adb("disconnect", daemon.serial)


def _start(directory: Path, kind: Kind) -> Adbd:
    directory.mkdir(parents=True)
    directory = directory.resolve()
    tools = directory / "tools"
    _link_tools(tools)
    device = directory / kind.value
    settings = {
        "PATH": f"{device / 'bin'}:{tools}",
        "LD_PRELOAD": str(emulator_directory() / "foreign.so"),
        "FOREIGN_QEMU": str(emulator_directory() / "qemu-aarch64"),
        "FOREIGN_DEVICE": str(device / "device root"),
    }
    if kind is not Kind.PHONE:
        old = kind is Kind.OLD_BOARD
        settings["FOREIGN_SYSROOT"] = str(emulator_directory() / "old-libc" if old else SYSTEM_ROOT)
    if kind in {Kind.NOEXEC, Kind.DENIED}:
        settings[f"FOREIGN_{kind.name}"] = settings["FOREIGN_DEVICE"]
    daemon = Adbd(device, env=settings)
    if kind is Kind.PHONE:
        (daemon.data / "getprop").write_text(PROPERTIES)
    else:
        for name in adbd_rig.STUBS:
            (device / "bin" / name).unlink()
    if kind is Kind.OLD_BOARD:  # whose programs are this machine's
        (device / "bin" / "getconf").write_text("#!/bin/sh\necho glibc 2.31\n")
        (device / "bin" / "getconf").chmod(0o755)
    return daemon


def _link_tools(tools: Path) -> None:
    """This machine's programs, apart from what a device has not."""
    tools.mkdir()
    for place in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
        for program in Path(place).iterdir():
            link = tools / program.name
            if not program.name.startswith(("python", "pypy", "adb")) and not link.is_symlink():
                link.symlink_to(program)
    uname = (tools / "uname").resolve()
    (tools / "uname").unlink()
    (tools / "uname").write_text(UNAME.format(uname=uname))
    (tools / "uname").chmod(0o755)
