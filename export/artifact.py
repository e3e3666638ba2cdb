"""``Artifact``, its manifest, and the facts that a reader finds in the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from sys import float_info
from typing import Literal

import msgspec

from edgevit.records import Record, require_within
from edgevit.spec import ModelSpec, TensorSpec
from export.int8.record import SEARCHED, QuantizationRecord, Scheme
from export.recipe import Format, Optimize, Precision, Recipe

MODULES_NAMED = 3  # chosen: one line of a console holds the paths of three modules
ROUNDED = 1e-6  # chosen: float64 rounds a cosine by some 1e-16 for each of its values
_LAYERS = {**{scheme: f"{scheme} layers" for scheme in Scheme}, Scheme.WEIGHTS: "layers with int8 weights alone"}
LEFT_NAMED = 5  # chosen: what a delegate left outside on five lines; a torn graph has dozens, and the manifest has all


class Operator(Record):
    """One row of an operator histogram, read from the artifact.

    ``version`` is the operator version or opset that the file uses. ``standard`` says whether the stock runtime has
    it without Flex, custom or contributed kernels; ``why_not`` says why when it has not. ``since`` is the lowest
    runtime version that runs it. ``modules`` are the modules of the network that it came from, where known.
    """

    name: str
    count: int
    version: int | None = None
    standard: bool = True
    why_not: str | None = None
    since: str | None = None
    modules: tuple[str, ...] = ()


class FileFacts(Record):
    """What a reader finds in an artifact without running it.

    ``weights`` counts the elements of all constants with more than one, by dtype; those inside a delegate's data too.
    """

    format: Format
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]
    requires: str  # lowest runtime in words, e.g. "ONNX Runtime >= 1.12 (opset 17)"
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    cautions: tuple[str, ...] = ()  # what some runtimes that have every operator fail at, a line each
    weights: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def operator_count(self) -> int:
        """Number of operators in the file, all kinds together."""
        return sum(operator.count for operator in self.operators)


class AuditResult(Record):
    """The verdict "standard operators only". ``violations`` name operator, reason and module of the network."""

    passed: bool
    violations: tuple[str, ...] = ()


class ParityResult(Record):
    """The numbers by which an artifact was accepted, as the manifest keeps them.

    Errors are absolute and in the output's own unit; ``yardstick`` is the largest error of float32 eager against
    float64 eager over the golden inputs, and ``multiple`` is ``max_abs_error / yardstick``. ``rounded_sqnr_db`` is what
    torch reaches with the same rounding where ``precision`` is not float32.
    """

    passed: bool
    reasons: tuple[str, ...] = ()
    runtime: str
    inputs_compared: int
    max_abs_error: float
    mean_abs_error: float
    yardstick: float
    multiple: float
    sqnr_db: float
    cosine: float
    top1_agreement: float | None = None
    top5_agreement: float | None = None
    precision: Precision = Precision.FP32
    rounded_sqnr_db: float | None = None

    @property
    def figure(self) -> str:
        """The figure that the verdict rests on: ``1.31 x yardstick``, or ``33.1 dB`` where rounding is on purpose."""
        return f"{self.multiple:.2f} x yardstick" if self.precision is Precision.FP32 else f"{self.sqnr_db:.1f} dB"

    def __post_init__(self) -> None:
        """Refuse errors below nothing, and shares and cosines beyond one."""
        most = float_info.max
        require_within(0, most, max_abs_error=self.max_abs_error, mean_abs_error=self.mean_abs_error)
        require_within(0, most, yardstick=self.yardstick, multiple=self.multiple)
        require_within(0, 2**53, inputs_compared=self.inputs_compared)
        require_within(-1 - ROUNDED, 1 + ROUNDED, cosine=self.cosine)
        require_within(0, 1, top1_agreement=self.top1_agreement, top5_agreement=self.top5_agreement)


class Refusal(Record):
    """Calls that a pass is there to rewrite and left as they are: how many, why, in which modules of the network."""

    operator: str
    count: int
    why: str
    modules: tuple[str, ...] = ()

    def describe(self) -> str:
        """``aten::batch_norm x 2: a convolution behind it pads its border (in stem.1, head.0)``."""
        return left_outside(self.operator, self.count, self.why, self.modules)


class PassLog(Record):
    """What one optimising pass did: number of rewrites, and a few words on them.

    ``refused`` is what it should have rewritten and could not. ``not_run`` says why it did not run at all; None if it
    did.
    """

    name: str
    rewrites: int
    detail: str = ""
    refused: tuple[Refusal, ...] = ()
    not_run: str | None = None


class Piece(Record):
    """Operators that follow each other, all inside one partition of a delegate or all outside.

    ``names`` are those of operators outside, each once; ``modules`` the modules of the network that they came from.
    """

    delegated: bool
    operators: int
    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


class Delegation(Record):
    """What a delegate took: operators, in how many partitions, and why the rest stayed outside.

    ``pieces`` is the whole artifact in the order of execution; empty in older manifests.
    """

    delegate: str
    delegated: int
    total: int
    partitions: int
    left: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()


def left_outside(name: str, count: int, why: str, modules: tuple[str, ...]) -> str:
    """One line of ``Delegation.left``: ``aten::mean x 2: no such kernel (in head, neck)``."""
    named = ", ".join(modules[:MODULES_NAMED])
    more = f" and {len(modules) - MODULES_NAMED} more" if len(modules) > MODULES_NAMED else ""
    return f"{name} x {count}: {why}" + (f" (in {named}{more})" if named else "")


class GoldenReference(Record):
    """The golden set beside the artifact. ``yardstick`` is keyed by output name."""

    file: str
    sha256: str
    inputs: int
    yardstick: dict[str, float]


class Manifest(Record):
    """All a colleague needs to trust and to reproduce one artifact file; its presence means a complete artifact.

    ``inputs`` and ``outputs`` are those of the file (layout and batch as exported); those of the model are in
    ``spec``. ``file`` and ``golden.file`` are relative to the manifest's directory.
    """

    schema_version: Literal[1, 2] = 2
    file: str
    sha256: str
    bytes: int
    created_utc: str
    spec: ModelSpec
    recipe: Recipe
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]
    requires: str
    audit: AuditResult
    golden: GoldenReference
    tools: dict[str, str]
    command: tuple[str, ...]
    passes: tuple[PassLog, ...] = ()
    delegation: Delegation | None = None
    parity: ParityResult | None = None
    quantization: QuantizationRecord | None = None

    def shortfalls(self) -> tuple[str, ...]:
        """What became of the artifact otherwise than asked for, and why, a line each; empty if nothing did."""
        lines = [*_not_optimised(self.recipe, self.passes)]
        if self.quantization is not None:
            lines += _not_as_others(self.quantization)
        if self.delegation is not None:
            lines += _not_delegated(self.delegation)
        return tuple(lines)


def optimised(recipe: Recipe, passes: tuple[PassLog, ...]) -> str:
    """How far the optimisation that ``recipe`` asks for went: ``full: 17/23, 2 left``, or ``none`` as asked.

    The figures are the passes that changed something, all passes, and the calls that were left as they are at the end.
    """
    if recipe.optimize is Optimize.NONE:
        return recipe.optimize.value
    changed, left = (
        sum(log.rewrites > 0 for log in passes),
        sum(row.count for log in _last_runs(passes) for row in log.refused),
    )
    return f"{recipe.optimize}: {changed}/{len(passes)}" + (f", {left} left" if left else "")


def _not_optimised(recipe: Recipe, passes: tuple[PassLog, ...]) -> Iterator[str]:
    if recipe.optimize is not Optimize.NONE and not any(log.rewrites for log in passes):
        yield f"optimize {recipe.optimize}: none of the {len(passes)} passes changed anything"
    idle: dict[str, list[str]] = {}
    for log in passes:
        if log.not_run is not None:
            idle.setdefault(log.not_run, []).append(log.name)
    for why, names in idle.items():
        yield f"{'no pass ran' if len(names) == len(passes) else ', '.join(names) + ' did not run'}: {why}"
    for log in _last_runs(passes):
        yield from (f"{log.name} left {row.describe()}" for row in log.refused)


def _last_runs(passes: tuple[PassLog, ...]) -> tuple[PassLog, ...]:
    """The log of each pass's last run: what one leaves behind that runs twice, that one says."""
    return tuple({log.name: log for log in passes if log.not_run is None}.values())


