"""Whether a method of an ExecuTorch program keeps anything from one call to the next.

Its values live as long as it is loaded. Whatever is read in a call before the same call has written it holds what the
call before has left there, or an initial value that a later instruction overwrites: such a program may answer rightly
while it is verified, and otherwise later. A value counts as written if its bytes are: ExecuTorch leaves out the calls
that make views of fixed shape, and gives the view the place of what it shows.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from export.formats.flatbuffer import FlatbufferError, Table

NULL, TENSOR, INTS, TENSORS, OPTIONAL_TENSORS = 1, 5, 7, 10, 11
_SCALAR, _OFFSET, _SIZES, _DATA, _PLANNED, _DYNAMISM = 0, 1, 2, 5, 6, 8  # slots of Tensor
_BYTES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 11: 1}  # of an element, by ScalarType
_STATIC = 0
# Results of kernels that have another number than one, as torch's schemas say; a list of tensors counts as one.
RESULTS = {
    "aten::_native_batch_norm_legit.no_stats_out": 3, "aten::_native_batch_norm_legit_no_training.out": 3,
    "aten::convolution_backward.out": 3, "aten::max.dim_max": 2, "aten::max_pool2d_with_indices.out": 2,
    "aten::min.dim_min": 2, "aten::native_dropout.out": 2, "aten::native_group_norm.out": 3,
    "aten::native_layer_norm.out": 3, "aten::topk.values": 2, "aten::var_mean.correction_out": 2,
    "aten::_native_batch_norm_legit.out": 3,
}  # fmt: skip
# Arguments that a kernel changes in place.
IN_PLACE = {
    "aten::copy_": (0,), "aten::index_put_": (0,), "aten::_native_batch_norm_legit.out": (3, 4),
    "executorch_prim::et_copy_index.tensor": (0,),
}  # fmt: skip
_EMPTY = {"aten::empty.out", "dim_order_ops::_empty_dim_order.out"}  # hand out memory as it is
_VIEW = "executorch_prim::et_view.default"
_PLAIN = ("executorch_prim::", "aten::sym_", "aten::_local_scalar_dense")  # the last value is the only result


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction: the values that it reads, and then those that it writes.

    Attributes:
        name: For people.
        reads: Indices of values.
        writes: Indices of values.
    """

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]


def kernel_step(name: str, arguments: Sequence[int], values: Sequence[Table]) -> Step:
    """A call of a kernel: its arguments, those that it puts results into, and its result once more.

    Raises:
        FlatbufferError: Its result is another value than the one that it is put into.
    """
    if name in IN_PLACE and name not in RESULTS:
        places = [arguments[place] for place in IN_PLACE[name] if place < len(arguments)]
        reads = arguments if name != "aten::copy_" else arguments[1:-1]
        return Step(name, tuple(reads), (*places, *arguments[-1:]))
    if name.startswith(_PLAIN):
        return Step(name, tuple(arguments[:-1]), tuple(arguments[-1:]))
    count, last = RESULTS.get(name, 1), tuple(arguments[-1:])
    written = tuple(arguments[-1 - count : -1])
    given, put = (tuple(each for place in places for each in members(place, values)) for places in (last, written))
    if len(written) != count or given != put:
        raise FlatbufferError(f"{name} gives back the values {given}, but writes {put}")
    if name in _EMPTY:
        return Step(name, tuple(arguments[: -1 - count]), ())
    changed = tuple(arguments[place] for place in IN_PLACE.get(name, ()) if place < len(arguments))
    return Step(name, tuple(arguments[: -1 - count]), (*written, *changed, *last))


def members(index: int, values: Sequence[Table]) -> tuple[int, ...]:
    """The values in a list of values; a value that is no list stands for itself.

    Raises:
        FlatbufferError: The value, or one that the list names, is not there.
    """
    if not 0 <= index < len(values):
        raise FlatbufferError(f"an instruction names value {index} of {len(values)}")
    kind, held = values[index].scalar(0, "B"), values[index].table(1)
    if kind not in {INTS, TENSORS, OPTIONAL_TENSORS} or held is None:
        return (index,)
    found = tuple(int(place) for place in held.numbers(0, "int64" if kind == INTS else "int32"))
    if any(not -(kind == OPTIONAL_TENSORS) <= place < len(values) for place in found):
        raise FlatbufferError(f"the list {index} holds values beyond {len(values)}")
    return tuple(place for place in found if place >= 0)


