"""``doctor``: what can be done here, and what to install for the rest."""

import json
from pathlib import Path

import pytest
from broken_runtime import install_for_another_numpy
from native_rig import library

from edgevit.errors import MissingDependencyError
from edgevit.installation import install_extra, install_packages
from edgevit.sources import timm_installed
from edgevit_export.__main__ import run
from runtimes.runners.native import compilers
from runtimes.runners.native.store import keep_library
from runtimes.sessions import table


def test_doctor_tells_what_can_be_done(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    abilities = {ability["what"]: ability for ability in found["abilities"]}
    assert abilities["export onnx"]["able"] is True
    assert "torch" in found["packages"]
    for ability in abilities.values():
        assert ability["able"] or ability["install"]


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    real = table.find_spec
    monkeypatch.setattr(table, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    assert run(["doctor"]) == 0
    out = capfd.readouterr().out.splitlines()
    row, to = (line for line in out if "run and verify onnx" in line)
    assert "no" in row and "onnxruntime is not installed" in row
    assert (to, out[out.index(to) + 1]) == ("to run and verify onnx:", f"  {install_extra('verify')}")


def test_a_runtime_that_can_only_be_imported_is_no_ability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install_for_another_numpy(tmp_path, monkeypatch)
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    (ability,) = (row for row in found["abilities"] if row["what"] == "run and verify tflite")
    assert ability["able"] is False
    assert ability["reason"] == (
        "tflite-runtime is installed, but cannot be used: it was built for an older numpy: "
        "ImportError: numpy.core.multiarray failed to import"
    )
    assert ability["install"] == install_packages("numpy<2")


def native_part(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of native runners, and that a machine is no worse for it."""
    assert run(["doctor"]) == 0
    whole, _, told = capfd.readouterr().out.partition("\nnative runners ")
    assert "native" not in whole, "they are optional, and no ability that a machine lacks"
    return told.splitlines()


def test_without_native_runners_nothing_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "none"))
    for variable in compilers.NDK_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(compilers.shutil, "which", lambda name: None if "aarch64" in name else f"/usr/bin/{name}")
    first, *others = native_part(capfd)
    assert first == f"(optional, for devices without Python): none is in {tmp_path / 'none'}"
    assert others[:2] == ["to see what a device lacks:", "  edgevit-export devices --setup"]
    cross = others.index(
        "native runners cannot be built here for aarch64-linux: 'aarch64-linux-gnu-g++' is not installed"
    )
    assert others[cross + 1] == "  apt-get install g++-aarch64-linux-gnu"
    (ndk,) = (line for line in others if "no NDK of Android was named" in line)
    assert "arm64-v8a, armeabi-v7a, x86_64:" in ndk
    assert not any(word in line for line in others for word in ("broken", "missing", "error"))


def test_native_runners_are_told_with_what_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))
    made = library(tmp_path / "made", "onnxruntime", "1.31.1", "libonnxruntime.so")
    kept = keep_library(made.record, made.paths)
    told = native_part(capfd)
    assert any(line.split() == ["x86_64-linux", "-", "yes", "-", "onnxruntime", "1.31.1"] for line in told)
    build = "edgevit-export runner build --abi x86_64-linux"
    assert told[told.index("to complete those for x86_64-linux:") + 1] == f"  {build}"
    assert not any("devices --setup" in line for line in told)
    kept.main.write_bytes(b"damaged")
    told = native_part(capfd)
    assert any(line.startswith("onnxruntime for x86_64-linux: ") and "its record says" in line for line in told)
    fetch = "edgevit-export runner fetch --abi x86_64-linux --format onnx"
    assert told[told.index("to complete those for x86_64-linux:") + 1] == f"  {fetch} && {build}"
    assert run(["doctor", "--json"]) == 0
    abis = {each["abi"]: each for each in json.loads(capfd.readouterr().out)["native_runners"]["abis"]}
    assert (abis["x86_64-linux"]["mend"], abis["aarch64-linux"]["mend"]) == (f"{fetch} && {build}", "")
    assert [row["name"] for row in abis["x86_64-linux"]["stored"]] == ["onnxruntime"]


def test_timm_is_there_where_its_torchvision_fits(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def row() -> dict[str, object]:
        assert run(["doctor", "--json"]) == 0
        found = json.loads(capfd.readouterr().out)
        (ability,) = (row for row in found["abilities"] if row["what"] == "build timm's networks")
        return dict(ability)

    def missing() -> None:
        raise MissingDependencyError("cannot use timm's networks: torchvision is not installed", extra="timm")

    def broken() -> None:
        raise KeyError("half an update")

    for stands_in, able, reason in (
        (lambda: None, True, ""),
        (missing, False, "torchvision is not installed"),
        (broken, False, "timm is broken: KeyError: 'half an update'"),
    ):
        monkeypatch.setattr(timm_installed, "timm_module", stands_in)
        found = row()
        assert (found["able"], found["reason"], bool(found["install"])) == (able, reason, not able)
