"""What stands where a file should: pointers of version control, error pages, other formats, by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from export.recipe import Format

_HEAD_BYTES = 1024
_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"(^|/)annex/objects/")
_FORMATS = {
    Format.TFLITE: "is a TFLite file",
    Format.PTE: "is an ExecuTorch program",
    Format.PTL: "is a TorchScript file or a checkpoint of torch",
    Format.ONNX: "is an ONNX file",
}
_ZIP = "is a zip archive"  # whose first record, all that is looked at, may be any
_KINDS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("is a git LFS pointer, not the file itself: run git lfs pull", lambda head: head.startswith(_LFS)),
    (
        "is a git-annex pointer, not the file itself: run git annex get",
        lambda head: head.startswith(b"/annex/objects/"),
    ),
    (
        "is an HTML page, as servers send in place of a file",
        lambda head: bool(
            re.match(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b", head, re.I | re.S)
        ),
    ),
    ("is an XML text, as stores of files answer with an error", lambda head: head.lstrip().startswith(b"<?xml")),
    ("holds nothing but zeros, as a download that was never filled", lambda head: not head.strip(b"\0")),
    (_FORMATS[Format.TFLITE], lambda head: head[4:8] == b"TFL3"),
    (_FORMATS[Format.PTE], lambda head: head[4:6] == b"ET" and head[6:8].isdigit()),
    (_FORMATS[Format.PTL], lambda head: head[:4] == b"PK\x03\x04" and b".pkl" in head),
    ("is a golden set or another .npz", lambda head: head[:4] == b"PK\x03\x04" and b".npy" in head),
    (_ZIP, lambda head: head[:4] == b"PK\x03\x04"),
    ("is packed by gzip", lambda head: head[:2] == b"\x1f\x8b"),
    ("is packed by xz", lambda head: head[:6] == b"\xfd7zXZ\0"),
    ("is packed by zstd", lambda head: head[:4] == b"\x28\xb5\x2f\xfd"),
    ("is packed by bzip2", lambda head: head[:3] == b"BZh"),
    ("is a tar archive", lambda head: head[257:262] == b"ustar"),
    ("is an HDF5 file, as of Keras", lambda head: head[:8] == b"\x89HDF\r\n\x1a\n"),
    ("is a safetensors file", lambda head: head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 27),
    (
        "is JSON, as a manifest or the answer of a server",
        lambda head: head.lstrip()[:2] in {b'{"', b"{\n", b"{}", b"[{"},
    ),
    # ModelProto's first field, the IR version, as a varint below 128; then its producer, opset or graph
    (
        _FORMATS[Format.ONNX],
        lambda head: head[:1] == b"\x08" and 0 < head[1] < 64 and head[2:3] in {b"\x12", b"\x3a", b"\x42"},
    ),
)
"""The first that holds is told; a file shorter than two bytes is empty or unknown before."""


def what_it_is(path: Path) -> str | None:
    """What stands at ``path``, as words behind its name: "is a git LFS pointer, ..."; None if nothing here knows it."""
    if path.is_symlink() and not path.exists():
        target = path.readlink()
        fetch = ": run git annex get" if _ANNEX.search(str(target).encode(errors="replace")) else ""
        return f"is a symbolic link to {target}, which is not there{fetch}"
    if path.is_dir():
        return "is a directory"
    if not path.exists():
        return "does not exist"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head:
        return "is empty"
    return next((words for words, holds in _KINDS if len(head) > 1 and holds(head)), None)


def stranger(path: Path, format: Format) -> str | None:
    """``what_it_is``, where that is something else than a file of ``format``; None where it may be one."""
    found = what_it_is(path)
    own = {_FORMATS[format], _ZIP} if format is Format.PTL else {_FORMATS[format]}
    return None if found in own else found


def told(sentence: str, path: Path) -> str:
    """``sentence``, and behind it what the file at ``path`` is where that is known."""
    found = what_it_is(path)
    return f"{sentence}: it {found}" if found else sentence
