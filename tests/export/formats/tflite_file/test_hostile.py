"""TFLite files that reach beyond themselves or run in circles are refused, by their parser or by the audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from mobile_artifacts import small

from edgevit.errors import ArtifactError
from export.formats.table import read_artifact
from export.formats.tflite_file.versions import operator_table, why_not_standard
from export.recipe import Format, Recipe
from validation.artifact.audit import audit

Model = schema.ModelT
OPTIONS = schema.BuiltinOptions


def written(path: Path, change: Callable[[Model], None]) -> Path:
    """The small network's file after ``change``, written by the schema's own code."""
    model = Model.InitFromPackedBuf(small(Format.TFLITE).path.read_bytes(), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def external_tensor(model: Model) -> None:
    model.subgraphs[0].tensors[0].externalBuffer = 1


def external_buffers(model: Model) -> None:
    group, buffer = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
    group.name = b"weights.bin"
    model.externalBufferGroups, model.externalBuffers = [group], [buffer]


def behind_the_end(model: Model) -> None:
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 1 << 40, 64


def variable(model: Model) -> None:
    model.subgraphs[0].tensors[0].isVariable = True


def other_order(model: Model) -> None:
    model.subgraphs[0].operators.reverse()


def into_a_weight(model: Model) -> None:
    graph = model.subgraphs[0]
    weight = next(at for at, tensor in enumerate(graph.tensors) if model.buffers[tensor.buffer].data is not None)
    graph.operators[0].outputs = [weight]


def twice(model: Model) -> None:
    operators = model.subgraphs[0].operators
    operators[-1].outputs = operators[0].outputs


def control(name: str, first: int, second: int) -> Callable[[Model], None]:
    """Let the first operator be IF or WHILE, on these graphs; the second graph is a copy of the first."""

    def change(model: Model) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = operator_table().operators[name].code
        code.version = 1
        model.operatorCodes.append(code)
        inner = schema.SubGraphT()
        inner.tensors, inner.inputs, inner.outputs, inner.operators = model.subgraphs[0].tensors, [], [], []
        model.subgraphs.append(inner)
        operator = model.subgraphs[0].operators[0]
        operator.opcodeIndex = len(model.operatorCodes) - 1
        options = schema.IfOptionsT() if name == "IF" else schema.WhileOptionsT()
        names = (
            ("thenSubgraphIndex", "elseSubgraphIndex") if name == "IF" else ("condSubgraphIndex", "bodySubgraphIndex")
        )
        setattr(options, names[0], first)
        setattr(options, names[1], second)
        operator.builtinOptionsType = OPTIONS.IfOptions if name == "IF" else OPTIONS.WhileOptions
        operator.builtinOptions = options

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (external_tensor, "lies in another file"),
        (external_buffers, "keeps tensors in other files"),
        (behind_the_end, "ends outside the file"),
        (variable, "is variable: a state from call to call"),
        (other_order, "before it is written: a state from call to call"),
        (into_a_weight, "is stored, given or written before"),
        (twice, "is stored, given or written before"),
        (control("IF", 1, 7), "graph 7 does not exist"),
        (control("WHILE", -1, 1), "graph -1 does not exist"),
        (control("IF", 0, 1), "graph 0 runs inside of itself"),
        (control("WHILE", 1, 0), "graph 0 runs inside of itself"),
    ],
)
def test_what_reaches_beyond_the_file_is_refused(tmp_path: Path, change: Callable[[Model], None], words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        read_artifact(written(tmp_path / "m.tflite", change), Format.TFLITE)


@pytest.mark.parametrize("name", ["IF", "WHILE"])
def test_graphs_in_graphs_are_read_and_audited(tmp_path: Path, name: str) -> None:
    def random_inside(model: Model) -> None:
        control(name, 1, 1)(model)
        code = schema.OperatorCodeT()
        code.builtinCode = operator_table().operators["RANDOM_UNIFORM"].code
        code.deprecatedBuiltinCode, code.version = 127, 1
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        inner = model.subgraphs[1]
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, inner.inputs
        operator.outputs = inner.outputs
        inner.operators = [operator]

    facts = read_artifact(written(tmp_path / "sound.tflite", control(name, 1, 1)), Format.TFLITE)
    assert audit(facts, Recipe(format=Format.TFLITE)).passed
    facts = read_artifact(written(tmp_path / "random.tflite", random_inside), Format.TFLITE)
    (violation,) = audit(facts, Recipe(format=Format.TFLITE)).violations
    assert "RANDOM_UNIFORM (once): it draws random numbers" in violation


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("VAR_HANDLE", "keeps a state"), ("ASSIGN_VARIABLE", "keeps a state"), ("CALL_ONCE", "keeps a state"),
        ("HASHTABLE", "keeps a state"), ("MULTINOMIAL", "random numbers"),
        ("STABLEHLO_RNG_BIT_GENERATOR", "random numbers"), ("STABLEHLO_COMPOSITE", "another graph of the file"),
        ("STABLEHLO_SCATTER", "another graph of the file"), ("STABLEHLO_CASE", "another graph of the file"),
    ],
)  # fmt: skip
def test_operators_that_reach_beyond_one_call_are_refused(name: str, words: str) -> None:
    assert words in (why_not_standard(name, 1, custom=False) or "")


def test_one_part_named_over_and_over_is_refused_in_time(tmp_path: Path) -> None:
    """300,000 operators that are one, with 100,000 inputs: each takes four bytes, and would be read in full."""

    def change(model: Model) -> None:
        graph = model.subgraphs[0]
        graph.operators[0].inputs = [0] * 100_000

    path = written(tmp_path / "m.tflite", change)
    data = bytearray(path.read_bytes())
    graph = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    place = graph._tab.Vector(graph._tab.Offset(10))
    target = place + int.from_bytes(data[place : place + 4], "little")
    end = len(data)
    slot = graph._tab.Pos + graph._tab.Offset(10)
    count = 300_000
    offsets = b"".join((target - (end + 4 + 4 * k) & 0xFFFFFFFF).to_bytes(4, "little") for k in range(count))
    data[slot : slot + 4] = (end - slot).to_bytes(4, "little")
    path.write_bytes(bytes(data) + count.to_bytes(4, "little") + offsets)
    started = time.monotonic()
    with pytest.raises(ArtifactError):
        read_artifact(path, Format.TFLITE)
    assert time.monotonic() - started < 5


def test_names_that_are_no_utf8_are_kept_apart_and_run(tmp_path: Path) -> None:
    """The file is sound: its network does not care what a tensor is called."""

    def change(model: Model) -> None:
        for number, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = b"mod\xe8le" + bytes([0x80 + number])

    from export.formats.tflite_file.contents import parse
    from runtimes.sessions.table import open_session

    path = written(tmp_path / "m.tflite", change)
    names = [tensor.name for tensor in parse(path).graphs[0].tensors]
    assert len(set(names)) == len(names) and names[0] == r"mod\xe8le\x80"
    session = open_session(path, Format.TFLITE)
    assert session.inputs
    session.close()
