"""ExecuTorch programs that reach beyond themselves are refused, by their parser or by the audit."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from mobile_artifacts import small

from edgevit.errors import ArtifactError
from export.artifact import FileFacts
from export.formats import flatbuffer
from export.formats.flatbuffer import Table
from export.formats.pte_file.contents import JUMP, parse_bytes
from export.formats.pte_file.read import read
from export.recipe import Format, Recipe
from validation.artifact.audit import audit


def data() -> bytearray:
    return bytearray(small(Format.PTE).path.read_bytes())


def plan(program: bytes) -> Table:
    """The execution plan of ``forward``."""
    root = flatbuffer.root(bytes(program), b"ET12")
    return next(each for each in root.tables(1) if each.text(0) == "forward")


def place(table: Table, slot: int) -> int:
    """Where a field stands in the bytes."""
    found = table._place(slot, 1)
    assert found is not None
    return found


def read_changed(tmp_path: Path, changed: bytearray) -> FileFacts:
    (tmp_path / "m.pte").write_bytes(bytes(changed))
    return read(tmp_path / "m.pte")


def test_jumps_and_other_kinds_of_instructions(tmp_path: Path) -> None:
    changed = data()
    instructions = plan(changed).tables(5)[0].tables(2)
    kernel = next(each for each in instructions if each.scalar(0, "B") == 1)
    changed[place(kernel, 0)] = 4
    assert parse_bytes(bytes(changed)).kernels[JUMP] == 1
    facts = read_changed(tmp_path, changed)
    (violation,) = audit(facts, Recipe(format=Format.PTE)).violations
    assert "JumpFalseCall (once): a program of a network runs straight through" in violation
    changed[place(kernel, 0)] = 9
    with pytest.raises(ArtifactError, match="of the kind 9, which is unknown"):
        read_changed(tmp_path, changed)


def test_calls_stay_within_their_operators_and_values(tmp_path: Path) -> None:
    for index, kind in ((10**6, 1), (-1, 1), (10**6, 2)):
        changed = data()
        instruction = next(each for each in plan(changed).tables(5)[0].tables(2) if each.scalar(0, "B") == kind)
        call = instruction.table(1)
        assert call is not None
        if index == -1 or call._place(0, 4) is None:
            start, count = call._vector(1, 4)
            assert count
            struct.pack_into("<i", changed, start, index)
        else:
            struct.pack_into("<i", changed, place(call, 0), index)
        with pytest.raises(ArtifactError, match="an instruction uses number"):
            read_changed(tmp_path, changed)


def test_another_delegate_is_refused(tmp_path: Path) -> None:
    changed = data()
    at = changed.index(b"XnnpackBackend")
    changed[at : at + 14] = b"VulkanBackend\0"
    facts = read_changed(tmp_path, changed)
    assert any("Vulkan" in violation for violation in audit(facts, Recipe(format=Format.PTE)).violations)


def test_tensors_in_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ExecuTorch's own writer, told that a weight lies outside."""
    from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
    from executorch.exir.schema import ExtraTensorInfo, Tensor, TensorDataLocation

    program = deserialize_pte_binary(bytes(data()))
    tensor = next(
        value.val
        for each in program.program.execution_plan
        for value in each.values
        if isinstance(value.val, Tensor) and value.val.extra_tensor_info is None
    )
    tensor.extra_tensor_info = ExtraTensorInfo(
        mutable_data_segments_idx=0, fully_qualified_name="head.weight", location=TensorDataLocation.EXTERNAL
    )
    written = bytes(serialize_pte_binary(program))
    (tmp_path / "m.pte").write_bytes(written)
    with pytest.raises(ArtifactError, match=r"'head\.weight' lies in another file"):
        read(tmp_path / "m.pte")


def test_random_kernels_are_refused(tmp_path: Path) -> None:
    changed = data()
    at = changed.index(struct.pack("<I", 10) + b"aten::mean\0") + 4
    changed[at - 4 : at + 11] = struct.pack("<I", 10) + b"aten::rand\0"
    facts = read_changed(tmp_path, changed)
    assert any(
        "aten::rand.out (once): it draws random numbers" in v
        for v in audit(facts, Recipe(format=Format.PTE)).violations
    )


def test_negative_sizes_are_refused(tmp_path: Path) -> None:
    changed = data()
    forward = plan(changed)
    value = forward.tables(2)[int(forward.numbers(3, "int32")[0])].table(1)
    assert value is not None
    start, count = value._vector(2, 4)
    assert count == 4
    struct.pack_into("<i", changed, start, -3)
    with pytest.raises(ArtifactError, match=r"input_0 has the shape \(-3, "):
        read_changed(tmp_path, changed)
