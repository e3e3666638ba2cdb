"""Find the runner's stamps in the power trace: offset and drift between the device's clock and the meter's.

First a cross-correlation at 2 ms of everything that was stamped (sync pulses, warm-up, bursts), then a search over
offset and drift that maximises the power steps at the stamped edges. Steps rather than windows: clock ramps and tails
bend the inside of a burst, but the step at its start and at its end stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevit.errors import FailureError
from runtimes.power.stamps import RunStamps, Window
from validation.energy.signal import Doubles, Signal, moving_mean
from validation.statistics import robust_sd

# All chosen, and tried on simulated traces whose clock is known (benchmarks/energy_accuracy.py).
COARSE_S = 0.002  # ten samples at 5 kHz: short against every burst that can be measured
FINE_S = 0.0002  # one sample at 5 kHz; refined twice by four, down to 0.0125 ms
MAX_DRIFT = 250e-6  # searched; what is accepted is decided by the verdict
HIGHPASS_S = 4.0  # longer than a burst and its gap, shorter than the background's drift
MAX_EDGES = 600  # bounds the time of the search; more edges add little to the fit
TOP_SHARE = 0.85  # of the score's maximum: what counts as its flat top
BACK_TO_BACK_S = 0.0005  # shorter gaps show no step of power
NANO = 1e-9


@dataclass(frozen=True, eq=False)
class Alignment:
    """How device time maps to trace time: ``trace = (device - pivot) * (1 + drift) + offset``.

    Attributes:
        pivot_s: Device time in the middle of the run.
        offset_s: Trace time of the pivot.
        drift: Relative rate of the meter's clock against the device's.
        residual_s: Root mean square of what the edges of single sections of the run are off.
        sections: Number of sections behind ``residual_s``.
        peak_ratio: Correlation at the place found over that of the next best place.
        peak_sigma: Height of the correlation over its scatter at all other places.
    """

    pivot_s: float
    offset_s: float
    drift: float
    residual_s: float
    sections: int
    peak_ratio: float
    peak_sigma: float

    def to_trace(self, windows: tuple[Window, ...]) -> tuple[Doubles, Doubles]:
        """Starts and ends of ``windows`` on the trace's clock, each (n,) float64, s."""
        starts, ends = seconds_of(windows, self.pivot_s)
        return starts * (1 + self.drift) + self.offset_s, ends * (1 + self.drift) + self.offset_s


def seconds_of(windows: tuple[Window, ...], pivot_s: float) -> tuple[Doubles, Doubles]:
    """Starts and ends after ``pivot_s``, each (n,) float64, s; exact, since the subtraction is done in whole ns."""
    pivot_ns = round(pivot_s / NANO)
    starts = np.array([window.start_ns - pivot_ns for window in windows], np.float64) * NANO
    ends = np.array([window.end_ns - pivot_ns for window in windows], np.float64) * NANO
    return starts, ends


def busy_windows(stamps: RunStamps) -> tuple[Window, ...]:
    """All that the runner stamped as one series, by time: sync pulses, warm-up and bursts."""
    return tuple(sorted((*stamps.pulses, *stamps.warmup, *stamps.bursts), key=lambda window: window.start_ns))


