"""The line of the network behind an error, whoever raised it."""

from __future__ import annotations

import json

import pytest
import torch

from edgevit.errors import ExportError
from export.eager.failures import failure, place_of, place_of_call


def multiply(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(x, torch.ones(5, 7))


def test_the_innermost_line_outside_torch_and_python_is_named() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Sequential(torch.nn.Identity()).apply(lambda module: multiply(torch.ones(2, 3)))
    place = place_of(caught.value)
    assert place.startswith("tests/export/eager/test_failures.py:") or "/test_failures.py:" in place
    assert place.endswith(" in multiply: return torch.nn.functional.linear(x, torch.ones(5, 7))")
    with pytest.raises(json.JSONDecodeError) as other:
        json.loads("{")
    assert "json.loads" in place_of(other.value)


def test_an_error_without_a_line_has_none_and_a_cause_is_asked() -> None:
    assert place_of(ValueError("never raised")) == ""
    try:
        multiply(torch.ones(1))
    except RuntimeError as error:
        outer = ValueError("told anew")
        outer.__cause__ = error
    assert " in multiply" in place_of(outer)


def test_calls_of_a_graph_tell_their_line_from_their_trace() -> None:
    torch_line = f'  File "{torch.__path__[0]}/nn/modules/conv.py", line 565, in forward\n    return self._conv()'
    own = '  File "/home/user/net.py", line 12, in forward\n    y = self.conv(x)'
    assert place_of_call(f"{own}\n{torch_line}\n") == "/home/user/net.py:12 in forward: y = self.conv(x)"
    assert place_of_call(torch_line) == place_of_call(None) == ""


def test_failures_say_what_where_and_what_to_do() -> None:
    failed = failure("cannot capture net", ValueError("Could not guard on data-dependent expression u0.\nmore"))
    assert failed.message == "cannot capture net: Could not guard on data-dependent expression u0"
    assert failed.hint is not None and "torch.where" in failed.hint
    assert failure("a", ExportError("b", hint="c")).hint == "c"
