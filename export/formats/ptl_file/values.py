"""The values in the pickles of a ``.ptl`` file, and the few names that those may call: none is imported or run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from export.formats.ptl_file.prepacked import KINDS, PackedClass

_MOST_STEP = 2**20  # chosen: far beyond any image, and no product of two overflows
_MOST_AXES = 64  # at::kMaxDims is 64

STORAGES = {
    "FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16, "QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4,
}  # fmt: skip
"""Bytes of one element by the class that stands for its type in a pickle."""
DTYPES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "QInt8Storage": "int8", "QUInt8Storage": "uint8", "QInt32Storage": "int32",
}  # fmt: skip
"""The dtype of each of them, as everybody calls it."""
QUANTISED = frozenset({"QInt8Storage", "QUInt8Storage", "QInt32Storage"})
_SCHEMES = {"per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"}
_LISTS: dict[str, tuple[type, ...]] = {"build_intlist": (int,), "build_doublelist": (float,), "build_boollist": (bool,)}
CLASSES = "__torch__"
_NATIVE = "__torch__.torch.classes."
INT8 = f"{_NATIVE}quantized."
NATIVE_CLASSES = frozenset(
    _NATIVE + name
    for name in (
        "xnnpack.Conv2dOpContext", "xnnpack.LinearOpContext", "xnnpack.TransposeConv2dOpContext",
        "quantized.Conv2dPackedParamsBase", "quantized.Conv3dPackedParamsBase", "quantized.LinearPackedParamsBase",
    )
)  # fmt: skip
"""Classes in C++ that the stock runtime has, for weights that are packed for XNNPACK or QNNPACK."""
_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(\[[A-Za-z0-9_., \[\]]*\])?")
_LONGEST_TYPE = 1000  # chosen: those of real files have dozens of characters; torch reads them by recursion


class PickleError(ValueError):
    """The bytes are no pickle of a lite program."""


@dataclass(slots=True, eq=False)
class Items:
    """A list. ``taken``: it has gone into another container."""

    items: list[Value] = field(default_factory=list)
    depth: int = 1
    taken: bool = False


@dataclass(slots=True, eq=False)
class Table:
    """A dictionary, in the order of its keys."""

    entries: dict[str | int | float | bool, Value] = field(default_factory=dict)
    depth: int = 1
    taken: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """An instance of a class.

    ``slots`` are its attributes in order, None for a class in C++, which keeps its own, and for an object whose class
    restores it from ``state`` by code of the program.
    """

    kind: str
    slots: tuple[Value, ...] | None
    state: tuple[Value, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """The record ``key``, which holds ``count`` elements of ``dtype``, a name in ``STORAGES``."""

    count: int
    dtype: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """A value of a kind that nothing here looks into: a tensor, a device.

    Of a tensor: its shape, the type of its storage, the record that this is read from, and of one that is quantised by
    channels the axis of these.
    """

    what: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    key: str = ""
    axis: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """What ``GLOBAL`` pushes: a class or function that the next opcodes use."""

    module: str
    name: str


Value: TypeAlias = (
    "str | int | float | bool | tuple[Value, ...] | Items | Table | Object | Storage | Opaque | Name | None"
)


def type_problem(text: Value) -> str | None:
    """What is wrong with the name of a type; None for one that torch may be asked to look up."""
    if type(text) is not str or len(text) > _LONGEST_TYPE or not _TYPE.fullmatch(text):
        return "is no name of a type"
    for name in re.findall(r"[A-Za-z_][A-Za-z0-9_.]*", text):
        if name.startswith(_NATIVE) and name not in NATIVE_CLASSES:
            return f"names {name}, a class in C++ that the stock runtime does not have or that is no weight"
    return None


def known_name(module: str, name: str) -> Name:
    """A class or function that torch itself writes.

    Raises:
        PickleError: Another one.
    """
    full = f"{module}.{name}"
    if full.startswith(_NATIVE):
        known = full in NATIVE_CLASSES
    elif module == CLASSES or module.startswith(f"{CLASSES}."):
        known = bool(_TYPE.fullmatch(full)) and len(full) <= _LONGEST_TYPE
    elif module == "torch":
        known = name in STORAGES or name in _SCHEMES or name == "device"
    else:
        known = full in {
            "torch._utils._rebuild_tensor_v2",
            "torch._utils._rebuild_qtensor",
            "collections.OrderedDict",
            "torch.jit._pickle.restore_type_tag",
            "torch.jit._pickle.build_tensorlist",
            *(f"torch.jit._pickle.{kind}" for kind in _LISTS),
        }
    if not known:
        raise PickleError(f"it names {full[:120]!r}, which no lite program needs")
    return Name(module, name)


def built(kind: str, state: Value) -> Value:
    """The object that BUILD makes of a class and its attributes.

    Raises:
        PickleError: They are no attributes by name.
    """
    if kind.startswith(_NATIVE):
        packed = next((row for row in KINDS.values() if kind == f"{_NATIVE}xnnpack.{row.name}"), None)
        if packed is not None and (problem := _state_problem(packed, state)):
            raise PickleError(f"the object of {kind} {problem}")
        if kind.startswith(INT8) and (problem := int8_problem(kind, state)):
            raise PickleError(f"the object of {kind} {problem}")
        return Object(kind, None)
    if isinstance(state, tuple) and state:
        return Object(kind, None, state)
    if not isinstance(state, Table) or not all(isinstance(name, str) for name in state.entries):
        raise PickleError(f"the object of {kind} has no attributes by name: it is restored by code of its own")
    state.taken = True
    return Object(kind, tuple(state.entries.values()))


def _state_problem(packed: PackedClass, state: Value) -> str | None:
    """Why prepacked weights must not be made of ``state``; None for what torch itself stores.

    It is (weight, bias, ..., least, most), where XNNPACK trusts some of the sizes.
    """
    if not isinstance(state, tuple) or len(state) != len(packed.fields) + 4:
        return f"has not the {len(packed.fields) + 4} values of its state"
    (weight, bias), sizes, (least, most) = state[:2], state[2:-2], state[-2:]
    if not isinstance(weight, Opaque) or len(weight.shape) != packed.rank or 0 in weight.shape:
        return f"has weights that are no tensor of {packed.rank} axes"
    groups = sizes[-1] if sizes else 1
    if type(groups) is not int or groups < 1 or weight.shape[0] % groups:
        return "has groups that do not divide its channels"
    outputs = weight.shape[1] * groups if "output_padding" in packed.fields else weight.shape[0]
    if bias is not None and (not isinstance(bias, Opaque) or bias.shape != (outputs,)):
        return f"has a bias that is no tensor of {outputs} numbers"
    for name, size in zip(packed.fields, sizes[:-1], strict=False):
        smallest = 0 if name.endswith("padding") else 1
        numbers = size.items if isinstance(size, Items) else []
        if len(numbers) != 2 or not all(type(one) is int and smallest <= one <= _MOST_STEP for one in numbers):
            return f"has a {name} that is no two numbers of {smallest} or more"
    if any(limit is not None and type(limit) not in (int, float) for limit in (least, most)):
        return "has limits that are no numbers"
    return None


def int8_problem(kind: str, state: Value) -> str | None:
    """Why int8 weights must not be packed from ``state``; None for what torch itself stores.

    A linear layer's is (weight, bias), a convolution's ("2", [its numbers, weight], [bias]).
    """
    rank = {"LinearPackedParamsBase": 2, "Conv2dPackedParamsBase": 4}.get(kind.removeprefix(INT8))
    if rank is None:
        return "is of a class that is not read here"
    if not isinstance(state, tuple):
        return "is restored from what is no tuple"
    if rank == 4:
        if len(state) != 3 or type(state[0]) is not str or state[0] != "2":
            return "is not stored in the second form"
        lists = [value.items for value in state[1:] if isinstance(value, Items)]
        if [len(items) for items in lists] != [2, 1]:
            return "has other than two tensors and a bias"
        (numbers, weight), (bias,) = lists
        if not isinstance(numbers, Opaque) or (numbers.shape, numbers.dtype) != ((11,), "ShortStorage"):
            return "has no eleven numbers of 16 bits"
    elif len(state) != 2:
        return "has other than weights and a bias"
    else:
        weight, bias = state
    if not isinstance(weight, Opaque) or weight.dtype != "QInt8Storage" or len(weight.shape) != rank:
        return f"has weights that are no int8 tensor of {rank} axes"
    if 0 in weight.shape or weight.axis not in (None, 0):
        return "has weights without elements, or with scales along another axis than the first"
    if bias is not None and (not isinstance(bias, Opaque) or (bias.shape, bias.dtype) != (weight.shape[:1], _FLOAT)):
        return f"has a bias that is no tensor of {weight.shape[0]} floats"
    return None


def conv_parts(found: tuple[str, Value]) -> tuple[Opaque | None, Opaque | None]:
    """The numbers and the weight of an int8 convolution's class and state, which were checked; None of others."""
    kind, state = found
    if kind != f"{INT8}Conv2dPackedParamsBase" or not isinstance(state, tuple) or not isinstance(state[1], Items):
        return None, None
    numbers, weight = state[1].items
    assert isinstance(numbers, Opaque) and isinstance(weight, Opaque)
    return numbers, weight


