"""Sessions and golden sets for tests of verdicts: a runtime is here any function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgevit.spec import TensorSpec
from export.golden import GoldenSet
from runtimes.sessions.session import Session

Array = NDArray[np.generic]
Function = Callable[[dict[str, Array]], dict[str, Array]]


def golden_set(
    inputs: Mapping[str, Array], outputs: Mapping[str, Array], yardstick: float | Mapping[str, float] = 1e-6
) -> GoldenSet:
    """A golden set with labels ``input-0``, ``input-1``...; one yardstick for all outputs or one each."""
    count = len(next(iter(inputs.values())))
    sticks = yardstick if isinstance(yardstick, Mapping) else dict.fromkeys(outputs, yardstick)
    return GoldenSet(
        labels=tuple(f"input-{i}" for i in range(count)),
        inputs=dict(inputs),
        outputs={name: np.asarray(array, np.float64) for name, array in outputs.items()},
        yardstick=dict(sticks),
    )


class FunctionSession(Session):
    """A session that answers with a Python function and remembers the batch sizes that it was fed."""

    runtime = "numpy"

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...], function: Function) -> None:
        self.inputs = tuple(TensorSpec(name=name, shape=shape) for name, shape in inputs.items())
        self.outputs = tuple(TensorSpec(name=name, shape=(-1,)) for name in outputs)
        self.fed: list[int] = []
        self.closed = False
        self._function = function

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        for spec in self.inputs:
            wanted = tuple(arrays[spec.name].shape[0] if i == 0 and n == -1 else n for i, n in enumerate(spec.shape))
            assert arrays[spec.name].shape == wanted
        self.fed.append(len(next(iter(arrays.values()))))
        return self._function(arrays)

    def close(self) -> None:
        self.closed = True
