"""What is written again is read alike by Python's own unpickler, and by the reader of files from elsewhere."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from export.formats.ptl_file.pickled import unpickle
from export.formats.ptl_file.rewrite import Called, Made, Named, Stored, Tree, dump, load
from export.formats.ptl_file.values import Object

PLAIN: Tree = (
    None, True, False, 0, 255, 256, -1, 2**31 - 1, -(2**31), 2**40, -(2**40), 0.5, -1e300, "", "text", "text", "é",
    (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1, [2.5, ("x",)]],
)  # fmt: skip


def test_plain_values_come_back_through_python_and_through_us() -> None:
    data = dump(PLAIN)
    found = pickle.loads(data)
    assert found == PLAIN and [type(value) for value in found] == [type(value) for value in PLAIN]
    assert load(data) == PLAIN == load(pickle.dumps(PLAIN, 2))


def test_a_text_is_written_once_also_beyond_256_of_them() -> None:
    texts = tuple(f"name {place}" for place in range(400))
    data = dump((texts, texts))
    assert pickle.loads(data) == (texts, texts)
    assert all(data.count(text.encode() + b"q") + data.count(text.encode() + b"r") == 1 for text in texts)


def test_calls_objects_and_storages_stand_as_they_were() -> None:
    storage = Stored(("storage", Named("torch", "FloatStorage"), "0.storage", "cpu", 6))
    tensor = Named("torch._utils", "_rebuild_tensor_v2")(storage, 0, (2, 3), (3, 1), False, None)
    made = Made(Named("__torch__.torch.classes.xnnpack", "LinearOpContext"), (tensor, None, None, 6.0))
    data = dump((made, made))
    assert load(dump((tensor, storage))) == (tensor, storage)
    assert isinstance(tensor, Called) and storage.key == "0.storage"
    first, _ = _tuple(unpickle(data, {"0.storage": 24}.get))
    assert isinstance(first, Object) and first.kind.endswith("LinearOpContext")


def test_other_values_are_no_part_of_a_program() -> None:
    wrong: Any = {1: 2}
    with pytest.raises(TypeError, match="dict is no part of a program"):
        dump(wrong)


def _tuple(value: object) -> tuple[object, ...]:
    assert isinstance(value, tuple)
    return value
