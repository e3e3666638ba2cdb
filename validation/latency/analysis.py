"""What the raw samples of a ``DeviceRun`` say: numbers first, verdict second, reasons in words.

The mean and deviation are the paper's protocol; the median with its interval is what should be compared. The verdict
is made from the record alone, so that old records can be judged again without the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec
import numpy as np

from edgevit.records import Record
from runtimes.bench.record import DeviceRun, Round
from runtimes.runners.runner import RunSample, Summary
from validation.latency.fitness import fitness
from validation.precision import precision_of
from validation.statistics import Floats, Trend, bootstrap_interval, outliers, pooled, trend

NS_PER_MS = 1e6
AT_START = "at the start: "  # begins a note on the device, not on the artifact


class Verdict(StrEnum):
    """How far a latency can be believed, best first."""

    VALID = "valid"
    UNVERIFIED = "unverified"
    NOISY = "noisy"
    THROTTLED = "throttled"
    FAILED = "failed"


class LatencyLimits(Record):
    """Where a verdict begins. None is derived from a model of noise; each is chosen, for the reason given.

    Attributes:
        drift: Growth over the run, as a share of the median, from which it counts as throttled; a fall of the same size
            means that the warm-up was too short. Chosen, because 5 % is what a comparison is usually to find.
        drift_p: The p-value of the trend below which growth or fall is believed: the conventional 1 %.
        interval: Half the width of the median's 95 % interval, as a share of the median; chosen as ``drift``.
        deviation: Sample deviation as a share of the mean; chosen, because all but the two most scattered of the 18
            latencies in the paper's Table 2 stay below.
        outlier_share: Share of runs far from the median; chosen, because up to one in ten still leaves p90 to the rest.
        suspended_ms: Chosen above what reading two clocks one after the other makes them differ.
        min_samples: Chosen, because the percentiles and the interval of fewer say little.
    """

    drift: float = 0.05
    drift_p: float = 0.01
    interval: float = 0.05
    deviation: float = 0.20
    outlier_share: float = 0.10
    suspended_ms: float = 1.0
    min_samples: int = 10


class LatencyReport(Record):
    """The latency of one artifact on one device with one thread count.

    ``precision`` is as ``Recipe.precision_words`` tells it, None where the record knows no recipe.
    ``sd_ms`` is the sample deviation (n - 1). Fields that the runner's tool does not tell are None: a tool that gives
    a summary only has no percentiles, no interval and no trend. ``notes`` do not decide.
    """

    schema_version: Literal[1] = 1
    artifact: str
    format: str
    precision: str | None = None
    device: str
    model: str
    runner: str
    runtime: str
    threads: int
    count: int
    rounds: int
    mean_ms: float | None = None
    sd_ms: float | None = None
    min_ms: float | None = None
    median_ms: float | None = None
    median_low_ms: float | None = None
    median_high_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    trend: Trend | None = None
    outliers: int = 0
    suspended_ms: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    peak_memory_bytes: int | None = None
    verification: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the number may be used: everything but a failure; what is short of valid says so itself."""
        return self.verdict is not Verdict.FAILED


def judge_run(run: DeviceRun, limits: LatencyLimits | None = None, *, seed: int = 0) -> LatencyReport:
    """Judge one record.

    Args:
        run: The record, complete or not.
        limits: Where a verdict begins.
        seed: Of the bootstrap; the same seed gives the same report.
    """
    limits = limits or LatencyLimits()
    report = msgspec.structs.replace(_facts(run), **_numbers(run, seed))
    wrong, unknown = _outputs(run, "failed"), _outputs(run, "not verified")
    found = {  # worst first
        Verdict.FAILED: [
            *_incompleteness(run),
            *(f"the outputs on the device are wrong: {reason}" for reason in wrong[:1]),
            *_suspension(report, limits),
        ],
        Verdict.THROTTLED: _throttling(run, report, limits),
        Verdict.NOISY: _noise(report, limits),
        Verdict.UNVERIFIED: [f"outputs not verified: {reason}" for reason in unknown[:1] if not wrong],
    }
    return msgspec.structs.replace(
        report,
        verdict=next((verdict for verdict, reasons in found.items() if reasons), Verdict.VALID),
        reasons=tuple(reason for reasons in found.values() for reason in reasons),
        notes=tuple(_notes(run, report)),
    )


