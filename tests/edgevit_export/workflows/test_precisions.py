"""fp16 and int8 from the request to the verdict: what is written, what is refused, and what must not pass."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from export_rig import assert_whole
from msgspec import to_builtins
from PIL import Image
from small_artifacts import edit_manifest, reseal, small_net
from small_exports import small_spec

from edgevit.errors import UsageError
from edgevit_export import export, verify
from edgevit_export.api import ExportReport
from edgevit_export.workflows.verify import verify_against
from export.artifact import Manifest
from export.formats.table import read_artifact
from export.golden import load_golden
from export.int8.record import Scheme
from export.manifest import load_manifest, manifest_path
from export.recipe import Format, Precision, Recipe

ROOT = Path(__file__).resolve().parents[3]
FORMAT = Format.TFLITE
INT8, FP16 = Recipe(format=FORMAT, precision=Precision.INT8), Recipe(format=FORMAT, precision=Precision.FP16)


def save_photos(directory: Path, count: int, *, seed: int) -> Path:
    """Smooth pictures with the contrast of photos."""
    directory.mkdir()
    for row in range(count):
        coarse = np.random.default_rng([seed, row]).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((24, 24), Image.Resampling.BICUBIC).save(directory / f"{seed}-{row:02}.png")
    return directory


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_photos(tmp_path_factory.mktemp("images") / "calibration", 40, seed=1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    return export(small_net(), small_spec(), [INT8, FP16, Recipe(format=FORMAT)], output=tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory, images: Path) -> ExportReport:
    other = save_photos(images.parent / "others", 20, seed=2)
    output = tmp_path_factory.mktemp("static")
    return export(small_net(), small_spec(), INT8, output=output, calibration_data=images, images=other)


def file_of(report: ExportReport, precision: Precision) -> Path:
    (file,) = (outcome.file for outcome in report.outcomes if outcome.recipe.precision is precision)
    assert file is not None
    return Path(file)


def manifest_of(report: ExportReport, precision: Precision) -> Manifest:
    return load_manifest(manifest_path(file_of(report, precision)))


def test_several_precisions_at_once_are_written_proven_and_named(exported: ExportReport) -> None:
    assert exported.passed, [outcome.reasons for outcome in exported.outcomes]
    names = [Path(outcome.file or "").name for outcome in exported.outcomes]
    assert names == ["small-net-int8.tflite", "small-net-fp16.tflite", "small-net.tflite"]
    size = {outcome.recipe.precision: outcome.bytes or 0 for outcome in exported.outcomes}
    assert size[Precision.INT8] < size[Precision.FP16] < size[Precision.FP32]
    for outcome in exported.outcomes:
        assert outcome.parity is not None and outcome.parity.precision is outcome.recipe.precision
        assert (outcome.parity.rounded_sqnr_db is None) == (outcome.recipe.precision is Precision.FP32)
    directory = Path(exported.directory)
    assert [report.passed for report in verify(directory)] == [True] * 3
    for file in directory.glob("*.json"):
        assert_whole(file)


@pytest.mark.parametrize("precision", list(Precision))
def test_a_file_says_itself_which_runtime_its_precision_needs(exported: ExportReport, precision: Precision) -> None:
    facts = read_artifact(file_of(exported, precision), FORMAT)
    assert facts.requires == f"TFLite >= {facts.metadata['min_runtime_version']}"


def test_each_precision_has_a_golden_set_with_its_own_answers(exported: ExportReport) -> None:
    directory, rounded = Path(exported.directory), {}
    for precision in Precision:
        said = manifest_of(exported, precision).golden
        rounded[precision] = load_golden(directory / said.file, said).rounded.get("logits")
    assert rounded[Precision.FP32] is None
    half, eight = rounded[Precision.FP16], rounded[Precision.INT8]
    assert half is not None and eight is not None
    assert np.abs(half - eight).max() > 0


def test_static_int8_says_on_which_images_and_is_proven_on_others(static: ExportReport, images: Path) -> None:
    assert static.passed, static.outcomes[0].reasons
    manifest = manifest_of(static, Precision.INT8)
    found = manifest.recipe.calibration
    assert found is not None and found.count == 40
    assert manifest.file == f"small-net-int8-static-40-{found.sha256[:8]}.tflite"
    assert manifest.quantization is not None and len(manifest.quantization.images) == 40
    schemes = [layer.scheme for layer in manifest.quantization.layers]
    assert schemes.count(Scheme.STATIC) >= 6, "images were given: nothing is dynamic in silence"
    assert verify(Path(static.directory))[0].passed
    again = export(small_net(), small_spec(), INT8, output=images.parent / "again", calibration_data=images)
    assert manifest_of(again, Precision.INT8).sha256 == manifest.sha256, "equal images give equal bytes"


def test_the_images_of_the_calibration_prove_nothing(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="40 of its 40 images are among those of the calibration"):
        export(small_net(), small_spec(), INT8, output=tmp_path / "out", calibration_data=images, images=images)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("make_bad", ["black", "torn", "few"])
def test_bad_calibration_leaves_the_files_in_place_whole(exported: ExportReport, tmp_path: Path, make_bad: str) -> None:
    target = shutil.copytree(exported.directory, tmp_path / "target")
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    bad = save_photos(tmp_path / "bad", 3 if make_bad == "few" else 20, seed=5)
    if make_bad == "black":
        Image.new("RGB", (24, 24)).save(bad / "zz.png")
    if make_bad == "torn":
        (bad / "zz.png").write_bytes((bad / "5-00.png").read_bytes()[:60])
    with pytest.raises(UsageError, match="bad has 3 different" if make_bad == "few" else r"zz\.png"):
        export(small_net(), small_spec(), INT8, output=target, calibration_data=bad)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_requests_that_mean_nothing_are_refused(images: Path, tmp_path: Path) -> None:
    model, spec = small_net(), small_spec()
    with pytest.raises(UsageError, match="--calibration-data without int8"):
        export(model, spec, FP16, output=tmp_path, calibration_data=images)
    with pytest.raises(UsageError, match="are for int8, the recipe is fp16"):
        export(model, spec, msgspec.structs.replace(FP16, keep_float=("head",)), output=tmp_path)
    calibrated = msgspec.structs.replace(INT8, calibration=None, keep_float=("nothing",))
    report = export(model, spec, calibrated, output=tmp_path)
    assert report.outcomes[0].verdict == "error" and "fits none of the 8 layers" in report.outcomes[0].reasons[0]
    every = export(model, spec, msgspec.structs.replace(INT8, keep_float=("*",)), output=tmp_path)
    assert every.outcomes[0].verdict == "error" and "has nothing that tflite" in every.outcomes[0].reasons[0]
    assert not list(tmp_path.glob("*.tflite")), "never a float file with the name of int8"


def copied(report: ExportReport, precision: Precision, directory: Path) -> Path:
    """The manifest of a copy."""
    return shutil.copytree(report.directory, directory) / manifest_path(file_of(report, precision)).name


def failures(path: Path) -> dict[str, str]:
    (report,) = verify(path)
    return {check.name: " ".join(check.details) for check in report.failed_checks}


def test_a_float_file_in_the_place_of_an_int8_one_fails(exported: ExportReport, tmp_path: Path) -> None:
    path = copied(exported, Precision.INT8, tmp_path / "copy")
    shutil.copyfile(file_of(exported, Precision.FP32), path.with_name(load_manifest(path).file))
    reseal(path)
    found = failures(path)
    assert "weights were to be int8, but the file has 0" in found["audit"]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Another network's."""
    return export(small_net(seed=1), small_spec(), INT8, output=tmp_path_factory.mktemp("other"))


