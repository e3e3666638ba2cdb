"""ExecuTorch files of a small network and of EdgeViT-XXS, read back from their bytes."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from mobile_artifacts import LABELS, edgevit, small, small_program

from edgevit.errors import ArtifactError, UsageError
from edgevit.spec import Layout, ModelSpec, Task
from export.formats.flatbuffer import FlatbufferError
from export.formats.pte_file import write as to_pte
from export.formats.pte_file.contents import XNODES, PteFile, parse, parse_bytes, stock_kernels
from export.formats.pte_file.write import delegation, read, write
from export.quiet import quiet
from export.recipe import Format, Recipe


def test_names_and_layouts_travel_in_the_file() -> None:
    facts = read(small(Format.PTE).path)
    assert [(tensor.name, tensor.shape, tensor.layout) for tensor in facts.inputs] == [
        ("image", (1, 3, 32, 24), Layout.NCHW)
    ]
    assert [(tensor.name, tensor.shape) for tensor in facts.outputs] == [("logits", (1, 10))]
    assert facts.requires == "ExecuTorch >= 1.4.1 with XnnpackBackend"


def test_metadata_is_inside_the_file() -> None:
    built = small(Format.PTE)
    metadata = read(built.path).metadata
    assert msgspec.json.decode(metadata["spec"], type=ModelSpec) == built.program.spec
    assert msgspec.json.decode(metadata["recipe"], type=Recipe) == built.recipe
    assert tuple(metadata["labels"].splitlines()) == LABELS


def test_histogram_shows_both_sides_of_the_delegate() -> None:
    rows = {operator.name: operator.count for operator in read(small(Format.PTE).path).operators}
    assert rows["aten::mean.out"] == 1
    assert rows["xnnpack::Conv2d"] == rows["xnnpack::DepthwiseConv2d"] == rows["xnnpack::FullyConnected"] == 1


def test_delegation_says_how_many_pieces_and_why_the_rest_stayed() -> None:
    share = delegation(small(Format.PTE).path)
    assert (share.delegate, share.partitions) == ("XnnpackBackend", 2)
    assert share.total == share.delegated + 1 == read(small(Format.PTE).path).operator_count
    assert len(share.left) == 1
    assert share.left[0].startswith("aten::mean x 1: ")
    assert "keepdim" in share.left[0]


def test_node_names_are_those_of_the_xnnpack_schema() -> None:
    schema = files("executorch.backends.xnnpack.serialization").joinpath("schema.fbs").read_text()
    union = re.search(r"union XNodeUnion \{(.*?)\}", schema, re.DOTALL)
    assert union is not None
    assert tuple(re.findall(r"XNN(\w+)(?:: \w+)?,", union.group(1))) == XNODES


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


def test_edgevit_calls_only_stock_kernels_and_knows_their_modules() -> None:
    built = edgevit(Format.PTE, Task.CLASSIFY)
    facts = read(built.path)
    assert all(operator.standard for operator in facts.operators)
    share = delegation(built.path)
    assert share.delegated / share.total > 0.9
    outside = [operator for operator in facts.operators if operator.name.startswith("aten::")]
    assert share.total - share.delegated == sum(operator.count for operator in outside)
    for line in share.left:
        assert ": " in line


def test_other_kernels_and_delegates_are_not_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = parse(small(Format.PTE).path)
    strange = PteFile(
        inputs=whole.inputs,
        outputs=whole.outputs,
        kernels=Counter({"mine::fft.out": 2, "aten::mean.out": 1}),
        partitions=(("QnnBackend", Counter()), *whole.partitions),
        texts=whole.texts,
    )
    monkeypatch.setattr(to_pte, "parse", lambda path: strange)
    strangers = {operator.name: operator for operator in read(tmp_path).operators if not operator.standard}
    assert set(strangers) == {"mine::fft.out", "QnnBackend::partition"}
    assert "portable" in (strangers["mine::fft.out"].why_not or "")


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    built = small(Format.PTE)
    with quiet():
        write(small_program(), built.recipe, tmp_path / "again.pte")
    assert (tmp_path / "again.pte").read_bytes() == built.path.read_bytes()


def test_a_free_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="batch"):
        write(small_program(), Recipe(format=Format.PTE, dynamic_batch=True), tmp_path / "no.pte")
    assert not list(tmp_path.iterdir())


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


def test_reading_needs_neither_torch_nor_executorch() -> None:
    script = (
        "import sys; from pathlib import Path; from export.formats.pte_file.write import delegation, read;"
        "read(Path(sys.argv[1])); delegation(Path(sys.argv[1]));"
        "sys.exit(' '.join(sorted({'torch', 'executorch', 'flatbuffers'} & set(sys.modules))) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(small(Format.PTE).path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
