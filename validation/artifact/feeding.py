"""Golden inputs as the feeds that an artifact takes, in its batch sizes, and its answers put together again.

A feed is one call's arrays by input name, an answer one call's arrays by output name: on this machine the session is
called with one after the other, on a device all feeds travel there and the answers come back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from math import prod

import numpy as np

from edgevit.errors import ArtifactError, SessionError
from edgevit.spec import Layout, TensorSpec
from export.golden import GoldenSet
from runtimes.sessions.session import Array, Session

FREE_BATCHES = (1, 3)
"""Chosen: the batch that apps use, and the smallest that neither divides nor is a power of two."""

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
MOST_BATCH = 4096  # chosen: nothing that runs on a phone takes as many at once
MOST_ELEMENTS = 2**27  # chosen: half a GiB of float32; the largest input of our models at batch 64 has 2**23
FEEDABLE = frozenset({"bool", "float16", "float32", "float64"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def run_batches(session: Session, golden: GoldenSet, inputs: tuple[TensorSpec, ...]) -> dict[int, dict[str, Array]]:
    """All outputs for all golden inputs, by batch size: the artifact's own, or 1 and 3 where its batch axis is free.

    ``inputs`` are the artifact's with their layouts. Outputs that could not be put together (the artifact's first axis
    is not the batch) keep the shape that they had.

    Raises:
        SessionError: The runtime refused or failed, or the inputs have no common batch axis.
    """
    return {
        batch: joined_answers(map(session.run, feeds(inputs, golden, batch)), len(golden), batch, golden.whole)
        for batch in batch_sizes(inputs)
    }


def require_feedable(tensors: Iterable[TensorSpec]) -> None:
    """Refuse tensors of no type that numpy knows, or larger than any model's, before an array is made of them.

    Raises:
        ArtifactError: The first such tensor.
    """
    for spec in tensors:
        if spec.dtype not in FEEDABLE or prod(max(1, size) for size in spec.shape) > MOST_ELEMENTS:
            raise ArtifactError(
                f"tensor '{spec.name}' is {spec.dtype} {spec.shape}: expected numbers or bools, and "
                f"{MOST_ELEMENTS:,} elements at most"
            )


def batch_sizes(inputs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """The batch sizes to run at.

    Raises:
        SessionError: The inputs differ in their first axis, have none, or one that is no batch.
        ArtifactError: They are no tensors that can be fed.
    """
    require_feedable(inputs)
    sizes = {spec.shape[0] for spec in inputs if spec.shape}
    if len(sizes) != 1 or any(not spec.shape for spec in inputs):
        shapes = ", ".join(f"{spec.name} {spec.shape}" for spec in inputs)
        raise SessionError(f"the first axis of all inputs must be one common batch, but they are: {shapes}")
    size = sizes.pop()
    if size != -1 and not 1 <= size <= MOST_BATCH:
        raise SessionError(f"a batch of {size}: expected 1 to {MOST_BATCH}")
    return FREE_BATCHES if size == -1 else (size,)


def feeds(inputs: tuple[TensorSpec, ...], golden: GoldenSet, batch: int) -> Iterator[dict[str, Array]]:
    """The golden inputs in groups of ``batch``, one feed a group; see ``feed_of``."""
    for start in range(0, len(golden), batch):
        yield feed_of(inputs, golden, range(start, min(start + batch, len(golden))), batch)


def feed_of(inputs: tuple[TensorSpec, ...], golden: GoldenSet, rows: range, batch: int) -> dict[str, Array]:
    """The golden inputs ``rows`` as the artifact takes them, filled up to ``batch`` by repeating the last one.

    Returns:
        By input name ``(batch, ...)`` in the artifact's layout and dtype.

    Raises:
        SessionError: The artifact takes an input that the golden set does not have.
    """
    taken = [rows[min(i, len(rows) - 1)] for i in range(batch)]
    feed: dict[str, Array] = {}
    for spec in inputs:
        if spec.name not in golden.inputs:
            known = ", ".join(f"'{name}'" for name in golden.inputs)
            raise SessionError(f"the artifact takes an input '{spec.name}', but the golden set has {known}")
        feed[spec.name] = _as_taken(golden.inputs[spec.name][taken], spec)
    return feed


def joined_answers(
    answers: Iterable[Mapping[str, Array]], count: int, batch: int, whole: Iterable[str] = ()
) -> dict[str, Array]:
    """The answers to the first feeds as one array an output, ``(count, ...)``, without what only filled up a batch.

    Outputs named ``whole`` have no batch axis: each answer is a row. Answers that do not fit together stay as the first
    one, whose shape then tells.
    """
    pieces: dict[str, list[Array]] = {}
    for start, answer in zip(range(0, count, batch), answers, strict=False):
        for name, array in answer.items():
            if name in whole:
                pieces.setdefault(name, []).append(array[None])
                continue
            fits = array.ndim > 0 and array.shape[0] == batch
            pieces.setdefault(name, []).append(array[: count - start] if fits else array)
    return {name: _joined(parts) for name, parts in pieces.items()}


def widened(golden: GoldenSet, other: GoldenSet) -> GoldenSet:
    """``golden`` with, for each output, the larger of both yardsticks: few inputs give a small one by chance."""
    yardstick = {name: max(value, other.yardstick.get(name, 0.0)) for name, value in golden.yardstick.items()}
    return dataclasses.replace(golden, yardstick=yardstick)


def _as_taken(array: Array, spec: TensorSpec) -> Array:
    """``(batch, ...)`` in the artifact's layout; floats in the float type that it declares (half precision)."""
    native = all(size in (-1, seen) for size, seen in zip(spec.shape[1:], array.shape[1:], strict=False))
    if spec.layout is not None and array.ndim == 4 and not native:
        array = array.transpose(_TO_NHWC if spec.layout is Layout.NHWC else _TO_NCHW)
    if array.dtype.kind == "f" and spec.dtype in ("float16", "float64"):
        return np.ascontiguousarray(array, np.dtype(spec.dtype))
    return np.ascontiguousarray(array)


def _joined(parts: list[Array]) -> Array:
    """Arrays ``(rows, ...)`` along their first axis; the first one alone where their other axes differ."""
    if any(part.ndim == 0 or part.shape[1:] != parts[0].shape[1:] for part in parts):
        return parts[0]
    return np.concatenate(parts)
