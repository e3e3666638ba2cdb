"""Parity on the device: the golden inputs as arrays that travel, and the answers that came back, judged as in verify.

``validation.artifact.parity.compare`` drives a session. Here the session is a list of answers that a device gave
earlier: the feeds that the comparison asks for are recorded first, run on the device, and played back into it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from edgevit.errors import SessionError
from edgevit.spec import Layout, TensorSpec
from export.golden import GoldenSet
from runtimes.sessions.session import Array, Session
from validation.artifact.feeding import run_batches
from validation.artifact.parity import Limits, ParityReport, compare

Feed = dict[str, Array]


class _Recorder(Session):
    """A session that only writes down what it is fed."""

    runtime = "none"

    def __init__(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.feeds: list[Feed] = []

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        self.feeds.append(dict(arrays))
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.outputs}

    def close(self) -> None:
        pass


class _Replay(Session):
    """A session that answers the feeds it is asked for with what the device gave, in the same order."""

    def __init__(self, inputs: tuple[TensorSpec, ...], answers: Sequence[Feed], runtime: str) -> None:
        self.inputs, self.runtime = inputs, runtime
        self.outputs = tuple(
            TensorSpec(name=name, shape=array.shape, dtype=str(array.dtype)) for name, array in answers[0].items()
        )
        self._answers = iter(answers)

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        try:
            return next(self._answers)
        except StopIteration as error:
            raise SessionError("the device gave fewer answers than there are golden inputs") from error

    def close(self) -> None:
        pass


def fixed_batch(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The tensors with every free axis at 1, as a device runs them."""
    return tuple(
        msgspec.structs.replace(spec, shape=tuple(1 if size == -1 else size for size in spec.shape)) for spec in specs
    )


def feeds_for(
    golden: GoldenSet,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    layouts: Mapping[str, Layout],
) -> list[Feed]:
    """The golden inputs as an artifact takes them, one feed per run; free axes count as 1."""
    recorder = _Recorder(fixed_batch(inputs), fixed_batch(outputs))
    run_batches(recorder, golden, layouts)
    return recorder.feeds


def judge_answers(
    golden: GoldenSet,
    inputs: tuple[TensorSpec, ...],
    layouts: Mapping[str, Layout],
    answers: Sequence[Feed],
    *,
    runtime: str,
    limits: Limits | None = None,
) -> ParityReport:
    """Compare what a device answered with the golden reference.

    Args:
        golden: Inputs and reference outputs.
        inputs: Those of the artifact.
        layouts: Of its inputs, by name.
        answers: The outputs for the first feeds of ``feeds_for``: all of them, or as many as the runner runs.
        runtime: Who answered.
        limits: What it must keep; the defaults of ``Limits`` when None.

    Raises:
        SessionError: No answers.
    """
    if not answers:
        raise SessionError(f"{runtime} gave no answers")
    fixed = fixed_batch(inputs)
    batch = fixed[0].shape[0]
    known = min(len(golden.labels), len(answers) * batch)
    return compare(_Replay(fixed, answers, runtime), first_inputs(golden, known), limits, layouts=layouts)


def first_inputs(golden: GoldenSet, count: int) -> GoldenSet:
    """The golden set with only its first ``count`` inputs."""
    if count == len(golden.labels):
        return golden
    return dataclasses.replace(
        golden,
        inputs={name: array[:count] for name, array in golden.inputs.items()},
        outputs={name: array[:count] for name, array in golden.outputs.items()},
        labels=golden.labels[:count],
    )
