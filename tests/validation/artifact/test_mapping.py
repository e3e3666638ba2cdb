"""Which tensor of a foreign file is which of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.errors import ArtifactError
from validation.artifact.mapping import Shape, Shapes, arranged, arranged_shape, pair

STAGES = {"stage1": (36, 56, 56), "stage2": (72, 28, 28)}


@pytest.mark.parametrize(
    ("file", "reference", "asked", "expected"),
    [
        ({"logits": (7,)}, {"logits": (7,)}, {}, {"logits": "logits"}),
        ({"Identity": (7,)}, {"logits": (7,)}, {}, {"Identity": "logits"}),
        ({"a": (28, 28, 72), "b": (56, 56, 36)}, STAGES, {}, {"a": "stage2", "b": "stage1"}),
        ({"a": (-1, -1, 72), "b": (-1, -1, 36)}, STAGES, {}, {"a": "stage2", "b": "stage1"}),
        ({"aux": (5,), "probs": (7, 1, 1)}, {"logits": (7,)}, {}, {"probs": "logits"}),
        ({"x": (7,), "logits": (7,)}, {"logits": (7,)}, {}, {"logits": "logits"}),
        ({"x": (7,), "logits": (7,)}, {"logits": (7,)}, {"x": "logits"}, {"x": "logits"}),
        ({"x": (5,)}, {"logits": (7,)}, {}, {}),
        ({"logits": (5,), "x": (7,)}, {"logits": (7,)}, {}, {"x": "logits"}),
    ],
)
def test_names_are_taken_first_then_shapes(
    file: Shapes, reference: Shapes, asked: dict[str, str], expected: dict[str, str]
) -> None:
    assert pair("output", file, reference, asked) == expected


@pytest.mark.parametrize(
    ("file", "reference", "asked", "words"),
    [
        (
            {"x": (7,), "y": (7,)},
            {"logits": (7,)},
            {},
            r"'x' and 'y' could be 'logits'; the file has 'x' 7, 'y' 7, the",
        ),
        ({"x": (7,)}, {"a": (7,), "b": (7,)}, {}, r"'x' could be 'a'.*--map FILE_NAME=REFERENCE_NAME"),
        ({"a": (-1, -1, 72), "b": (-1, -1, -1)}, STAGES, {}, "'a' and 'b' could be 'stage2'"),
        ({"x": (7,)}, {"a": (7,)}, {"x": "b"}, "'x' cannot be 'b'"),
        ({"x": (-1, 5)}, {"a": (7,)}, {"x": "a"}, r"'x' cannot be 'a'; the file has 'x' \?x5"),
    ],
)
def test_what_could_be_several_is_asked_for(file: Shapes, reference: Shapes, asked: dict[str, str], words: str) -> None:
    with pytest.raises(ArtifactError, match=f"outputs cannot be told apart: {words}"):
        pair("output", file, reference, asked)


@pytest.mark.parametrize(("shape", "target"), [((3, 4, 5), (4, 5, 3)), ((4, 5, 3), (3, 4, 5)), ((3, 4, 5), (-1, 5, 3))])
def test_images_are_turned_and_values_stay_with_their_pixel(shape: Shape, target: Shape) -> None:
    array = np.arange(2 * 60, dtype=np.float32).reshape(2, *shape)
    turned = arranged(array, target)
    to_last = shape[0] == 3
    assert turned.shape == ((2, 4, 5, 3) if to_last else (2, 3, 4, 5))
    for c, y, x in ((0, 1, 2), (2, 3, 4)):
        assert turned[(1, y, x, c) if to_last else (1, c, y, x)] == array[(1, c, y, x) if to_last else (1, y, x, c)]


def test_only_axes_of_one_may_stand_elsewhere() -> None:
    assert arranged_shape((7,), (7, 1, 1)) == "reshape" == arranged_shape((1, 7), (7,))
    assert arranged(np.zeros((2, 7)), (1, 7)).shape == (2, 1, 7)
    assert arranged_shape((6,), (2, 3)) is None
    assert arranged_shape((2, 3), (3, 2)) is None
    assert arranged_shape((3, 3, 3), (3, 3, 3)) == (0, 1, 2)
