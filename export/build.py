"""The steps from a captured program to a committed artifact, each a function, so that the front door can stand between.

``export_artifact`` converts and reads back; the caller judges (audit, parity); ``make_manifest`` writes it all down and
``export.staging.commit`` moves the files into place. All happens in a directory of ``export.staging.staging``.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import EdgevitExportError, ExportError, UsageError, first_line
from edgevit.names import file_name
from edgevit.records import sha256_file
from edgevit.spec import ModelSpec, TensorSpec
from export.artifact import (
    AuditResult,
    FileFacts,
    GoldenReference,
    Manifest,
    PassLog,
)
from export.formats.failing_layers import layers_in
from export.formats.table import FORMATS, check_recipe, load, read_artifact, require_export
from export.golden import GoldenSet
from export.int8.record import QuantizationRecord
from export.manifest import created_utc, tool_versions
from export.program import Program, with_input_layout
from export.quantization.calibration import CalibrationImages
from export.quick.late_code import late_code
from export.quiet import quiet
from export.recipe import Precision, Recipe
from export.staging import golden_name, translate
from export.stimuli import Floats, make_samples

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class StagedGolden:
    """A golden set in the staging directory, and what manifests say of it."""

    path: Path
    reference: GoldenReference


@dataclass(frozen=True)
class StagedArtifact:
    """An artifact in the staging directory that has been read back but not been judged; it took ``seconds``.

    ``rounded`` is what torch answers to the golden inputs in the precision of the recipe; empty for float32.
    """

    path: Path
    sha256: str
    spec: ModelSpec
    recipe: Recipe
    facts: FileFacts
    passes: tuple[PassLog, ...]
    seconds: float
    quantization: QuantizationRecord | None = None
    rounded: dict[str, Floats] = field(default_factory=dict)


def stage_golden(golden: GoldenSet, spec: ModelSpec, stage: Path) -> StagedGolden:
    """Write ``golden`` into the staging directory under the name that it will keep."""
    draft = golden.save(stage / "golden.npz")
    name = golden_name(spec.name, draft.sha256)
    path = (stage / draft.file).replace(stage / name)
    reference = GoldenReference(file=name, sha256=draft.sha256, inputs=draft.inputs, yardstick=draft.yardstick)
    return StagedGolden(path, reference)


def export_artifact(
    program: Program,
    recipe: Recipe,
    stage: Path,
    *,
    calibration: CalibrationImages | None = None,
    verbose: bool = False,
) -> StagedArtifact:
    """Optimise ``program`` for ``recipe``, write it into ``stage``, and read the file back.

    Args:
        program: As captured, in the model's own layout.
        recipe: What was asked for; it names the file.
        stage: A directory of ``export.staging.staging``.
        calibration: The images that the recipe's calibration speaks of.
        verbose: Let the converters' chatter through to stderr.

    Raises:
        MissingDependencyError: A package that the format needs is not installed.
        UsageError: The recipe asks for what the format cannot do.
        ExportError: The converter failed, or the file does not have the inputs and outputs that were asked for. Its
            notes hold the end of the converter's log.
    """
    require_export(recipe.format)
    check_recipe(recipe)
    row = FORMATS[recipe.format]
    path = stage / recipe.file_name(file_name(program.spec.name))
    start_s = time.perf_counter()
    with _translated(program, recipe, stage), quiet(verbose=verbose), _collector_paused(), late_code():
        program, rounded = _prepare(program, recipe, calibration)
        load(row.exporter)(program, recipe, path)
        if not path.is_file() or path.stat().st_size == 0:
            raise ExportError(f"the {row.title} converter wrote no file for {program.spec.name}")
        facts = read_artifact(path, recipe.format)
    _check_tensors(facts.inputs, program.inputs, "inputs", path.name)
    _check_tensors(facts.outputs, program.outputs, "outputs", path.name)
    seconds = time.perf_counter() - start_s
    return StagedArtifact(
        path, sha256_file(path), program.spec, recipe, facts, program.passes, seconds, program.layers, rounded
    )


def _prepare(
    program: Program, recipe: Recipe, calibration: CalibrationImages | None
) -> tuple[Program, dict[str, Floats]]:
    """The program as the exporter gets it, and what torch answers to the golden inputs in another precision.

    Input layout, passes, what becomes int8, then a free batch when asked for.
    """
    from export.pipeline import optimize

    program, rounded = optimize(with_input_layout(program, recipe.input_layout), recipe), dict[str, Floats]()
    if recipe.precision is not Precision.FP32:
        from export.quantization.simulate import simulated

        program = _quantized(program, recipe, calibration)
        samples = make_samples(program.spec)
        rounded = simulated(program, recipe, samples)
        _refuse_endless(program, recipe, samples.labels, rounded)
    if recipe.dynamic_batch:
        from export.dynamic_batch import with_dynamic_batch

        program = with_dynamic_batch(program)
    return program, rounded


def _refuse_endless(program: Program, recipe: Recipe, labels: tuple[str, ...], answers: dict[str, Floats]) -> None:
    """Refuse a network whose numbers the precision does not have: half precision ends at 65504."""
    for name, values in answers.items():
        bad = [label for label, row in zip(labels, values, strict=True) if not np.isfinite(row).all()]
        if bad:
            raise ExportError(
                f"{program.spec.name} answers NaN or Inf in {recipe.precision} at output '{name}' for "
                f"{', '.join(bad[:3])}, in float32 it does not",
                hint=f"leave {recipe.precision} out",
            )


def _quantized(program: Program, recipe: Recipe, calibration: CalibrationImages | None) -> Program:
    """The program with what becomes of its layers, where they become int8."""
    if recipe.precision is not Precision.INT8:
        return program
    if (None if calibration is None else calibration.record) != recipe.calibration:
        raise UsageError(f"the recipe of {program.spec.name} speaks of other images than those of the calibration")
    from export.quantization.assign import quantized

    return quantized(program, recipe, calibration)


def make_manifest(
    staged: StagedArtifact,
    golden: StagedGolden,
    *,
    audit: AuditResult,
    command: tuple[str, ...],
) -> Manifest:
    """All that is known of a staged artifact, ready to be committed."""
    facts = staged.facts
    return Manifest(
        file=staged.path.name,
        sha256=staged.sha256,
        bytes=staged.path.stat().st_size,
        created_utc=created_utc(),
        spec=staged.spec,
        recipe=staged.recipe,
        inputs=facts.inputs,
        outputs=facts.outputs,
        operators=facts.operators,
        requires=facts.requires,
        audit=audit,
        golden=golden.reference,
        tools=tool_versions(),
        command=command,
        passes=staged.passes,
        quantization=staged.quantization,
    )


def room_needed_bytes(model: nn.Module, artifacts: int) -> int:
    """Rough room for a whole command: each artifact holds the weights once, staged beside an earlier one in place."""
    weights_bytes: int = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return 2 * artifacts * weights_bytes


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Look for no garbage meanwhile, which takes a tenth of a conversion.

    Converters build graphs of a million small objects, none of them garbage.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _translated(program: Program, recipe: Recipe, stage: Path) -> Iterator[None]:
    """Turn whatever a converter raises into our errors, with the notes that ``quiet`` left."""
    try:
        yield
    except Exception as error:
        if disk := _disk_error(error):
            raise translate(disk, stage.parent) from error
        if isinstance(error, EdgevitExportError):
            raise
        where = layers_in(program, error)
        raised = ExportError(f"cannot write {program.spec.name} as {recipe.format}{where}: {first_line(error)}")
        raised.__notes__ = list(getattr(error, "__notes__", ()))
        raise raised from error


def _disk_error(error: BaseException | None) -> OSError | None:
    """The failed write behind ``error``, if that is what it comes from."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def _check_tensors(seen: tuple[TensorSpec, ...], expected: tuple[TensorSpec, ...], kind: str, file: str) -> None:
    found, wanted = ([(tensor.name, tensor.shape, tensor.dtype) for tensor in each] for each in (seen, expected))
    if gone := [name for name, *_ in wanted if name not in {each[0] for each in found}] if kind == "inputs" else []:
        raise ExportError(
            f"{file} lacks the inputs {', '.join(gone)}: the converter leaves out what no answer depends on",
            hint="leave them out of forward",
        )
    if found != wanted:
        raise ExportError(f"{file} has the {kind} {found}, expected {wanted}")
