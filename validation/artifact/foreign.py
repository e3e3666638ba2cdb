"""Verification of a file from elsewhere, which has no manifest, against the golden set of a reference.

``file`` it is there · ``contents`` a reader understands it · ``audit`` only standard operators,
by its own reading · ``load`` the runtime opens it · ``tensors`` its inputs and outputs are found among the reference's
· ``parity`` it computes the reference's function. As ever nothing is loaded before its audit passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from msgspec.structs import replace as replace_fields

from edgevit.errors import ArtifactError
from edgevit.spec import TensorSpec
from export.artifact import AuditResult, FileFacts
from export.formats.table import read_artifact
from export.golden import GoldenSet
from export.identify import stranger, what_it_is
from export.recipe import Format, Precision, Recipe
from runtimes.sessions.session import Array, Session
from validation.artifact.agreement import Floats
from validation.artifact.audit import audit, precision_of
from validation.artifact.checks import Check, VerifyReport
from validation.artifact.divergence import Divergence
from validation.artifact.explain import explained
from validation.artifact.feeding import batch_sizes, feed_of, run_batches
from validation.artifact.limits import Limits
from validation.artifact.mapping import Shape, Shapes, arranged, arranged_shape, listed, pair
from validation.artifact.parity import ParityReport, compare_answers
from validation.artifact.reference import Reference
from validation.artifact.steps import Step, StepFailed, StepSkipped, perform


class ForeignOpener(Protocol):
    """Opens a file in its runtime, with the inputs of one that does not say its own: ``open_session``."""

    def __call__(self, path: Path, format: Format, *, threads: int = 1, inputs: tuple[TensorSpec, ...] = ()) -> Session:
        """The session; raises what ``open_session`` raises."""
        ...


def verify_foreign(
    path: Path,
    format: Format,
    reference: Reference,
    *,
    opener: ForeignOpener,
    limits: Limits,
    names: Mapping[str, str] | None = None,
    threads: int = 1,
) -> VerifyReport:
    """Hold one file against a reference.

    Args:
        path: The file.
        format: What it should be.
        reference: Inputs and answers.
        opener: Opens the file in its runtime.
        limits: What parity must keep, for ``reference.limits``.
        names: The reference's names of inputs and outputs by the file's, where names and shapes do not tell.
        threads: Threads of the runtime.

    Returns:
        The report; nothing that is wrong with the file raises.

    Raises:
        UsageError: The reference has no yardstick, and ``limits`` no absolute error.
    """
    run = _Run(path, format, reference, opener, reference.limits(limits), names or {}, threads)
    started = datetime.now(UTC)
    checks: dict[str, Check] = {}
    try:
        for step in STEPS:
            checks[step.name] = perform(step, run, checks)
    finally:
        if run.session is not None:
            run.session.close()
    return VerifyReport(
        file=path.name,
        manifest="",
        reference=reference.origin,
        started_utc=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        format=format,
        checks=tuple(checks.values()),
        audit=run.audit,
        parity=run.parity,
        divergence=run.divergence,
    )


@dataclass
class _Run:
    """One verification under way, filled step by step."""

    path: Path
    format: Format
    reference: Reference
    opener: ForeignOpener
    limits: Limits
    names: Mapping[str, str]
    threads: int
    facts: FileFacts | None = None
    audit: AuditResult | None = None
    session: Session | None = None
    inputs: tuple[TensorSpec, ...] = ()
    parity: ParityReport | None = None
    divergence: Divergence | None = None
    golden: GoldenSet = field(init=False)

    def __post_init__(self) -> None:
        self.golden = replace(self.reference.golden, rounded={})  # its artifact's rounding, and not this file's


def _file(run: _Run) -> None:
    if not run.path.is_file() or run.path.stat().st_size == 0:
        raise StepFailed(f"{run.path} {what_it_is(run.path)}")


def _contents(run: _Run) -> None:
    """The reader decides what the file is; where it refuses, the first bytes may say why."""
    try:
        run.facts = read_artifact(run.path, run.format)
    except ArtifactError as error:
        found = stranger(run.path, run.format)
        raise StepFailed(f"{run.path} is no {run.format} file: it {found}" if found else error.message) from error


def _audit(run: _Run) -> Sequence[str]:
    """The audit; it also tells in which precision the file holds its weights, by whose limits it is judged."""
    if run.facts is None:
        raise StepSkipped("not run, because the file's own contents could not be read")
    run.audit = audit(run.facts, Recipe(format=run.format))
    if not run.audit.passed:
        raise StepFailed(*run.audit.violations)
    precision = precision_of(run.facts)
    run.limits = replace_fields(run.limits, precision=precision, static=precision is Precision.INT8)
    if run.limits.least_sqnr_db is None:
        return ()
    return [f"judged as {precision}, which most of its weights are: SQNR {run.limits.least_sqnr_db:g} dB or more"]


def _load(run: _Run) -> None:
    run.session = run.opener(run.path, run.format, threads=run.threads, inputs=run.reference.inputs)


def _tensors(run: _Run) -> Sequence[str]:
    """Put the golden set into the file's names and axes; tell what became of each tensor that is not its namesake."""
    assert run.session is not None
    inputs = _match_inputs(run, run.session.inputs)
    first = feed_of(run.inputs, run.golden, range(1), batch_sizes(run.inputs)[0])
    shapes = {name: array.shape[1:] for name, array in run.session.run(first).items()}  # a file need not say them
    outputs = _match_outputs(run, shapes)
    if unknown := [name for name in run.names if name not in {*inputs, *outputs}]:
        raise ArtifactError(
            f"the file has no '{unknown[0]}': it takes {', '.join(inputs)} and gives {', '.join(shapes) or 'nothing'}"
        )
    left = [
        f"output '{name}' is not judged: none of the reference's is left for it" for name in shapes.keys() - outputs
    ]
    lost = run.reference.golden.outputs.keys() - outputs.values()
    left += [f"the reference's output '{name}' is not in the file" for name in sorted(lost)]
    renamed = {name: other for name, other in (inputs | outputs).items() if name != other}
    return [*(f"'{name}' is the reference's '{other}'" for name, other in renamed.items()), *left]