def samples_ms(run: DeviceRun) -> list[Floats]:
    """The single latencies of each round, (runs,) float64, ms; empty when the runner told summaries only."""
    rounds = [np.array([sample.latency_ns / NS_PER_MS for sample in each.measured.samples]) for each in run.rounds]
    return [samples for samples in rounds if len(samples)]


def _facts(run: DeviceRun) -> LatencyReport:
    """All that does not depend on the single latencies; valid until something speaks against it."""
    measured = [each.measured for each in run.rounds]
    peaks = [each.peak_memory_bytes for each in measured if each.peak_memory_bytes is not None]
    return LatencyReport(
        artifact=run.artifact.name,
        format=run.artifact.format,
        precision=precision_of(run),
        device=run.device,
        model=run.rounds[0].before.title if run.rounds else "",
        runner=measured[0].runner if measured else run.runner,
        runtime=measured[0].runtime if measured else "",
        threads=run.workload.threads,
        count=0,
        rounds=len(run.rounds),
        load_ms=_median_ms([each.load_ns for each in measured]),
        first_ms=_median_ms([each.first_ns for each in measured]),
        peak_memory_bytes=max(peaks, default=None),
        verification=_verification(run),
        verdict=Verdict.VALID,
    )


def _numbers(run: DeviceRun, seed: int) -> dict[str, float | Trend | None]:
    """Fields of the report by name, from single latencies, else from the tool's summaries."""
    rounds = samples_ms(run)
    if not rounds:
        return _pooled([each.measured.summary for each in run.rounds if each.measured.summary])
    joined = np.concatenate(rounds)
    low, high = bootstrap_interval(rounds, np.median, seed=seed)
    middle, p90, p95, p99 = np.percentile(joined, [50, 90, 95, 99]).tolist()
    return {
        "count": len(joined),
        "mean_ms": float(joined.mean()),
        "sd_ms": float(joined.std(ddof=1)) if len(joined) > 1 else 0.0,
        "min_ms": float(joined.min()),
        "max_ms": float(joined.max()),
        "median_ms": middle,
        "median_low_ms": low,
        "median_high_ms": high,
        "p90_ms": p90,
        "p95_ms": p95,
        "p99_ms": p99,
        "trend": trend(joined),
        "outliers": outliers(joined),
        "suspended_ms": _suspended_ms(run),
    }


def _pooled(summaries: Sequence[Summary]) -> dict[str, float | Trend | None]:
    """Pooled over rounds. Medians cannot be pooled: the median of the rounds' medians stands in."""
    if not summaries:
        return {}
    counts = [each.count for each in summaries]
    spreads = [each.sd_ns for each in summaries if each.sd_ns is not None]
    smallest = [each.min_ns for each in summaries if each.min_ns is not None]
    largest = [each.max_ns for each in summaries if each.max_ns is not None]
    whole = len(spreads) == len(summaries)
    mean, deviation = pooled(counts, [each.mean_ns for each in summaries], spreads if whole else [0.0] * len(counts))
    total = sum(counts)
    return {
        "count": total,
        "mean_ms": mean / NS_PER_MS,
        "sd_ms": deviation / NS_PER_MS * (total / (total - 1)) ** 0.5 if whole and total > 1 else None,
        "min_ms": min(smallest) / NS_PER_MS if smallest else None,
        "max_ms": max(largest) / NS_PER_MS if largest else None,
        "median_ms": _median_ms([each.median_ns for each in summaries]),
    }


def _median_ms(values_ns: Sequence[float | None]) -> float | None:
    known = [value for value in values_ns if value is not None]
    return float(np.median(known)) / NS_PER_MS if known else None


def _suspended_ms(run: DeviceRun) -> float | None:
    """Time that passed on the boot clock but not on the monotonic one, within rounds; None without stamps."""
    gaps = [_round_suspended_ns(each.measured.samples) for each in run.rounds]
    known = [gap for gap in gaps if gap is not None]
    return sum(known) / NS_PER_MS if known else None


