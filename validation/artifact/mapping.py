"""Which tensor of a foreign file is which of the reference: by what the user says, by name, else by shape.

Shapes are without the batch. Sizes of -1 are free and fit every size; images may lie the other way round (NHWC), and
axes of size 1 may stand elsewhere, as after a pooling that keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgevit.errors import ArtifactError
from export.stimuli import Array

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_ORDERS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))  # as it is, channels first to last, channels last to first


def pair(kind: str, file: Shapes, reference: Shapes, asked: Mapping[str, str]) -> dict[str, str]:
    """The reference's name for each tensor of the file that has one.

    Args:
        kind: "input" or "output", for messages.
        file: Shapes of the file's tensors by name.
        reference: Shapes of the reference's.
        asked: What the user says, the reference's names by the file's; names of the other kind are passed over.

    Raises:
        ArtifactError: What was asked does not fit, or a tensor could be several: lists all names and shapes.
    """
    found = {name: asked[name] for name in file if name in asked}
    for name, other in found.items():
        if other not in reference or arranged_shape(reference[other], file[name]) is None:
            raise _refused(kind, file, reference, f"'{name}' cannot be '{other}'")
    for name in file:
        free = name in reference and name not in found and name not in found.values()
        if free and arranged_shape(reference[name], file[name]) is not None:
            found[name] = name
    while True:
        candidates = _candidates(file, reference, found)
        sure = {name: other for name, (other, *more) in candidates.items() if not more and _only(other, candidates)}
        if not sure:
            break
        found |= sure
    if candidates:
        other = next(iter(candidates.values()))[0]
        several = " and ".join(f"'{name}'" for name, others in candidates.items() if other in others)
        raise _refused(kind, file, reference, f"{several} could be '{other}'")
    return found


def arranged(array: Array, shape: Shape) -> Array:
    """``array`` ``(count, ...)`` with its axes behind the first as ``shape`` has them; the two must fit."""
    order = arranged_shape(array.shape[1:], shape)
    assert order is not None, f"{array.shape[1:]} does not fit {shape}"
    if isinstance(order, str):
        return array.reshape(len(array), *shape)
    return np.ascontiguousarray(array.transpose(0, *(axis + 1 for axis in order)))


def arranged_shape(shape: Shape, target: Shape) -> tuple[int, ...] | str | None:
    """The order of axes that makes ``target`` of ``shape``; "reshape" if only axes of 1 differ, None if it is none."""
    if _fits(shape, target):
        return tuple(range(len(shape)))
    if len(shape) == len(target) == len(_ORDERS[0]):
        for order in _ORDERS[1:]:
            if _fits(tuple(shape[axis] for axis in order), target):
                return order
    bare = [[size for size in sizes if size != 1] for sizes in (shape, target)]
    return "reshape" if bare[0] == bare[1] else None


def _fits(shape: Shape, target: Shape) -> bool:
    return len(shape) == len(target) and all(wanted in (-1, size) for size, wanted in zip(shape, target, strict=True))


def _candidates(file: Shapes, reference: Shapes, found: Mapping[str, str]) -> dict[str, list[str]]:
    """For each tensor of the file that has no partner yet, those of the reference that fit and are free."""
    free = [name for name in reference if name not in found.values()]
    fitting = {
        name: [other for other in free if arranged_shape(reference[other], file[name]) is not None]
        for name in file
        if name not in found
    }
    return {name: others for name, others in fitting.items() if others}


def _only(other: str, candidates: Mapping[str, list[str]]) -> bool:
    return sum(other in others for others in candidates.values()) == 1


def _refused(kind: str, file: Shapes, reference: Shapes, why: str) -> ArtifactError:
    return ArtifactError(
        f"{kind}s cannot be told apart: {why}; the file has {listed(file)}, the reference {listed(reference)}; "
        "say which is which by --map FILE_NAME=REFERENCE_NAME"
    )


def listed(shapes: Shapes) -> str:
    """Names and shapes for messages; free sizes as ``?``."""
    texts = [
        f"'{name}' {'x'.join('?' if n == -1 else str(n) for n in shape) or '()'}" for name, shape in shapes.items()
    ]
    return ", ".join(texts) or "none"
