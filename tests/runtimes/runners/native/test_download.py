"""Downloads: what pip and Maven are asked for, and what is said where they fail."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata as installed
from pathlib import Path

import pytest
from fake_wheels import metadata, packed, stand_in

from edgevit.errors import FailureError, MissingDependencyError
from export.recipe import Format
from runtimes.runners.native import download as module
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.download import download, download_wheel, installed_at, installed_version
from runtimes.runners.native.runtimes_table import NATIVE

HERE = next(abi for abi in ABIS.values() if abi.is_here)
ARM, PHONE = ABIS["aarch64-linux"], ABIS["arm64-v8a"]
ONNX, PTE = NATIVE[Format.ONNX], NATIVE[Format.PTE]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels instead of the index, for the real pip."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def offer(index: Path, package: str, version: str, tags: str) -> None:
    name = package.replace("-", "_")
    wheel = f"Wheel-Version: 1.0\nTag: {tags}\n"
    packed(
        index / f"{name}-{version}-{tags}.whl",
        {**metadata(package, version), f"{name}-{version}.dist-info/WHEEL": wheel},
    )


def test_pip_takes_the_wheel_of_the_device_and_not_of_this_host(index: Path, tmp_path: Path) -> None:
    version = installed.version("onnxruntime")
    for tags in (
        "cp311-cp311-manylinux_2_28_aarch64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp312-cp312-manylinux_2_28_aarch64",
    ):
        offer(index, "onnxruntime", version, tags)
        offer(index, "onnxruntime", "99.0", tags)
    (tmp_path / "a").mkdir()
    assert (
        download(ARM, ONNX, None, tmp_path / "a").name
        == f"onnxruntime-{version}-cp311-cp311-manylinux_2_28_aarch64.whl"
    )
    (tmp_path / "b").mkdir()
    assert download(ARM, ONNX, "99.0", tmp_path / "b").name == "onnxruntime-99.0-cp311-cp311-manylinux_2_28_aarch64.whl"


def test_what_this_python_does_not_have_is_the_newest_of_its_stable_interface(index: Path, tmp_path: Path) -> None:
    for version in ("1.3.0", "1.4.0"):
        offer(index, "executorch-numpy-runtime", version, "cp312-abi3-manylinux_2_27_aarch64.manylinux_2_28_aarch64")
    assert "-1.4.0-" in download(ARM, PTE, None, tmp_path).name


def test_what_is_not_there_is_said_in_pips_words(index: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FailureError, match=r"pip could not download onnxruntime==0\.1 for aarch64-linux; it printed"
    ) as caught:
        download(ARM, ONNX, "0.1", tmp_path)
    assert "No matching distribution" in caught.value.message and "--from FILE.whl" in str(caught.value.hint)


def test_without_pip_the_command_that_brings_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="this Python has no pip") as caught:
        download_wheel(ARM, "x", "3.11", tmp_path)
    assert caught.value.hint == f"{sys.executable} -m ensurepip"


def test_maven_is_asked_for_the_aar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    stand_in(
        tmp_path / "bin" / "mvn",
        f'echo "$@" > {tmp_path}/asked\n'
        'for word; do case $word in -DoutputDirectory=*) : > "${word#*=}/a-1.aar";; esac; done',
    )
    assert download(PHONE, ONNX, "1.23.2", tmp_path).name == "a-1.aar"
    asked = (tmp_path / "asked").read_text().split()
    assert "-Dartifact=com.microsoft.onnxruntime:onnxruntime-android:1.23.2:aar" in asked and "dependency:copy" in asked
    (tmp_path / "a-1.aar").unlink()
    download(PHONE, PTE, None, tmp_path)
    assert "-Dartifact=org.pytorch:executorch-android:LATEST:aar" in (tmp_path / "asked").read_text().split()
    stand_in(tmp_path / "bin" / "mvn", "echo 'Could not resolve host'; exit 1")
    with pytest.raises(FailureError, match="Maven could not fetch") as caught:
        download(PHONE, ONNX, "1.0", tmp_path)
    assert "Could not resolve host" in caught.value.message and "--from FILE.aar" in str(caught.value.hint)
    stand_in(tmp_path / "bin" / "mvn", "exit 0")
    (tmp_path / "a-1.aar").unlink()
    with pytest.raises(FailureError, match="it left 0 files"):
        download(PHONE, ONNX, "1.0", tmp_path)


def test_without_maven_the_aar_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"Maven \(mvn\) is not installed") as caught:
        download(PHONE, ONNX, "1.23.2", tmp_path)
    assert "com.microsoft.onnxruntime:onnxruntime-android:1.23.2" in str(caught.value.hint)


def test_the_version_is_that_of_this_host() -> None:
    told = subprocess.check_output(
        [sys.executable, "-c", "import onnxruntime; print(onnxruntime.__version__)"], text=True
    )
    assert installed_version(ONNX) == told.strip()
    assert installed_version(PTE) is None
    seen = installed_at(HERE, ONNX, None)
    assert seen is not None and seen.version == told.strip() and (seen.folder / "onnxruntime").is_dir()
    assert installed_at(HERE, ONNX, told.strip()) == seen
    assert installed_at(HERE, ONNX, "0.1") is None and installed_at(PHONE, ONNX, None) is None
