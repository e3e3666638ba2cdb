"""ONNX files read back: operators, modules and requirements from the file alone."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from small_models import conv_net

from edgevit.errors import ArtifactError
from export.formats.onnx_file.read import read
from export.formats.onnx_file.write import write
from export.program import capture
from export.recipe import Format, Recipe

RECIPE = Recipe(format=Format.ONNX)


def test_foreign_operators_are_violations_with_their_module(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    nodes = [
        helper.make_node("FastGelu", ["x"], ["h"], name="/blocks/0/mlp/act/gelu/FastGelu", domain="com.microsoft"),
        helper.make_node("Gelu", ["h"], ["y"], name="Gelu_1"),
    ]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=imports, ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    foreign, too_new = sorted(
        read(tmp_path / "model.onnx").operators, key=lambda row: row.name != "com.microsoft::FastGelu"
    )
    assert (foreign.standard, foreign.modules) == (False, ("blocks.0.mlp.act",))
    assert foreign.why_not and "com.microsoft" in foreign.why_not
    assert (too_new.standard, too_new.why_not) == (False, "not in opset 17")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(capture(*conv_net()), RECIPE, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ArtifactError, match="cannot read"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match="no graph"):
        read(path)


def test_reading_imports_neither_torch_nor_onnx(tmp_path: Path) -> None:
    write(capture(*conv_net()), RECIPE, tmp_path / "model.onnx")
    code = (
        "import sys, pathlib; from export.formats.onnx_file.read import read;"
        "from export.formats.ptl_file.read import read as ptl;"
        "read(pathlib.Path(sys.argv[1])); assert not {'torch', 'onnx', 'google'} & sys.modules.keys()"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.onnx")], check=True, cwd=Path(__file__).parents[4]
    )