def align(signal: Signal, stamps: RunStamps) -> Alignment:
    """Find offset and drift of ``stamps`` in ``signal``.

    Raises:
        FailureError: The stamps span more time than the trace.
    """
    busy = busy_windows(stamps)
    pivot_s = (busy[0].start_ns // 2 + busy[-1].end_ns // 2) * NANO
    starts, ends = seconds_of(busy, pivot_s)
    span = float(ends[-1] - starts[0])
    if span > signal.seconds:
        raise FailureError(
            f"the run's stamps span {span:.1f} s but the trace only {signal.seconds:.1f} s: not of the same run",
            hint="give the stamps that were recorded together with this trace",
        )
    typical_s = float(np.median(ends - starts))
    coarse = _coarse(signal, starts, ends, typical_s)
    edges, signs = _edges(starts, ends)
    half = _half_width(signal, starts, ends)
    offset, drift = _fine(signal, edges, signs, half, coarse)
    residual, sections = _residual(signal, edges, signs, half, offset, drift)
    return Alignment(pivot_s, offset, drift, residual, sections, coarse.ratio, coarse.sigma)


@dataclass(frozen=True)
class _Coarse:
    offset_s: float
    drift: float
    drift_step: float
    ratio: float
    sigma: float


def _coarse(signal: Signal, starts: Doubles, ends: Doubles, typical_s: float) -> _Coarse:
    """Cross-correlation of the stamps with the trace, for as many drifts as the length of the run asks for.

    ``starts`` and ``ends`` are (n,) float64, s after the pivot.
    """
    power = signal.blocks_mw(0.0, signal.seconds, COARSE_S)
    power = power - moving_mean(power, round(HIGHPASS_S / COARSE_S))
    span = float(ends[-1] - starts[0])
    count = min(41, int(np.ceil(2 * MAX_DRIFT * span / (0.5 * typical_s))) | 1)
    drifts = np.linspace(-MAX_DRIFT, MAX_DRIFT, count) if count > 1 else np.zeros(1)
    size = 1 << int(np.ceil(np.log2(len(power) + span / COARSE_S + 8)))
    spectrum = np.fft.rfft(power, size)
    best: tuple[float, float, Doubles] | None = None
    for drift in drifts:
        template = _template(starts * (1 + drift), ends * (1 + drift))
        lags = max(1, len(power) - len(template) + 1)
        correlation = np.fft.irfft(spectrum * np.conj(np.fft.rfft(template, size)), size)[:lags]
        if best is None or float(correlation.max()) > best[0]:
            best = (float(correlation.max()), float(drift), correlation)
    assert best is not None
    _, drift, correlation = best
    lag = int(np.argmax(correlation))
    ratio, sigma = _prominence(correlation, lag, _period(starts))
    step = 2 * MAX_DRIFT / max(1, count - 1) if count > 1 else 2 * MAX_DRIFT
    return _Coarse(lag * COARSE_S - float(starts[0]) * (1 + drift), drift, step, ratio, sigma)


def _template(starts: Doubles, ends: Doubles) -> Doubles:
    """Share of each 2 ms block that was busy, (blocks,) float64, the first beginning at the first start; zero mean."""
    blocks = int(np.ceil((ends[-1] - starts[0]) / COARSE_S)) + 1
    edges = starts[0] + np.arange(blocks + 1) * COARSE_S
    moments = np.stack([starts, ends], axis=1).ravel()
    busy = np.concatenate(([0.0], np.cumsum(np.diff(moments) * (np.arange(len(moments) - 1) % 2 == 0))))
    share: Doubles = np.diff(np.interp(edges, moments, busy)) / COARSE_S
    centred: Doubles = share - float(share.mean())
    return centred


def _period(starts: Doubles) -> float:
    """Median distance of (n,) starts in s; 0.1 s for a single one."""
    return float(np.median(np.diff(starts))) if len(starts) > 1 else 0.1


def _prominence(correlation: Doubles, lag: int, period_s: float) -> tuple[float, float]:
    """Best over second-best place outside of the main lobe, and height over the scatter of all places.

    ``correlation`` is (lags,) float64, one value for each 2 ms of offset.
    """
    peak = float(correlation[lag])
    reach = max(4, round(0.7 * period_s / COARSE_S))
    others = np.concatenate([correlation[: max(0, lag - reach)], correlation[lag + reach :]])
    if not len(others):
        return float("inf"), float("inf")
    second = max(float(others.max()), 1e-12)
    scatter = robust_sd(others)
    return peak / second, (peak - float(np.median(others))) / scatter if scatter > 0 else float("inf")


def _edges(starts: Doubles, ends: Doubles) -> tuple[Doubles, Doubles]:
    """Moments of the power steps in s and their signs, each (edges,) float64; back-to-back runs have none between."""
    gaps = starts[1:] - ends[:-1] > BACK_TO_BACK_S
    rising, falling = np.concatenate(([True], gaps)), np.concatenate((gaps, [True]))
    moments = np.concatenate([starts[rising], ends[falling]])
    signs = np.concatenate([np.ones(int(rising.sum())), -np.ones(int(falling.sum()))])
    order = np.argsort(moments)
    if len(order) > MAX_EDGES:
        order = order[np.linspace(0, len(order) - 1, MAX_EDGES).astype(np.int64)]
    return moments[order], signs[order]


def _half_width(signal: Signal, starts: Doubles, ends: Doubles) -> float:
    """Time in s on each side of a step to average over: as short as the noise allows, at most 0.4 of burst or gap."""
    gaps = starts[1:] - ends[:-1]
    gaps = gaps[gaps > BACK_TO_BACK_S]
    room = 0.4 * min(float(np.median(ends - starts)), float(np.median(gaps)) if len(gaps) else np.inf)
    level = float(np.percentile(signal.power_mw, 90) - np.percentile(signal.power_mw, 10)) or 1.0
    widths = [width for width in (0.0008, 0.0016, 0.004, 0.008, 0.016) if width <= room] or [max(room, 0.0004)]
    for width in widths:
        if level / (signal.noise_mw + 1e-9) * np.sqrt(2 * len(gaps) * width * signal.rate_hz / 2) > 60.0:
            return float(width)
    return float(widths[-1])


def _steps(signal: Signal, moments: Doubles, signs: Doubles, half_s: float) -> Doubles:
    """Mean power step in mW at ``moments``, summed over the edges: (..., edges), s, to (...).

    ``signs`` is (edges,): +1 where power should rise, -1 where it should fall.
    """
    middle = signal.until_mj(moments)
    after, before = signal.until_mj(moments + half_s), signal.until_mj(moments - half_s)
    total: Doubles = ((after - 2 * middle + before) @ signs) / half_s
    return total


def _fine(signal: Signal, edges: Doubles, signs: Doubles, half_s: float, coarse: _Coarse) -> tuple[float, float]:
    """Offset in s and drift at which the steps at the edges, (edges,) s after the pivot, are highest."""
    span = float(edges[-1] - edges[0]) or 1.0
    offset, drift = coarse.offset_s, coarse.drift
    reach_s = min(1.5 * COARSE_S + 0.25 * coarse.drift_step * span * (coarse.drift_step < MAX_DRIFT), 0.02)
    reach_drift = coarse.drift_step / 2
    step_s = FINE_S
    for _ in range(3):
        offsets = offset + np.arange(-reach_s, reach_s + step_s / 2, step_s)
        drift_step = min(reach_drift, 2 * step_s / span)
        drifts = drift + np.arange(-reach_drift, reach_drift + drift_step / 2, drift_step)
        best = -np.inf
        for candidate in drifts:
            scores = _steps(signal, edges * (1 + candidate) + offsets[:, None], signs, half_s)
            top = int(np.argmax(scores))
            if scores[top] > best:
                best, offset, drift = float(scores[top]), float(offsets[top]), float(candidate)
        reach_s, reach_drift, step_s = 2 * step_s, 2 * drift_step, step_s / 4
    return _centre(signal, edges * (1 + drift), signs, half_s, offset), drift


def _centre(signal: Signal, edges: Doubles, signs: Doubles, half_s: float, offset: float) -> float:
    """Centre of the top of the score in s: sampling makes the top flat over a sample, its highest point arbitrary."""
    offsets = offset + np.arange(-half_s, half_s, FINE_S / 20)
    scores = _steps(signal, edges + offsets[:, None], signs, half_s)
    weights = np.maximum(scores - TOP_SHARE * float(scores.max()), 0.0)
    return float(np.sum(offsets * weights) / np.sum(weights)) if float(weights.sum()) > 0 else offset


def _residual(
    signal: Signal, edges: Doubles, signs: Doubles, half_s: float, offset: float, drift: float
) -> tuple[float, int]:
    """How far single sections of the run would like to move away from the common fit: RMS in s, and their number."""
    shifts = np.arange(-0.006, 0.006 + 1e-9, 0.00005)
    count = int(np.clip(len(edges) // 8, 1, 8))
    away: list[float] = []
    for part, sign in zip(np.array_split(edges, count), np.array_split(signs, count), strict=True):
        scores = _steps(signal, part * (1 + drift) + offset + shifts[:, None], sign, half_s)
        noise = signal.noise_mw * np.sqrt(2 * len(part) / (half_s * signal.rate_hz))
        if float(scores.max()) > 5 * noise:
            away.append(float(shifts[int(np.argmax(scores))]))
    return (float(np.sqrt(np.mean(np.square(away)))) if away else float("inf")), len(away)
