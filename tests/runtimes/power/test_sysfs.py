"""A kernel's files, here and on a device, read alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from phone_stub import PhoneStub
from sampling import write_files

from edgevit.errors import MeterError
from runtimes.devices.host import HostDevice
from runtimes.power.sysfs import DeviceSysfs, LocalSysfs, Sysfs, number, sysfs_of

FILES: dict[str, object] = {"sys/class/a1/value": "12\nnext line", "sys/class/a0/value": "name with blanks"}


@pytest.fixture(params=["here", "device"])
def sysfs(request: pytest.FixtureRequest, tmp_path: Path) -> Sysfs:
    write_files(tmp_path, FILES)
    return LocalSysfs(tmp_path) if request.param == "here" else DeviceSysfs(PhoneStub(tmp_path, {}))


def test_first_lines_in_the_order_asked(sysfs: Sysfs) -> None:
    paths = ["/sys/class/a1/value", "/sys/class/none", "/sys/class/a0/value"]
    assert sysfs.read(paths) == ["12", None, "name with blanks"]


def test_paths_by_pattern(sysfs: Sysfs) -> None:
    assert sysfs.glob("/sys/class/a*/value") == ["/sys/class/a0/value", "/sys/class/a1/value"]
    assert sysfs.glob("/sys/class/b*/value") == []


def test_a_device_that_answers_too_little_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="asked for 2 files, got 1 lines"):
        DeviceSysfs(PhoneStub(tmp_path, {"sh -c": "12\n"})).read(["/a", "/b"])


def test_the_host_is_read_without_a_shell(tmp_path: Path) -> None:
    assert isinstance(sysfs_of(HostDevice()), LocalSysfs)
    assert isinstance(sysfs_of(PhoneStub(tmp_path, {})), DeviceSysfs)


@pytest.mark.parametrize(("text", "value"), [("12", 12.0), (" -3.5 ", -3.5), ("", None), ("a", None), (None, None)])
def test_numbers(text: str | None, value: float | None) -> None:
    assert number(text) == value
