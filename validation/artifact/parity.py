"""Parity: does an artifact, in its own runtime, compute the reference's function? Numbers first, verdict second.

Errors are absolute, against the float64 reference. The yardstick of an output is the largest error that float32 eager
itself makes against float64 eager over the golden inputs; ``multiple`` is error over yardstick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from sys import float_info
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgevit.records import Record, require_within
from edgevit.spec import TensorSpec
from export.artifact import ROUNDED, ParityResult
from export.golden import GoldenSet
from runtimes.sessions.session import Array, Session
from validation.artifact.agreement import (
    InputParity,
    compare_arrays,
    cosine_of,
    sqnr_db_of,
    typical_sqnr_db,
    yardstick_floor,
)
from validation.artifact.feeding import run_batches
from validation.artifact.limits import ALLOWED, Limits, Noise, RoundedOutput, rounding_reasons, rounding_warning


class OutputParity(Record):
    """One output over all inputs. ``worst_input`` is the label of the input furthest off in yardsticks.

    Non-finite values and missing outputs count as zeros in the errors, so that every number stays finite; they fail
    the verdict in any case. ``sqnr_db`` is capped at 300 (equal in every bit). ``rounded_sqnr_db`` is that of torch
    with the same rounding, where the golden set has its answers; ``constant_sqnr_db`` that of the best answer that
    ignores the input, the mean of the reference, where the reference moves with the input at all. The ``typical``
    ones are medians of the inputs' own, which one of a hundred times the others' scale does not decide.
    """

    name: str
    max_abs_error: float
    mean_abs_error: float
    yardstick: float
    multiple: float
    sqnr_db: float
    cosine: float
    top1_agreement: float | None
    top5_agreement: float | None
    non_finite: int
    worst_input: str
    problem: str | None = None
    rounded_sqnr_db: float | None = None
    constant_sqnr_db: float | None = None
    typical_sqnr_db: float | None = None
    typical_rounded_sqnr_db: float | None = None

    def __post_init__(self) -> None:
        """Refuse errors below nothing, and shares and cosines beyond one."""
        most = float_info.max
        require_within(0, most, max_abs_error=self.max_abs_error, mean_abs_error=self.mean_abs_error)
        require_within(0, most, yardstick=self.yardstick, multiple=self.multiple, non_finite=self.non_finite)
        require_within(-1 - ROUNDED, 1 + ROUNDED, cosine=self.cosine)
        require_within(0, 1, top1_agreement=self.top1_agreement, top5_agreement=self.top5_agreement)


class ParityReport(Record):
    """Everything that one comparison found. ``warnings`` do not fail the verdict unless the limits are strict."""

    schema_version: Literal[1] = 1
    passed: bool
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    runtime: str
    limits: Limits
    inputs_compared: int
    batches: tuple[int, ...]
    outputs: tuple[OutputParity, ...]
    rows: tuple[InputParity, ...]

    @property
    def worst_output(self) -> OutputParity:
        """The output furthest from the reference, in multiples of its yardstick."""
        return max(self.outputs, key=lambda output: (output.problem is not None, output.non_finite, output.multiple))

    @property
    def worst(self) -> InputParity:
        """The row (one input, one output) furthest from the reference."""
        return max(self.rows, key=lambda row: (row.non_finite, row.multiple))

    def summary(self) -> ParityResult:
        """The numbers that the manifest keeps: those of the worst output, agreements the lowest of all outputs."""
        worst = self.worst_output
        return ParityResult(
            passed=self.passed,
            reasons=self.reasons,
            runtime=self.runtime,
            inputs_compared=self.inputs_compared,
            max_abs_error=worst.max_abs_error,
            mean_abs_error=worst.mean_abs_error,
            yardstick=worst.yardstick,
            multiple=worst.multiple,
            sqnr_db=min(output.sqnr_db for output in self.outputs),
            cosine=min(output.cosine for output in self.outputs),
            top1_agreement=_lowest([output.top1_agreement for output in self.outputs]),
            top5_agreement=_lowest([output.top5_agreement for output in self.outputs]),
            precision=self.limits.precision,
            rounded_sqnr_db=_lowest([output.rounded_sqnr_db for output in self.outputs]),
        )


def compare(
    session: Session,
    golden: GoldenSet,
    limits: Limits | None = None,
    *,
    inputs: tuple[TensorSpec, ...] | None = None,
) -> ParityReport:
    """Run the golden inputs through an artifact and compare with the reference.

    The artifact's batch decides how inputs are grouped; the last group is filled up by repetition, and what the filling
    gives is thrown away. With a free batch axis everything runs at batch 1 and again at batch 3.

    Args:
        session: The opened artifact.
        golden: Inputs and float64 reference outputs in the model's own layout.
        limits: What it must keep; ``Limits()`` when None.
        inputs: The artifact's inputs with their layouts, as its manifest says; the session's own, which know none,
            when None.

    Raises:
        SessionError: The runtime refused the inputs, or failed. Never swallowed: no numbers, no verdict.
    """
    answers = run_batches(session, golden, inputs or session.inputs)
    offered = [spec.name for spec in session.outputs]
    return compare_answers(answers, golden, limits or Limits(), runtime=session.runtime, offered=offered)


def compare_answers(
    answers: Mapping[int, Mapping[str, Array]],
    golden: GoldenSet,
    limits: Limits,
    *,
    runtime: str,
    offered: Iterable[str],
) -> ParityReport:
    """Compare an artifact's answers with the reference.

    Args:
        answers: By batch size and output name ``(len(golden), ...)``, as ``joined_answers`` puts them together.
        golden: The reference, ``(len(golden), ...)`` float64 by output name.
        limits: What the artifact must keep.
        runtime: Who answered.
        offered: The outputs that the artifact has, among them those that the golden set does not know.
    """
    problems: dict[str, str] = {}
    rows: list[InputParity] = []
    errors: dict[str, list[_Pair]] = {name: [] for name in golden.outputs}
    yardsticks = {name: max(golden.yardstick[name], yardstick_floor(golden.outputs[name])) for name in golden.outputs}
    for batch, outputs in answers.items():
        for name, reference in golden.outputs.items():
            answer, problem = _fit(outputs.get(name), reference, name)
            if problem:
                problems.setdefault(name, f"{problem} (batch {batch})")
            units = yardsticks[name] * golden.slack.get(name, 1.0)
            rows += compare_arrays(name, answer, reference, golden.labels, units, batch)
            errors[name].append((answer, reference))
    judged = tuple(
        _output(name, pairs, rows, yardsticks[name], problems.get(name), golden.rounded.get(name))
        for name, pairs in errors.items()
    )
    reasons, warnings = _judge(judged, rows, limits, sorted(set(offered) - set(golden.outputs)))
    return ParityReport(
        passed=not reasons,
        reasons=tuple(reasons),
        warnings=tuple(warnings),
        runtime=runtime,
        limits=limits,
        inputs_compared=len(golden),
        batches=tuple(answers),
        outputs=judged,
        rows=tuple(rows),
    )


# Answer and reference of one output at one batch size, each (count, ...) float64.
_Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def _fit(answer: Array | None, reference: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], str | None]:
    """The answer as ``(count, ...)`` float64 in the reference's shape, or zeros and what is wrong with it."""
    if answer is None:
        return np.zeros_like(reference), f"output '{name}' is missing"
    if answer.shape != reference.shape:
        seen = f"output '{name}' must have shape {reference.shape} over all inputs, but has {answer.shape}"
        return np.zeros_like(reference), seen
    return answer.astype(np.float64), None