def _round_suspended_ns(samples: Sequence[RunSample]) -> int | None:
    """The suspension between the first sample's end and the last one's start, at the least.

    The boot clock is read before a sample's start and after its end, and the process may be interrupted between the
    two reads: boot minus monotonic time is too small at starts and too large at ends. A later start minus an earlier
    end therefore never shows a suspension that was none.
    """
    stamps = [
        (each.start_monotonic_ns, each.end_monotonic_ns, each.start_boottime_ns, each.end_boottime_ns)
        for each in samples
    ]
    if not stamps or any(None in each for each in stamps):
        return None
    start, end, boot_start, boot_end = np.array(stamps, np.int64).T
    smallest_end = np.minimum.accumulate(boot_end - end)
    return int(np.max(boot_start[1:] - start[1:] - smallest_end[:-1], initial=0))


def _incompleteness(run: DeviceRun) -> list[str]:
    if run.failure is not None:
        return [run.failure.message]
    planned = min(run.workload.rounds, run.workload.runs)
    if len(run.rounds) >= planned:
        return []
    return [f"incomplete: {len(run.rounds)} of {planned} rounds were run; --resume continues"]


def _verification(run: DeviceRun) -> str:
    if _outputs(run, "failed"):
        return "failed"
    return "passed" if run.rounds and not _outputs(run, "not verified") else "not verified"


def _outputs(run: DeviceRun, status: str) -> list[str]:
    """The reasons of all rounds whose outputs have that status."""
    return [each.verification.reason for each in run.rounds if each.verification.status == status]


def _suspension(report: LatencyReport, limits: LatencyLimits) -> list[str]:
    if report.suspended_ms is None or report.suspended_ms <= limits.suspended_ms:
        return []
    return [f"the device was suspended for {report.suspended_ms:.0f} ms in the middle of the run: keep it awake"]


def _throttling(run: DeviceRun, report: LatencyReport, limits: LatencyLimits) -> list[str]:
    reasons = [reason for each in run.rounds for reason in _round_throttling(each)]
    drift = report.trend
    if drift is not None and drift.p_value < limits.drift_p and drift.growth > limits.drift:
        reasons.append(f"latency grew by {drift.growth:.1%} over the run (p = {drift.p_value:.2g})")
    return list(dict.fromkeys(reasons))


def _round_throttling(each: Round) -> list[str]:
    reasons = []
    status = max(each.before.thermal.status or 0, each.after.thermal.status or 0)
    if status > 0:
        reasons.append(f"the device reported thermal status {status}")
    before = {cpu.index: cpu.max_hz for cpu in each.before.cpus}
    lowered = [
        cpu.index for cpu in each.after.cpus if (old := before.get(cpu.index)) and cpu.max_hz and cpu.max_hz < old
    ]
    if lowered:
        reasons.append(f"the highest clock of cores {', '.join(map(str, lowered))} was lowered during the run")
    return reasons


def _noise(report: LatencyReport, limits: LatencyLimits) -> list[str]:
    reasons = []
    if 0 < report.count < limits.min_samples:
        reasons.append(f"only {report.count} runs: use at least {limits.min_samples}")
    if report.mean_ms and report.sd_ms is not None and report.sd_ms > limits.deviation * report.mean_ms:
        reasons.append(f"the deviation is {report.sd_ms / report.mean_ms:.0%} of the mean")
    low, middle, high = report.median_low_ms, report.median_ms, report.median_high_ms
    if low is not None and middle and high is not None and (high - low) / 2 > limits.interval * middle:
        reasons.append(f"the median is uncertain by {(high - low) / 2 / middle:.0%}: use more runs or a quieter device")
    if report.outliers > limits.outlier_share * report.count:
        reasons.append(f"{report.outliers} of {report.count} runs are outliers")
    drift = report.trend
    if drift is not None and drift.p_value < limits.drift_p and drift.growth < -limits.drift:
        reasons.append(f"latency fell by {-drift.growth:.1%} over the run: warm up longer (--warmup)")
    return reasons


def _notes(run: DeviceRun, report: LatencyReport) -> list[str]:
    notes = []
    if report.count and report.median_low_ms is None:
        notes.append("the tool gives a summary only: no percentiles, interval or trend")
    if 0 < report.outliers <= report.count:
        notes.append(f"{report.outliers} of {report.count} runs lie far from the median")
    if run.rounds:
        state = fitness(run.rounds[0].before)
        notes += [f"{AT_START}{reason}" for reason in (*state.reasons, *state.cautions)]
    return notes
