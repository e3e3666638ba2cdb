"""``MonsoonMeter``: a Monsoon HVPM as a ``PowerMeter``."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from edgevit.errors import MeterError
from runtimes.devices.device import Device
from runtimes.power.meter import MeterOptions, PowerMeter, Resolution
from runtimes.power.monsoon_packets import PacketLosses, decode
from runtimes.power.monsoon_reader import PacketReader
from runtimes.power.monsoon_unit import PASSTHROUGH_AUTO, MonsoonUnit, list_units
from runtimes.power.trace import LOST, OUTPUT_OFF, PowerTrace

MAX_LOST = 0.01  # chosen, because a reader that keeps up loses none at all
NOTHING_MW = 5.0  # chosen, because the unit's own noise is about 0.3 mA, and no phone that is on draws so little


def open_meter(device: Device, options: MeterOptions) -> PowerMeter:
    """The unit on this machine's USB, whatever the device is that it supplies."""
    return MonsoonMeter(options.serial, volts=options.volts)


class MonsoonMeter(PowerMeter):
    """The paper's meter: 5 kHz, all of the device, through its supply.

    USB passthrough is set to automatic, so that the phone's USB line is cut while the unit samples, and put back to
    what it was by ``stop`` and ``close``, also after errors. The supply voltage is left alone unless ``volts`` asks.

    Args:
        serial: The unit's number; may be left out when there is only one.
        volts: Supply voltage to set, or None to leave it as it is.
    """

    name = "monsoon"
    resolution = Resolution(
        period_s=0.0002, step_mj=0.0, scope="all of the device", note="about 0.3 mA of noise; 3.2 ms queue in the unit"
    )
    cuts_usb = True

    def __init__(self, serial: str | None = None, *, volts: float | None = None) -> None:
        self._serial = serial
        self._volts = volts
        self._unit: MonsoonUnit | None = None
        self._reader: PacketReader | None = None
        self._before: int | None = None

    def prepare(self) -> None:
        """Find, claim and check the unit, read its calibration and set passthrough (and the voltage, if asked)."""
        if self._unit is not None:
            return
        self._unit = MonsoonUnit(self._serial)
        try:
            self._scales = self._unit.scales()
            if self._volts is not None:
                self._unit.set_voltage(self._volts)
            if self._unit.facts.passthrough != PASSTHROUGH_AUTO:
                self._before = self._unit.facts.passthrough
                self._unit.set_passthrough(PASSTHROUGH_AUTO)
        except BaseException:
            self.close()
            raise

    def probe(self) -> tuple[bool, str]:
        """A unit is only looked for, since preparing it changes its passthrough."""
        units = list_units()
        return bool(units), f"units: {', '.join(units)}" if units else "no unit on USB (2ab9:0001)"

    def start(self) -> None:
        """Enter sample mode; from here on the phone's USB is cut."""
        self.prepare()
        unit = self._unit
        assert unit is not None
        try:
            unit.start_sampling()
            self._reader = PacketReader(unit.reader())
            self._reader.start()
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Raise what ended the recording, if anything did."""
        if self._reader is not None:
            self._reader.check()

    def stop(self) -> PowerTrace:
        """Leave sample mode, give the phone its USB back, and decode."""
        unit, reader = self._unit, self._reader
        if unit is None or reader is None:
            raise MeterError("the Monsoon is not sampling")
        reader.stop()
        try:
            reader.check()  # what ended the recording comes before what else fails because of it
            unit.stop_sampling()
        finally:
            self._restore()
        packets, stamps = reader.recording()
        self._reader = None
        facts = unit.facts
        meta = {"meter": f"Monsoon HVPM {facts.serial}", "firmware": str(facts.firmware), "channel": "main"}
        return self._accepted(*decode(packets, self._scales, host_stamps=stamps, meta=meta))

    def close(self) -> None:
        """End whatever runs, put passthrough back and let the unit go."""
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
        self._restore()
        if self._unit is not None:
            self._unit.close()
            self._unit = None

    def _restore(self) -> None:
        if self._unit is None:
            return
        with suppress(Exception):  # in sample mode the unit refuses commands
            self._unit.stop_sampling()
        if self._before is not None:
            before, self._before = self._before, None
            with suppress(MeterError):  # an unplugged unit cannot be told; what ended the recording is what counts
                self._unit.set_passthrough(before)

    @staticmethod
    def _accepted(trace: PowerTrace, losses: PacketLosses) -> PowerTrace:
        if trace.over_current:
            raise MeterError(
                "the Monsoon reported over-current or a thermal stop: the phone was cut off or its power clipped",
                hint="raise the unit's current limits with PowerTool, or let it cool",
            )
        if np.all(trace.flags & (OUTPUT_OFF | LOST)) and not np.nanmax(np.abs(trace.power_mw)) > NOTHING_MW:
            raise MeterError(
                "the Monsoon's output is off: it does not supply the phone",
                hint="switch it on with PowerTool, or give the voltage of the phone's battery (--vout)",
            )
        if trace.lost_share > MAX_LOST:
            raise MeterError(
                f"{trace.lost_share:.1%} of the Monsoon's samples were lost ({losses.dropped_by_unit} dropped by the "
                f"unit, {losses.lost_packets} packets on the way): at most {MAX_LOST:.0%} is acceptable",
                hint="plug it into a port of its own, and let nothing else run on this machine",
            )
        return trace
