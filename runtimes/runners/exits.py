"""From a program's exit code to an error that says what to do next."""

from __future__ import annotations

import re
import signal
import struct
from pathlib import Path

from edgevit.errors import DeviceError
from edgevit.text import printable

NOT_EXECUTABLE, NOT_FOUND, BY_SIGNAL = 126, 127, 128  # POSIX, Shell Command Language, 2.8.2
LINE_CHARACTERS = 240  # chosen: three lines of a terminal
LAST_LINES = 15  # chosen, because a program's complaint and its cause fit in, and so does the terminal
GLIBC_HINT = (
    "--runner native-glibc brings a glibc along (experimental); or build the runner on a system as old as the device's"
)
BY_HAND_HINT = "edgevit-export bench --dry-run prints the command, to be tried by hand"

# Shells take what the kernel refuses for a script, and stumble over its first bytes.
_NO_PROGRAM = re.compile(r"exec format error|cannot execute binary|not executable:|: 1: Syntax error", re.IGNORECASE)
_DENIED = re.compile(r"permission denied|not permitted", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TOO_NEW = re.compile(r"version `GLIBC_([\d.]+)' not found")
_MACHINES = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a", 243: "riscv64"}
_SAME_ABI = {
    "aarch64": "arm64-v8a",
    "arm64": "arm64-v8a",
    "armv7l": "armeabi-v7a",
    "armv8l": "armeabi-v7a",
    "i686": "x86",
    "i386": "x86",
}


def standard_abi(machine: str) -> str:
    """Android's name for what ``uname -m`` or ``ro.product.cpu.abi`` says."""
    return _SAME_ABI.get(machine, machine)


def program_abi(path: Path) -> str | None:
    """The ABI that an ELF program was built for; None for what is no ELF file (a script)."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    (machine,) = struct.unpack("<H" if head[5] == 1 else ">H", head[18:20])
    return _MACHINES.get(machine, f"ELF machine {machine}")


def exit_error(origin: str, program: str, rc: int, printed: str, *, built_for: str | None = None) -> DeviceError:
    """The error for a program that ended with ``rc``, which is not 0.

    Args:
        origin: E.g. ``"edgevit_xxs.onnx on 8BC1"``.
        program: What was started.
        rc: Exit code as shells give it.
        printed: Its output, of which the end is shown.
        built_for: The ABI that it was built for, where that was held against the device's before it was pushed.
    """
    tail = show_tail(printed.encode())
    if rc == NOT_FOUND:
        return DeviceError(
            f"{origin}: '{program}' was not found on the device, or a library that it needs{tail}",
            hint="edgevit-export devices --setup says which runners can be used and how to get them",
        )
    if rc == NOT_EXECUTABLE or _NO_PROGRAM.search(printed):
        why, hint = _not_executable(printed, built_for)
        return DeviceError(f"{origin}: '{program}' cannot be executed on the device{why}{tail}", hint=hint)
    if needed := needed_glibc(printed):
        return DeviceError(f"{origin}: '{program}' needs glibc {needed}, the device's is older{tail}", hint=GLIBC_HINT)
    number = rc - BY_SIGNAL
    if number in list(signal.Signals):
        name = f"signal {number} ({signal.Signals(number).name})"
        return DeviceError(f"{origin}: '{program}' was ended by {name}{tail}", hint=_signal_hint(number))
    return DeviceError(
        f"{origin}: '{program}' failed with exit code {rc}{tail}",
        hint=BY_HAND_HINT,
    )


def _not_executable(printed: str, built_for: str | None) -> tuple[str, str]:
    """Why a program is not started, as far as that is known, and the next step."""
    abi_hint = "edgevit-export devices --setup shows the device's ABI"
    if built_for is None:
        return ": built for another ABI, or kept where programs may not run", abi_hint
    checked = f"it was built for a device like this ({built_for}) and arrived whole (SHA-256)"
    if not _DENIED.search(printed):
        return f", although {checked}", abi_hint
    return (
        f": {checked}, so programs are denied there, as by SELinux or a mount without exec",
        "name another directory with --remote-dir, or run what the device has itself: --runner python",
    )


def needed_glibc(words: str) -> str | None:
    """The version of glibc that a loader misses by its own words; None where it misses none."""
    found = {tuple(map(int, version.strip(".").split("."))) for version in _TOO_NEW.findall(words)}
    return ".".join(map(str, max(found))) if found else None


def _signal_hint(number: int) -> str:
    if number == signal.SIGKILL:
        return "most often the device ran out of memory: close apps, or measure a smaller model or batch"
    if number in (signal.SIGILL, signal.SIGBUS):
        return "the program uses instructions that this CPU lacks: use a build for its ABI"
    return BY_HAND_HINT


def show_tail(data: bytes) -> str:
    """The last lines of what a program printed, for an error message; empty for nothing."""
    text = _COLOURS.sub("", data.decode("utf-8", "backslashreplace"))
    lines = [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
    shown = "\n  ".join(printable(_shortened(line.rstrip())) for line in lines)
    return f"; it printed:\n  {shown}" if lines else "; it printed nothing"


def _shortened(line: str) -> str:
    """A line without its middle: what is newest in a list stands at its end."""
    if len(line) <= LINE_CHARACTERS:
        return line
    return f"{line[: LINE_CHARACTERS // 2]} ... {line[-LINE_CHARACTERS // 3 :]}"
