"""One Monsoon HVPM on USB: found, claimed, checked and commanded through the ``monsoon`` package.

Of that package only the device control and the USB layer are used. Its sample engine hides lost samples, starts again
in silence after USB errors and writes broken CSV under numpy 2; its status is shared by all units of a process, so
every value is read from the unit itself here. The package prints; what it prints goes into error messages.
"""

from __future__ import annotations

import array
import errno
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from types import ModuleType
from typing import Any, Protocol

from edgevit.errors import MeterError, MissingDependencyError
from edgevit.records import Record
from runtimes.power.monsoon_packets import Scales

VENDOR, PRODUCT = 0x2AB9, 0x0001
# From the ``monsoon`` package 0.1.88: Operations.py, pmapi.py, sampleEngine.py.
HVPM_MODEL = 2
OLDEST_FIRMWARE = 32
BULK_IN = 0x81
STATUS_OPCODE, SAMPLING_BIT = 0xC4, 0x80
ENDLESS = 0xFFFFFFFF
CALIBRATION_MS = 1250
PASSTHROUGH_AUTO = 2  # 0 is off, 1 on
UDEV_RULE = 'SUBSYSTEM=="usb", ATTR{idVendor}=="2ab9", ATTR{idProduct}=="0001", MODE="0666", TAG+="uaccess"'
PERMISSION_HINT = f"put this line into /etc/udev/rules.d/60-monsoon.rules, then plug the unit in again: {UDEV_RULE}"


class _UsbDevice(Protocol):
    """What is asked of pyusb's device before it is claimed."""

    serial_number: str


class UnitFacts(Record):
    """What a unit says of itself."""

    serial: str
    firmware: int
    model: int
    passthrough: int


def _import() -> tuple[ModuleType, ModuleType, ModuleType]:
    """``Monsoon.HVPM``, ``Monsoon.pmapi`` and ``usb.core``, with libusb from its own package."""
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning in the package's own source
            import usb.backend.libusb1
            import usb.core
            from Monsoon import HVPM, pmapi
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the Monsoon meter needs the package '{error.name}', which is not installed",
            extra="monsoon",
        ) from error
    with suppress(ImportError):  # without it a libusb of the system will do
        import libusb_package

        usb.backend.libusb1.get_backend(find_library=libusb_package.find_library)
    return HVPM, pmapi, usb.core


def _translated(error: Exception, what: str) -> MeterError:
    """A pyusb error in words."""
    code = getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return MeterError(f"no permission to use the Monsoon ({what})", hint=PERMISSION_HINT)
    if code == errno.EBUSY:
        return MeterError(
            f"the Monsoon is in use by another program ({what})", hint="close PowerTool or the other measurement"
        )
    if code in (errno.ENODEV, errno.ENOENT, errno.EIO, errno.EPIPE, errno.ESHUTDOWN):
        return MeterError(
            f"the Monsoon was unplugged or reset ({what}): {error}",
            hint="check its USB cable and supply; the phone's own USB comes back when the unit is powered again",
        )
    return MeterError(f"the Monsoon did not answer ({what}): {error}")


@contextmanager
def _usb(what: str) -> Iterator[None]:
    """Errors of pyusb and of the package become ``MeterError``; nothing of theirs reaches stdout."""
    import usb.core

    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    except usb.core.NoBackendError as error:
        raise MissingDependencyError("no libusb-1.0 library was found for the Monsoon", extra="monsoon") from error
    except usb.core.USBError as error:
        raise _translated(error, what) from error
    except ValueError as error:  # how the package refuses
        raise MeterError(f"the Monsoon refused ({what}): {error} {said.getvalue().strip()}".rstrip()) from error


def list_units() -> list[str]:
    """Serial numbers of all units on USB.

    Raises:
        MissingDependencyError: The ``monsoon`` extra is not installed.
        MeterError: A unit is there but may not be opened.
    """
    _, _, core = _import()
    with _usb("listing units"):
        found = list(core.find(find_all=True, idVendor=VENDOR, idProduct=PRODUCT))
    return [_serial(device) for device in found]


def _serial(device: _UsbDevice) -> str:
    import usb.core

    try:
        return str(device.serial_number)
    except usb.core.USBError as error:
        raise _translated(error, "reading the serial number") from error
    except ValueError as error:  # pyusb's way of saying that the strings may not be read
        raise MeterError("no permission to read the Monsoon's serial number", hint=PERMISSION_HINT) from error


