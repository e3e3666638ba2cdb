"""``PowerMeter``: anything that can say what a device drew, and how finely.

A meter runs from before the workload until after it, without a break: ``prepare``, ``start``, the run, ``stop``.
What it cannot resolve it refuses by ``require_resolution``, before anything is measured.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from edgevit.errors import MeterError
from edgevit.records import Record
from runtimes.power.trace import PowerTrace

SAMPLES_PER_WINDOW = 20  # chosen, because the two readings at the edges are then at most a tenth of a window
PERIODS_PER_RUN = 50  # chosen, because a reading that lies beside the run's edge then counts for 2 % at most
WHOLE_RUN_SHARE = 0.01  # chosen, because a step of the counter is then 1 % of what is measured
ONE_WATT_MW = 1000.0  # a round figure for a phone that computes


class Resolution(Record):
    """How fine a meter is.

    Attributes:
        period_s: Time between two independent readings, at worst.
        step_mj: Smallest energy that it can tell; 0 where the noise decides.
        scope: What it measures, in words ("all of the device", "the CPU package").
        note: What else limits it.
    """

    period_s: float
    step_mj: float
    scope: str
    note: str = ""

    @property
    def shortest_window_s(self) -> float:
        """Shortest burst whose energy it resolves by itself."""
        return max(SAMPLES_PER_WINDOW * self.period_s, self.step_mj / WHOLE_RUN_SHARE / ONE_WATT_MW)

    @property
    def shortest_run_s(self) -> float:
        """Shortest run whose mean energy it resolves; 1 % of what 1 W draws meanwhile."""
        return max(PERIODS_PER_RUN * self.period_s, self.step_mj / WHOLE_RUN_SHARE / ONE_WATT_MW)


class MeterOptions(Record):
    """What a user can ask of a meter; which of it a meter takes is in its row of ``METERS``.

    Attributes:
        serial: Number of the Monsoon unit.
        volts: Supply voltage that the Monsoon is to set; None leaves it alone.
        rails: Power rails to add up (``rails``, ``hwmon``).
    """

    serial: str | None = None
    volts: float | None = None
    rails: tuple[str, ...] | None = None


class PowerMeter(ABC):
    """A power meter.

    Attributes:
        name: For ``--energy`` and the record.
        resolution: How fine it is.
        cuts_usb: Whether the phone's USB line is cut while it samples, so that the run has to be detached.
    """

    name: str
    resolution: Resolution
    cuts_usb: bool = False

    @abstractmethod
    def prepare(self) -> None:
        """Connect and check, without sampling.

        Raises:
            MeterError: Not found, in use, not permitted, too old, or not fit for this device.
            MissingDependencyError: A package that this meter needs is not installed.
        """

    def probe(self) -> tuple[bool, str]:
        """Whether it can be used here, changing nothing, and a word on it.

        Raises:
            EdgevitExportError: It cannot; the message says why.
        """
        with self:
            self.prepare()
        return True, ""

    @abstractmethod
    def start(self) -> None:
        """Begin to sample; returns when the first readings are in.

        Raises:
            MeterError: It does not deliver.
        """

    def check(self) -> None:  # noqa: B027 (most meters have nothing to tell before they stop)
        """Look after a meter that is sampling.

        Raises:
            MeterError: It has stopped delivering; the measurement is lost.
        """

    @abstractmethod
    def stop(self) -> PowerTrace:
        """End sampling and hand over all of it; whatever ``prepare`` changed is put back, also after an error.

        Raises:
            MeterError: Sampling broke off in between; a trace with a hidden break is never handed over.
        """

    def close(self) -> None:  # noqa: B027 (most meters hold nothing)
        """Put back what was changed and let go of the meter; it is not an error to do so twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_resolution(meter: PowerMeter, *, window_s: float, inferences: int = 1) -> None:
    """Refuse to measure single bursts of ``inferences`` that take ``window_s`` with a meter that cannot resolve them.

    Raises:
        MeterError: Says why, and which run the meter could resolve.
    """
    shortest_s = meter.resolution.shortest_window_s
    if window_s < shortest_s:
        took = _seconds(window_s)
        what = f"one {took} inference" if inferences == 1 else f"a burst of {inferences} inferences that takes {took}"
        raise MeterError(
            f"{meter.name} cannot tell the energy of {what}: a reading every "
            f"{_seconds(meter.resolution.period_s)}, in steps of {meter.resolution.step_mj:g} mJ, resolves bursts from "
            f"{_seconds(shortest_s)} on",
            hint=f"run inferences back to back for {_seconds(shortest_s)} or more in one burst, or use a finer meter",
        )


def require_run(meter: PowerMeter, *, run_s: float) -> None:
    """Refuse to measure the mean over a run of ``run_s`` with a meter that cannot resolve it.

    Raises:
        MeterError: Says how long a run has to be.
    """
    shortest_s = meter.resolution.shortest_run_s
    if run_s < shortest_s:
        raise MeterError(
            f"{meter.name} cannot tell the mean energy of a run of {_seconds(run_s)}: it needs {_seconds(shortest_s)}",
            hint="raise the number of runs",
        )


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"