def _output(
    name: str,
    pairs: Sequence[_Pair],
    rows: Sequence[InputParity],
    yardstick: float,
    problem: str | None,
    rounded: NDArray[np.float64] | None,
) -> OutputParity:
    """One output over all inputs and batch sizes: the worst of its rows, and the ratios over all elements."""
    mine = [row for row in rows if row.output == name]
    worst = max(mine, key=lambda row: (row.non_finite, row.multiple))
    finite = [(np.nan_to_num(a, posinf=0.0, neginf=0.0), np.nan_to_num(b, posinf=0.0, neginf=0.0)) for a, b in pairs]
    return OutputParity(
        name=name,
        max_abs_error=max(row.max_abs_error for row in mine),
        mean_abs_error=float(np.mean([row.mean_abs_error for row in mine])),
        yardstick=yardstick,
        multiple=max(row.multiple for row in mine),
        sqnr_db=min(sqnr_db_of(answer, reference) for answer, reference in finite),
        cosine=min(cosine_of(answer, reference) for answer, reference in finite),
        top1_agreement=_mean([None if row.top1_equal is None else float(row.top1_equal) for row in mine]),
        top5_agreement=_mean([row.top5_overlap for row in mine]),
        non_finite=sum(row.non_finite for row in mine),
        worst_input=worst.label,
        problem=problem,
        rounded_sqnr_db=None if rounded is None else sqnr_db_of(rounded, pairs[0][1]),
        constant_sqnr_db=_constant_db(pairs[0][1], yardstick),
        typical_sqnr_db=min(typical_sqnr_db(answer, reference) for answer, reference in finite),
        typical_rounded_sqnr_db=None if rounded is None else typical_sqnr_db(rounded, pairs[0][1]),
    )