class MonsoonUnit:
    """An opened and checked unit."""

    def __init__(self, serial: str | None = None) -> None:
        """Find, claim and check a unit.

        Args:
            serial: Its number; may be left out when there is only one.

        Raises:
            MissingDependencyError: The ``monsoon`` extra is not installed.
            MeterError: None found, several and no serial, in use, not permitted, not an HVPM, or too old.
        """
        hvpm, pmapi, core = _import()
        serial = _choose(list_units(), serial)
        self._claim_once(core, serial)
        self._monsoon: Any = hvpm.Monsoon()
        with _usb("connecting"):
            self._monsoon.setup_usb(serial, pmapi.USB_protocol())
        self._protocol: Any = self._monsoon.Protocol
        self._open = True
        try:
            self._stop_stale_sampling()
            self.facts = self._read_facts(serial)
            self._refuse_unfit()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _claim_once(core: ModuleType, serial: str) -> None:
        """Fail early when another program holds the unit: a claim must come before any command."""
        import usb.util

        with _usb("claiming it"):
            device = next(
                device
                for device in core.find(find_all=True, idVendor=VENDOR, idProduct=PRODUCT)
                if _serial(device) == serial
            )
            with suppress(core.USBError, NotImplementedError):
                device.detach_kernel_driver(0)
            usb.util.claim_interface(device, 0)
            usb.util.dispose_resources(device)

    def _stop_stale_sampling(self) -> None:
        """A program that died while sampling leaves the unit in sample mode, where it refuses commands."""
        with _usb("reading its state"):
            if self._protocol.getValue(STATUS_OPCODE, 4) & SAMPLING_BIT:
                self._protocol.stopSampling()

    def _value(self, opcode: int, length: int, *, signed: bool = False) -> int:
        with _usb(f"reading value 0x{opcode:02X}"):
            return int(self._protocol.getValue(opcode, length, signed))

    def _read_facts(self, serial: str) -> UnitFacts:
        from Monsoon.Operations import OpCodes

        return UnitFacts(
            serial=serial,
            firmware=self._value(OpCodes.FirmwareVersion, 2),
            model=self._value(OpCodes.HardwareModel, 2),
            passthrough=self._value(OpCodes.setUsbPassthroughMode, 4) & 0xFF,
        )

    def _refuse_unfit(self) -> None:
        if self.facts.model != HVPM_MODEL:
            raise MeterError(
                f"Monsoon {self.facts.serial} is not an HVPM: model {self.facts.model}, expected {HVPM_MODEL}"
            )
        if self.facts.firmware < OLDEST_FIRMWARE:
            raise MeterError(
                f"Monsoon {self.facts.serial} has firmware {self.facts.firmware}: at least {OLDEST_FIRMWARE} is needed",
                hint="update it with the vendor's PowerTool or the package's Monsoon.reflash",
            )

    def scales(self) -> Scales:
        """The unit's stored calibration of its main output."""
        from Monsoon.Operations import OpCodes

        return Scales(
            fine=float(self._value(OpCodes.setMainFineScale, 2)),
            coarse=float(self._value(OpCodes.setMainCoarseScale, 2)),
            fine_zero=float(self._value(OpCodes.SetMainFineZeroOffset, 2, signed=True)),
            coarse_zero=float(self._value(OpCodes.SetMainCoarseZeroOffset, 2, signed=True)),
        )

    def set_passthrough(self, mode: int) -> None:
        """0 off, 1 on, 2 automatic: the phone's USB line is cut while the unit samples, and comes back after."""
        with _usb("setting USB passthrough"):
            self._monsoon.setUSBPassthroughMode(mode)

    def set_voltage(self, volts: float) -> None:
        """Set the supply voltage.

        Raises:
            MeterError: Outside 0.8 to 13.5 V (0 would switch the phone off), or refused by the unit's own check.
        """
        if not 0.8 <= volts <= 13.5:  # what the HVPM's data sheet gives
            raise MeterError(f"a supply voltage of {volts:g} V: the HVPM gives 0.8 to 13.5 V")
        with _usb(f"setting {volts:g} V"):
            self._monsoon.setVout(volts)

    def start_sampling(self) -> None:
        """Enter sample mode, without end."""
        with _usb("starting to sample"):
            self._protocol.startSampling(CALIBRATION_MS, ENDLESS)

    def stop_sampling(self) -> None:
        """Leave sample mode."""
        with _usb("ending sampling"):
            self._protocol.stopSampling()

    def reader(self) -> Callable[[memoryview], int]:
        """A function that fills a buffer with packets and returns the bytes read; 0 when none came within 0.5 s.

        A transfer ends when the buffer is full or with a short packet, so units that pad their packets to 64 bytes
        deliver many at once, others one by one.
        """
        from usb.core import USBError, USBTimeoutError

        read = self._protocol.DEVICE.read

        def read_into(target: memoryview) -> int:
            buffer = array.array("B", bytes(len(target)))
            try:
                length = int(read(BULK_IN, buffer, 500))
            except USBError as error:
                if isinstance(error, USBTimeoutError) or error.errno == errno.ETIMEDOUT:
                    return 0
                raise _translated(error, "while sampling") from error
            target[:length] = memoryview(buffer)[:length]
            return length

        return read_into

    def close(self) -> None:
        """Leave sample mode and let the unit go; no USB reset, which might touch the supply. Never raises."""
        if not self._open:
            return
        self._open = False
        import usb.util

        with suppress(Exception), redirect_stdout(io.StringIO()):
            self._protocol.stopSampling()
        with suppress(Exception):
            usb.util.dispose_resources(self._protocol.DEVICE)


def _choose(units: list[str], serial: str | None) -> str:
    if not units:
        raise MeterError(
            "no Monsoon power monitor was found on USB (2ab9:0001)",
            hint="check cable and supply; `edgevit-export energy meters` lists what is there",
        )
    if serial is None and len(units) > 1:
        raise MeterError(f"{len(units)} Monsoon units are connected: {', '.join(units)}", hint="name one by its serial")
    if serial is not None and serial not in units:
        raise MeterError(f"no Monsoon with serial {serial}: connected are {', '.join(units)}")
    return serial or units[0]
