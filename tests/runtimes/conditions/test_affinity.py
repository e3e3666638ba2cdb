"""Which cores ``--affinity`` means, and whether the device keeps commands there."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from adbd_rig import Adbd

from edgevit.errors import DeviceError, UsageError
from runtimes.conditions.affinity import affinity_mask, verify_pinning
from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.state import read_state
from runtimes.conditions.state_parsers import parse_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device

DATA = Path(__file__).parents[2] / "data" / "device"


@pytest.fixture
def phone() -> DeviceState:
    return parse_state((DATA / "state_phone.txt").read_text(), serial="S", kind="adb", unix_time_s=0)


@pytest.mark.parametrize(
    ("wanted", "mask"),
    [
        ("big", 0xF0),
        ("little", 0x0F),
        ("0xf0", 0xF0),
        ("0X81", 0x81),
        ("4-7", 0xF0),
        ("0,4-5", 0x31),
        ("1", 0x2),
        ("0", 0x1),
        ("0,1", 0x3),
    ],
)
def test_masks(phone: DeviceState, wanted: str, mask: int) -> None:
    assert affinity_mask(phone, wanted) == mask


def test_a_host_that_tells_no_cores_is_not_asked_to_choose_from_none(phone: DeviceState) -> None:
    with pytest.raises(UsageError, match="does not tell its cores"):
        affinity_mask(msgspec.structs.replace(phone, cpus=()), "0")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("8", "cannot be used \\(8\\): choose from 0,1,2,3,4,5,6,7"),
        ("7-8", "cannot be used \\(8\\)"),
        ("0x0", "names no core: choose from 0,1,2"),
        ("f0", "a mask begins with 0x"),
        ("0x100", "cannot be used \\(8\\)"),
        ("²", "neither big, little"),
        ("huge", "neither big, little"),
        ("", "neither big, little"),
        ("5-4", "names no core: choose from 0,1,2"),
    ],
)
def test_masks_that_mean_nothing(phone: DeviceState, wanted: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        affinity_mask(phone, wanted)


def test_masks_respect_where_commands_may_run(phone: DeviceState) -> None:
    with pytest.raises(UsageError, match="choose from 0,1,2,3"):
        affinity_mask(msgspec.structs.replace(phone, cpus_allowed=(0, 1, 2, 3)), "big")


@pytest.mark.parametrize("wanted", ["big", "little"])
def test_equal_cores_are_neither_big_nor_little(phone: DeviceState, wanted: str) -> None:
    with pytest.raises(UsageError, match="all alike"):
        affinity_mask(msgspec.structs.replace(phone, clusters=phone.clusters[:1]), wanted)
    with pytest.raises(UsageError, match="does not tell"):
        affinity_mask(msgspec.structs.replace(phone, clusters=()), wanted)


def test_pinned_commands_run_where_they_should(device: Device) -> None:
    state = read_state(device)
    assert state.cpus_allowed
    for core in (state.cpus_allowed[0], state.cpus_allowed[-1]):  # a container may have one core, and any
        verify_pinning(device, affinity_mask(state, f"0x{1 << core:x}"))


def test_pinning_that_does_not_hold_is_noticed(adb_device: AdbDevice, adbd: Adbd) -> None:
    stub = adbd.data.parent / "bin" / "taskset"
    stub.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    stub.chmod(0o755)
    elsewhere = 1 << max(os.sched_getaffinity(0)) + 1  # no mask that holds without a pinning
    with pytest.raises(DeviceError, match="cpusets forbid it"):
        verify_pinning(adb_device, elsewhere)
    stub.write_text("#!/bin/sh\necho 'failed to set affinity' >&2\nexit 1\n")
    with pytest.raises(DeviceError, match="cannot pin commands to cores: failed to set affinity"):
        verify_pinning(adb_device, 1)
