"""What cannot be met is refused before any work."""

from pathlib import Path

import msgspec
import pytest
from small_artifacts import small_net
from small_exports import small_spec
from torch import nn

from edgevit.errors import MissingDependencyError, UsageError
from edgevit.spec import Weights
from edgevit_export import export
from edgevit_export.workflows import export_request
from edgevit_export.workflows.export_request import check_request, whole_recipe, whole_recipes
from export.recipe import DEFAULT_OPSET, Format, Precision, Recipe


def test_limits_that_nothing_is_judged_by_are_refused(tmp_path: Path) -> None:
    for idle in ({"strict": True}, {"atol": 0.1}, {"images": tmp_path}):
        with pytest.raises(UsageError, match="nothing would be compared"):
            export(small_net(), small_spec(), ["onnx"], output=tmp_path / "out", verify=False, **idle)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_version_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose from 11 to 20"):
        export(small_net(), small_spec(), ["ptl", Recipe(format=Format.ONNX, opset=99)], output=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_static_int8_in_an_old_opset_is_refused_before_an_image_is_read(tmp_path: Path) -> None:
    recipes = ["ptl", "onnx", Recipe(format=Format.ONNX, precision=Precision.INT8, opset=12)]
    with pytest.raises(UsageError, match="opset 12 for static int8"):
        export(small_net(), small_spec(), recipes, output=tmp_path, calibration_data=tmp_path / "no such directory")
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_recipe_says_which_opset_was_meant() -> None:
    assert whole_recipe("onnx").opset == DEFAULT_OPSET
    assert whole_recipe(Recipe(format=Format.ONNX, opset=14)).opset == 14
    assert whole_recipe("ptl") == Recipe(format=Format.PTL)


def test_formats_are_one_or_several_in_a_list_or_a_text() -> None:
    onnx, ptl = whole_recipe("onnx"), whole_recipe("ptl")
    assert whole_recipes("onnx") == whole_recipes(Format.ONNX) == whole_recipes(Recipe(format=Format.ONNX)) == (onnx,)
    assert whole_recipes("onnx, ptl,onnx") == whole_recipes(["onnx", Format.PTL]) == (onnx, ptl)
    assert whole_recipes("") == ()
    with pytest.raises(UsageError, match="unknown format 'onx'") as caught:
        whole_recipes("onx,ptl")
    assert caught.value.hint == "did you mean 'onnx'?"


@pytest.mark.parametrize(
    ("recipes", "words"), [((), "no format to export"), (("ptl", "ptl"), r"same file twice in one export: MODEL\.ptl")]
)
def test_each_format_is_asked_for_once(recipes: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        check_request(tuple(whole_recipe(name) for name in recipes), tmp_path, verify=False)


def test_a_runtime_is_needed_only_to_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(format: Format) -> None:
        raise MissingDependencyError(f"cannot run {format}")

    monkeypatch.setattr(export_request, "require_runtime", missing)
    check_request((whole_recipe("ptl"),), tmp_path, verify=False)
    with pytest.raises(MissingDependencyError, match="cannot run ptl"):
        check_request((whole_recipe("ptl"),), tmp_path, verify=True)


def test_recipes_whose_files_differ_may_share_a_format(tmp_path: Path) -> None:
    recipes = tuple(whole_recipe(Recipe(format=Format.ONNX, opset=opset)) for opset in (17, 18))
    check_request(recipes, tmp_path, verify=False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "onnx", "opset": "18"}, "opset"),
        ({"format": Format.PTL, "optimize": "fast"}, "optimize"),
        ({"format": "tiff"}, "format"),
    ],
)
def test_a_recipe_that_holds_something_else_than_its_types_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=rf"is no recipe: .*{words}"):
        whole_recipe(Recipe(**fields))  # type: ignore[arg-type]
    assert whole_recipe(Recipe(format="ptl")).format is Format.PTL  # type: ignore[arg-type]


def test_prepacked_weights_need_a_runtime_that_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependencyError("no XNNPACK")

    monkeypatch.setattr(export_request, "require_xnnpack", missing)
    packed = (Recipe(format=Format.PTL, ptl_prepacked=True),)
    check_request((whole_recipe("ptl"),), tmp_path, verify=True)
    check_request(packed, tmp_path, verify=False)
    with pytest.raises(MissingDependencyError, match="no XNNPACK"):
        check_request(packed, tmp_path, verify=True)
    with pytest.raises(UsageError, match="prepacked weights for onnx: only ptl has them"):
        check_request((Recipe(format=Format.ONNX, ptl_prepacked=True),), tmp_path, verify=False)


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (lambda x: x, {}, "the network is a function, expected a torch.nn.Module"),
        (small_net(), {"weights": Weights(source="module", sha256="0" * 64)}, "the weights have the SHA-256"),
        (small_net(), {"outputs": small_spec().inputs}, "is the name of two tensors"),
    ],
)
def test_a_network_that_is_not_what_its_spec_says_is_refused_before_any_work(
    model: nn.Module, changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        export(model, msgspec.structs.replace(small_spec(), **changes), ["onnx"], output=tmp_path)
    assert list(tmp_path.iterdir()) == []
