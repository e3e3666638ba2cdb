"""A lite program with prepacked weights, run step by step in Python: torch here has no XNNPACK that could.

Nothing is shared with the code that wrote the file: Python's unpickler reads it, torch's own operators compute it, and
what an object with prepacked weights means is spelled out from ``aten/src/ATen/native/xnnpack/OpContext.h``.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_HELPERS = {"build_intlist": lambda values: values, "OrderedDict": dict, "FloatStorage": torch.float32}


class _Context:
    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def cut(self, result: Tensor) -> Tensor:
        least, most = self.state[-2:]
        return result if least is most is None else result.clamp(least, most)


class _Linear(_Context):
    def __call__(self, x: Tensor) -> Tensor:
        return self.cut(functional.linear(x, *self.state[:2]))


class _Conv2d(_Context):
    def __call__(self, x: Tensor) -> Tensor:
        weight, bias, stride, padding, dilation, groups = self.state[:6]
        return self.cut(functional.conv2d(x, weight, bias, stride, padding, dilation, groups))


class _Transposed(_Context):
    def __call__(self, x: Tensor) -> Tensor:
        weight, bias, stride, padding, more, dilation, groups = self.state[:7]
        return self.cut(functional.conv_transpose2d(x, weight, bias, stride, padding, more, groups, dilation))


_CLASSES = {"LinearOpContext": _Linear, "Conv2dOpContext": _Conv2d, "TransposeConv2dOpContext": _Transposed}


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(data))
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> object:
        if module == "torch._utils":
            return lambda storage, offset, size, stride, *_: torch.as_strided(storage, size, stride, offset)
        return _CLASSES.get(name) or _HELPERS[name]

    def persistent_load(self, pid: tuple[Any, ...]) -> Tensor:
        data = self.archive.read(f"archive/{self.folder}/{pid[2]}")
        return torch.frombuffer(bytearray(data), dtype=torch.float32, count=pid[4])


def run_packed(path: Path, *inputs: Tensor) -> Tensor:
    """What the straight program in ``path`` gives for ``inputs``."""
    with zipfile.ZipFile(path) as archive:
        own = any(name.startswith("archive/bytecode/") for name in archive.namelist())
        program = _Reader(archive.read("archive/bytecode.pkl"), archive, "bytecode" if own else "constants").load()
    code = dict(program[1][1])
    registers: dict[int, Any] = {}
    stack: list[Any] = [None, *inputs]
    for name, x, n in code["instructions"]:
        if name == "STOREN":
            values = stack[len(stack) - n :]
            del stack[len(stack) - n :]
            registers.update({x + place: value for place, value in enumerate(values)})
        elif name == "STORE":
            registers[x] = stack.pop()
        elif name in {"LOAD", "MOVE"}:
            stack.append(registers[x])
        elif name == "LOADC":
            stack.append(code["constants"][x])
        elif name in {"DROPR", "DROP", "RET"}:
            pass
        elif name == "LIST_CONSTRUCT":
            values = stack[len(stack) - n :]
            stack[len(stack) - n :] = [values]
        else:
            assert name == "OP", name
            _call(code["operators"][x], stack)
    return stack.pop()


def _call(row: tuple[Any, ...], stack: list[Any]) -> None:
    name, overload, *counted = row
    if name.startswith("prepacked::"):
        context, x = stack.pop(), stack.pop()
        stack.append(context(x))
        return
    schema = torch._C._get_schema(name, overload)
    count = counted[0] if counted else len(schema.arguments)
    arguments = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    named = {argument.name: value for argument, value in zip(schema.arguments, arguments, strict=False)}
    base = getattr(torch.ops.aten, name.removeprefix("aten::"))
    stack.append(getattr(base, overload or "default")(**named))
