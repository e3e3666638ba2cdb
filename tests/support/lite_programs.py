"""Lite programs written by hand: pickles, functions and archives, right or wrong as a test wants them."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from pathlib import Path

RETURNS = (("LOADC", 0, 0), ("RET", 0, 0))
Row = tuple[object, ...]


def text(value: str) -> bytes:
    """A text as a pickle has it."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """An integer as a pickle has it."""
    return b"J" + struct.pack("<i", value)


def pickled(body: bytes) -> bytes:
    """A whole pickle around opcodes."""
    return b"\x80\x02" + body + b"."


def code(
    *instructions: Row,
    operators: tuple[object, ...] = (),
    constants: tuple[object, ...] = (None,),
    types: tuple[object, ...] = (),
    registers: object = 0,
) -> tuple[object, ...]:
    """The code of a function."""
    return (
        ("instructions", instructions),
        ("operators", operators),
        ("constants", constants),
        ("types", types),
        ("register_size", registers),
    )


def schema(arguments: int = 0) -> tuple[object, ...]:
    """The schema of a function that takes so many tensors, and returns one."""
    tensor = (("name", "x"), ("type", "Tensor"), ("default_value", None))
    return (("arguments", (tensor,) * arguments), ("returns", (tensor,)))


def function(body: tuple[object, ...], arguments: int = 0, name: str = "__torch__.M.forward") -> tuple[object, ...]:
    """A function with its schema."""
    return (name, body, schema(arguments))


def program(*functions: object, version: object = 8) -> bytes:
    """``bytecode.pkl``."""
    return pickle.dumps((version, *functions), 2)


def calling(operator: Row, count: int = 1) -> bytes:
    """A program that calls an operator, which takes and gives one value, on its argument."""
    return program(function(code(*[("OP", 0, 0)] * count, ("RET", 0, 0), operators=(operator,)), arguments=1))


def archive_of(
    path: Path, *records: tuple[str, bytes], comment: bytes = b"", prefix: bytes = b"", packed: bool = False
) -> Path:
    """A zip archive of records, in this order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the second record of one name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
            archive.comment = comment
            for name, data in records:
                archive.writestr(name, data)
    path.write_bytes(prefix + path.read_bytes())
    return path


def lite_file(path: Path, bytecode: bytes) -> Path:
    """An archive that holds a program, its version, and nothing else."""
    return archive_of(path, ("m/bytecode.pkl", bytecode), ("m/version", b"3\n"))
