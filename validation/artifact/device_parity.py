"""Parity on the device: the golden inputs as feeds that travel, and the answers that came back, judged as in verify."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgevit.errors import SessionError
from edgevit.spec import TensorSpec
from export.golden import GoldenSet
from runtimes.sessions.session import Array
from validation.artifact.feeding import batch_sizes, feeds, joined_answers
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare_answers

Feed = dict[str, Array]


def fixed_batch(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The tensors with every free axis at 1, as a device runs them."""
    return tuple(
        msgspec.structs.replace(spec, shape=tuple(1 if size == -1 else size for size in spec.shape)) for spec in specs
    )


def feeds_for(golden: GoldenSet, inputs: tuple[TensorSpec, ...]) -> list[Feed]:
    """The golden inputs as an artifact takes them, one feed per run; free axes count as 1."""
    fixed = fixed_batch(inputs)
    (batch,) = batch_sizes(fixed)
    return list(feeds(fixed, golden, batch))


def judge_answers(
    golden: GoldenSet,
    inputs: tuple[TensorSpec, ...],
    answers: Sequence[Feed],
    *,
    runtime: str,
    limits: Limits | None = None,
) -> ParityReport:
    """Compare what a device answered with the golden reference.

    Args:
        golden: Inputs and reference outputs.
        inputs: Those of the artifact.
        answers: The outputs for the first feeds of ``feeds_for``: all of them, or as many as the runner runs.
        runtime: Who answered.
        limits: What it must keep; ``Limits()`` when None.

    Raises:
        SessionError: No answers.
    """
    if not answers:
        raise SessionError(f"{runtime} gave no answers")
    (batch,) = batch_sizes(fixed_batch(inputs))
    known = min(len(golden), len(answers) * batch)
    joined = joined_answers(answers, known, batch, golden.whole)
    return compare_answers({batch: joined}, golden[:known], limits or Limits(), runtime=runtime, offered=answers[0])
