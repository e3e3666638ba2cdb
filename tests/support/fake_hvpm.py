"""A Monsoon HVPM as a pyusb backend: the real ``monsoon`` package and our reader run on it unchanged.

Built from the published source of the package (see ``runtimes/power/monsoon_packets.py``). An assumption, since no
unit was at hand: a burst of ten zero and ten reference calibrations opens every recording.
"""

from __future__ import annotations

import array
import errno
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import usb.backend
import usb.backend.libusb1
import usb.core

SCALES = {0x1A: 36500, 0x1B: 6400, 0x1C: 14000, 0x1D: 600, 0x1E: 3100, 0x1F: 250}
ZERO_OFFSETS = {0x25: 15, 0x26: 15, 0x27: 0, 0x28: 0}
ZERO_TICKS, REFERENCE_TICKS = 1000, 60000
OPENING = 20
QUEUE = 16
MEASUREMENT, ZERO_CALIBRATION, REFERENCE_CALIBRATION = 0x00, 0x10, 0x30


def encode_samples(current_ma: np.ndarray, voltage_v: np.ndarray, *, calibration_noise: int = 0) -> np.ndarray:
    """(n + 20, 18) bytes a sample; NaN currents become calibration samples, zero and reference in turn."""
    n = len(current_ma)
    words = np.zeros((n + OPENING, 8), np.uint16)
    kind = np.zeros(n + OPENING, np.uint8)
    hole = ~np.isfinite(current_ma)
    current = np.where(hole, 0.0, current_ma)
    span = REFERENCE_TICKS - (ZERO_TICKS + 15)
    words[OPENING:, 0] = np.clip(np.rint(ZERO_TICKS + 15 + current * span / 6400.0), 0, 65535)
    words[OPENING:, 1] = np.clip(np.rint(ZERO_TICKS + 15 + current * 1000.0 * span / 36500.0), 0, 65535)
    words[:, 2:6] = ZERO_TICKS + 7
    words[OPENING:, 6] = np.clip(np.rint(np.nan_to_num(voltage_v, nan=3.85) / (62.5e-6 * 4)), 0, 65535)
    words[:, 7] = 40000
    kind[: OPENING // 2], kind[OPENING // 2 : OPENING] = ZERO_CALIBRATION, REFERENCE_CALIBRATION
    turns = np.cumsum(hole) % 2 == 1
    kind[OPENING:][hole & turns], kind[OPENING:][hole & ~turns] = ZERO_CALIBRATION, REFERENCE_CALIBRATION
    rng = np.random.Generator(np.random.PCG64(7))
    for code, ticks in ((ZERO_CALIBRATION, ZERO_TICKS), (REFERENCE_CALIBRATION, REFERENCE_TICKS)):
        rows = np.flatnonzero(kind == code)
        noise = rng.integers(-calibration_noise, calibration_noise + 1, (len(rows), 6)) if calibration_noise else 0
        words[rows, :6] = ticks + noise
    samples = np.zeros((n + OPENING, 18), np.uint8)
    samples[:, :16] = words.astype(">u2").view(np.uint8).reshape(-1, 16)
    samples[:, 17] = kind
    return samples


@dataclass
class FakeUnit:
    """One unit and what is wrong with it.

    ``samples`` is what it measures next; ``realtime`` makes it produce 5000 of them a second into a queue of 16, so
    that a slow reader loses data. With ``cpu_time`` the seconds are those of processor time that the reading thread
    spends, so that a busy machine is not held against the reader. ``drops`` maps a sample number to how many samples
    the unit drops there; ``missing`` holds numbers of packets that never arrive; ``unplug_after`` ends the world after
    so many packets.
    """

    serial: str = "12345"
    samples: np.ndarray = field(default_factory=lambda: np.zeros((0, 18), np.uint8))
    model: int = 2
    firmware: int = 32
    passthrough: int = 1
    sampling: bool = False
    busy: bool = False
    forbidden: bool = False
    realtime: bool = False
    cpu_time: bool = False
    drops: dict[int, int] = field(default_factory=dict)
    missing: frozenset[int] = frozenset()
    unplug_after: int | None = None
    silent_after: int | None = None
    over_current_at: int | None = None
    first_drop_count: int = 0
    dac_low: int = 0xE000
    dac_high: int = 0xC800
    voltage: float = 3.85
    history: list[tuple[str, int]] = field(default_factory=list)
    plugged: bool = True
    output_on: bool = True
    short_packets: bool = False

    def start(self) -> None:
        self.sampling = True
        self._next = 0
        self._packets = 0
        self._dropped = self.first_drop_count
        self._counts = np.random.Generator(np.random.PCG64(3)).integers(1, 4, 4096)
        self._started_s = time.perf_counter()
        self._reader: int | None = None
        self._waited_s = 0.0

    def read(self, buffer: array.array[int], timeout_ms: int) -> int:
        """One bulk transfer: packets until the buffer is full, or until a short one, as USB has it.

        Once a transfer has begun the host controller fetches by itself; only what piles up between two of them is lost.
        """
        if self.realtime:
            self._overflow()
        filled = 0
        while filled < len(buffer):
            try:
                packet = self._packet(timeout_ms)
            except usb.core.USBTimeoutError:
                if filled:
                    return filled
                raise
            self._packets += 1
            if self._packets - 1 in self.missing:
                continue
            buffer[filled : filled + len(packet)] = array.array("B", packet)
            filled += len(packet)
            if len(packet) < 64:
                break
        return filled

    def _packet(self, timeout_ms: int) -> bytes:
        if self.unplug_after is not None and self._packets >= self.unplug_after:
            self.plugged = False
        if not self.plugged:
            raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)
        silent = self.silent_after is not None and self._packets >= self.silent_after
        if silent or not self.sampling or self._next >= len(self.samples):
            time.sleep(min(timeout_ms, 20) / 1e3)
            raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
        count = min(int(self._counts[self._packets % 4096]), len(self.samples) - self._next)
        if self.realtime:
            self._wait_for(count)
        dropped = self.drops.get(self._next, 0) or sum(self.drops.get(self._next + i, 0) for i in range(1, count))
        self._next += dropped
        self._dropped += dropped
        count = min(count, len(self.samples) - self._next)
        flags = (self._packets & 0x0F) | (0x20 if self.output_on else 0)
        if self.over_current_at is not None and self._packets >= self.over_current_at:
            flags |= 0x10
        body = self.samples[self._next : self._next + count].tobytes()
        self._next += count
        packet = struct.pack("<HBB", self._dropped & 0xFFFF, flags, count) + body
        return packet if self.short_packets else packet.ljust(64, b"\0")

    def _made(self) -> int:
        if not self.cpu_time:
            return int((time.perf_counter() - self._started_s) * 5000)
        if self._reader != threading.get_ident():
            self._reader, self._waited_s = threading.get_ident(), self._next / 5000 - time.thread_time()
        return round((time.thread_time() + self._waited_s) * 5000 - 0.5)

    def _overflow(self) -> None:
        late = max(0, self._made() - self._next - QUEUE)
        self._next += late
        self._dropped += late

    def _wait_for(self, count: int) -> None:
        if (missing := self._next + count - self._made()) > 0:
            if self.cpu_time:
                self._waited_s += missing / 5000
            else:
                time.sleep(missing / 5000)

    def get(self, opcode: int) -> int:
        values = {
            0xC0: self.firmware, 0xC1: 1, 0x45: self.model, 0x42: int(self.serial), 0x10: self.passthrough,
            0xC4: 0x80 if self.sampling else 0, 0x88: self.dac_low, 0x89: self.dac_high, 0x29: 0x003C, 0x0C: 20,
            0x43: 0xF000, 0x44: 0xF000, 0x23: 0, 0x41: int(self.voltage * (1 << 20)),
        }  # fmt: skip
        return {**values, **SCALES, **ZERO_OFFSETS}.get(opcode, 0)

    def set(self, opcode: int, value: int) -> None:
        self.history.append((f"0x{opcode:02X}", value))
        if opcode == 0x10:
            self.passthrough = value
        elif opcode == 0x41:
            self.voltage = value / (1 << 20)


