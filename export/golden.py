"""``GoldenSet``: inputs and reference outputs as data, so that a machine without torch can verify an artifact."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.arrays import Array, read_arrays
from edgevit.errors import ArtifactError, ExportError
from edgevit.records import atomic_path, sha256_file
from edgevit.spec import ModelSpec
from edgevit.text import printable
from export.artifact import GoldenReference
from export.eager.answers import answers, batch_of, whole_outputs
from export.eager.copies import independent_copy
from export.eager.long_sums import long_sums
from export.eager.steady import refuse_unsteady
from export.fingerprint import FINGERPRINT_KEYS, FINGERPRINTED, PREFIX, TraceFingerprint, Traces, fingerprint
from export.identify import told, what_it_is
from export.stimuli import Floats, Samples, make_samples

if TYPE_CHECKING:
    from torch import nn

LEAST_STEPS = 2
"""A yardstick is at least so many float32 steps at the output's largest value.

It is one sample of what float32 loses: where few roundings are made, torch may happen to make none. Measured with one
to six layers: 0 to 1.3 steps, where ONNX Runtime, which adds up in another order, is 9 to 12 steps off; EdgeViT of any
size, task and options: 2.4 to 13 steps, so that its yardsticks are what was measured.
"""
MOST_STEPS = 256
"""No yardstick is larger than so many float32 steps; ``validation.artifact.golden_checks`` believes no larger one."""
OUTLIER = 16
"""Times the median error on all samples, from which on a sample is one that float32 cannot compute well.

Chosen: the worst sample of EdgeViT (XXS and S at 64 and 224 pixels) is at 1.3 to 2.0 medians, that of LeViT with random
weights, whose attention saturates, at 1400.
"""
IN_ORDER = 4
"""How many yardsticks a run may be off that adds up its long averages one after the other.

