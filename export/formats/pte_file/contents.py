"""What stands in a ``.pte`` file: tensors, kernel calls, delegates and what they hold, parsed from its bytes alone.

Slot numbers are those of ExecuTorch's ``program.fbs``. Segments (delegate payloads, weights) follow the FlatBuffer; the
extended header behind the file identifier says where.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.formats.flatbuffer import FlatbufferError, Table, parse_file, root
from export.formats.pte_file.delegate import Product, constants_of, graph_of, operators_of, products_of
from export.formats.pte_file.memory import Step, kernel_step, require_no_state

IDENTIFIER = b"ET12"
XNNPACK = "XnnpackBackend"
FORWARD = "forward"
_DTYPES = {0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64"}
_DTYPES |= {11: "bool"}
_TENSOR, _STRING = 5, 6
_KERNEL_CALL, _DELEGATE_CALL, _MOVE, _JUMP, _FREE = range(1, 6)
JUMP = "JumpFalseCall"
_EXTERNAL = 1
_INLINE = 0
_DATA = 5  # slot of a tensor: 0 where its data is not in the file


class KernelTable(Record):
    """The operators of the stock kernel libraries, with the source of the list."""

    source: str
    operators: tuple[str, ...]


@dataclass(frozen=True)
class PteFile:
    """The method ``forward`` and the texts that constant methods return.

    ``kernels`` counts the calls outside delegates, by operator as in ``aten::mean.out``. ``partitions`` has one entry
    per delegate: its backend, and the operators inside, counted by name (empty for backends other than XNNPACK).
    ``calls`` is what is executed, in order: the name of a kernel, or the number of a delegate. ``weights`` counts the
    elements of constants by dtype, outside delegates and in those of XNNPACK; ``products`` the layers in the latter.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    kernels: Counter[str]
    partitions: tuple[tuple[str, Counter[str]], ...]
    texts: dict[str, str]
    calls: tuple[str | int, ...] = ()
    weights: Counter[str] = field(default_factory=Counter)
    products: Counter[Product] = field(default_factory=Counter)


@cache
def stock_kernels() -> frozenset[str]:
    """Names of all operators that the stock runtime has kernels for, as in ``aten::mean.out``."""
    text = files("export.formats.pte_file").joinpath("pte_operators.json").read_bytes()
    return frozenset(KernelTable.from_json(text, origin="pte_operators.json").operators)


def parse(path: Path) -> PteFile:
    """Parse the file at ``path``.

    Raises:
        ArtifactError: It cannot be read, or is not a well-formed ExecuTorch program with a method ``forward``.
    """
    return parse_file(path, parse_bytes, "ExecuTorch program")


def parse_bytes(data: bytes) -> PteFile:
    """Parse the bytes of a file.

    Raises:
        FlatbufferError: They are not a well-formed ExecuTorch program with a method ``forward``.
    """
    program, base = _program(data)
    plans = {plan.text(0): plan for plan in program.tables(1)}
    if FORWARD not in plans:
        raise FlatbufferError(f"no method '{FORWARD}'; it has {', '.join(plans) or 'none'}")
    plan = plans[FORWARD]
    values = plan.tables(2)
    segments = [_segment(segment, data, base) for segment in program.tables(4)]
    inline = [entry.blob(0) for entry in program.tables(3)]
    payloads = [_payload(delegate, inline, segments) for delegate in plan.tables(7)]
    graphs = [
        graph_of(payload, program.budget) if delegate.text(0) == XNNPACK else None
        for delegate, payload in zip(plan.tables(7), payloads, strict=True)
    ]
    partitions = tuple(
        (delegate.text(0), operators_of(graph) if graph is not None else Counter[str]())
        for delegate, graph in zip(plan.tables(7), graphs, strict=True)
    )
    held = [graph for graph in graphs if graph is not None]
    for other in plans.values():
        _require_inside(other)
    calls, steps = _calls(plan, graphs, values)
    if None not in graphs and all(call in stock_kernels() for call in calls if isinstance(call, str)):
        # Else the audit refuses it: what other delegates and kernels write is not known, nor where jumps lead.
        require_no_state(plan, steps)
    return PteFile(
        inputs=_tensors(plan, 3, values, "input"),
        outputs=_tensors(plan, 4, values, "output"),
        kernels=Counter(call for call in calls if isinstance(call, str)),
        partitions=partitions,
        texts={name: text for name, other in plans.items() if (text := _constant_text(other)) is not None},
        calls=calls,
        weights=sum((constants_of(graph, len(data)) for graph in held), _stored(values, len(data))),
        products=sum((products_of(graph) for graph in held), Counter[Product]()),
    )


