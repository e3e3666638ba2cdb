"""What a push asks the device: are the bytes there already, did they arrive, and if not, why."""

from __future__ import annotations

import re

from edgevit.errors import DeviceError
from runtimes.devices.device import CommandResult, Device

NOT_HASHED = "not hashed: the device has no program for that"

# Digest programs in the order in which they are tried. They read standard input, because their lines would otherwise
# hold the file's name, which may look like a digest itself.
_HASH = (
    "hash_of() { for _t in sha256sum 'toybox sha256sum' 'busybox sha256sum' 'openssl dgst -sha256' 'shasum -a 256'; do "
    '_h=$($_t 2>/dev/null <"$1") && [ -n "$_h" ] && { echo "hash $_h"; return; }; done; echo "hash none"; }; '
)

# $1 target, $2 size, $3 mode. A .part that an interrupted push left is removed, never continued.
_PREPARE = (
    _HASH
    + """
if [ -d "$1" ]; then echo "is a directory"; exit 1; fi
rm -f "$1.part"
if [ -f "$1" ] && [ "$(wc -c <"$1" | tr -d ' ')" = "$2" ]; then hash_of "$1"; chmod "$3" "$1" 2>/dev/null; fi
mkdir -p "$4" || exit 1
[ -w "$4" ] || { echo "$4: not writable"; exit 1; }
"""
)

# $1 target, $2 digest, $3 mode: hashes the .part and, when it is right, gives it its name in the same round trip.
_SETTLE = (
    _HASH
    + """
seen=$(hash_of "$1.part"); echo "$seen"
case $seen in *"$2"*) chmod "$3" "$1.part" && mv -f "$1.part" "$1" || exit 1 ;; esac
"""
)
_MOVE = 'chmod "$2" "$1.part" && mv -f "$1.part" "$1"'
# Of a number's begin and of a bounded length: to look for its end from each of its digits takes the square of them.
_FREE_KIB = re.compile(r"(?<![0-9])([0-9]{1,15})\s+[0-9]{1,3}%")
_FREE = 'df -k "$1" 2>/dev/null | tail -n 1'


def prepare(device: Device, remote: str, size_bytes: int, mode: int, timeout_s: float) -> str | None:
    """Make the directory, remove leftovers, and hash a file of the right size that is there.

    Returns:
        The digest of what is there, or ``NOT_HASHED``; None when nothing is there, or it has another size.

    Raises:
        DeviceError: The directory cannot be made or written.
    """
    parent = remote.rpartition("/")[0] or "/"
    result = device.script(
        _PREPARE, remote, str(size_bytes), f"{mode:o}", parent, timeout_s=timeout_s, name="sha256sum"
    )
    if not result.ok:
        raise refusal(device, remote, result.complaint)
    return _digest(result) if "hash " in result.out else None


def settle(device: Device, remote: str, digest: str, mode: int, timeout_s: float) -> str:
    """Hash ``remote + ".part"`` on the device; when that is ``digest``, the file has its mode and name afterwards.

    Returns:
        The digest, or ``NOT_HASHED``.

    Raises:
        DeviceError: The file cannot be moved.
    """
    result = device.script(_SETTLE, remote, digest, f"{mode:o}", timeout_s=timeout_s, name="sha256sum")
    if not result.ok:
        raise refusal(device, remote, result.complaint)
    return _digest(result)


def move_into_place(device: Device, remote: str, mode: int) -> None:
    """Give a ``.part`` that was verified in another way its mode and its name."""
    result = device.script(_MOVE, remote, f"{mode:o}")
    if not result.ok:
        raise refusal(device, remote, result.complaint)


def refusal(device: Device, remote: str, reason: str) -> DeviceError:
    """The error for a file that could not be written, with the next step.

    Devices tell the C library's error text at best ("write failed: No space left on device"), and at worst nothing.
    """
    free = _free_kib(device, remote)
    room = f" ({free / 1024:.1f} MiB are free there)" if free is not None else ""
    low = reason.lower()
    if "no space" in low or (not reason and free is not None and free < 1024):
        return DeviceError(
            f"the disk of {device.serial} is full: {remote} could not be written{room}",
            hint="free some space on the device, or choose another directory with --remote-dir",
        )
    hint = None
    if any(word in low for word in ("denied", "read-only", "not writable", "not permitted", "secure_mkdirs")):
        hint = "choose a directory that the device's shell may write to with --remote-dir, such as /data/local/tmp"
    return DeviceError(
        f"{remote} could not be written on {device.serial}: {reason or 'no reason given'}{room}", hint=hint
    )


def _free_kib(device: Device, remote: str) -> int | None:
    path = remote
    while path := path.rpartition("/")[0]:
        try:
            line = device.script(_FREE, path, timeout_s=5.0).out
        except DeviceError:
            return None
        if match := _FREE_KIB.search(line):
            return int(match[1])
    return None


def _digest(result: CommandResult) -> str:
    match = re.search(r"^hash (.*)$", result.out, re.MULTILINE)
    if match is None:
        raise DeviceError(f"the device could not hash a file: {result.complaint}")
    value = re.search(r"\b[0-9a-fA-F]{64}\b", match[1])
    return value[0].lower() if value else NOT_HASHED
