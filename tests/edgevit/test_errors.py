"""One tree of errors with its exit codes; words that name a choice, or are refused with the closest one."""

from __future__ import annotations

import pytest

from edgevit.errors import (
    ArtifactError,
    CheckpointError,
    DeviceLostError,
    EdgevitExportError,
    ExportError,
    MeterError,
    MissingDependencyError,
    RestoreError,
    SessionError,
    UsageError,
    parse_choice,
    unknown_choice,
)
from edgevit.network.variants import Delegate, Propagation


def test_choices_are_forgiving_and_exact() -> None:
    assert parse_choice("propagation", Propagation, "Transposed_Conv") is Propagation.TRANSPOSED_CONV
    assert parse_choice("delegate", Delegate, Delegate.AVG) is Delegate.AVG
    with pytest.raises(UsageError, match="unknown delegate 'mean': choose from avg, center, max"):
        parse_choice("delegate", Delegate, "mean")


def test_the_closest_choice_is_the_hint() -> None:
    error = unknown_choice("format", "onxx", ["ptl", "onnx"])
    assert (error.message, error.hint) == ("unknown format 'onxx': choose from onnx, ptl", "did you mean 'onnx'?")
    assert unknown_choice("meter", "volt", ["monsoon", "rails-voltage"]).hint == "did you mean 'rails-voltage'?"
    assert unknown_choice("format", "pdf", ["onnx", "tflite"]).hint is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (UsageError, 2), (CheckpointError, 2), (MissingDependencyError, 3), (DeviceLostError, 4), (MeterError, 4),
        (RestoreError, 4), (ExportError, 5), (ArtifactError, 5), (SessionError, 5), (EdgevitExportError, 5),
    ],
)  # fmt: skip
def test_exit_codes_are_those_of_the_tree(kind: type[EdgevitExportError], code: int) -> None:
    error = kind("what", hint="how")
    assert (error.exit_code, error.message, error.hint, str(error)) == (code, "what", "how", "what")