def _not_as_others(record: QuantizationRecord) -> Iterator[str]:
    """The layers that are not computed as the others of their kind, without anybody having asked for that."""
    alike: dict[tuple[Scheme, str], list[str]] = {}
    for row in sorted(record.layers, key=lambda row: list(Scheme).index(row.scheme)):
        if row.why and not row.asked_for:
            alike.setdefault((row.scheme, row.why), []).append(row.module)
    for (scheme, why), modules in [*alike.items()][:LEFT_NAMED]:
        yield left_outside(_LAYERS[scheme], len(modules), why, tuple(dict.fromkeys(modules)))
    if more := sum(map(len, [*alike.values()][LEFT_NAMED:])):
        yield f"and {more} more layers that are not as the others of their kind, all in the manifest"
    if searched := sum(row.why == SEARCHED for row in record.layers):
        yield f"the search left {searched} of {len(record.layers)} layers float"
    total, left = (sum(row.weights for row in rows) for rows in (record.layers, record.named(Scheme.FLOAT)))
    if 2 * left > total:
        yield f"{left / total:.0%} of the weights of layers are float; fp16 would be smaller"


def _not_delegated(delegation: Delegation) -> Iterator[str]:
    if delegation.total and not delegation.delegated:
        yield f"{delegation.delegate} took none of the {delegation.total} operators"
    yield from (f"outside {delegation.delegate}: {line}" for line in delegation.left[:LEFT_NAMED])
    if (more := len(delegation.left) - LEFT_NAMED) > 0:
        yield f"outside {delegation.delegate}: and {more} more kinds, all in the manifest"
