"""Which operators a delegate took, followed from tensor to tensor."""

from __future__ import annotations

from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from runtimes.sessions.tflite_delegation import xnnpack_share


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
