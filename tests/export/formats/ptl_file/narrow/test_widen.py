"""Narrow weights: halved files that answer alike, cast once; what does not fit into half precision stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ptl_layers import images, network, planned, sqnr_db, written
from torch.jit.mobile import _load_for_lite_interpreter

from export.formats.ptl_file.narrow.pack_int8 import tensor
from export.formats.ptl_file.narrow.widen import Widening
from export.formats.ptl_file.read import read, read_archive
from export.formats.ptl_file.versions import BYTECODES
from export.formats.ptl_file.write import write
from export.recipe import Format, Precision, Recipe


@pytest.mark.parametrize("bytecode", [None, *BYTECODES])
def test_every_bytecode_answers_as_the_network_in_half_precision(tmp_path: Path, bytecode: int | None) -> None:
    path = written(tmp_path / "half.ptl", Precision.FP16, ptl_bytecode=bytecode)
    half = network().half().float()
    module, inputs = _load_for_lite_interpreter(str(path)), images(3)
    with torch.no_grad():
        expected, found = (torch.cat([run(image) for image in inputs]) for run in (half, module.forward))
    assert sqnr_db(expected, found) > 60  # folding before rounding is all that differs
    with torch.no_grad():
        exact = torch.cat([network()(image) for image in inputs])
    assert 50 < sqnr_db(exact, found) < 100


def test_no_call_casts_and_the_weights_are_half_as_long(tmp_path: Path) -> None:
    path = written(tmp_path / "half.ptl", Precision.FP16)
    archive = read_archive(path)
    assert archive.calls["aten::to.dtype"] == 0
    assert set(archive.weights) == {"float16"}
    assert archive.weights["float16"] == read(written(tmp_path / "full.ptl", Precision.FP32)).weights["float32"]
    assert path.read_bytes() == written(tmp_path / "again.ptl", Precision.FP16).read_bytes()


def test_what_half_precision_cannot_hold_stays(tmp_path: Path) -> None:
    module = network()
    with torch.no_grad():
        module.head.weight.mul_(1e6)
        module.narrow.weight.mul_(1e-7)
    recipe, path = Recipe(format=Format.PTL, precision=Precision.FP16), tmp_path / "half.ptl"
    write(planned(recipe, module=module), recipe, path)
    assert read(path).weights["float32"] == module.head.weight.numel() + module.narrow.weight.numel()
    image = images(1)[0]
    with torch.no_grad():
        assert sqnr_db(module(image), _load_for_lite_interpreter(str(path)).forward(image)) > 50


@pytest.mark.parametrize("bytecode", BYTECODES)
def test_types_are_those_that_every_release_knows_by_that_name(bytecode: int) -> None:
    """PyTorch Mobile 1.8.1 refused "NoneType" as no type, which it calls "None"; 1.9.0 has it the other way round."""
    data = np.arange(4, dtype=np.float32).tobytes()
    widening = Widening("__torch__.M", {"a": data}.__getitem__, halves=True)
    widening.attribute(tensor("FloatStorage", "a", (4,), (1,), 4))
    name, _, (arguments, returns) = widening.restoring(bytecode)
    assert (name, arguments[0], returns[0]) == ("__torch__.M.__setstate__", "arguments", "returns")
    assert [dict(each)["type"] for each in (*arguments[1], *returns[1])] == ["__torch__.M", "Any", "Any"]


def test_equal_numbers_are_stored_once_and_single_ones_stay() -> None:
    data = {
        "a": np.arange(4, dtype=np.float32).tobytes(),
        "b": np.arange(4, dtype=np.float32).tobytes(),
        "c": b"\0" * 4,
    }
    widening = Widening("__torch__.M", data.__getitem__, halves=True)
    rows = [tensor("FloatStorage", key, (4,), (1,), 4) for key in "ab"]
    assert [widening.attribute(row) for row in [*rows, rows[0]]] == [0, 1, 0]
    assert widening.attribute(tensor("FloatStorage", "c", (1,), (1,), 1)) is None
    assert widening.attribute(tensor("LongStorage", "a", (2,), (1,), 2)) is None
    assert widening.attribute(7) is None
    assert [name for name in widening.records() if name != "data.pkl"] == ["data/0"]
