"""Which operators a delegate took, followed from tensor to tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tflite_layers import images, planned, products, written
from torch import nn

from edgevit.spec import Layout, ModelSpec, Task, TensorSpec, Weights
from export.artifact import Delegation
from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from export.formats.tflite_file.read import read
from export.int8.record import LayerKind, Scheme
from export.pipeline import optimize
from export.program import capture
from export.quantization.schemes import SCHEMES
from export.recipe import Format, Precision, Recipe
from runtimes.sessions.table import open_session
from runtimes.sessions.tflite_delegation import xnnpack_share

DYNAMIC = SCHEMES[Format.TFLITE].dynamic
INT8 = (LayerKind.LINEAR, LayerKind.CONV)


def test_partitions_are_followed_from_their_outputs_to_their_inputs() -> None:
    floats = [TfliteTensor(f"block;{place}", (1, 4), "float32", place == 6) for place in range(7)]
    join = TfliteOperator("CONCATENATION", 1, False, (1, 1, 1, 1, 1, 1), (2,))
    product = TfliteOperator("FULLY_CONNECTED", 1, False, (2, 1), (3,))
    graph = TfliteGraph(
        "main",
        tuple(floats),
        (
            TfliteOperator("MUL", 1, False, (0, 6), (1,)),
            join,
            product,
            TfliteOperator("ADD", 1, False, (3, 6), (4,)),
            TfliteOperator("ADD", 1, False, (4, 3), (5,)),
        ),
        (0,),
        (5,),
    )
    share = xnnpack_share(graph, [((0, 6), (1,)), ((3, 6), (5,))])
    assert (share.delegated, share.total, share.partitions) == (3, 5, 2)
    assert share.left == (
        "CONCATENATION x 1: joins 6 tensors, the delegate at most 5 (in block)",
        "FULLY_CONNECTED x 1: its weights are computed at run time (in block)",
    )
    assert [(piece.delegated, piece.operators, piece.names) for piece in share.pieces] == [
        (True, 1, ()),
        (False, 2, ("CONCATENATION", "FULLY_CONNECTED")),
        (True, 2, ()),
    ]
    assert share.pieces[1].modules == ("block",)


def test_an_operator_between_two_of_one_partition_runs_where_its_operands_allow() -> None:
    """In the file: delegated, outside, delegated, outside; what the second partition needs decides the order."""
    floats = tuple(TfliteTensor(f"t{place}", (1, 4), "float32", False) for place in range(6))

    def pieces(*operands: tuple[int, ...]) -> list[tuple[bool, int]]:
        operators = tuple(TfliteOperator("ADD", 1, False, read, (place + 1,)) for place, read in enumerate(operands))
        graph = TfliteGraph("main", floats, operators, (0,), (4,))
        share = xnnpack_share(graph, [((0, 2), (1, 3)) if 2 in operands[2] else ((0,), (1, 3))])
        return [(piece.delegated, piece.operators) for piece in share.pieces]

    assert pieces((0,), (0,), (2, 1), (3,)) == [(False, 1), (True, 2), (False, 1)], "the partition reads what it makes"
    assert pieces((0,), (1,), (1,), (2, 3)) == [(True, 2), (False, 2)], "it reads what the partition makes"


def delegation(directory: Path, depthwise: Scheme, others: Scheme) -> Delegation:
    """What the delegate took of a small network with these schemes."""
    program = planned(products(), lambda kind, _: others if kind in INT8 else depthwise, images(16))
    session = open_session(written(program, Precision.INT8, directory), Format.TFLITE, threads=1)
    found = session.delegation()
    session.close()
    assert found is not None
    return found


@pytest.mark.parametrize("scheme", [Scheme.STATIC, Scheme.DYNAMIC])
def test_int8_products_tear_nothing(scheme: Scheme, tmp_path: Path) -> None:
    found = delegation(tmp_path, Scheme.FLOAT, scheme)
    assert (found.delegated, found.partitions, found.left) == (found.total, 1, ())


def test_a_depthwise_convolution_with_ranges_of_every_call_stays_outside(tmp_path: Path) -> None:
    found = delegation(tmp_path, Scheme.DYNAMIC, Scheme.FLOAT)
    assert (found.total - found.delegated, found.partitions) == (1, 2)
    assert found.left == (
        "DEPTHWISE_CONV_2D x 1: int8 weights with float activations, which the delegate has for CONV_2D and "
        "FULLY_CONNECTED alone (in mix)",
    )


def test_a_convolution_of_a_single_channel_is_a_depthwise_one_and_stays_float(tmp_path: Path) -> None:
    """litert-torch makes it a DEPTHWISE_CONV_2D, which would stay outside with ranges of every call."""
    spec = ModelSpec(
        name="gray",
        variant="gray",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(1, 1, 16, 16), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(1, 10)),),
        weights=Weights(source="random", seed=1),
        num_classes=10,
    )
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.Conv2d(8, 16, 2, 2), nn.Flatten(), nn.Linear(64, 10)).eval()
    program = optimize(capture(model, spec), Recipe(format=Format.TFLITE))
    path = written(planned(program, lambda kind, _: DYNAMIC.get(kind, Scheme.FLOAT)), Precision.INT8, tmp_path)
    facts = read(path)
    assert {(row.name, row.version) for row in facts.operators} >= {("DEPTHWISE_CONV_2D", 1), ("CONV_2D", 5)}
    session = open_session(path, Format.TFLITE, threads=1)
    found = session.delegation()
    session.close()
    assert found is not None
    assert (found.delegated, found.partitions) == (found.total, 1)