def _program(data: bytes) -> tuple[Table, int]:
    """The root table and the start of the segments; the whole of what the header promises must be there."""
    program = root(data, IDENTIFIER)
    if data[8:12] != b"eh00":
        return program, 0
    length, program_bytes, base = struct.unpack_from("<IQQ", data, 12)
    segment_bytes = struct.unpack_from("<Q", data, 32)[0] if length >= 32 else 0
    if program_bytes > len(data) or base + segment_bytes > len(data):
        raise FlatbufferError(f"the header promises {max(program_bytes, base + segment_bytes)} bytes")
    return program, base


def _segment(segment: Table, data: bytes, base: int) -> memoryview:
    start, length = base + segment.scalar(0, "Q"), segment.scalar(1, "Q")
    if start + length > len(data):
        raise FlatbufferError(f"segment at byte {start} with {length} bytes ends outside the file")
    return memoryview(data)[start : start + length]


def _payload(delegate: Table, inline: list[memoryview], segments: list[memoryview]) -> memoryview:
    reference = delegate.table(1)
    if reference is None:
        raise FlatbufferError(f"delegate {delegate.text(0)} has no payload")
    pool = inline if reference.scalar(0, "b") == _INLINE else segments
    index = reference.scalar(1, "I")
    if index >= len(pool):
        raise FlatbufferError(f"payload {index} of delegate {delegate.text(0)} does not exist")
    return pool[index]


def _require_inside(plan: Table) -> None:
    """Refuse tensors whose data is in another file, which no checksum covers.

    Raises:
        FlatbufferError: Names one.
    """
    for value in plan.tables(2):
        tensor = value.table(1) if value.scalar(0, "B") == _TENSOR else None
        extra = tensor.table(9) if tensor is not None else None
        if extra is not None and extra.scalar(2, "b") == _EXTERNAL:
            raise FlatbufferError(f"the tensor {extra.text(1)!r} lies in another file: nothing would notice a change")


def _calls(
    plan: Table, graphs: list[Table | None], values: tuple[Table, ...]
) -> tuple[tuple[str | int, ...], tuple[Step, ...]]:
    """Kernels by name and delegates by number, as they are executed, and what each does to values.

    A jump stands as ``JUMP``, and so does a move, which only programs with jumps need.
    """
    names = [_operator_name(operator) for operator in plan.tables(6)]
    found: list[str | int] = []
    steps: list[Step] = []
    for chain in plan.tables(5):
        for instruction in chain.tables(2):
            kind, call = instruction.scalar(0, "B"), instruction.table(1)
            if call is None or not _KERNEL_CALL <= kind <= _FREE:
                raise FlatbufferError(f"an instruction is of the kind {kind}, which is unknown")
            limit = {_KERNEL_CALL: len(names), _DELEGATE_CALL: len(graphs)}.get(kind, len(values))
            index = call.scalar(0, "i")
            used = call.numbers(1, "int32").tolist() if kind in {_KERNEL_CALL, _DELEGATE_CALL} else []
            if not 0 <= index < limit or any(not 0 <= place < len(values) for place in used):
                raise FlatbufferError(f"an instruction uses number {index} of {limit}, or values beyond {len(values)}")
            if kind == _KERNEL_CALL:
                found.append(names[index])
                if names[index] in stock_kernels():  # others are refused by the audit
                    steps.append(kernel_step(names[index], used, values))
            elif kind == _DELEGATE_CALL:
                found.append(index)
                steps.append(_delegate_step(index, graphs[index], used))
            elif kind in {_JUMP, _MOVE}:
                found.append(JUMP)
    return tuple(found), tuple(steps)


