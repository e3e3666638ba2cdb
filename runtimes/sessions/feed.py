"""The strict check of what is about to be fed to a runtime: nothing is cast, reshaped or left out silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import SessionError
from edgevit.spec import TensorSpec


def check_feed(inputs: Sequence[TensorSpec], arrays: Mapping[str, NDArray[np.generic]], where: str) -> None:
    """Refuse arrays that do not fit ``inputs`` exactly; -1 axes of a spec accept any positive size.

    Args:
        inputs: What the artifact takes.
        arrays: What is about to be fed, by input name.
        where: The artifact, for messages, e.g. ``s.onnx (onnxruntime 1.31.1)``.

    Raises:
        SessionError: A name is missing or unknown, or an array has another dtype or shape.
    """
    expected = {spec.name for spec in inputs}
    if expected != set(arrays):
        raise SessionError(f"{where} takes inputs {_names(expected)}, but was given {_names(set(arrays))}")
    for spec in inputs:
        array = arrays[spec.name]
        if str(array.dtype) != spec.dtype:
            raise SessionError(f"{where}: input '{spec.name}' must be {spec.dtype}, but is {array.dtype}")
        if not shape_fits(spec.shape, array.shape):
            raise SessionError(
                f"{where}: input '{spec.name}' must have shape {shape_text(spec.shape)}, "
                f"but has {shape_text(array.shape)}"
            )


def shape_fits(expected: Sequence[int], seen: Sequence[int]) -> bool:
    """Whether ``seen`` has the rank of ``expected`` and its sizes, where -1 accepts any positive size."""
    return len(expected) == len(seen) and all(
        size == wanted or (wanted == -1 and size > 0) for wanted, size in zip(expected, seen, strict=True)
    )


def shape_text(shape: Sequence[int]) -> str:
    """A shape for people: ``(1, 3, 224, 224)``, free axes as ``?``."""
    return "(" + ", ".join("?" if size == -1 else str(size) for size in shape) + ")"


def _names(names: set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"
