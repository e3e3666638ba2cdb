"""How far an artifact may be off: one row for each precision. A new precision is a row here."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from msgspec.structs import replace

from edgevit.errors import UsageError
from edgevit.records import Record
from export.recipe import Precision, Recipe


@dataclass(frozen=True)
class AllowedError:
    """Largest error that passes, in yardsticks: by default, and when the limits are strict."""

    default: float
    strict: float


# Measured: sound exports of all variants and ablations are at 0.8 to 2.6 yardsticks (docs/performance.md, "Parity
# of the variations"), and plain products over 2500 terms, which XNNPACK sums one after another, at 8.4 and 8.5
# ("Long sums"). 8 is the power of two that parts them. Strict is half of it: chosen, because that still passes
# every sound export.
ALLOWED = AllowedError(default=8.0, strict=4.0)


@dataclass(frozen=True)
class LeastSqnr:
    """Least SQNR in dB against float64 that passes, over all inputs of an output: by default, and when strict."""

    default: float
    strict: float


LEAST_SQNR_DB: dict[tuple[Precision, bool], LeastSqnr] = {
    # Measured on sound files of EdgeViT, trained and not, in all formats, over the golden inputs: fp16 60 to 70 dB,
    # dynamic 27 to 37, static 26 to 35. Static is lower where inputs leave the ranges of the calibration, as
    # checkerboards do: 10 to 14 dB on small networks calibrated on noise, which no app should get. Strict: what a
    # network that was calibrated on its own kind of images reaches.
    (Precision.FP16, False): LeastSqnr(default=50.0, strict=55.0),
    (Precision.INT8, False): LeastSqnr(default=25.0, strict=30.0),
    (Precision.INT8, True): LeastSqnr(default=15.0, strict=25.0),
}
BELOW_TORCH_DB = 3.0
"""How much less than torch with the same rounding a file may reach.

Measured: at most 0.5 dB, in every format. Chosen: twice the energy of torch's error; the faults that this is for,
shared biases and ranges that belong to other layers, were 35 and 14 dB off.
"""
ABOVE_CONSTANT_DB = 3.0
"""How much better than the best constant answer an output must be on the golden inputs.

The constant part of an output counts as signal too: the mean over the golden inputs alone reaches 6 to 10 dB on
EdgeViT and MobileNetV2 with random weights, and any floor where outputs hardly move. Chosen: the noise then has at most
half of the energy by which the input moves the output. Measured with random weights: 7 dB of MobileNetV2 to 28 of
EdgeViT-XXS. On a user's own photos, which may be all alike, agreement is judged instead.
"""
LEAST_AGREEMENT = 0.97
"""Chosen: int8 of the tests' trained network agrees with float on 98.0 to 100 % of 300 images, in every format."""


class Limits(Record):
    """What an artifact must keep to pass.

    By default: error at most as many yardsticks as ``ALLOWED`` says (8), and the top class
    equal wherever the reference's margin (largest minus second largest value) exceeds the error on that input.
    ``multiple`` replaces that number of yardsticks, ``atol`` all yardsticks by an absolute error. ``strict``: fewer
    yardsticks (4), the top class equal on every input and the same set of five top classes (values that tie
    in the reference count as equal), and what would be a warning fails.
    Precisions that round on purpose are judged by ``LEAST_SQNR_DB`` instead of yardsticks (``static``: int8 with fixed
    ranges), by what torch reaches with the same rounding: at most ``BELOW_TORCH_DB`` less unless float32 may be as far
    off, and by what a constant answer reaches: ``ABOVE_CONSTANT_DB`` more at least. ``untrained``: random weights may
    make any rounding loud, so that torch alone says what is right, and the floor only warns. ``least_agreement`` is
    the share of inputs whose top class must be the reference's, whatever the margin: few inputs may miss it by chance.
    Whatever the limits: a missing output, another shape or a non-finite value fails.
    """

    precision: Precision = Precision.FP32
    static: bool = False
    untrained: bool = False
    multiple: float | None = None
    atol: float | None = None
    least_agreement: float | None = None
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
        return ALLOWED.strict if self.strict else ALLOWED.default

    @property
    def least_sqnr_db(self) -> float | None:
        """The SQNR that is needed; None where errors are judged by yardsticks or by a limit that was asked for."""
        if self.precision is Precision.FP32 or self.multiple is not None or self.atol is not None:
            return None
        least = LEAST_SQNR_DB[self.precision, self.static]
        return least.strict if self.strict else least.default

    def on_photos(self) -> Limits:
        """The same limits for images of the user's own, which are what the network was made for."""
        return self if self.least_sqnr_db is None else replace(self, least_agreement=LEAST_AGREEMENT)

    def of(self, recipe: Recipe, *, untrained: bool = False) -> Limits:
        """The same limits for an artifact of ``recipe``; ``untrained``: its weights are random."""
        return replace(self, precision=recipe.precision, static=recipe.calibration is not None, untrained=untrained)
