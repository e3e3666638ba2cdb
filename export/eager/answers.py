"""What a network answers in eager on samples, in float32 or float64, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from edgevit.arrays import Array
from edgevit.errors import ExportError
from edgevit.spec import ModelSpec
from export.eager.failures import failure
from export.eager.reference_mode import reference_mode
from export.stimuli import Floats, Samples

if TYPE_CHECKING:
    import torch
    from torch import nn

Watch = Callable[["nn.Module", int], AbstractContextManager[object]]


def _unwatched(model: nn.Module, start: int) -> AbstractContextManager[object]:
    return nullcontext()


def answers(
    model: nn.Module, spec: ModelSpec, samples: Samples, *, double: bool, watch: Watch = _unwatched
) -> dict[str, Floats]:
    """By output name, what ``model`` answers in eager: ``(count, *shape without batch)``.

    Args:
        model: An ``independent_copy``, in float64 if ``double``.
        spec: Names and shapes of its inputs and outputs.
        samples: One array per input.
        double: Run in float64 throughout.
        watch: What is entered around each run, with the position of its first sample.

    Raises:
        ExportError: It fails (names the line), or answers with other shapes than ``spec`` says.
    """
    import torch

    batch, whole = batch_of(spec), whole_outputs(spec)
    count = len(samples.labels)
    parts: list[list[Floats]] = [[] for _ in spec.outputs]
    for start in range(0, count, batch):
        chosen = [min(row, count - 1) for row in range(start, start + batch)]  # the last chunk repeats its last sample
        arguments = [_tensor(samples.arrays[tensor.name][chosen], double=double) for tensor in spec.inputs]
        try:
            with reference_mode(double=double), watch(model, start):
                results: tuple[torch.Tensor, ...] = model(*arguments)
        except Exception as error:
            raise failure(f"{spec.name} fails in {'float64' if double else 'float32'} eager", error) from error
        _check_shapes(results, spec)
        for part, result, tensor in zip(parts, results, spec.outputs, strict=True):
            rows = result[None] if tensor.name in whole else result
            part.append(rows.to(torch.float64).numpy()[: count - start])
    names = [tensor.name for tensor in spec.outputs]
    return {name: np.concatenate(part) for name, part in zip(names, parts, strict=True)}


def whole_outputs(spec: ModelSpec) -> tuple[str, ...]:
    """The outputs without a batch axis, such as a scalar or a table of anchors: whole answers to a batch of 1.

    Raises:
        ExportError: There are some, and the batch is larger: nobody could say which sample they belong to.
    """
    batch = batch_of(spec)
    whole = [tensor for tensor in spec.outputs if tensor.shape[:1] != (batch,)]
    if whole and batch > 1:
        raise ExportError(
            f"output '{whole[0].name}' of {spec.name} is {whole[0].shape}, without the batch axis of {batch} that the "
            "inputs have: no sample could be told from another in it",
            hint="use a batch of 1",
        )
    return tuple(tensor.name for tensor in whole)


def batch_of(spec: ModelSpec) -> int:
    """The size of the first axis that all inputs share."""
    sizes = {tensor.shape[:1] for tensor in spec.inputs}
    if len(sizes) != 1 or min(sizes) < (1,):
        shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in spec.inputs)
        raise ExportError(f"inputs of {spec.name} must share their first axis, the batch; seen: {shapes}")
    return sizes.pop()[0]


def _tensor(array: Array, *, double: bool) -> torch.Tensor:
    """``array`` as a tensor of its shape and dtype; floats in float64 if ``double``."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.double() if double and tensor.is_floating_point() else tensor


def _check_shapes(results: tuple[torch.Tensor, ...], spec: ModelSpec) -> None:
    seen = [tuple(result.shape) for result in results]
    expected = [tensor.shape for tensor in spec.outputs]
    if seen != expected:
        raise ExportError(f"{spec.name} answers with the shapes {seen}, its spec says {expected}")
