"""Elementwise functions, reductions and norms in each runtime, on inputs that no golden set holds: large, zero, signed.

Compared with eager in float64 by what eager in float32 is off on the very same inputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from wide_functions import FUNCTIONS, SCALES, inputs

from edgevit.errors import EdgevitExportError
from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.build import export_artifact
from export.program import capture
from export.recipe import Format, Optimize, Recipe
from export.staging import staging
from runtimes.sessions.table import open_session

ALLOWED = 8
"""Yardsticks, as the verification allows; see ``validation.artifact.limits``."""
LEAST_STEPS = 2
"""A yardstick is at least so many float32 steps at the output's largest value, as those of golden sets are."""
REFUSED: dict[Format, tuple[str, ...]] = {
    Format.PTL: (),
    Format.ONNX: (
        "erfc", "exp2", "sinh", "cosh", "asinh", "acosh", "atanh", "sinc", "trunc", "frac", "logcumsumexp",
        "logaddexp", "hypot", "xlogy",
    ),
    Format.TFLITE: ("erfc", "exp2", "logcumsumexp", "hypot"),
    Format.PTE: ("erfc", "exp2", "logcumsumexp", "hypot"),
}  # fmt: skip
WRONG: dict[Format, set[str]] = {
    Format.PTL: set(),
    Format.ONNX: {"log_of_sigmoid"},
    Format.TFLITE: {"exp", "expm1", "cosh", "sinh", "tan", "log_of_softmax"},
    Format.PTE: {"exp", "log_of_softmax"},
}
"""What the kernels of a runtime do less well than torch's where values are large; docs/networks.md says how far."""
TOGETHER = 80
"""Functions of one network; the reader of TorchScript lite believes no longer list of outputs than about 100."""


class Several(nn.Module):
    """The answers of several functions; the sum needs both inputs whatever they need."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return (*(FUNCTIONS[name](x, y) for name in self.names), x + y)


def _spec(model: Several) -> ModelSpec:
    x, y = inputs(1.0)
    results = model(x, y)
    return ModelSpec(
        name="wide",
        variant="wide",
        task=Task.FEATURES,
        inputs=tuple(TensorSpec(name=name, shape=tuple(x.shape), dtype="float32") for name in "xy"),
        outputs=tuple(
            TensorSpec(name=f"o{at}", shape=tuple(result.shape), dtype="float32") for at, result in enumerate(results)
        ),
        weights=Weights(source="random", seed=0),
    )


def _answers(names: list[str], recipe: Recipe, directory: Path) -> list[dict[str, np.ndarray]]:
    """By scale, what the file that ``recipe`` asks for answers, by function."""
    model = Several(names).eval()
    spec = _spec(model)
    with staging(directory) as stage:
        path = export_artifact(capture(model, spec), recipe, stage).path
        session = open_session(path, recipe.format, inputs=spec.inputs)
        runs = [session.run(dict(zip("xy", map(Tensor.numpy, inputs(scale)), strict=True))) for scale in SCALES]
        session.close()
    return [{name: run[f"o{at}"] for at, name in enumerate(names)} for run in runs]


def _is_right(name: str, answer: np.ndarray, scale: float) -> bool:
    x, y = inputs(scale)
    single = FUNCTIONS[name](x, y).double().numpy()
    double = FUNCTIONS[name](x.double(), y.double()).double().numpy()
    known = np.isfinite(single) & np.isfinite(double)
    if not known.any():
        return True
    step = float(np.spacing(np.float32(np.abs(double[known]).max())))
    yardstick = max(float(np.abs(single - double)[known].max()), LEAST_STEPS * step)
    # NaN is never within it
    return bool((np.abs(answer - double)[known] <= ALLOWED * yardstick).all())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("format", "optimize"), [*((format, Optimize.FULL) for format in Format), (Format.ONNX, Optimize.NONE)]
)
def test_functions_are_right_far_from_the_golden_inputs(format: Format, optimize: Optimize, tmp_path: Path) -> None:
    names = [name for name in FUNCTIONS if name not in REFUSED[format]]
    wrong = {
        name
        for first in range(0, len(names), TOGETHER)
        for scale, answers in zip(
            SCALES,
            _answers(names[first : first + TOGETHER], Recipe(format=format, optimize=optimize), tmp_path),
            strict=True,
        )
        for name, answer in answers.items()
        if not _is_right(name, answer, scale)
    }
    assert wrong == WRONG[format]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("format", "name"), [(format, name) for format in Format for name in REFUSED[format]])
def test_what_a_format_lacks_is_refused(format: Format, name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    with pytest.raises(EdgevitExportError):
        _answers([name], Recipe(format=format), tmp_path)
