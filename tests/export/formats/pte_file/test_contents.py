"""The parser of ``.pte`` files against ExecuTorch's own, and on damaged bytes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from mobile_artifacts import edgevit, small

from edgevit.errors import ArtifactError
from edgevit.spec import Task
from export.formats.flatbuffer import FlatbufferError
from export.formats.pte_file.contents import parse_bytes, stock_kernels
from export.formats.pte_file.read import read
from export.recipe import Format


def test_the_reader_agrees_with_executorch_itself() -> None:
    from executorch.exir._serialize._program import deserialize_pte_binary
    from executorch.exir.schema import DelegateCall, KernelCall

    data = edgevit(Format.PTE, Task.CLASSIFY).path.read_bytes()
    plan = next(plan for plan in deserialize_pte_binary(data).program.execution_plan if plan.name == "forward")
    calls = [instruction.instr_args for chain in plan.chains for instruction in chain.instructions]
    names = [f"{operator.name}.{operator.overload}" for operator in plan.operators]
    seen = parse_bytes(data)
    assert seen.kernels == Counter(names[call.op_index] for call in calls if isinstance(call, KernelCall))
    assert len(seen.partitions) == sum(isinstance(call, DelegateCall) for call in calls)
    assert seen.calls == tuple(
        names[call.op_index] if isinstance(call, KernelCall) else call.delegate_index
        for call in calls
        if isinstance(call, KernelCall | DelegateCall)
    )


def test_the_kernel_table_is_that_of_the_runtime() -> None:
    from executorch.runtime import Runtime

    assert stock_kernels() == Runtime.get().operator_registry.operator_names


@pytest.mark.parametrize("keep", [0, 30, 1000, 0.5, -1])
def test_a_truncated_file_is_an_error(tmp_path: Path, keep: float) -> None:
    data = small(Format.PTE).path.read_bytes()
    path = tmp_path / "cut.pte"
    path.write_bytes(data[: int(keep * len(data))] if 0 < keep < 1 else data[: int(keep)])
    with pytest.raises(ArtifactError, match=r"cut\.pte"):
        read(path)


def test_flipped_bits_never_escape_the_reader(tmp_path: Path) -> None:
    data = small(Format.PTE).path.read_bytes()
    generator, refused = random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(4):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            parse_bytes(bytes(damaged))
        except FlatbufferError:
            refused += 1
    assert refused > 10