def _constant_db(reference: NDArray[np.float64], yardstick: float) -> float | None:
    """The SQNR of the mean of ``(count, ...)``; None where no value moves by more than float32 may be off."""
    if not np.ptp(reference, axis=0).max(initial=0.0) > ALLOWED.default * yardstick:
        return None
    return sqnr_db_of(np.broadcast_to(reference.mean(axis=0), reference.shape), reference)


def _judge(
    outputs: Sequence[OutputParity], rows: Sequence[InputParity], limits: Limits, surplus: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Reasons to fail, and warnings."""
    reasons = [reason for output in outputs for reason in _output_reasons(output, limits)]
    reasons += [reason for row in rows if (reason := _class_reason(row, limits))]
    reasons += [reason for output in outputs if (reason := _agreement_reason(output, rows, limits))]
    warnings = [f"output '{name}' is in the artifact but not in the golden set" for name in surplus]
    warnings += [words for output in outputs if (words := rounding_warning(_rounded(output), limits))]
    flipped = [row.label for row in rows if row.top1_equal is False and not _class_reason(row, limits)]
    if flipped:
        warnings.append(f"top class differs where the reference is undecided: {', '.join(dict.fromkeys(flipped))}")
    if limits.strict:
        return reasons + warnings, []
    return reasons, warnings


def _output_reasons(output: OutputParity, limits: Limits) -> list[str]:
    if output.problem:
        return [output.problem]
    reasons = []
    if output.non_finite:
        reasons.append(
            f"output '{output.name}' has {output.non_finite} non-finite values, first on {output.worst_input}"
        )
    if limits.least_sqnr_db is not None:
        return reasons + rounding_reasons(_rounded(output), limits, limits.least_sqnr_db)
    allowed = limits.atol if limits.atol is not None else limits.largest_multiple
    seen = output.max_abs_error if limits.atol is not None else output.multiple
    if not seen <= allowed:
        unit = "" if limits.atol is not None else " x the float32 yardstick"
        reasons.append(
            f"output '{output.name}': errors up to {output.max_abs_error:.3g}, {output.multiple:.3g} x the float32 "
            f"yardstick on {output.worst_input}; allowed {allowed:.3g}{unit}"
        )
    return reasons


def _rounded(output: OutputParity) -> RoundedOutput:
    over_all = Noise(f"SQNR {output.sqnr_db:.1f} dB", output.sqnr_db, output.rounded_sqnr_db, output.constant_sqnr_db)
    seen = output.sqnr_db if output.typical_sqnr_db is None else output.typical_sqnr_db
    words = f"SQNR {seen:.1f} dB on half of the inputs"
    typical = Noise(words, seen, output.typical_rounded_sqnr_db)
    return RoundedOutput(output.name, output.multiple, over_all, typical)


def _agreement_reason(output: OutputParity, rows: Sequence[InputParity], limits: Limits) -> str | None:
    """Why surely too many top classes differ, whatever the margins: two sigmas above the share that may, and one."""
    judged = [row.top1_equal for row in rows if row.output == output.name and row.top1_equal is not None]
    differ = judged.count(False)
    if limits.least_agreement is None:
        return None
    may = (1 - limits.least_agreement) * len(judged)
    if differ <= max(1.0, may + 2 * may**0.5):  # counts of rare events spread by their root
        return None
    return (
        f"output '{output.name}': the top class differs on {differ} of {len(judged)} inputs, "
        f"expected the same on {limits.least_agreement:.0%} or more"
    )


def _class_reason(row: InputParity, limits: Limits) -> str | None:
    """Why this row's classes fail, if they do. The margin excuses a flip by default, nothing does when strict."""
    if row.top1_equal is None or row.margin is None or row.non_finite:
        return None
    if limits.least_agreement is not None and not limits.strict:  # judged over all inputs
        return None
    if not row.top1_equal and (limits.strict or row.margin > row.max_abs_error):
        return (
            f"output '{row.output}': top class differs on {row.label} "
            f"(reference margin {row.margin:.3g}, error {row.max_abs_error:.3g})"
        )
    if limits.strict and row.top5_overlap is not None and row.top5_overlap < 1.0:
        return f"output '{row.output}': top five classes differ on {row.label}"
    return None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _lowest(values: Sequence[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)
