"""An error in somebody else's code is told with the line where it arose."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgevit.sources.origin import told_with_line


def raised(call: object) -> Exception:
    with pytest.raises(Exception) as caught:
        call()  # type: ignore[operator]
    return caught.value


def test_the_last_line_outside_of_torch_is_named() -> None:
    net = nn.Sequential(nn.Linear(3, 2))

    def multiply() -> object:
        return net(torch.zeros(1, 4))

    told = told_with_line(raised(multiply))
    assert told.startswith("RuntimeError: mat1 and mat2")
    assert f"({__file__}:" in told and told.endswith(", in multiply)")


def test_a_syntax_error_names_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("x = 1\ndef broken(:\n")
    error = raised(lambda: compile((tmp_path / "net.py").read_text(), str(tmp_path / "net.py"), "exec"))
    assert told_with_line(error).endswith("net.py:2)")


def test_what_cannot_be_printed_is_shown_as_an_escape_and_no_line_is_no_line() -> None:
    assert told_with_line(ValueError("red\x1b[31m\nmore")) == r"ValueError: red\x1b[31m"
    assert told_with_line(ValueError()) == "ValueError: ValueError"
