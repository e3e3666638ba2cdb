"""Every format x variant x task, and the ablations: exported optimised, audited, and within the default limits."""

from pathlib import Path

import pytest

from edgevit.network.variants import VariantConfig
from edgevit.spec import Layout, Task
from edgevit_export import build_model, export
from export.manifest import load_manifest
from export.recipe import Format, Recipe

THREE = (Format.PTL, Format.ONNX, Format.TFLITE)
TINY = VariantConfig(name="tiny", channels=(8, 16, 24, 32), blocks=(1, 1, 1, 1), heads=(1, 2, 3, 4))


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("variant", ["xxs", "xs", "s"])
def test_every_variant_and_task_goes_through_every_format(variant: str, task: Task, tmp_path: Path) -> None:
    formats = Format if variant == "xxs" else THREE  # lowering to ExecuTorch takes as long as the rest together
    model, spec = build_model(variant, task=task, input_size=(64, 96))
    report = export(model, spec, formats, output=tmp_path)
    assert report.passed, [(outcome.verdict, outcome.reasons) for outcome in report.outcomes]
    for outcome in report.outcomes:
        assert outcome.file is not None
        manifest = load_manifest(Path(f"{outcome.file}.json"))
        assert [tensor.name for tensor in manifest.inputs] == ["image"]
        assert [tensor.name for tensor in manifest.outputs] == [tensor.name for tensor in spec.outputs]
        assert manifest.audit.passed


@pytest.mark.parametrize(
    ("delegate", "propagation", "aggregation", "formats"),
    [
        ("avg", "bilinear", True, tuple(Format)),
        ("max", "none", True, THREE),
        ("center", "transposed-conv", False, THREE),
    ],
)
def test_the_ablations_export_like_the_rest(
    delegate: str, propagation: str, aggregation: bool, formats: tuple[Format, ...], tmp_path: Path
) -> None:
    model, spec = build_model(
        TINY, delegate=delegate, propagation=propagation, aggregation=aggregation, num_classes=5, input_size=(64, 64)
    )
    report = export(model, spec, formats, output=tmp_path)
    assert report.passed, [(outcome.verdict, outcome.reasons) for outcome in report.outcomes]


def test_camera_frames_and_batches(tmp_path: Path) -> None:
    model, spec = build_model(TINY, num_classes=5, input_size=(64, 64), batch=2)
    recipes = [Recipe(format=format, input_layout=Layout.NHWC) for format in THREE]
    report = export(model, spec, recipes, output=tmp_path)
    assert report.passed, [(outcome.verdict, outcome.reasons) for outcome in report.outcomes]
    for outcome in report.outcomes:
        assert load_manifest(Path(f"{outcome.file}.json")).inputs[0].shape == (2, 64, 64, 3)