class _Memory:
    """Which bytes this call has written."""

    def __init__(self, values: Sequence[Table]) -> None:
        self._values = values
        self._spans: dict[int, tuple[int, int, int] | None] = {}
        self._written: dict[int, list[int]] = {}  # by memory: start, end, start, end, ... in order, none overlapping

    def write(self, index: int) -> None:
        """Note a value of a fixed shape; of others less than all may be written."""
        if (span := self._span(index)) is None:
            return
        memory, start, end = span
        edges = self._written.setdefault(memory, [])
        first, last = bisect_left(edges, start), bisect_right(edges, end)
        edges[first:last] = [start] * (first % 2 == 0) + [end] * (last % 2 == 0)

    def holds(self, index: int) -> bool:
        """Whether all bytes of a value have been written."""
        if (span := self._span(index)) is None:
            return False
        memory, start, end = span
        edges = self._written.get(memory, [])
        place = bisect_right(edges, start)
        return place % 2 == 1 and end <= edges[place]

    def _span(self, index: int) -> tuple[int, int, int] | None:
        if index not in self._spans:
            self._spans[index] = _span(self._values[index]) if 0 <= index < len(self._values) else None
        return self._spans[index]


def _span(value: Table) -> tuple[int, int, int] | None:
    """Memory, first byte and the byte behind the last of a planned tensor of a fixed shape; None of anything else."""
    tensor = value.table(1) if _is_tensor(value) else None
    planned = tensor.table(_PLANNED) if tensor is not None else None
    if tensor is None or planned is None or tensor.scalar(_DYNAMISM, "b") != _STATIC or tensor.scalar(_OFFSET, "i"):
        return None
    sizes, width = tensor.numbers(_SIZES, "int32").tolist(), _BYTES.get(tensor.scalar(_SCALAR, "b"))
    if width is None or any(size < 1 for size in sizes):
        return None
    memory, low, high = (planned.scalar(slot, "I") for slot in range(3))
    start = (high << 32) + low
    return memory, start, start + width * math.prod(sizes)


def require_no_state(plan: Table, steps: Sequence[Step]) -> None:
    """Refuse a method that could keep a state.

    Args:
        plan: The method.
        steps: Its instructions, in order; they run one after the other.

    Raises:
        FlatbufferError: Names the value, and who reads it.
    """
    values, inputs = plan.tables(2), set(map(int, plan.numbers(3, "int32")))
    stored = {index for index, value in enumerate(values) if _is_stored(value, index)}
    written_somewhere = {each for step in steps for place in step.writes for each in members(place, values)}
    if wrong := sorted(written_somewhere & stored - inputs):
        raise FlatbufferError(f"an instruction writes into value {wrong[0]}, which is stored in the file")
    unwritten = written_somewhere | {index for index, value in enumerate(values) if _is_tensor(value)}
    unwritten -= stored | inputs
    memory = _Memory(values)
    for place in inputs:  # the caller writes them
        memory.write(place)
    views: set[int] = set()
    for step in (*steps, Step("its end", tuple(map(int, plan.numbers(4, "int32"))), ())):
        for place in step.reads:
            unseen = unwritten.intersection(members(place, values))
            if early := sorted(each for each in unseen if not memory.holds(each)):
                raise FlatbufferError(
                    f"{step.name} reads value {early[0]} before this call has written it: a state from call to call"
                )
        done = {each for place in step.writes for each in members(place, values)}
        if step.name == _VIEW:
            views |= done
        elif views & done:
            raise FlatbufferError(f"{step.name} writes into value {min(views & done)}, a view of another value")
        unwritten -= done
        for place in done:
            memory.write(place)


def _is_tensor(value: Table) -> bool:
    return value.scalar(0, "B") == TENSOR


def _is_stored(value: Table, index: int) -> bool:
    """Whether this is a tensor whose data is in the file.

    Raises:
        FlatbufferError: It has a place in memory beside that.
    """
    tensor = value.table(1) if _is_tensor(value) else None
    if tensor is None or not tensor.scalar(_DATA, "I"):
        return False
    if tensor.table(_PLANNED) is not None:
        raise FlatbufferError(f"value {index} is a buffer that may change: a state from call to call")
    return True
