"""How far an artifact may be off: one row for each precision. A new precision is a row here.

Outputs that are rounded on purpose must be as torch rounds them, not too coarse, and no constant. How torch rounds them
is held against them twice: over all inputs, whose noise and signal are summed, and on each input alone, of which the
median counts. An input of a hundred times the others' scale decides the first, and hides what is wrong with all others.
"""

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
TYPICAL_BELOW_TORCH_DB = 6.0
"""The same for the input in the middle. Chosen: outputs of few elements spread by 1 or 2 dB there. A bias of a layer
set to zero cost 10 dB on every input but one, whose scale of a hundred hid that over all."""
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
    ranges), by what torch reaches with the same rounding: at most ``BELOW_TORCH_DB`` less, and
    ``TYPICAL_BELOW_TORCH_DB`` on half of the inputs, unless float32 may be as far off; and by what a constant answer
    reaches: ``ABOVE_CONSTANT_DB`` more at least. ``untrained``: random weights may
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


@dataclass(frozen=True)
class Noise:
    """SQNR of one output in dB: as seen, and in words; of torch with the same rounding; of the best constant answer."""

    words: str
    seen: float
    in_torch: float | None
    constant: float | None = None

    @property
    def alike(self) -> str:
        """What torch reaches, for the end of a sentence."""
        return "" if self.in_torch is None else f"; torch reaches {self.in_torch:.1f} dB with the same rounding"


@dataclass(frozen=True)
class RoundedOutput:
    """One output: ``multiple`` is its largest error in yardsticks of float32; ``typical`` the median of the inputs."""

    name: str
    multiple: float
    over_all: Noise
    typical: Noise


def rounding_reasons(output: RoundedOutput, limits: Limits, least_db: float) -> list[str]:
    """Why an output fails that was rounded on purpose; ``least_db`` is the floor of its precision."""
    measures = ((output.over_all, BELOW_TORCH_DB), (output.typical, TYPICAL_BELOW_TORCH_DB))
    for noise, allowed_db in measures if output.multiple > limits.largest_multiple else ():
        if noise.in_torch is not None and noise.seen < noise.in_torch - allowed_db:
            return [
                f"output '{output.name}': {noise.words}, but torch reaches {noise.in_torch:.1f} dB with the same "
                f"rounding: a fault of the conversion, no quantisation noise (allowed {allowed_db:g} dB less)"
            ]
    noise = output.over_all
    if not noise.seen >= least_db and not _is_excused(output, limits):
        return [f"output '{output.name}': {noise.words}, expected {least_db:g} dB or more{noise.alike}"]
    constant = None if limits.least_agreement is not None else noise.constant
    if constant is not None and noise.seen < constant + ABOVE_CONSTANT_DB:
        return [
            f"output '{output.name}': {noise.words}, but the same answer to every input reaches {constant:.1f} dB: "
            f"expected {ABOVE_CONSTANT_DB:g} dB more, or rounding hides what the input changes{noise.alike}"
        ]
    return []


def rounding_warning(output: RoundedOutput, limits: Limits) -> str | None:
    """What is told of an output that is below the floor and excused."""
    least, noise = limits.least_sqnr_db, output.over_all
    if least is None or noise.seen >= least or not _is_excused(output, limits):
        return None
    return f"output '{output.name}': {noise.words}, below {least:g}{noise.alike}, which random weights amplify"


def _is_excused(output: RoundedOutput, limits: Limits) -> bool:
    """Whether an output may be below the floor: random weights make rounding loud, and torch with it is as far off."""
    return limits.untrained and not limits.strict and output.over_all.in_torch is not None