def _struct(**fields: int) -> SimpleNamespace:
    return SimpleNamespace(bDescriptorType=0, extra_descriptors=array.array("B"), **fields)


class FakeBackend(usb.backend.IBackend):
    """All units that are plugged in."""

    def __init__(self, *units: FakeUnit) -> None:
        self.units = units

    def enumerate_devices(self) -> Iterator[FakeUnit]:
        return iter([unit for unit in self.units if unit.plugged])

    def get_device_descriptor(self, dev: FakeUnit) -> SimpleNamespace:
        return _struct(
            bLength=18, bcdUSB=0x200, bDeviceClass=0, bDeviceSubClass=0, bDeviceProtocol=0, bMaxPacketSize0=64,
            idVendor=0x2AB9, idProduct=1, bcdDevice=0x100, iManufacturer=1, iProduct=2, iSerialNumber=3,
            bNumConfigurations=1, address=1, bus=1, port_number=1, port_numbers=(1,), speed=2,
        )  # fmt: skip

    def get_configuration_descriptor(self, dev: FakeUnit, config: int) -> SimpleNamespace:
        if config:
            raise IndexError(config)
        return _struct(
            bLength=9, wTotalLength=32, bNumInterfaces=1, bConfigurationValue=1, iConfiguration=0, bmAttributes=0x80,
            bMaxPower=50,
        )  # fmt: skip

    def get_interface_descriptor(self, dev: FakeUnit, intf: int, alt: int, config: int) -> SimpleNamespace:
        if intf or alt or config:
            raise IndexError((intf, alt))
        return _struct(
            bLength=9, bInterfaceNumber=0, bAlternateSetting=0, bNumEndpoints=2, bInterfaceClass=255,
            bInterfaceSubClass=0, bInterfaceProtocol=0, iInterface=0,
        )  # fmt: skip

    def get_endpoint_descriptor(self, dev: FakeUnit, ep: int, intf: int, alt: int, config: int) -> SimpleNamespace:
        return _struct(
            bLength=7, bEndpointAddress=(0x01, 0x81)[ep], bmAttributes=2, wMaxPacketSize=64, bInterval=0, bRefresh=0,
            bSynchAddress=0,
        )  # fmt: skip

    def open_device(self, dev: FakeUnit) -> FakeUnit:
        if not dev.plugged:
            raise usb.core.USBError("No such device", -4, errno.ENODEV)
        return dev

    def close_device(self, dev_handle: FakeUnit) -> None:
        pass

    def set_configuration(self, dev_handle: FakeUnit, config_value: int) -> None:
        if dev_handle.busy:
            raise usb.core.USBError("Resource busy", -6, errno.EBUSY)

    def get_configuration(self, dev_handle: FakeUnit) -> int:
        return 1

    def claim_interface(self, dev_handle: FakeUnit, intf: int) -> None:
        if dev_handle.busy:
            raise usb.core.USBError("Resource busy", -6, errno.EBUSY)

    def release_interface(self, dev_handle: FakeUnit, intf: int) -> None:
        pass

    def reset_device(self, dev_handle: FakeUnit) -> None:
        dev_handle.history.append(("reset", 0))

    def detach_kernel_driver(self, dev_handle: FakeUnit, intf: int) -> None:
        raise usb.core.USBError("Entity not found", -5, errno.ENOENT)

    def bulk_read(self, dev_handle: FakeUnit, ep: int, intf: int, buff: array.array[int], timeout: int) -> int:
        return dev_handle.read(buff, timeout)

    def ctrl_transfer(
        self, dev_handle: FakeUnit, request_type: int, request: int, value: int, index: int,
        data: array.array[int], timeout: int,
    ) -> int:  # fmt: skip
        unit = dev_handle
        if not unit.plugged:
            raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)
        if request_type == 0x80:
            return self._string(unit, value, data)
        if request_type == 0xC0:
            data[:4] = array.array("B", struct.pack("<I", unit.get(index & 0xFF)))
            return 4
        if request == 0x02:
            unit.history.append(("start", value))
            unit.start()
        elif request == 0x03:
            unit.history.append(("stop", 0))
            unit.sampling = False
        else:
            unit.set(index & 0xFF, value | (index >> 8) << 16)
        return len(data)

    def _string(self, unit: FakeUnit, value: int, data: array.array[int]) -> int:
        if unit.forbidden:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        text = b"\x09\x04" if value & 0xFF == 0 else unit.serial.encode("utf-16-le")
        answer = bytes([len(text) + 2, 3]) + text
        data[: len(answer)] = array.array("B", answer)
        return len(answer)


@contextmanager
def plugged_in(*units: FakeUnit) -> Iterator[FakeBackend]:
    """Make ``units`` the only devices that pyusb sees."""
    backend = FakeBackend(*units)
    original = usb.backend.libusb1.get_backend
    usb.backend.libusb1.get_backend = lambda find_library=None: backend
    try:
        yield backend
    finally:
        usb.backend.libusb1.get_backend = original
