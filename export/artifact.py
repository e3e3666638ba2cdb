"""``Artifact``, its manifest, and the facts that a reader finds in the file itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgevit.records import Record
from edgevit.spec import ModelSpec, TensorSpec
from export.recipe import Format, Recipe

MODULES_NAMED = 3  # chosen: one line of a console holds the paths of three modules


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
    """What a reader finds in an artifact without running it."""

    format: Format
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]
    requires: str  # lowest runtime in words, e.g. "ONNX Runtime >= 1.12 (opset 17)"
    metadata: dict[str, str] = msgspec.field(default_factory=dict)

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
    float64 eager over the golden inputs, and ``multiple`` is ``max_abs_error / yardstick``.
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


class PassLog(Record):
    """What one optimising pass did: number of rewrites, and a few words on them."""

    name: str
    rewrites: int
    detail: str = ""


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

    schema_version: Literal[1] = 1
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
