"""Golden inputs through a session, in the batch sizes that the artifact takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from edgevit.errors import SessionError
from edgevit.spec import Layout, TensorSpec
from export.golden import GoldenSet
from runtimes.sessions.session import Array, Session

FREE_BATCHES = (1, 3)
_TO_NHWC = (0, 2, 3, 1)


def run_batches(session: Session, golden: GoldenSet, layouts: Mapping[str, Layout]) -> dict[int, dict[str, Array]]:
    """All outputs for all golden inputs, by batch size: the artifact's own, or 1 and 3 where its batch axis is free.

    Outputs that could not be put together (the artifact's first axis is not the batch) keep the shape that they had.

    Raises:
        SessionError: The runtime refused or failed, or the inputs have no common batch axis.
    """
    return {batch: _run_all(session, golden, layouts, batch) for batch in batch_sizes(session.inputs)}


def batch_sizes(inputs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """The batch sizes to run at.

    Raises:
        SessionError: The inputs differ in their first axis, or have none.
    """
    sizes = {spec.shape[0] for spec in inputs if spec.shape}
    if len(sizes) != 1 or any(not spec.shape for spec in inputs):
        shapes = ", ".join(f"{spec.name} {spec.shape}" for spec in inputs)
        raise SessionError(f"the first axis of all inputs must be one common batch, but they are: {shapes}")
    size = sizes.pop()
    return FREE_BATCHES if size == -1 else (size,)


def feed_of(
    session: Session, golden: GoldenSet, layouts: Mapping[str, Layout], rows: range, batch: int
) -> dict[str, Array]:
    """The golden inputs ``rows`` as the artifact takes them, filled up to ``batch`` by repeating the last one.

    Raises:
        SessionError: The artifact takes an input that the golden set does not have.
    """
    taken = [rows[min(i, len(rows) - 1)] for i in range(batch)]
    feed: dict[str, Array] = {}
    for spec in session.inputs:
        if spec.name not in golden.inputs:
            known = ", ".join(f"'{name}'" for name in golden.inputs)
            raise SessionError(f"the artifact takes an input '{spec.name}', but the golden set has {known}")
        feed[spec.name] = _as_taken(golden.inputs[spec.name][taken], spec, layouts.get(spec.name, Layout.NCHW))
    return feed


def widened(golden: GoldenSet, other: GoldenSet) -> GoldenSet:
    """``golden`` with, for each output, the larger of both yardsticks: few inputs give a small one by chance."""
    yardstick = {name: max(value, other.yardstick.get(name, 0.0)) for name, value in golden.yardstick.items()}
    return dataclasses.replace(golden, yardstick=yardstick)


def _as_taken(array: Array, spec: TensorSpec, layout: Layout) -> Array:
    """The array in the artifact's layout; floats in the float type that the artifact declares (half precision)."""
    if layout is Layout.NHWC and array.ndim == 4:
        array = array.transpose(_TO_NHWC)
    if array.dtype.kind == "f" and spec.dtype in ("float16", "float64"):
        return np.ascontiguousarray(array, np.dtype(spec.dtype))
    return np.ascontiguousarray(array)


def _run_all(session: Session, golden: GoldenSet, layouts: Mapping[str, Layout], batch: int) -> dict[str, Array]:
    pieces: dict[str, list[Array]] = {}
    for rows in _groups(len(golden.labels), batch):
        for name, answer in session.run(feed_of(session, golden, layouts, rows, batch)).items():
            fits = answer.ndim > 0 and answer.shape[0] == batch
            pieces.setdefault(name, []).append(answer[: len(rows)] if fits else answer)
    return {name: _joined(parts) for name, parts in pieces.items()}


def _groups(count: int, batch: int) -> Iterator[range]:
    for start in range(0, count, batch):
        yield range(start, min(start + batch, count))


def _joined(parts: list[Array]) -> Array:
    """One array over all inputs; parts that do not fit together stay as the first one, whose shape then tells."""
    if any(part.ndim == 0 or part.shape[1:] != parts[0].shape[1:] for part in parts):
        return parts[0]
    return np.concatenate(parts)
