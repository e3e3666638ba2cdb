"""Intel and AMD energy counters of this machine (RAPL) through the kernel's powercap files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevit.errors import MeterError
from runtimes.devices.device import Device
from runtimes.power.meter import MeterOptions, PowerMeter, Resolution
from runtimes.power.polling import PollingMeter
from runtimes.power.sysfs import LocalSysfs, Sysfs, number
from runtimes.power.trace import Doubles, PowerTrace, from_counter


@dataclass(frozen=True)
class Domain:
    """One counter: its name, its file in uJ, and where it wraps."""

    name: str
    file: str
    range_uj: float


def find_domains(sysfs: Sysfs) -> list[Domain]:
    """The top-level domains (packages and platform); parts of a package are not listed, they are in it already."""
    domains = []
    for file in sysfs.glob("/sys/class/powercap/intel-rapl:*/name"):
        directory = file.rpartition("/")[0]
        if directory.rpartition("/")[2].count(":") != 1:
            continue
        name, span = sysfs.read([file, f"{directory}/max_energy_range_uj"])
        domains.append(Domain(name or directory, f"{directory}/energy_uj", number(span) or 0.0))
    return domains


def open_meter(device: Device, options: MeterOptions) -> PowerMeter:
    """The packages of this machine; there are no options."""
    return RaplMeter()


class RaplMeter(PollingMeter):
    """The CPU packages of this machine.

    Args:
        sysfs: Where the files are.
        period_s: Time between readings.
    """

    name = "rapl"

    def __init__(self, sysfs: Sysfs | None = None, *, period_s: float = 0.01) -> None:
        super().__init__(period_s)
        self._sysfs: Sysfs = sysfs or LocalSysfs()
        self._domains: list[Domain] = []
        self.resolution = Resolution(
            period_s=period_s, step_mj=0.061, scope="CPU packages", note="counters advance about every 1 ms"
        )

    def prepare(self) -> None:
        """Find the packages and see that their counters may be read."""
        self._domains = [domain for domain in find_domains(self._sysfs) if domain.name.startswith("package")]
        if not self._domains:
            raise MeterError(
                f"{self._sysfs.place} has no RAPL energy counter below /sys/class/powercap/intel-rapl:*",
                hint="virtual machines and ARM boards have none: `edgevit-export energy meters` lists what there is",
            )
        self._try_pace()

    def read_once(self) -> tuple[float, ...]:
        """Every package's counter in uJ."""
        values = [number(text) for text in self._sysfs.read([domain.file for domain in self._domains])]
        for domain, value in zip(self._domains, values, strict=True):
            if value is None:
                raise MeterError(
                    f"the energy counter {domain.file} may not be read",
                    hint="it is root's since 2020: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
                )
        return tuple(value for value in values if value is not None)

    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        """Sum of the packages, (n, packages) uJ, with wraps undone."""
        total = np.zeros(len(readings))
        for column, domain in zip(readings.T, self._domains, strict=True):
            total += unwrap(column, domain.range_uj, domain.name)
        meta = {"meter": f"RAPL of {self._sysfs.place}", "rails": " + ".join(d.name for d in self._domains)}
        rate_hz, period_s = 1.0 / self.period_s, self.resolution.period_s
        return from_counter(seconds, total / 1e3, rate_hz=rate_hz, period_s=period_s, meta=meta)


def unwrap(counter: Doubles, span: float, name: str) -> Doubles:
    """A counter, (n,) float64 of any unit, that starts again at zero after ``span``, made continuous.

    Raises:
        MeterError: It went backwards, and the span is not known.
    """
    steps = np.diff(counter)
    if np.any(steps < 0) and span <= 0:
        raise MeterError(f"energy counter {name} went backwards and does not tell its range")
    continuous: Doubles = counter[0] + np.concatenate(([0.0], np.cumsum(np.where(steps < 0, steps + span, steps))))
    return continuous