def _match_inputs(run: _Run, specs: tuple[TensorSpec, ...]) -> dict[str, str]:
    """The reference's name of each input, and the golden inputs as the file takes them.

    Raises:
        ArtifactError: An input has no partner, or one of another type.
    """
    golden = run.reference.golden
    file = {spec.name: spec.shape[1:] for spec in specs}
    known = {name: array.shape[1:] for name, array in golden.inputs.items()}
    found = pair("input", file, known, run.names)
    for spec in specs:
        if spec.name not in found:
            raise ArtifactError(
                f"no input of the reference fits '{spec.name}': the file takes {listed(file)}, "
                f"the reference has {listed(known)}"
            )
        dtype = str(golden.inputs[found[spec.name]].dtype)
        if spec.dtype != dtype:
            raise ArtifactError(
                f"input '{spec.name}' is {spec.dtype}, but the reference's '{found[spec.name]}' is {dtype}: nothing is "
                f"cast or quantised here, so only files that take {dtype} can be compared"
            )
    run.inputs = tuple(msgspec.structs.replace(spec, layout=None) for spec in specs)  # the arrays lie as the file wants
    arrays = {spec.name: arranged(golden.inputs[found[spec.name]], spec.shape[1:]) for spec in specs}
    run.golden = replace(golden, inputs=arrays)
    return found


def _match_outputs(run: _Run, shapes: Shapes) -> dict[str, str]:
    """The reference's name of each output that it has, and the answers as the file gives them.

    Raises:
        ArtifactError: None of the file's outputs is one of the reference.
    """
    golden = run.reference.golden
    known = {name: array.shape[1:] for name, array in golden.outputs.items()}
    found = pair("output", shapes, known, run.names)
    if not found:
        raise ArtifactError(
            f"no output of the file fits one of the reference: it gives {listed(shapes)}, the reference {listed(known)}"
        )
    run.golden = replace(
        run.golden,
        outputs={name: _as_answered(golden.outputs[other], shapes[name]) for name, other in found.items()},
        yardstick={name: golden.yardstick[other] for name, other in found.items()},
        slack={name: golden.slack[other] for name, other in found.items() if other in golden.slack},
        whole=tuple(name for name, other in found.items() if other in golden.whole),
    )
    return found


def _as_answered(reference: Floats, shape: Shape) -> Floats:
    """``(count, ...)`` with the axes of the file's answers; axes of 1 stay as they are: scores are rows."""
    if arranged_shape(reference.shape[1:], shape) == "reshape":
        return reference
    return arranged(reference, shape).astype(np.float64)


def _parity(run: _Run) -> Sequence[str]:
    assert run.session is not None
    answers = {
        batch: {name: _without_ones(array, run.golden.outputs.get(name)) for name, array in outputs.items()}
        for batch, outputs in run_batches(run.session, run.golden, run.inputs).items()
    }
    run.parity = compare_answers(
        answers, run.golden, run.limits, runtime=run.session.runtime, offered=run.golden.outputs
    )
    if run.parity.passed:
        return run.parity.warnings
    reasons, run.divergence = explained(run.session, run.golden, run.parity, run.inputs)
    raise StepFailed(*reasons)


def _without_ones(answer: Array, reference: Floats | None) -> Array:
    """``(count, ...)`` in the reference's shape where only axes of 1 differ."""
    if reference is None or arranged_shape(answer.shape, reference.shape) != "reshape":
        return answer
    return answer.reshape(reference.shape)


STEPS = (
    Step("file", (), _file),
    Step("contents", ("file",), _contents),
    Step("audit", ("file",), _audit),
    Step("load", ("contents", "audit"), _load),
    Step("tensors", ("load",), _tensors),
    Step("parity", ("tensors",), _parity),
)