def _delegate_step(index: int, graph: Table | None, used: list[int]) -> Step:
    """A delegate takes its inputs first, in the order of its graph, and then its outputs.

    Raises:
        FlatbufferError: The graph has another number of them than the call, or one twice.
    """
    if graph is None:
        return Step(f"delegate {index}", (), tuple(used))
    inputs, outputs = (graph.numbers(slot, "uint32").tolist() for slot in (4, 5))
    if len(inputs) + len(outputs) != len(used) or len({*inputs, *outputs}) != len(used):
        raise FlatbufferError(
            f"delegate {index} is called with {len(used)} values, its graph has {len(inputs)} inputs and "
            f"{len(outputs)} outputs"
        )
    return Step(f"delegate {index}", tuple(used[: len(inputs)]), tuple(used[len(inputs) :]))


def _operator_name(operator: Table) -> str:
    overload = operator.text(1)
    return f"{operator.text(0)}.{overload}" if overload else operator.text(0)


def _tensors(plan: Table, slot: int, values: tuple[Table, ...], kind: str) -> tuple[TensorSpec, ...]:
    """The inputs or outputs that are tensors; the file has no names for them, so they are numbered."""
    return tuple(
        _tensor(values, int(index), f"{kind}_{place}") for place, index in enumerate(plan.numbers(slot, "int32"))
    )


def _stored(values: tuple[Table, ...], file_bytes: int) -> Counter[str]:
    """Elements of the constants with more than one that are no delegate's, by dtype.

    Raises:
        FlatbufferError: A constant has more elements than the file could hold.
    """
    found: Counter[str] = Counter()
    for value in values:
        tensor = value.table(1) if value.scalar(0, "B") == _TENSOR else None
        if tensor is None or not tensor.scalar(_DATA, "I"):
            continue
        elements = math.prod(tensor.numbers(2, "int32").tolist())
        if not 0 <= elements <= file_bytes:
            raise FlatbufferError(f"a constant of {elements} elements is in a file of {file_bytes} bytes")
        if elements > 1:
            kind = tensor.scalar(0, "b")
            found[_DTYPES.get(kind, f"type {kind}")] += elements
    return found


def _tensor(values: tuple[Table, ...], index: int, name: str) -> TensorSpec:
    value = _value(values, index)
    tensor = value.table(1)
    if value.scalar(0, "B") != _TENSOR or tensor is None:
        raise FlatbufferError(f"{name} is no tensor")
    kind, shape = tensor.scalar(0, "b"), tuple(int(size) for size in tensor.numbers(2, "int32"))
    if any(size < 0 for size in shape):
        raise FlatbufferError(f"{name} has the shape {shape}")
    return TensorSpec(
        name=name,
        shape=shape,
        dtype=_DTYPES.get(kind, f"type {kind}"),
    )


def _constant_text(plan: Table) -> str | None:
    """The text that a method without instructions returns; None if it is no such method."""
    outputs = plan.numbers(4, "int32")
    if len(outputs) != 1 or len(plan.numbers(3, "int32")):
        return None
    value = _value(plan.tables(2), int(outputs[0]))
    text = value.table(1)
    return text.text(0) if value.scalar(0, "B") == _STRING and text is not None else None


def _value(values: tuple[Table, ...], index: int) -> Table:
    if not 0 <= index < len(values):
        raise FlatbufferError(f"value {index} does not exist: there are {len(values)}")
    return values[index]
