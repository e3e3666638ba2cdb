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
_SCHEMES = {"per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"}
_LISTS: dict[str, tuple[type, ...]] = {"build_intlist": (int,), "build_doublelist": (float,), "build_boollist": (bool,)}
CLASSES = "__torch__"
_NATIVE = "__torch__.torch.classes."
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
    """An instance of a class; ``slots`` are its attributes in order, None for a class in C++, which keeps its own."""

    kind: str
    slots: tuple[Value, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A record that holds ``count`` elements."""

    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """A value of a kind that nothing here looks into: a tensor, a device. ``shape`` is a tensor's."""

    what: str
    shape: tuple[int, ...] = ()


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
        return Object(kind, None)
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
    return Opaque("tensor", tuple(shape))


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
    "_rebuild_tensor_v2": _tensor,
    "_rebuild_qtensor": _tensor,
    "OrderedDict": _hooks,
    "restore_type_tag": _tagged,
    "device": _device,
    "build_tensorlist": _list((Opaque,)),
    **{name: _list(kinds) for name, kinds in _LISTS.items()},
    **dict.fromkeys((*STORAGES, *_SCHEMES), _no_call),
}
