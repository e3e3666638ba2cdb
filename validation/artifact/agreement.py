"""How far an answer is from its reference: plain arithmetic on arrays, one row per input.

Answer and reference of one output have the same shape, float64, in the output's own unit; the first axis counts inputs
where a function says ``(count, ...)``, and is absent where it speaks of one input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgevit.records import Record

Floats = NDArray[np.float64]

MOST_DB = 300.0  # float64 itself ends at 313 dB: beyond this two arrays are equal in every bit that counts
TOP = 5  # as ImageNet's top-5 accuracy counts


class InputParity(Record):
    """One input, one output, at one batch size.

    ``margin`` is the reference's largest value minus its second largest; it and the two class fields are None for
    outputs that are not ``(N, classes)``. ``top5_overlap`` is the share of the artifact's five top classes that belong
    to the reference's five top values. ``cosine`` of two zero vectors is 1.
    """

    label: str
    output: str
    batch: int
    max_abs_error: float
    mean_abs_error: float
    multiple: float
    sqnr_db: float
    cosine: float
    non_finite: int
    margin: float | None = None
    top1_equal: bool | None = None
    top5_overlap: float | None = None


def compare_arrays(
    output: str, answer: Floats, reference: Floats, labels: Sequence[str], units: Floats | float, batch: int
) -> list[InputParity]:
    """One row per input.

    Args:
        output: Name of the output.
        answer: ``(count, ...)`` what the artifact gave; non-finite values count as zeros and are counted.
        reference: ``(count, ...)`` in float64.
        labels: ``count`` names of the inputs.
        units: The error that counts as 1, of all inputs or ``(count,)``; must be positive.
        batch: The batch size at which the answer was made.
    """
    each = np.broadcast_to(units, len(labels))
    return [_row(output, answer[i], reference[i], label, float(each[i]), batch) for i, label in enumerate(labels)]


def yardstick_floor(reference: Floats) -> float:
    """The smallest yardstick that makes sense for ``(count, ...)``: half a float32 step at the largest value.

    float32 eager can be exact on trivial models; no runtime can be held to less than rounding the result once.
    """
    largest = float(np.abs(reference[np.isfinite(reference)]).max(initial=0.0))
    return max(largest * float(np.finfo(np.float32).eps) / 2, float(np.finfo(np.float32).tiny))


def sqnr_db_of(answer: Floats, reference: Floats) -> float:
    """Signal to quantisation noise ratio in dB, within -300..300, of two arrays of one shape.

    0 for an answer that is not zero to a reference that is.
    """
    signal, noise = _energy(reference), _energy(answer - reference)
    if noise == 0.0:
        return MOST_DB
    if signal == 0.0:
        return 0.0
    return float(np.clip(20 * (np.log10(signal) - np.log10(noise)), -MOST_DB, MOST_DB))


def typical_sqnr_db(answer: Floats, reference: Floats) -> float:
    """The median of the inputs' SQNR in dB, of ``(count, ...)``: no input counts more than another for its scale."""
    return float(np.median([sqnr_db_of(*pair) for pair in zip(answer, reference, strict=True)]))


def cosine_of(answer: Floats, reference: Floats) -> float:
    """Cosine between two arrays of one shape as vectors; 1 if both are zero, 0 if one is."""
    lengths = _energy(answer), _energy(reference)
    if 0.0 in lengths:
        return float(lengths[0] == lengths[1])
    product = np.sum((answer / lengths[0]) * (reference / lengths[1]))
    return float(np.clip(product, -1.0, 1.0))


def _energy(values: Floats) -> float:
    """Euclidean length over all elements, any shape, scaled so that it neither overflows nor underflows."""
    largest = float(np.abs(values).max(initial=0.0))
    return largest * float(np.sqrt(np.sum((values / largest) ** 2))) if largest else 0.0


def _row(output: str, answer: Floats, reference: Floats, label: str, unit: float, batch: int) -> InputParity:
    """The numbers of one input: ``answer`` and ``reference`` have one output's shape without the batch axis."""
    finite = np.isfinite(answer) & np.isfinite(reference)
    usable, target = np.where(finite, answer, 0.0), np.where(np.isfinite(reference), reference, 0.0)
    error = np.abs(usable - target)
    largest = float(error.max(initial=0.0))
    margin, top1_equal, top5_overlap = _classes(usable, target)
    non_finite = int(finite.size - np.count_nonzero(finite))
    return InputParity(
        label=label,
        output=output,
        batch=batch,
        max_abs_error=largest,
        mean_abs_error=float(error.mean()) if error.size else 0.0,
        multiple=largest / unit,
        sqnr_db=sqnr_db_of(usable, target),
        cosine=cosine_of(usable, target),
        non_finite=non_finite,
        margin=margin,
        top1_equal=top1_equal if non_finite == 0 or top1_equal is None else False,
        top5_overlap=top5_overlap,
    )


def _classes(answer: Floats, reference: Floats) -> tuple[float | None, bool | None, float | None]:
    """Margin, whether the top class is equal, and the overlap of the top five, of ``(classes,)`` values.

    Ties in the reference count as equal. Three Nones for any other shape.
    """
    if reference.ndim != 1 or reference.size < 2:
        return None, None, None
    ranked = np.sort(reference)[::-1]
    margin = float(ranked[0] - ranked[1])
    top1_equal = bool(reference[int(np.argmax(answer))] >= ranked[0])
    count = min(TOP, reference.size)
    top = np.argsort(-answer, kind="stable")[:count]
    return margin, top1_equal, float(np.mean(reference[top] >= ranked[count - 1]))