That is the strict limit of parity. Such a run is no typical one but about the worst that a runtime does: measured on
small networks with averages of 256 to 1024 terms, XNNPACK and ONNX Runtime lose as much on images of one colour.
"""
FLOAT64_LIMIT_BYTES = 64 << 20
"""Chosen, because common features stay below it, and what goes to a phone with the artifact should be small."""
_GROUPS = ("labels", "inputs", "outputs", "yardstick", "slack", "rounded", "whole")
_WITHOUT_NAMES = ("labels", "whole")
_TINY = float(np.finfo(np.float32).tiny)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class GoldenSet:
    """Inputs, what the eager model answers in float64, and how far float32 eager is from that.

    Attributes:
        labels: One name per sample, such as ``natural-03`` or ``black``.
        inputs: By input name, ``(count, *shape without batch)`` in the model's own layout.
        outputs: By output name, ``(count, *shape without batch)``: the float64 reference.
        yardstick: By output name, the largest absolute error over all samples of float32 eager against float64.
        fingerprint: What the network's layers hand out for a few of the samples, to place an error in its layer.
        whole: Outputs without a batch axis, such as a scalar: the rows of ``outputs`` are whole answers.
        slack: By output name, ``(count,)``: how many times the yardstick an error of one yardstick is on each sample,
            1 where nothing is said. More than 1 where a long average of equal terms loses more in another order.
        rounded: By output name, as ``outputs``: what torch answers when it runs the network as an artifact of another
            precision has it (``export.quantization.simulate``). Empty in the set of float32 artifacts.
    """

    labels: tuple[str, ...]
    inputs: dict[str, Array]
    outputs: dict[str, Floats]
    yardstick: dict[str, float]
    fingerprint: TraceFingerprint | None = None
    whole: tuple[str, ...] = ()
    slack: dict[str, Floats] = field(default_factory=dict)
    rounded: dict[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> GoldenSet:
        """The samples that ``rows`` selects, measured by the yardstick of all."""
        return GoldenSet(
            self.labels[rows],
            {name: array[rows] for name, array in self.inputs.items()},
            {name: array[rows] for name, array in self.outputs.items()},
            self.yardstick,
            whole=self.whole,
            slack={name: array[rows] for name, array in self.slack.items()},
            rounded={name: array[rows] for name, array in self.rounded.items()},
        )

    def save(self, path: Path) -> GoldenReference:
        """Write the set as ``.npz``, atomically; equal sets give equal bytes.

        The keys are ``labels``, ``inputs/NAME``, ``outputs/NAME`` and ``yardstick/NAME``, those of
        ``TraceFingerprint.to_arrays``, ``whole``, ``slack/NAME`` and ``rounded/NAME`` if there are such. Outputs of
        more than 64 MiB in float64 are stored as float32, which rounds by less than a tenth of the usual yardstick.
        """
        narrow = sum(array.nbytes for array in self.outputs.values()) > FLOAT64_LIMIT_BYTES
        arrays: dict[str, Array] = {"labels": np.array(self.labels)}
        arrays |= {f"inputs/{name}": array for name, array in self.inputs.items()}
        for name, output in self.outputs.items():
            arrays[f"outputs/{name}"] = output.astype(np.float32) if narrow else output
        arrays |= {f"yardstick/{name}": np.array(value) for name, value in self.yardstick.items()}
        arrays |= {f"slack/{name}": array for name, array in self.slack.items()}
        arrays |= {f"rounded/{name}": array.astype(np.float32) for name, array in self.rounded.items()}
        if self.whole:
            arrays["whole"] = np.array(self.whole)
        if self.fingerprint is not None:
            arrays |= self.fingerprint.to_arrays()
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for key, array in arrays.items():
                _add(archive, key, array)
        return GoldenReference(
            file=path.name, sha256=sha256_file(path), inputs=len(self), yardstick=dict(self.yardstick)
        )


def load_golden(path: Path, reference: GoldenReference | None = None) -> GoldenSet:
    """Read a golden set; with ``reference``, the one that a manifest names.

    Raises:
        ArtifactError: The file cannot be read, is no golden set, or is not the one that ``reference`` describes.
    """
    if reference is not None:
        _check_identity(path, reference)
    arrays = read_golden_arrays(path)
    if problem := _kind_problem(arrays):
        raise ArtifactError(f"{path} is not a readable golden set: {problem}")
    found = GoldenSet(
        labels=tuple(str(label) for label in arrays["labels"]),
        inputs=_group(arrays, "inputs/"),
        outputs={name: array.astype(np.float64) for name, array in _group(arrays, "outputs/").items()},
        yardstick={name: float(array) for name, array in _group(arrays, "yardstick/").items()},
        fingerprint=TraceFingerprint.from_arrays(arrays),
        whole=tuple(str(name) for name in arrays.get("whole", ())),
        slack={name: array.astype(np.float64) for name, array in _group(arrays, "slack/").items()},
        rounded={name: array.astype(np.float64) for name, array in _group(arrays, "rounded/").items()},
    )
    _check_consistency(found, path)
    return found


def read_golden_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a golden set, by key.

    Raises:
        ArtifactError: It cannot be read; the message says what the file is where that is known.
    """
    try:
        return read_arrays(path, what="golden set")
    except ArtifactError as error:
        found = what_it_is(path)
        if found is not None and "another .npz" in found:  # as it should be: the damage is told already
            raise
        raise ArtifactError(told(error.message, path)) from error


def _kind_problem(arrays: dict[str, Array]) -> str | None:
    """The first array of a golden set that has not the type or the axes that it should have."""
    if "labels" not in arrays:
        return "it has no labels"
    for key, array in arrays.items():
        group, _, name = key.partition("/")
        kinds, axes = {
            "labels": ("U", array.ndim == 1),
            "inputs": ("fiub", array.ndim >= 1),
            "outputs": ("f", array.ndim >= 1),
            "yardstick": ("f", array.ndim == 0),
            "slack": ("f", array.ndim == 1),
            "rounded": ("f", array.ndim >= 1),
            "whole": ("U", array.ndim == 1),
        }.get(group, (array.dtype.kind, key in FINGERPRINT_KEYS))
        if (group not in _GROUPS and not axes) or (group in _GROUPS and bool(name) == (group in _WITHOUT_NAMES)):
            return f"'{printable(key[:80])}' is none of its arrays, expected {', '.join(_GROUPS)} and {PREFIX}..."
        if array.dtype.kind not in kinds or not axes:
            return f"'{printable(key[:80])}' holds {array.dtype} of the shape {array.shape}"
    return None