@pytest.fixture
def swapped(exported: ExportReport, other: ExportReport, tmp_path: Path) -> Path:
    """The manifest of a copy whose int8 file and layers are the other network's; its hashes are to be mended."""
    path = copied(exported, Precision.INT8, tmp_path / "copy")
    shutil.copyfile(file_of(other, Precision.INT8), path.with_name(load_manifest(path).file))
    edit_manifest(path, quantization=to_builtins(manifest_of(other, Precision.INT8).quantization))
    return path


def test_weights_of_another_network_are_a_fault_of_the_conversion(swapped: Path) -> None:
    """A file that converts, loads and is 35 dB off, as shared biases once made it."""
    reseal(swapped)
    assert "a fault of the conversion, no quantisation noise" in failures(swapped)["parity"]


def test_answers_of_torch_that_a_stranger_wrote_excuse_nothing(swapped: Path) -> None:
    golden = swapped.with_name(load_manifest(swapped).golden.file)
    with np.load(golden) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["rounded/logits"] = -arrays["rounded/logits"]
    np.savez(golden, **arrays)
    reseal(swapped)
    assert "but the same answer to every input reaches" in failures(swapped)["parity"]


def test_fewer_images_in_the_record_than_the_ranges_were_taken_on_are_told(
    static: ExportReport, tmp_path: Path
) -> None:
    path = copied(static, Precision.INT8, tmp_path / "copy")
    record = manifest_of(static, Precision.INT8).quantization
    assert record is not None
    edit_manifest(path, quantization__images=list(record.images[:-1]))
    assert "records 39 images of a calibration" in failures(path)["record"]


