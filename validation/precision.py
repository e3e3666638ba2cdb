"""How tables, JSON and CSV name the precision of what was measured."""

from __future__ import annotations

from collections.abc import Iterable

from export.recipe import Precision
from runtimes.bench.record import DeviceRun


def precision_of(run: DeviceRun) -> str | None:
    """As ``Recipe.precision_words`` has it; None where the record knows no recipe."""
    return None if run.artifact.recipe is None else run.artifact.recipe.precision_words


def tells_precision(precisions: Iterable[str | None]) -> bool:
    """Whether a column of them says anything: float32 is what everybody expects."""
    return not {*precisions} <= {None, str(Precision.FP32)}