def make_golden(model: nn.Module, spec: ModelSpec, extra_inputs: Samples | None = None) -> GoldenSet:
    """Run ``model`` in float32 and float64 on the deterministic samples, and on ``extra_inputs`` behind them.

    Works on copies: mode, dtype and device of ``model`` stay as they are.

    Raises:
        ExportError: The model fails, answers with other shapes than ``spec`` says, with NaN or Inf, or otherwise each
            time: such a model has no reference, and its yardstick would hide any error.
    """
    samples = make_samples(spec)
    if extra_inputs is not None:
        samples = _join(samples, extra_inputs, spec)
    rows = FINGERPRINTED if batch_of(spec) == 1 else ()
    exact, rounded = Traces(rows), Traces(rows)
    with long_sums(in_order=False) as terms:
        single = answers(independent_copy(model), spec, samples, double=False, watch=rounded.taken)
    refuse_unsteady(model, spec, samples, single)
    reference = answers(independent_copy(model).double(), spec, samples, double=True, watch=exact.taken)
    for name, values in reference.items():
        bad = [label for label, row in zip(samples.labels, values, strict=True) if not np.isfinite(row).all()]
        if bad:
            raise ExportError(f"{spec.name} answers NaN or Inf in float64 at output '{name}' for {', '.join(bad[:3])}")
    yardstick = {name: _yardstick(single[name], values) for name, values in reference.items()}
    slack: dict[str, Floats] = {}
    if terms:
        yardstick, slack = _in_order(yardstick, model, spec, samples, reference)
    for name, values in reference.items():
        if yardstick[name] > _steps(MOST_STEPS, values):
            yardstick[name], slack[name] = _without_outliers(_errors(single[name], values), slack.get(name))
    inputs = [*samples.arrays.values()]
    prints = exact.beside(rounded) if rows else fingerprint(model, inputs, FINGERPRINTED, batch=batch_of(spec))
    return GoldenSet(samples.labels, samples.arrays, reference, yardstick, prints, whole_outputs(spec), slack)


