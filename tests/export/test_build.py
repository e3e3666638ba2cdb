"""From program to committed artifact: what is written, and what goes wrong with converters and disks."""

import errno
import os
from pathlib import Path

import onnxruntime
import pytest
import torch
import torch.jit.mobile
from export_rig import ONNX, PTL, assert_whole, export_to
from small_models import conv_net, edgevit_xxs, two_inputs

from edgevit.errors import ExportError, UsageError
from edgevit.spec import Layout, Task
from export.build import export_artifact
from export.formats.ptl_file import write as to_ptl
from export.golden import load_golden
from export.manifest import (
    load_manifest,
)
from export.program import Program, capture
from export.recipe import Calibration, Format, Precision, Recipe


def test_exported_files_are_whole_and_alone(tmp_path: Path) -> None:
    manifests = export_to(tmp_path, PTL, ONNX)
    assert [path.name for path in manifests] == ["conv-net.ptl.json", "conv-net.onnx.json"]
    for path in manifests:
        manifest = load_manifest(path)
        assert_whole(path)
        assert manifest.recipe.format in {Format.PTL, Format.ONNX}
        assert manifest.tools["torch"].startswith("2.")
        assert len(load_golden(tmp_path / manifest.golden.file, manifest.golden)) == manifest.golden.inputs >= 16
    assert len(list(tmp_path.iterdir())) == 5  # two artifacts, two manifests, one golden set


@pytest.mark.parametrize(("format", "task"), [(Format.PTL, Task.FEATURES), (Format.ONNX, Task.CLASSIFY)])
def test_edgevit_fully_optimised_takes_camera_frames_in_any_batch(tmp_path: Path, format: Format, task: Task) -> None:
    model, spec = edgevit_xxs(task, size_px=64)
    recipe = Recipe(format=format, input_layout=Layout.NHWC, dynamic_batch=True)
    staged = export_artifact(capture(model, spec), recipe, tmp_path)
    assert staged.passes
    images = torch.randn(3, 64, 64, 3)
    if format is Format.PTL:
        result = torch.jit.mobile._load_for_lite_interpreter(str(staged.path))(images)
    else:
        result = torch.from_numpy(
            onnxruntime.InferenceSession(str(staged.path)).run(None, {"image": images.numpy()})[0]
        )
    torch.testing.assert_close(result, model(images.permute(0, 3, 1, 2)), rtol=1e-3, atol=1e-4)


def test_a_disk_that_fills_up_is_told_and_keeps_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (manifest,) = export_to(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(program: Program, recipe: Recipe, path: Path) -> None:
        path.write_bytes(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("converter gave up") from error

    monkeypatch.setattr(to_ptl, "write", full)
    with pytest.raises(ExportError, match="no room left"):
        export_to(tmp_path, seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert_whole(manifest)


def test_a_failing_converter_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(program: Program, recipe: Recipe, path: Path) -> None:
        os.write(2, b"native chatter\n")
        print("python chatter")
        raise RuntimeError("pass pipeline failed\nlots of detail")

    monkeypatch.setattr(to_ptl, "write", broken)
    with pytest.raises(ExportError) as caught:
        export_to(tmp_path)
    assert caught.value.message == "cannot write conv-net as ptl: pass pipeline failed"
    assert "native chatter" in caught.value.__notes__[0]
    assert "python chatter" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "chatter" not in "".join(capfd.readouterr())


def test_a_file_with_other_inputs_than_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = to_ptl.write
    monkeypatch.setattr(to_ptl, "write", lambda program, recipe, path: real(capture(*two_inputs()), recipe, path))
    with pytest.raises(ExportError, match=r"conv-net\.ptl has the inputs .*context"):
        export_to(tmp_path)


def test_equal_commands_give_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    for name in ("first", "second"):
        export_to(tmp_path / name, PTL, ONNX)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_two_recipes_of_one_format_stand_side_by_side_and_share_their_golden_set(tmp_path: Path) -> None:
    recipes = [
        Recipe(format=Format.ONNX),
        Recipe(format=Format.ONNX, opset=13, input_layout=Layout.NHWC),
        Recipe(format=Format.PTL, ptl_bytecode=7),
    ]
    manifests = export_to(tmp_path, *recipes)
    assert [path.name for path in manifests] == [
        "conv-net.onnx.json", "conv-net-nhwc-opset13.onnx.json", "conv-net-bytecode7.ptl.json",
    ]  # fmt: skip
    for path, recipe in zip(manifests, recipes, strict=True):
        assert_whole(path)
        assert load_manifest(path).recipe == recipe
    assert len({load_manifest(path).golden.file for path in manifests}) == 1
    assert len(list(tmp_path.iterdir())) == 7


def test_a_recipe_that_the_format_cannot_take_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opset 13 for ptl"):
        export_artifact(capture(*conv_net()), Recipe(format=Format.PTL, opset=13), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
@pytest.mark.parametrize("format", list(Format))
def test_a_full_disk_is_an_error_of_every_writer(tmp_path: Path, format: Format, precision: Precision) -> None:
    """The system's own: /dev/full has no room. A writer in native code may end the process instead."""
    recipe, (model, spec) = Recipe(format=format, precision=precision), conv_net()
    (tmp_path / recipe.file_name(spec.name)).symlink_to("/dev/full")
    with pytest.raises(ExportError, match=f"no room left in {tmp_path.parent}; what stands there is whole"):
        export_artifact(capture(model, spec), recipe, tmp_path)


class Masked(torch.nn.Module):
    """Adds a mask of numbers that half precision does not have, and takes it away again."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = torch.nn.Linear(3, 10)
        self.register_buffer("mask", torch.tensor([1e6, 0.0, 0.0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = image.mean((2, 3))
        answer: torch.Tensor = self.head(pooled + (pooled + self.mask) / self.mask.clamp_min(1.0))
        return answer


@pytest.mark.parametrize("format", [Format.PTL, Format.TFLITE])
def test_numbers_that_half_precision_does_not_have_are_refused_before_anything_is_judged(
    tmp_path: Path, format: Format
) -> None:
    spec = conv_net()[1]
    program = capture(Masked().eval(), spec)
    export_artifact(program, Recipe(format=format), tmp_path)
    with pytest.raises(ExportError) as caught:
        export_artifact(program, Recipe(format=format, precision=Precision.FP16), tmp_path)
    assert "NaN or Inf in fp16" in caught.value.message or "half precision has no such numbers" in caught.value.message
    assert caught.value.hint


def test_a_recipe_that_speaks_of_other_images_is_refused(tmp_path: Path) -> None:
    model, spec = conv_net()
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, calibration=Calibration(count=20, sha256="0" * 64))
    with pytest.raises(UsageError, match="speaks of other images"):
        export_artifact(capture(model, spec), recipe, tmp_path)


def test_int8_tells_what_torch_answers_and_what_became_of_each_layer(tmp_path: Path) -> None:
    model, spec = conv_net()
    staged = export_artifact(capture(model, spec), Recipe(format=Format.TFLITE, precision=Precision.INT8), tmp_path)
    assert staged.path.name == "conv-net-int8.tflite"
    assert staged.quantization is not None and staged.quantization.images == ()
    assert {layer.module for layer in staged.quantization.layers} == {"stem.0", "head"}
    assert staged.rounded["logits"].shape == (18, 10)
    plain = export_artifact(capture(model, spec), Recipe(format=Format.TFLITE), tmp_path)
    assert plain.rounded == {} and plain.quantization is None
    assert plain.path != staged.path
