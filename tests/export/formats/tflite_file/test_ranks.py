"""Which operators go beyond the ranks of older kernels."""

from __future__ import annotations

import pytest

from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from export.formats.tflite_file.ranks import cautions

Shape = tuple[int, ...]
WHOLE = (2, 3, 2, 3, 2)

# What was seen with a file of one such operator without XNNPACK: True where TFLite 2.14.0 (for BATCH_MATMUL 2.9.1)
# ended the process or refused the file.
SEEN: list[tuple[str, list[Shape], bool]] = [
    ("MUL", [WHOLE, WHOLE], False),
    ("MUL", [WHOLE, (1,)], False),
    ("MUL", [WHOLE, ()], False),
    ("MUL", [WHOLE, (2,)], False),
    ("MUL", [WHOLE, (1, 1, 1, 1, 2)], False),
    ("MUL", [WHOLE, (2, 3, 2, 3, 1)], False),
    ("MUL", [WHOLE, (2, 1, 1, 1, 2)], False),
    ("MUL", [(2, 3, 1, 1, 2), (1, 1, 2, 3, 2)], False),
    ("MUL", [(2, 3, 1, 3, 2), (2, 1, 2, 3, 2)], False),
    ("MUL", [(2, 1, 2, 1, 2), (1, 3, 1, 3, 1)], True),
    ("MUL", [(1, 3, 2, 3, 1), WHOLE], True),
    ("MUL", [(1, 3, 1, 1, 2), WHOLE], True),
    ("MUL", [(2, 1, 3, 1, 2), (2, 3, 3, 3, 2)], True),
    ("MUL", [(-1, 1, 3, 1, 2), (2, 3, 3, 3, 2)], True),
    ("MUL", [(1, 3, 1, 3), (2, 3, 2, 3)], False),
    ("SQUARED_DIFFERENCE", [WHOLE, (1,)], True),
    ("SQUARED_DIFFERENCE", [WHOLE, WHOLE], False),
    ("SUB", [WHOLE, (2, 1, 2, 1, 2)], False),
    ("SUB", [(2, *WHOLE), (1,)], True),
    ("LESS", [WHOLE, (2, 1, 2, 1, 2)], True),
    ("SLICE", [WHOLE, (5,), (5,)], False),
    ("SLICE", [(2, *WHOLE), (6,), (6,)], True),
    ("BATCH_MATMUL", [(2, 3, 2, 3, 4), (2, 3, 2, 4, 5)], True),
    ("RESHAPE", [(2, *WHOLE), (3,)], False),
]


def _graph(name: str, shapes: list[Shape], *, custom: bool = False) -> TfliteGraph:
    tensors = tuple(TfliteTensor(f"stem/{place};", shape, "float32", False) for place, shape in enumerate(shapes))
    indices = tuple(range(len(shapes)))
    operator = TfliteOperator(name, 1, custom, indices, (0,))
    return TfliteGraph("main", tensors, (operator, operator), indices, (0,))


@pytest.mark.parametrize(("name", "shapes", "beyond"), SEEN)
def test_the_limits_are_what_a_runtime_did(name: str, shapes: list[Shape], beyond: bool) -> None:
    assert bool(list(cautions(_graph(name, shapes), lambda operator: ()))) is beyond


def test_a_line_says_operator_axes_runtime_and_place() -> None:
    graph = _graph("MUL", [(2, 1, 2, 1, 2), (1, 3, 1, 3, 1)])
    assert list(cautions(graph, lambda operator: ("stem.0",))) == [
        "MUL x 2: broadcasts over 5 axes; kernels up to TFLite 2.14 take 4 and abort the process where no delegate "
        "takes it (in stem.0)"
    ]
    (line,) = cautions(_graph("TRANSPOSE", [(2, *WHOLE), (6,)]), lambda operator: ())
    assert line.startswith("TRANSPOSE x 2: works on 6 axes; kernels up to TFLite 2.11 take 5 and refuse the file where")


def test_the_widest_claim_is_made_and_a_custom_operator_is_another() -> None:
    six: list[Shape] = [(2, 3, 2, 3, 3, 4), (2, 3, 2, 3, 4, 5)]
    assert [line.partition("kernels ")[2][:19] for line in cautions(_graph("BATCH_MATMUL", six), lambda _: ())] == [
        "up to LiteRT 2.3 ta"
    ]
    assert list(cautions(_graph("MUL", [(2, 1, 2, 1, 2), WHOLE], custom=True), lambda operator: ())) == []
