"""``EnergyReport``: energy per inference with everything that it rests on."""

from __future__ import annotations

from typing import Literal

from edgevit.records import Record

Verdict = Literal["verified", "unverified"]
Method = Literal["aligned", "regions", "whole run"]


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
        disturbed: Indices of windows with other activity; they count with the others' power and their own length.
        incomplete: Indices of windows with a hole of more than 2 ms; replaced in the same way.
        starts_s: Start of every window on the trace's clock.
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


class AlignmentFacts(Record):
    """How the runner's clock was fitted to the trace.

    Attributes:
        offset_s: Trace time minus device time in the middle of the run.
        drift_ppm: Rate of the meter's clock against the device's.
        residual_ms: Root mean square of what single sections of the run are off; None when no section shows an edge.
        sections: Number of sections behind it.
        peak_ratio: Correlation at the place found over that of the next best place.
        peak_sigma: Height of the correlation over its scatter elsewhere.
        pulses: Number of sync pulses among the stamps.
    """

    offset_s: float
    drift_ppm: float
    residual_ms: float | None
    sections: int
    peak_ratio: float
    peak_sigma: float
    pulses: int


class BackgroundFacts(Record, rename={"max_off_line_mw": "bend_mw"}):
    """Power while the model does not run; JSON keeps the names of version 1.

    ``method`` says what was subtracted: the level in the gaps around each inference, or the line through the idle
    before and after the run. ``during_mw`` is the mean of what was subtracted; ``above_idle_mw`` is how far the gaps
    lie above that line in the median, ``max_off_line_mw`` at most.
    """

    method: Literal["gaps", "idle line"]
    during_mw: float
    before_mw: float | None
    after_mw: float | None
    before_s: float
    after_s: float
    idle_scatter_mw: float | None
    above_idle_mw: float | None
    max_off_line_mw: float


class TailFacts(Record):
    """What is drawn after the end of an inference, while clocks and rails come down.

    ``convention`` says which of it the headline figure holds. ``tail_mj`` is the mean energy of a tail (per
    inference), None where tails run into the next inference; ``carried_mj`` is at most how much of a tail lies within
    the next inference's window.
    """

    convention: str
    tail_ms: float
    tail_mj: float | None
    carried_mj: float


class WholeBurst(Record):
    """The integral from the first start to the last tail above the idle line, divided by the inferences.

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
    in older reports, which tell neither.
    """

    artifact: str
    sha256: str
    format: str
    device: str
    runner: str
    runtime: str
    threads: int
    affinity: str | None = None
    gap_ms: float | None = None


class EnergyReport(Record):
    """Energy per inference, the verdict on it, and what both rest on.

    ``verified`` means that two independent methods and the whole-burst integral agree and nothing speaks against the
    recording; ``reasons`` say why not, ``notes`` what else to know. ``energy_mj`` is None when no method could tell.
    ``interval_mj`` is the 95 % bootstrap interval of the mean; ``error_share`` is the standard error that noise alone
    puts on it. ``efficiency_percent_per_mj`` is top-1 accuracy in percent over energy in mJ (the paper's
    energy-aware efficiency), with the accuracy that the user stated.
    """

    schema_version: Literal[1] = 1
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    method: Method
    inferences: int
    inferences_per_burst: int = 1
    energy_mj: float | None = None
    energy_sd_mj: float | None = None
    energy_median_mj: float | None = None
    interval_mj: tuple[float, float] | None = None
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
