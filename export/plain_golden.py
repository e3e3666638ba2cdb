"""Golden sets from elsewhere: inputs and outputs in an ``.npz``, without the yardstick that a float64 run gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevit.arrays import Array, indexed
from edgevit.errors import ArtifactError
from export.golden import GoldenSet, load_golden, read_golden_arrays

LAYOUT = "inputs/NAME and outputs/NAME with one row per sample, or inputs/INDEX/NAME and outputs/INDEX/NAME"


def load_any_golden(path: Path) -> tuple[GoldenSet, bool]:
    """A golden set of this tool, or a plain one: the set, and whether it has a yardstick.

    A plain one holds ``inputs/NAME`` and ``outputs/NAME``, each ``(count, ...)``, or ``inputs/INDEX/NAME`` and
    ``outputs/INDEX/NAME``, one sample each without a batch axis, INDEX from 0 on. Its yardsticks are 0: what it is
    compared by is an absolute error.

    Raises:
        ArtifactError: The file cannot be read, or is neither.
    """
    arrays = read_golden_arrays(path)
    if any(key.startswith("yardstick/") for key in arrays):
        return load_golden(path), True
    inputs, outputs = (_group(arrays, f"{kind}/", path) for kind in ("inputs", "outputs"))
    counts = {array.shape[0] if array.ndim else 0 for array in (*inputs.values(), *outputs.values())}
    if not inputs or not outputs or len(counts) != 1 or counts == {0}:
        seen = ", ".join(f"{key} {array.shape}" for key, array in list(arrays.items())[:6]) or "nothing"
        raise ArtifactError(f"{path} is no golden set: expected {LAYOUT}, equally many of each; it holds {seen}")
    (count,) = counts
    golden = GoldenSet(
        labels=_labels(arrays, count),
        inputs=inputs,
        outputs={name: _real(array, f"{path}: output '{name}'") for name, array in outputs.items()},
        yardstick=dict.fromkeys(outputs, 0.0),
    )
    return golden, False


def _labels(arrays: dict[str, Array], count: int) -> tuple[str, ...]:
    labels = arrays.get("labels")
    if labels is not None and labels.shape == (count,):
        return tuple(str(label) for label in labels)
    return tuple(f"input-{row:02}" for row in range(count))


def _group(arrays: dict[str, Array], prefix: str, path: Path) -> dict[str, Array]:
    """The arrays below ``prefix`` by name, those of single samples stacked in the order of their index."""
    found = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
    samples: dict[str, dict[int, Array]] = {}
    for key, array in found.items():
        if (place := indexed(key)) is None:
            return found
        index, name = place
        samples.setdefault(name, {})[index] = array
    for name, rows in samples.items():
        shapes = {row.shape for row in rows.values()}
        if sorted(rows) != list(range(len(rows))) or len(shapes) != 1:
            raise ArtifactError(
                f"{path} is no golden set: {prefix}INDEX/{name} has a gap, or samples of several shapes"
            )
    return {name: np.stack([rows[index] for index in sorted(rows)]) for name, rows in samples.items()}


def _real(array: Array, what: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise ArtifactError(f"{what} must hold finite numbers")
    return array.astype(np.float64)
