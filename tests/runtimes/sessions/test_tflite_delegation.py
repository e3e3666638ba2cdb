"""Which operators a delegate took, followed from tensor to tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
from tflite_layers import images, planned, products, written

from export.artifact import Delegation
from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from export.quantization.record import LayerKind, Scheme
from export.recipe import Format, Precision
from runtimes.sessions.table import open_session
from runtimes.sessions.tflite_delegation import xnnpack_share

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