def test_a_record_without_layers_is_told(exported: ExportReport, tmp_path: Path) -> None:
    path = copied(exported, Precision.INT8, tmp_path / "copy")
    edit_manifest(path, quantization__layers=[])
    assert "0 weights were to be int8" in failures(path)["audit"]
    edit_manifest(path, quantization=None)
    assert "records no layers" in failures(path)["record"]


def test_a_manifest_of_before_precisions_is_still_read(exported: ExportReport, tmp_path: Path) -> None:
    path = copied(exported, Precision.FP32, tmp_path / "copy")
    data = msgspec.json.decode(path.read_bytes())
    del data["quantization"], data["parity"]["precision"], data["parity"]["rounded_sqnr_db"]
    for field in ("calibration", "keep_float", "reach_sqnr_db", "reach_agreement"):
        del data["recipe"][field]
    path.write_bytes(msgspec.json.encode(data))
    assert failures(path) == {}
    data["schema_version"] = 99
    path.write_bytes(msgspec.json.encode(data))
    assert set(failures(path)) == {"manifest"}


def test_int8_from_elsewhere_is_judged_by_the_floor_of_int8(exported: ExportReport, tmp_path: Path) -> None:
    """A file without a manifest is what most of its weights are; the reference's float32 yardsticks would refuse it."""
    stranger = tmp_path / "theirs.tflite"
    shutil.copyfile(file_of(exported, Precision.INT8), stranger)
    (report,) = verify_against(stranger, reference=file_of(exported, Precision.FP32))
    assert report.passed, report.failed_checks
    (audited,) = (check for check in report.checks if check.name == "audit")
    assert audited.details == ("judged as int8, which most of its weights are: SQNR 15 dB or more",)
    other = export(small_net(seed=1), small_spec(), INT8, output=tmp_path / "other")
    (report,) = verify_against(file_of(other, Precision.INT8), reference=file_of(exported, Precision.FP32))
    assert [check.name for check in report.failed_checks] == ["parity"]


KILLED = """
import sys, threading, os, signal
from small_artifacts import small_net
from small_exports import small_spec
from edgevit_export import export
from export.recipe import Format, Precision, Recipe
import export.quantization.simulate as simulate
import edgevit_export.workflows.export as workflow
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
place = sys.argv[2]
if place == "simulation": simulate.simulated = killed
if place == "commit": workflow.commit = killed
export(small_net(seed=1), small_spec(), Recipe(format=Format.TFLITE, precision=Precision.INT8), output=sys.argv[1])
"""


@pytest.mark.parametrize("place", ["simulation", "commit"])
def test_an_export_that_is_killed_leaves_the_earlier_files_whole(
    exported: ExportReport, tmp_path: Path, place: str
) -> None:
    target = shutil.copytree(exported.directory, tmp_path / "target")
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    command = [sys.executable, "-c", KILLED, str(target), place]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(command, check=False, timeout=120, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    after = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file() and path.name[0] != "."}
    assert after == before
