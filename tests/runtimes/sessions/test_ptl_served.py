"""The program that travels to another Python: its messages, and the files that it runs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import two_inputs

from export.formats.ptl_file.write import write
from export.program import capture
from export.recipe import Format, Recipe
from runtimes.sessions import ptl_served


def test_messages_come_back_until_the_input_ends() -> None:
    stream, arrays = io.BytesIO(), [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([True])]
    ptl_served.send(stream, arrays)
    ptl_served.send(stream, [])
    stream.seek(0)
    for expected in (arrays, []):
        found = ptl_served.receive(stream)
        assert found is not None
        assert [array.tolist() for array in found] == [array.tolist() for array in expected]
        assert [array.dtype for array in found] == [array.dtype for array in expected]
    assert ptl_served.receive(stream) is None


def test_every_message_is_answered_by_what_the_file_computes(tmp_path: Path) -> None:
    program = capture(*two_inputs(batch=2))
    write(program, Recipe(format=Format.PTL), tmp_path / "model.ptl")
    source, target = io.BytesIO(), io.BytesIO()
    for _ in range(2):
        ptl_served.send(source, [tensor.numpy() for tensor in program.example])
    source.seek(0)
    before = torch.get_num_threads()
    ptl_served.serve(str(tmp_path / "model.ptl"), before, source, target)
    target.seek(0)
    assert ptl_served.receive(target) == []  # it was opened
    expected = program.module(*program.example)
    for _ in range(2):
        found = ptl_served.receive(target)
        assert found is not None
        for seen, reference in zip(found, expected, strict=True):
            np.testing.assert_allclose(seen, reference.numpy(), rtol=1e-5, atol=1e-6)
    assert ptl_served.receive(target) is None


def test_it_says_which_torch_it_has(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ptl_served.main([])
    facts = json.loads(capfdbinary.readouterr().out)
    assert facts == {"torch": torch.__version__, "xnnpack": torch._C._is_xnnpack_enabled()}