def conv_problem(numbers: tuple[int, ...], shape: tuple[int, ...]) -> str | None:
    """Why torch must not move a window by these eleven ``numbers`` over an image; None where it may.

    They are the axes, stride, padding, dilation and output padding of rows and columns, groups, whether transposed.
    ``shape`` is that of the weights.
    """
    axes, groups, transposed = numbers[0], numbers[9], numbers[10]
    if axes != 2 or transposed:
        return "is none of two axes, or is transposed"
    if groups < 1 or shape[0] % groups:
        return "has groups that do not divide its channels"
    if min(*numbers[1:3], *numbers[5:7]) < 1 or min(*numbers[3:5], *numbers[7:9]) < 0:
        return "has a step or a padding that is none"
    return None


_FLOAT = "FloatStorage"


def _tensor(arguments: tuple[Value, ...]) -> Value:
    """A view of a storage, all of which must lie inside."""
    if len(arguments) < 6:
        raise PickleError("a tensor is described by too few values")
    storage, offset, sizes, strides = arguments[:4]
    if not isinstance(storage, Storage) or not _whole([offset]) or not _whole(sizes) or not _whole(strides):
        raise PickleError("a tensor has no storage, or impossible sizes")
    assert isinstance(offset, int) and isinstance(sizes, tuple) and isinstance(strides, tuple)
    shape, steps = [int(size) for size in sizes], [int(step) for step in strides]  # type: ignore[arg-type]
    if len(shape) != len(steps) or len(shape) > _MOST_AXES:
        raise PickleError("a tensor has not one stride for each axis")
    last = offset + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    if 0 not in shape and last >= storage.count:
        raise PickleError(f"a tensor of shape {tuple(shape)} reaches beyond its storage of {storage.count} numbers")
    return Opaque("tensor", tuple(shape), storage.dtype, storage.key)


