"""``EnergyReport``: energy per inference with everything that it rests on."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from edgevit.errors import UsageError
from edgevit.records import Record
from runtimes.power.trace import PowerTrace
from validation.energy.signal import Bools, Doubles
from validation.statistics import student_quantile

Verdict = Literal["verified", "unverified"]
Method = Literal["aligned", "regions", "whole run"]


class Check(Record):
    """One question to a recording, and its answer.

    Attributes:
        name: What is asked.
        value: What was found; None where it cannot be told.
        limit: What it must not pass.
        bound: Whether the limit is the most or the least.
        unit: Of both.
        passed: Whether it holds.
        reason: In words, where it does not.
    """

    name: str
    value: float | None
    limit: float
    bound: Literal["at most", "at least"] = "at most"
    unit: str = ""
    passed: bool
    reason: str = ""


class MethodEnergy(Record, rename={"disturbed": "foreign", "incomplete": "void"}):
    """What one method says. All figures are per inference and above background; JSON keeps the names of version 1.

    Figures are 0 and the tuples empty where ``found`` is not ``wanted``, so that there is nothing to say.

    Attributes:
        wanted: Number of windows (bursts) that there should be.
        found: Number of windows that the method has.
        energy_mean_mj: Mean energy.
        energy_sd_mj: Sample standard deviation over the windows.
        energy_median_mj: Median energy.
        power_mean_mw: Mean over the windows of the average power over the same samples.
        power_sd_mw: Its deviation.
        duration_mean_ms: Mean length.
        duration_sd_ms: Its deviation.
        energies_mj: Every window's energy, in order.
        durations_ms: Every window's length, in order.
        disturbed: Of version 1: indices of windows whose power was replaced.
        incomplete: Indices of windows that too little was measured of; they do not count.
        starts_s: Start of every window on the trace's clock.
        counts: Inferences in every window, where they differ.
        energy_uncertainty_mj: Half of the 95 % interval of the mean energy, from how the windows scatter around their
            common power: windows may take their own time each.
        power_uncertainty_mw: Half of that of the mean power.
        duration_uncertainty_ms: Half of that of the mean length.
    """

    wanted: int
    found: int
    energy_mean_mj: float = 0.0
    energy_sd_mj: float = 0.0
    energy_median_mj: float = 0.0
    power_mean_mw: float = 0.0
    power_sd_mw: float = 0.0
    duration_mean_ms: float = 0.0
    duration_sd_ms: float = 0.0
    energies_mj: tuple[float, ...] = ()
    durations_ms: tuple[float, ...] = ()
    disturbed: tuple[int, ...] = ()
    incomplete: tuple[int, ...] = ()
    starts_s: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    energy_uncertainty_mj: float | None = None
    power_uncertainty_mw: float | None = None
    duration_uncertainty_ms: float | None = None


class AlignmentFacts(Record):
    """How the runner's clock was fitted to the trace.

    Attributes:
        offset_s: Trace time minus device time in the middle of the run.
        drift_ppm: Rate of the meter's clock against the device's.
        residual_ms: Most that a section of the run is off; None when none shows an edge (version 1: root mean square).
        sections: Number of sections behind it.
        longer_ms: How much longer the stamped windows are than the power says; None where no edge shows.
        peak_sigma: How much better the stamps fit there than anywhere else, in standard deviations (version 1: height
            of the correlation over its scatter).
        pulses: Number of sync pulses among the stamps.
        peak_ratio: Of version 1: correlation over that of the next best place.
    """

    offset_s: float
    drift_ppm: float
    residual_ms: float | None
    sections: int
    longer_ms: float | None = None
    peak_sigma: float
    pulses: int
    peak_ratio: float | None = None


class BackgroundFacts(Record, rename={"max_off_line_mw": "bend_mw"}):
    """Power while the model does not run.

    ``method`` says what was subtracted: the level in the gaps around each inference, or the line through the idle
    before and after the run. ``during_mw`` is the mean of what was subtracted, ``above_idle_mw`` how far the gaps lie
    above the idle beside the run. ``idle_scatter_mw`` and ``max_off_line_mw`` are of version 1.
    """

    method: Literal["gaps", "idle line"]
    during_mw: float
    before_mw: float | None
    after_mw: float | None
    before_s: float
    after_s: float
    above_idle_mw: float | None
    idle_scatter_mw: float | None = None
    max_off_line_mw: float = 0.0


class TailFacts(Record):
    """What is drawn after the end of an inference, while clocks and rails come down.

    ``convention`` says which of it the headline figure holds. ``tail_mj`` is the mean energy of a tail (per
    inference), None where tails run into the next inference; ``carried_mj`` is at most how much of a tail lies within
    the next inference's window. ``tail_uncertainty_mj`` is half of the 95 % interval of ``tail_mj``.
    """

    convention: str
    tail_ms: float
    tail_mj: float | None
    carried_mj: float
    tail_uncertainty_mj: float | None = None


class WholeBurst(Record):
    """Of version 1, and of coarse meters: the whole run above the idle line, divided by the inferences.

    ``expected_mj`` is the same from the single windows and tails; ``deviation`` is their relative difference.
    """

    seconds: float
    energy_mj: float
    expected_mj: float
    deviation: float


class TraceFacts(Record):
    """The recording itself."""

    source: str
    meter: str
    rate_hz: float
    measured_rate_hz: float | None
    seconds: float
    samples: int
    lost_share: float
    over_current: bool


class EnergySubject(Record):
    """What was measured, where and how.

    ``affinity`` and ``gap_ms`` are those that the latencies of the same record were measured with. ``gap_ms`` is None
    in older reports, which tell neither. ``precision`` is as ``Recipe.precision_words`` tells it.
    """

    artifact: str
    sha256: str
    format: str
    precision: str | None = None
    device: str
    runner: str
    runtime: str
    threads: int
    affinity: str | None = None
    gap_ms: float | None = None


class EnergyReport(Record):
    """Energy per inference, the verdict on it, and what both rest on.

    ``verified`` means that all ``checks`` passed; ``reasons`` say in words what did not, ``notes`` what else to know.
    ``energy_mj`` is None when no method could tell.

    Attributes:
        interval_mj: 95 % interval of the mean.
        uncertainty_mj: Half of it.
        error_share: Standard error over the mean.
        overhead_mj: What a burst costs beyond its inferences, where bursts of two lengths tell; the figure is then
            what one more inference costs.
        overhead_uncertainty_mj: Half of its 95 % interval.
        control_mj: Energy found in windows in which the model did not run.
        control_uncertainty_mj: Half of its 95 % interval.
        efficiency_percent_per_mj: Top-1 accuracy in percent, as the user stated it, over energy in mJ (the paper's
            energy-aware efficiency).
    """

    schema_version: Literal[1, 2] = 2
    verdict: Verdict
    checks: tuple[Check, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    method: Method
    inferences: int
    inferences_per_burst: int = 1
    energy_mj: float | None = None
    energy_sd_mj: float | None = None
    energy_median_mj: float | None = None
    interval_mj: tuple[float, float] | None = None
    uncertainty_mj: float | None = None
    overhead_mj: float | None = None
    overhead_uncertainty_mj: float | None = None
    control_mj: float | None = None
    control_uncertainty_mj: float | None = None
    energy_with_tail_mj: float | None = None
    power_mw: float | None = None
    power_sd_mw: float | None = None
    duration_ms: float | None = None
    snr: float | None = None
    noise_mw: float
    error_share: float | None = None
    top1_percent: float | None = None
    efficiency_percent_per_mj: float | None = None
    aligned: MethodEnergy | None = None
    regions: MethodEnergy | None = None
    whole: WholeBurst | None = None
    alignment: AlignmentFacts | None = None
    background: BackgroundFacts | None = None
    tail: TailFacts | None = None
    trace: TraceFacts
    subject: EnergySubject | None = None

    @property
    def passed(self) -> bool:
        """Whether the figure is verified."""
        return self.verdict == "verified"


def check_top1(percent: float | None) -> None:
    """Refuse an accuracy that is no percentage.

    Raises:
        UsageError: Zero, negative or above 100.
    """
    if percent is not None and not 0 < percent <= 100:
        raise UsageError(f"top-1 accuracy of {percent}: expected percent, above 0 and up to 100")


def trace_facts(trace: PowerTrace, source: str) -> TraceFacts:
    """The facts of a recording for the record."""
    return TraceFacts(
        source=source or trace.meta.get("source", ""),
        meter=trace.meta.get("meter", "unknown"),
        rate_hz=trace.rate_hz,
        measured_rate_hz=trace.measured_rate_hz(),
        seconds=trace.seconds,
        samples=len(trace.power_mw),
        lost_share=trace.lost_share,
        over_current=trace.over_current,
    )


def method_energy(
    starts_s: Doubles, durations_s: Doubles, energy_mj: Doubles, counts: Doubles, *, wanted: int,
    used: Bools | None = None,
) -> MethodEnergy:  # fmt: skip
    """The figures of one method from its windows, (n,) each; ``used`` says which of them count, all without it."""
    kept = np.ones(len(starts_s), np.bool_) if used is None else used
    each, lasts = energy_mj / counts, durations_s * 1e3 / counts
    power = energy_mj / durations_s
    off = energy_mj - float(energy_mj[kept].sum() / durations_s[kept].sum()) * durations_s

    def sd(values: Doubles) -> float:
        return float(values[kept].std(ddof=1)) if int(kept.sum()) > 1 else 0.0

    def half(values: Doubles) -> float | None:
        """Half of the 95 % interval of the mean."""
        number = int(kept.sum())
        return student_quantile(number - 1) * sd(values) / math.sqrt(number) if number > 1 else None

    return MethodEnergy(
        wanted=wanted, found=len(starts_s), energy_mean_mj=float(np.average(each[kept], weights=counts[kept])),
        energy_sd_mj=sd(each), energy_median_mj=float(np.median(each[kept])), power_mean_mw=float(power[kept].mean()),
        power_sd_mw=sd(power), duration_mean_ms=float(np.average(lasts, weights=counts)), duration_sd_ms=sd(lasts),
        energies_mj=tuple(each.tolist()), durations_ms=tuple(lasts.tolist()),
        incomplete=tuple(np.flatnonzero(~kept).tolist()), starts_s=tuple(starts_s.tolist()),
        counts=tuple(counts.astype(int).tolist()) if float(np.ptp(counts)) > 0 else (),
        energy_uncertainty_mj=half(off / float(counts[kept].mean())), power_uncertainty_mw=half(power),
        duration_uncertainty_ms=half(lasts),
    )  # fmt: skip
