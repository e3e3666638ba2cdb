"""A trained network in every format and precision, by the command line, judged on real photos."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fashion import CHECKPOINT, CONFIG, MEAN, SIDE, STD, pixels, prepared, save_photos

from export.int8.record import Scheme
from export.manifest import load_manifest, manifest_path
from runtimes.sessions.table import open_session

HELD_OUT = 300
FORMATS = ("ptl", "onnx", "tflite", "pte")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgevit_export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("photos")
    return {
        "calibration": save_photos(pixels("train")[:32], root / "calibration"),
        "held out": save_photos(pixels("test")[:60], root / "held-out"),
    }


@pytest.fixture(scope="module", params=FORMATS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, photos: dict[str, Path]) -> Path:
    output = tmp_path_factory.mktemp(request.param)
    done = run(
        "--config", CONFIG, "--checkpoint", CHECKPOINT, "--input-size", SIDE, "--mean", MEAN, "--std", STD,
        "--format", request.param, "--precision", "fp32,int8", "--calibration-data", photos["calibration"],
        "--images", photos["held out"], "--quantize-report", "--output", output,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "static" in done.stdout and "blocks1.0" in done.stdout, "the report lists the layers"
    return output


def int8_of(directory: Path) -> Path:
    (found,) = (path for path in directory.glob("*-int8-static-32-*") if path.suffix != ".json")
    return found


def test_static_int8_has_its_images_in_name_and_manifest_and_a_third_of_the_bytes(exported: Path) -> None:
    artifact = int8_of(exported)
    manifest = load_manifest(manifest_path(artifact))
    (plain,) = (path for path in exported.glob("*-64x64.*") if path.suffix not in {".json", ".npz"})
    assert manifest.recipe.calibration is not None and manifest.recipe.calibration.count == 32
    assert manifest.recipe.calibration.sha256[:8] in artifact.name
    assert manifest.quantization is not None and len(manifest.quantization.images) == 32
    assert any(layer.scheme is Scheme.STATIC for layer in manifest.quantization.layers)
    assert artifact.stat().st_size < 0.4 * plain.stat().st_size


def test_static_int8_is_as_good_as_the_network_on_images_that_it_never_saw(exported: Path) -> None:
    artifact = int8_of(exported)
    images = next(iter(prepared(pixels("test")[60 : 60 + HELD_OUT]).arrays.values()))
    session = open_session(artifact, load_manifest(manifest_path(artifact)).recipe.format)
    name = session.inputs[0].name
    answers = [next(iter(session.run({name: image[None]}).values())) for image in images]
    session.close()
    right = (np.concatenate(answers).argmax(1) == pixels("labels")[60 : 60 + HELD_OUT]).mean()
    assert right > 0.85, "the network itself is right on 88 %"


def test_verify_takes_held_out_photos_and_refuses_those_of_the_calibration(
    exported: Path, photos: dict[str, Path]
) -> None:
    artifact = int8_of(exported)
    good = run("verify", artifact, "--images", photos["held out"], "--checkpoint", CHECKPOINT, "--json")
    assert good.returncode == 0, good.stderr
    (report,) = json.loads(good.stdout)["artifacts"]
    assert report["parity_extra"]["passed"] and report["parity_extra"]["inputs_compared"] == 60
    refused = run("verify", artifact, "--images", photos["calibration"], "--checkpoint", CHECKPOINT)
    assert refused.returncode == 2
    assert "32 of its 32 images are among those of the calibration" in refused.stderr


def test_what_the_manifest_says_of_layers_is_held_against_the_file(exported: Path, tmp_path: Path) -> None:
    artifact, directory = int8_of(exported), tmp_path / "changed"
    shutil.copytree(exported, directory)
    manifest = manifest_path(directory / artifact.name)
    said = json.loads(manifest.read_text())
    said["quantization"]["layers"][0]["sqnr_db"] = 60.0
    manifest.write_text(json.dumps(said))
    done = run("verify", manifest)
    assert done.returncode == 1
    assert "failed: contents" in done.stdout and "'layers'" in done.stderr
