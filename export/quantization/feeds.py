"""Samples as a program takes them, and its answers put together again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import numpy as np

from export.eager.answers import batch_of, whole_outputs
from export.program import TO_NHWC, Program
from export.stimuli import Floats, Samples

if TYPE_CHECKING:
    from torch import Tensor


def feeds_of(program: Program, samples: Samples, count: int | None = None) -> list[tuple[Tensor, ...]]:
    """The first ``count`` samples, all by default, as calls of ``program``; the last call repeats the last sample.

    Args:
        program: Captured or optimised, with a fixed batch.
        samples: One array per input of the spec, ``(count, *shape without batch)`` in its own layout.
        count: How many of them.
    """
    total, batch = min(count or len(samples.labels), len(samples.labels)), batch_of(program.spec)
    calls = []
    for start in range(0, total, batch):
        rows = [min(row, total - 1) for row in range(start, start + batch)]
        arrays = [samples.arrays[tensor.name][rows] for tensor in program.spec.inputs]
        calls.append(tuple(_as_taken(program, position, array) for position, array in enumerate(arrays)))
    return calls


def answers_of(program: Program, results: Iterable[object], count: int) -> dict[str, Floats]:
    """By output name ``(count, *shape without batch) float64``, from what ``program`` returned call by call."""
    whole = whole_outputs(program.spec)
    parts: dict[str, list[Floats]] = {tensor.name: [] for tensor in program.spec.outputs}
    for result in results:
        tensors = cast("tuple[Tensor, ...]", result if isinstance(result, tuple) else (result,))
        for name, tensor in zip(parts, tensors, strict=True):
            parts[name].append((tensor[None] if name in whole else tensor).double().numpy())
    return {name: np.concatenate(part)[:count] for name, part in parts.items()}


def _as_taken(program: Program, position: int, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    """``(batch, ...)`` of the input at ``position``, in the layout of the program."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    moved = program.inputs[position].layout is not program.spec.inputs[position].layout
    return tensor.permute(TO_NHWC).contiguous() if moved else tensor
