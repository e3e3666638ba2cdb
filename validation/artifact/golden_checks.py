"""Whether a golden set can be a reference: the inputs that it should hold, answers that tell, a possible yardstick.

What is proven here needs no torch. The inputs are drawn again and compared. That the answers are those of the network
only the network can say; a file that gives other answers fails parity, so that both would have to be forged together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isclose, isfinite

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import first_line
from edgevit.spec import ModelSpec, Preprocessing, TensorSpec
from export.artifact import Manifest
from export.golden import GoldenSet
from export.stimuli import SIGNED, Array, make_samples, sample_labels
from validation.artifact.agreement import Floats
from validation.artifact.limits import ALLOWED

_EPS = float(np.finfo(np.float32).eps)
LEAST_OPERATORS = 256
"""A yardstick may be one float32 step of the largest output for each operator, and for this many in any case.

Rounding errors add up at most like that where no operator amplifies them, and they average out in fact: measured are
0.8 to 10 steps for 10 to 400 operators (1e-7 to 1.2e-6 of the largest output; logits and features of XXS at 64 and
224 pixels, small networks). 256: chosen, so that a few operators may lose 8 of float32's 24 bits by cancellation.
"""
ONE_LEVEL = 1.5 / 255
"""Images have 256 levels: on another machine the Fourier transform may round a pixel the other way."""
SAME_VALUE = 1e-5
"""Relative: normal numbers come from logarithms, whose last places libraries round each their own way."""


def golden_problems(golden: GoldenSet, manifest: Manifest) -> list[str]:
    """What makes a golden set no reference for this manifest: other tensors, yardsticks, answers that tell nothing."""
    problems = _tensor_set_problems("input", manifest.spec.inputs, golden.inputs)
    problems += _tensor_set_problems("output", manifest.spec.outputs, golden.outputs, golden.whole)
    if len(golden.labels) != manifest.golden.inputs or len(golden.labels) < 1:
        problems.append(f"the manifest says {manifest.golden.inputs} golden inputs, but there are {len(golden.labels)}")
    if set(golden.yardstick) != set(manifest.golden.yardstick):
        said = ", ".join(manifest.golden.yardstick) or "none"
        problems.append(f"the manifest has yardsticks for {said}, the golden set for {', '.join(golden.yardstick)}")
    if problems:
        return problems
    operators = sum(operator.count for operator in manifest.operators)
    for name, reference in golden.outputs.items():
        problems += _yardstick_problems(name, golden.yardstick[name], manifest.golden.yardstick[name])
        problems += _reference_problems(name, reference, golden.yardstick[name], operators)
        problems += _slack_problems(name, golden)
    return problems or _flat_problems(golden)


def stimuli_problems(golden: GoldenSet, spec: ModelSpec) -> list[str]:
    """Where a golden set's inputs are not those that every golden set of ``spec`` begins with, drawn again here.

    Others may stand behind them. ``golden`` has the tensors of ``spec``.

    Raises:
        ExportError: ``spec`` has an image input for which nothing can be drawn.
    """
    labels = sample_labels(spec)
    count = len(labels)
    if golden.labels[:count] != labels:  # known before anything is drawn: a set of one large input would cost many
        missing = [label for label in labels if label not in golden.labels]
        what = f"{', '.join(missing[:3])} of them are missing" if missing else "they have another order"
        return [f"a golden set begins with {count} inputs that anybody can draw again, but {what}"]
    try:
        with np.errstate(all="ignore"):
            drawn = make_samples(spec)
    except (ValueError, TypeError) as error:  # a layout, type or normalisation that its own tensors cannot have
        return [f"no inputs can be drawn for {spec.name}: {first_line(error)}"]
    return [
        f"the golden input '{golden.labels[row]}' is not the '{tensor.name}' that is drawn under this name"
        for tensor in spec.inputs
        for row in _other_rows(
            golden.inputs[tensor.name][:count], drawn.arrays[tensor.name], tensor, spec.preprocessing
        )
    ]


def _other_rows(seen: Array, drawn: Array, tensor: TensorSpec, preprocessing: Preprocessing | None) -> list[int]:
    """The rows of ``(count, ...)`` in which the arrays differ by more than rounding."""
    if seen.dtype != drawn.dtype:
        return list(range(len(drawn)))
    if tensor.layout is not None:
        scale = 255.0 if tensor.dtype == "uint8" else 1 / _narrowest(preprocessing)
        relative, absolute = 0.0, ONE_LEVEL * scale
    else:
        relative, absolute = (SAME_VALUE, 0.0) if drawn.dtype.kind == "f" else (0.0, 0.0)
    pairs = ((a.astype(np.float64), b.astype(np.float64)) for a, b in zip(seen, drawn, strict=True))
    return [row for row, (a, b) in enumerate(pairs) if not np.allclose(a, b, rtol=relative, atol=absolute)]


def _narrowest(preprocessing: Preprocessing | None) -> float:
    """The deviation by which the normalisation divides at least; infinite where it is none, so that nothing fits."""
    deviations = preprocessing.std if preprocessing is not None else (1 / (2 * SIGNED),)
    return min((abs(value) if value else inf for value in deviations), default=1.0)


def _yardstick_problems(name: str, yardstick: float, said: float) -> list[str]:
    if isclose(yardstick, said, rel_tol=1e-9):
        return []
    return [f"the yardstick of '{name}' is {said} in the manifest, but {yardstick} in the golden set"]


def _reference_problems(name: str, reference: Floats, yardstick: float, operators: int) -> list[str]:
    """What is wrong with one output's answers ``(count, ...)`` or their yardstick."""
    if not np.isfinite(reference).all():
        return [f"the reference output '{name}' holds values that are not finite"]
    largest = float(np.abs(reference).max(initial=0.0))
    widest = widest_yardstick(largest, operators)
    if isfinite(yardstick) and 0 <= yardstick <= widest:
        return []
    return [
        f"the yardstick of '{name}', {yardstick:.3g}, cannot be the error of float32 on outputs up to {largest:.3g} "
        f"of {operators} operators: at most {widest:.3g}"
    ]


