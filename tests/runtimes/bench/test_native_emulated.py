"""Benches on emulated aarch64 devices without Python, reached through the real adb client and daemon.

The emulator's speed is no device's; what is tested is that the files run there and give the right outputs.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from adbd_rig import AdbRig
from bench_rig import measure
from emulated import Kind, emulated
from native_rig import like_python, network, use_runners

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.bench.record import DeviceRun
from runtimes.conditions.state import read_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.runners.choose import runner_options

pytestmark = pytest.mark.usefixtures("state_dir")

ABI = "aarch64-linux"
FORMATS = [Format.ONNX, Format.TFLITE, Format.PTE]


def run_on(device: AdbDevice, format: Format, directory: Path, *, runner: str, whole: bool = True) -> DeviceRun:
    subject = network(format, whole=whole)
    asked = {"runs": 2, "rounds": 1, "timeout_s": 300.0, "python": "python3", "runner": runner}
    (run,) = measure(device, [subject], directory, judge=like_python, **asked).runs
    return run


@pytest.mark.parametrize("format", FORMATS)
def test_every_golden_output_is_right_on_aarch64(
    adb_rig: AdbRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    """A whole EdgeViT-XXS; nobody asked for the native runner: it is what there is without Python."""
    use_runners(monkeypatch, ABI, format)
    with emulated(adb_rig, tmp_path / "device") as device:
        run = run_on(device, format, tmp_path / "out", runner="auto")
    assert run.failure is None and run.runner == "native"
    (only,) = run.rounds
    assert only.verification.status == "passed", only.verification.reason
    assert only.before.abi == "aarch64" and only.measured.stamped and only.measured.peak_memory_bytes


@pytest.mark.parametrize("format", FORMATS)
def test_a_phone_without_an_ndk_build_runs_it_with_a_glibc_of_its_own(
    adb_rig: AdbRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    use_runners(monkeypatch, ABI, format, own_glibc=True)
    with emulated(adb_rig, tmp_path / "device", Kind.PHONE) as device:
        run = run_on(device, format, tmp_path / "out", runner="native-glibc", whole=False)
    assert run.failure is None and run.runner == "native-glibc"
    assert run.rounds[0].verification.status == "passed" and run.rounds[0].before.android_version == "13"


def test_a_phone_is_told_the_one_command_that_is_missing(
    adb_rig: AdbRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "none"))
    with emulated(adb_rig, tmp_path / "device", Kind.PHONE) as device:
        found = runner_options(device, read_state(device), python=None, tools_dir=None, formats=[Format.ONNX]).options
        run = run_on(device, Format.ONNX, tmp_path / "out", runner="native", whole=False)
    native = next(option for option in found.options if option.runner == "native")
    fetch = "edgevit-export runner fetch --abi arm64-v8a --format onnx --from FILE.aar"
    assert native.how == f"{fetch} && edgevit-export runner build --abi arm64-v8a --ndk DIR"
    assert run.failure is not None and "no program and no library for arm64-v8a" in run.failure.message
    assert run.failure.hint == native.how


@pytest.mark.parametrize("told", [True, False])
def test_a_libc_that_is_too_old_is_told_with_the_version_that_is_needed(
    adb_rig: AdbRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Before anything is pushed where the device can tell, else in the loader's words."""
    use_runners(monkeypatch, ABI, Format.TFLITE)
    with emulated(adb_rig, tmp_path / "device", Kind.OLD_BOARD) as device:
        getconf = tmp_path / "device" / Kind.OLD_BOARD.value / "bin" / "getconf"
        if not told:
            getconf.write_text("#!/bin/sh\nexit 1\n")
        run = run_on(device, Format.TFLITE, tmp_path / "out", runner="native", whole=False)
    assert run.failure is not None
    words = (
        r"edgevit-runner needs glibc 2\.\d\d, the device has 2\.31"
        if told
        else r"needs glibc 2\.\d\d, the device's is older"
    )
    assert re.search(words, run.failure.message), run.failure.message
    assert run.failure.hint is not None and (
        "native-glibc" in run.failure.hint or "devices --setup" in run.failure.hint
    )


def test_a_device_that_runs_no_programs_from_there_says_so(
    adb_rig: AdbRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_runners(monkeypatch, ABI, Format.ONNX)
    with (
        emulated(adb_rig, tmp_path / "noexec", Kind.NOEXEC) as device,
        pytest.raises(DeviceError, match="takes files and runs programs"),
    ):
        run_on(device, Format.ONNX, tmp_path / "out", runner="native", whole=False)
    with emulated(adb_rig, tmp_path / "denied", Kind.DENIED) as device:
        run = run_on(device, Format.ONNX, tmp_path / "out", runner="native", whole=False)
    assert run.failure is not None
    assert (
        "cannot be executed on the device: it was built for a device like this (aarch64-linux)" in run.failure.message
    )
    assert "programs are denied there" in run.failure.message and "Permission denied" in run.failure.message
    assert run.failure.hint is not None and "--remote-dir" in run.failure.hint