def _in_order(
    yardstick: dict[str, float], model: nn.Module, spec: ModelSpec, samples: Samples, reference: dict[str, Floats]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Yardsticks and slack for runtimes that add up in order, whose error on a sample may be ``IN_ORDER`` units.

    The yardstick grows to what half of the samples need, so that none hides behind the worst: images of one colour,
    whose terms are all rounded the same way, get slack instead.
    """
    with long_sums(in_order=True):
        other = answers(independent_copy(model), spec, samples, double=False)
    grown, slack = {}, {}
    for name, values in reference.items():
        errors = _errors(other[name], values) / IN_ORDER
        grown[name] = max(yardstick[name], float(np.median(errors)))
        factors = np.maximum(1.0, errors / max(grown[name], _TINY))
        if factors.max() > 1:
            slack[name] = factors
    return grown, slack


def _without_outliers(errors: Floats, slack: Floats | None) -> tuple[float, Floats]:
    """The yardstick that all but a few samples of ``(count,)`` need, and slack for those, on top of what they have."""
    most = OUTLIER * float(np.median(errors))
    yardstick = float(errors[errors <= most].max())
    return yardstick, np.maximum(errors / max(yardstick, _TINY), 1.0 if slack is None else slack)


def _errors(answer: Floats, reference: Floats) -> Floats:
    """The largest absolute error on each sample of ``(count, ...)``."""
    found: Floats = np.abs(answer - reference).reshape(len(reference), -1).max(axis=1, initial=0.0)
    return found


def _steps(number: int, reference: Floats) -> float:
    """So many float32 steps at the largest value of ``(count, ...)``."""
    return number * float(np.finfo(np.float32).eps) * float(np.abs(reference).max(initial=0.0))


def _yardstick(single: Floats, reference: Floats) -> float:
    """The largest error of ``single``, or the least that counts as one, over ``(count, ...)``."""
    return max(float(_errors(single, reference).max(initial=0.0)), _steps(LEAST_STEPS, reference))


def _join(samples: Samples, extra: Samples, spec: ModelSpec) -> Samples:
    """``extra`` behind ``samples``, along axis 0 of each input."""
    for tensor in spec.inputs:
        seen = extra.arrays[tensor.name].shape[1:] if tensor.name in extra.arrays else None
        if seen != tensor.shape[1:]:
            raise ExportError(f"extra input '{tensor.name}' has the shape {seen} per sample, not {tensor.shape[1:]}")
    arrays = {name: np.concatenate([array, extra.arrays[name]]) for name, array in samples.arrays.items()}
    return Samples(samples.labels + extra.labels, arrays)


def _add(archive: zipfile.ZipFile, key: str, array: Array) -> None:
    """Add ``array``, of any shape and dtype.

    Inputs are pixels and compress well; outputs are noise to a compressor and are stored as they are.
    """
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    info = zipfile.ZipInfo(f"{key}.npy", _ZIP_TIME)
    info.compress_type = zipfile.ZIP_STORED if key.startswith("outputs/") else zipfile.ZIP_DEFLATED
    archive.writestr(info, buffer.getvalue(), compresslevel=6)


def _group(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _check_identity(path: Path, reference: GoldenReference) -> None:
    if not path.is_file():
        gone = (
            told(f"the golden set {path} is missing", path)
            if path.is_symlink()
            else f"the golden set {path} is missing"
        )
        raise ArtifactError(gone, hint="export again, or copy it beside the artifact")
    seen = sha256_file(path)
    if seen != reference.sha256:
        other = f"the golden set {path} has the SHA-256 {seen[:12]}..., its manifest says {reference.sha256[:12]}..."
        raise ArtifactError(told(other, path), hint="export again, or restore the file")


def _check_consistency(golden: GoldenSet, path: Path) -> None:
    counts = {len(array) for array in (*golden.inputs.values(), *golden.outputs.values())}
    problem = None
    if not golden.inputs or not golden.outputs or not len(golden) or counts != {len(golden)}:
        problem = f"{len(golden)} labels, arrays of {sorted(counts)} samples"
    elif not set(golden.whole) <= golden.outputs.keys():
        problem = f"outputs {sorted(golden.outputs)}, of which {sorted(golden.whole)} have no batch axis"
    elif golden.yardstick.keys() != golden.outputs.keys():
        problem = f"outputs {sorted(golden.outputs)}, yardsticks for {sorted(golden.yardstick)}"
    elif slack := [name for name, row in golden.slack.items() if name not in golden.outputs or len(row) != len(golden)]:
        problem = f"slack for {slack[0]}, which is no output, or not of {len(golden)} samples"
    elif golden.rounded and {name: array.shape for name, array in golden.rounded.items()} != {
        name: array.shape for name, array in golden.outputs.items()
    }:
        problem = f"rounded answers {sorted(golden.rounded)}, which are not of the outputs and their shapes"
    elif not all(0 <= error < math.inf for error in golden.yardstick.values()):
        problem = f"yardsticks of {sorted(golden.yardstick.values())}, expected finite ones of 0 or more"
    elif golden.fingerprint is not None and not set(golden.fingerprint.inputs) <= set(range(len(golden))):
        problem = f"fingerprints of the samples {sorted(golden.fingerprint.inputs)}, of {len(golden)} in all"
    elif not all(np.isfinite(array).all() for array in (*golden.outputs.values(), *golden.rounded.values())):
        problem = "NaN or Inf in the reference outputs"
    if problem:
        raise ArtifactError(f"{path} is not a whole golden set: {problem}")
