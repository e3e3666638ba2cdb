"""Whether a method of an ExecuTorch program keeps anything from one call to the next.

Its values live as long as it is loaded. Whatever is read in a call before the same call has written it holds what the
call before has left there, or an initial value that a later instruction overwrites: such a program may answer rightly
while it is verified, and otherwise later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from export.formats.flatbuffer import FlatbufferError, Table

NULL, TENSOR, INTS, TENSORS, OPTIONAL_TENSORS = 1, 5, 7, 10, 11
_DATA, _PLANNED = 5, 6  # slots of Tensor
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
    views: set[int] = set()
    for step in (*steps, Step("its end", tuple(map(int, plan.numbers(4, "int32"))), ())):
        for place in step.reads:
            if early := sorted(unwritten.intersection(members(place, values))):
                raise FlatbufferError(
                    f"{step.name} reads value {early[0]} before this call has written it: a state from call to call"
                )
        done = {each for place in step.writes for each in members(place, values)}
        if step.name == _VIEW:
            views |= done
        elif views & done:
            raise FlatbufferError(f"{step.name} writes into value {min(views & done)}, a view of another value")
        unwritten -= done


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