def _slack_problems(name: str, golden: GoldenSet) -> list[str]:
    """Slack may excuse images of one colour, never most of the samples: a fault would hide behind it."""
    slack = golden.slack.get(name, np.ones(len(golden)))
    loose = int((slack > 1).sum())
    if np.isfinite(slack).all() and (slack >= 1).all() and 2 * loose <= len(golden):
        return []
    return [
        f"the slack of '{name}' is above 1 on {loose} of {len(golden)} inputs, up to {float(slack.max()):.3g}: "
        "at most half may have any, and none less than 1"
    ]


def widest_yardstick(largest: float, operators: int) -> float:
    """The largest error of float32 that can be believed of so many operators with outputs up to ``largest``."""
    return max(largest, 1e-30) * _EPS * max(operators, LEAST_OPERATORS)


def _flat_problems(golden: GoldenSet) -> list[str]:
    """Whether no output moves with the input by more than an artifact may be off: one that ignores it would pass."""
    widest = ALLOWED.default
    for name, reference in golden.outputs.items():
        if len(golden) > 1 and float(np.ptp(reference, axis=0).max(initial=0.0)) > widest * golden.yardstick[name]:
            return []
    return [f"the reference answers all {len(golden)} inputs alike: an artifact that ignores its input would pass"]


def _tensor_set_problems(
    kind: str, specs: Sequence[TensorSpec], arrays: Mapping[str, NDArray[np.generic]], whole: Sequence[str] = ()
) -> list[str]:
    """Arrays ``(count, ...)`` of a golden set whose names or shapes are not the model's.

    The shapes of the model without their first axis, but for those named ``whole``, which have no batch axis.
    """
    names = [spec.name for spec in specs]
    if set(names) != set(arrays):
        return [f"the model has the {kind}s {', '.join(names)}, but the golden set has {', '.join(arrays) or 'none'}"]
    rows = {spec.name: tuple(spec.shape if spec.name in whole else spec.shape[1:]) for spec in specs}
    return [
        f"one '{name}' is {row} in the model, but {arrays[name].shape[1:]} in the golden set"
        for name, row in rows.items()
        if arrays[name].shape[1:] != row
    ]