def _plain_tensor(arguments: tuple[Value, ...]) -> Value:
    found = _tensor(arguments)
    if isinstance(found, Opaque) and found.dtype in QUANTISED:
        raise PickleError("a tensor of a quantised type has no scale")
    return found


def _quantised_tensor(arguments: tuple[Value, ...]) -> Value:
    """A tensor with its scales: torch takes as many as the axis is long without looking."""
    found = _tensor(arguments)
    assert isinstance(found, Opaque)
    how = arguments[4]
    if found.dtype not in QUANTISED or not isinstance(how, tuple) or not how or not isinstance(how[0], Name):
        raise PickleError("a quantised tensor has another type, or does not say how it is quantised")
    if how[0].name == "per_tensor_affine":
        if len(how) != 3 or type(how[1]) is not float or type(how[2]) is not int:
            raise PickleError("a quantised tensor has no scale and zero point")
        return found
    scales, zeros, axis = how[1:] if len(how) == 4 else (None, None, None)
    if how[0].name != "per_channel_affine" or type(axis) is not int or not 0 <= axis < len(found.shape):
        raise PickleError("a quantised tensor has no axis for its scales, or is quantised in an unknown way")
    length = found.shape[axis : axis + 1]
    kinds = ((scales, {"FloatStorage", "DoubleStorage"}), (zeros, {"LongStorage", "IntStorage"}))
    if not all(isinstance(one, Opaque) and one.shape == length and one.dtype in known for one, known in kinds):
        raise PickleError("a quantised tensor has not one scale and zero point for each index of its axis")
    return Opaque(found.what, found.shape, found.dtype, found.key, axis)


def _whole(values: Value | Sequence[Value]) -> bool:
    """Whether these are integers that are not negative."""
    return isinstance(values, tuple | list) and all(type(value) is int and value >= 0 for value in values)


def _list(kinds: tuple[type, ...]) -> Callable[[tuple[Value, ...]], Value]:
    def build(arguments: tuple[Value, ...]) -> Value:
        found = arguments[0] if len(arguments) == 1 else None
        if not isinstance(found, Items) or any(type(item) not in kinds for item in found.items):
            raise PickleError(f"a list holds other than {', '.join(kind.__name__ for kind in kinds)}")
        return found

    return build


def _tagged(arguments: tuple[Value, ...]) -> Value:
    if len(arguments) != 2 or not isinstance(arguments[0], Items | Table):
        raise PickleError("a type is given to what is neither list nor dictionary")
    if problem := type_problem(arguments[1]):
        raise PickleError(f"{str(arguments[1])[:80]!r} {problem}")
    return arguments[0]


def _hooks(arguments: tuple[Value, ...]) -> Value:
    if arguments:
        raise PickleError("a dictionary is made with arguments")
    return None


def _device(arguments: tuple[Value, ...]) -> Value:
    if len(arguments) != 1 or arguments[0] != "cpu":
        raise PickleError("it names another device than the CPU")
    return Opaque("device")


def _no_call(arguments: tuple[Value, ...]) -> Value:
    raise PickleError("what stands for a type of numbers is called")


CALLS: dict[str, Callable[[tuple[Value, ...]], Value]] = {
    "_rebuild_tensor_v2": _plain_tensor,
    "_rebuild_qtensor": _quantised_tensor,
    "OrderedDict": _hooks,
    "restore_type_tag": _tagged,
    "device": _device,
    "build_tensorlist": _list((Opaque,)),
    **{name: _list(kinds) for name, kinds in _LISTS.items()},
    **dict.fromkeys((*STORAGES, *_SCHEMES), _no_call),
}
