"""How far an artifact may be off: one row for each precision of its arithmetic. A new precision is a row here."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from edgevit.errors import UsageError
from edgevit.records import Record
from export.recipe import Precision


@dataclass(frozen=True)
class AllowedError:
    """Largest error that passes, in yardsticks: by default, and when the limits are strict."""

    default: float
    strict: float


ALLOWED: dict[Precision, AllowedError] = {
    # Measured: sound exports of all variants and ablations are at 0.8 to 2.6 yardsticks (docs/performance.md, "Parity
    # of the variations"), and plain products over 2500 terms, which XNNPACK sums one after another, at 8.4 and 8.5
    # ("Long sums"). 8 is the power of two that parts them. Strict is half of it: chosen, because that still passes
    # every sound export.
    Precision.FP32: AllowedError(default=8.0, strict=4.0),
}


class Limits(Record):
    """What an artifact must keep to pass.

    By default: error at most as many yardsticks as ``ALLOWED`` says for ``precision`` (float32: 8), and the top class
    equal wherever the reference's margin (largest minus second largest value) exceeds the error on that input.
    ``multiple`` replaces that number of yardsticks, ``atol`` all yardsticks by an absolute error. ``strict``: fewer
    yardsticks (float32: 4), the top class equal on every input and the same set of five top classes (values that tie
    in the reference count as equal), and what would be a warning fails.
    Whatever the limits: a missing output, another shape or a non-finite value fails.
    """

    precision: Precision = Precision.FP32
    multiple: float | None = None
    atol: float | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse a limit that any error keeps; one that is no number or negative, none keeps."""
        for name, value in (("multiple", self.multiple), ("absolute error", self.atol)):
            if value is not None and value == inf:
                raise UsageError(f"an allowed {name} of {value:g} lets everything pass: expected a finite number")

    @property
    def largest_multiple(self) -> float:
        """The multiple of the yardstick that is allowed when ``atol`` is not given."""
        if self.multiple is not None:
            return self.multiple
        allowed = ALLOWED[self.precision]
        return allowed.strict if self.strict else allowed.default
