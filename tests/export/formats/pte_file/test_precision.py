"""A file that is not what its name would say is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pass_rig import captured
from pte_plans import planned
from torch import nn

from edgevit.errors import ExportError
from export.formats.pte_file.contents import PteFile, parse
from export.formats.pte_file.precision import require_precision
from export.formats.pte_file.write import write
from export.int8.record import Scheme
from export.program import Program
from export.quiet import quiet
from export.recipe import Format, Precision, Recipe


def both(tmp_path: Path) -> tuple[Program, PteFile]:
    """A program with a plan, and its file in float."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).eval().requires_grad_(False)
    program = captured(network, (1, 4), torch.float32)
    with quiet():
        write(program, Recipe(format=Format.PTE), tmp_path / "float.pte")
    return planned(program, Scheme.STATIC, torch.randn(4, 4)), parse(tmp_path / "float.pte")


def test_a_float_file_is_no_int8_file_and_none_in_half_precision(tmp_path: Path) -> None:
    program, file = both(tmp_path)
    with pytest.raises(ExportError, match=r"not int8 as asked for: of 2 static layers the delegate has 0 \(in 0, 2\)$"):
        require_precision(program, Precision.INT8, file)
    with pytest.raises(ExportError, match="no weight of sample in half precision"):
        require_precision(program, Precision.FP16, file)
    require_precision(program, Precision.FP32, file)


def test_dynamic_is_not_static(tmp_path: Path) -> None:
    program, _ = both(tmp_path)
    recipe = Recipe(format=Format.PTE, precision=Precision.INT8)
    with quiet():
        write(program, recipe, tmp_path / "static.pte")
    file = parse(tmp_path / "static.pte")
    require_precision(program, Precision.INT8, file)
    with pytest.raises(ExportError, match=r"of 2 dynamic layers the delegate has 0 \(in 0, 2\), of 0 static .* has 2"):
        require_precision(planned(program, Scheme.DYNAMIC, torch.randn(4, 4)), Precision.INT8, file)
