"""Find the runner's stamps in the power trace: offset and drift between the device's clock and the meter's.

Three steps, each finer than the one before. The *place*: sync pulses and inferences as two patterns of free height,
fitted at every offset and for several drifts. The *pulses*: the power steps at their edges, before and after the run.
The *sections*: the steps at the inferences' own edges, part by part. Steps rather than windows: clock ramps and tails
bend the inside of a burst, but the steps at its start and at its end stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevit.errors import FailureError
from runtimes.power.stamps import RunStamps, Window
from validation.energy.signal import Doubles, Signal, moving_mean

# All chosen, and tried on traces whose clock is known (benchmarks/energy_verdicts.py).
MAX_DRIFT = 250e-6  # searched: more than two quartz clocks at their worst; what is accepted is decided by the verdict
MOST_DRIFT = 0.01  # reported: beyond it the trace has another rate, or another run
PULSE_BLOCK_S = 0.01  # a fifteenth of the shortest sync pulse
HIGHPASS_S = 4.0  # longer than a burst and its gap, shorter than the background's drift
MAX_EDGES = 600  # bounds the time of the search; more edges add little to the fit
TOP_SHARE = 0.85  # of the score's maximum: what counts as its flat top
SURE_STEPS = 30.0  # standard deviations of noise by which the steps of one section must be seen
SEARCH = 0.45  # of the shorter of burst and gap: beyond half of it the next edge would be found
PULSE_HALF_S = 0.05  # on each side of a pulse's edge, a third of the shortest pulse
NANO = 1e-9


@dataclass(frozen=True, eq=False)
class Alignment:
    """How device time maps to trace time: ``trace = (device - pivot) * (1 + drift) + offset``.

    Attributes:
        pivot_s: Device time in the middle of the run.
        offset_s: Trace time of the pivot.
        drift: Relative rate of the meter's clock against the device's.
        residual_s: Most that the edges of a section of the run are off; nan where none shows.
        sections: Number of sections behind ``residual_s``.
        longer_s: How much longer the stamped windows are than what the power steps say.
        place_sigma: How much better the stamps fit here than anywhere else, in standard deviations of that difference.
        drift_error: Standard error of ``drift``.
    """

    pivot_s: float
    offset_s: float
    drift: float
    residual_s: float
    sections: int
    longer_s: float
    place_sigma: float
    drift_error: float = 0.0

    def to_trace(self, windows: tuple[Window, ...]) -> tuple[Doubles, Doubles]:
        """Starts and ends of ``windows`` on the trace's clock, each (n,) float64, s."""
        starts, ends = _seconds(windows, self.pivot_s)
        return starts * (1 + self.drift) + self.offset_s, ends * (1 + self.drift) + self.offset_s


def _seconds(windows: tuple[Window, ...], pivot_s: float) -> tuple[Doubles, Doubles]:
    """Starts and ends after ``pivot_s``, each (n,) float64, s; exact, since the subtraction is done in whole ns."""
    pivot_ns = round(pivot_s / NANO)
    starts = np.array([window.start_ns - pivot_ns for window in windows], np.float64) * NANO
    ends = np.array([window.end_ns - pivot_ns for window in windows], np.float64) * NANO
    return starts, ends


def busy_windows(stamps: RunStamps) -> tuple[Window, ...]:
    """All that the runner stamped as busy, by time: sync pulses, warm-up and bursts."""
    return tuple(sorted((*stamps.pulses, *stamps.warmup, *stamps.bursts), key=lambda window: window.start_ns))


def align(signal: Signal, stamps: RunStamps) -> Alignment:
    """Find offset and drift of ``stamps`` in ``signal``.

    Raises:
        FailureError: The stamps span more time than the trace.
    """
    busy = busy_windows(stamps)
    pivot_s = (busy[0].start_ns // 2 + busy[-1].end_ns // 2) * NANO
    pulses, bursts = _seconds(stamps.pulses, pivot_s), _seconds(stamps.bursts, pivot_s)
    span = (busy[-1].end_ns - busy[0].start_ns) * NANO
    if span > signal.seconds:
        raise FailureError(
            f"the run's stamps span {span:.1f} s but the trace only {signal.seconds:.1f} s: not of the same run",
            hint="give the stamps that were recorded together with this trace",
        )
    series = [pulses, _seconds((*stamps.warmup, *stamps.bursts), pivot_s)]
    offset, drift, sigma = _place([part for part in series if len(part[0])], signal, bursts)
    if len(stamps.pulses):
        offset, drift = _by_pulses(signal, pulses, bursts, offset, drift)
    edges = _edges(*bursts, signal.period_s)
    half_s, room_s = _half_width(signal, bursts)
    offset, drift, drift_error, residual, sections = _by_sections(signal, edges, half_s, room_s, offset, drift)
    longer = _longer(signal, edges, half_s, room_s, offset, drift)
    return Alignment(pivot_s, offset, drift, residual, sections, longer, sigma, drift_error)


def _place(
    series: list[tuple[Doubles, Doubles]], signal: Signal, bursts: tuple[Doubles, Doubles]
) -> tuple[float, float, float]:
    """Offset in s, drift, and significance in sigma of the place where the patterns explain most of the trace.

    ``series`` are starts and ends, each (n,) s, of one or two patterns.
    """
    length_s = float(np.median(bursts[1] - bursts[0]))
    shortest_s = float(np.min(series[0][1] - series[0][0])) if len(series) > 1 else length_s
    block_s = max(signal.period_s, min(PULSE_BLOCK_S, shortest_s / 4))
    power = signal.blocks_mw(0.0, signal.seconds, block_s)
    power = power - moving_mean(power, round(HIGHPASS_S / block_s))
    first, last = min(float(part[0][0]) for part in series), max(float(part[1][-1]) for part in series)
    skirt, span = round(HIGHPASS_S / block_s), (last - first) / block_s
    size = 1 << int(np.ceil(np.log2(len(power) + span + 4 * skirt + 8)))
    lags = np.arange(-skirt, max(1, round(len(power) - span - skirt)))
    spectrum = np.fft.rfft(power, size)
    best = (-1.0, 0.0, np.zeros(len(lags)))
    for drift in _drifts(last - first, shortest_s / 4):
        patterns = [_pattern(*part, first, last, drift, block_s) for part in series]
        fits = [np.fft.irfft(spectrum * np.conj(np.fft.rfft(pattern, size)), size)[lags] for pattern in patterns]
        explained = _explained(fits, patterns)
        if float(explained.max()) > best[0]:
            best = (float(explained.max()), float(drift), explained)
    most, drift, explained = best
    at = int(np.argmax(explained))
    left_over = max(float(np.mean(np.square(power))) - most / len(power), 1e-9)
    period_s = float(np.median(np.diff(bursts[0]))) if len(bursts[0]) > 1 else length_s
    reach, widths = max(4, round(0.7 * period_s / block_s)), max(1, round(length_s / block_s))
    others = np.concatenate([explained[: max(0, at - reach)], explained[at + reach :]])
    lead = most - float(others.max(initial=0.0))
    # Were another place the right one, this lead would scatter with twice the root of itself times what is left over,
    # which is correlated over the length of an inference.
    sigma = np.sqrt(max(lead, 0.0) / (4 * left_over * _repeated(power, widths)))
    return float(lags[at]) * block_s + HIGHPASS_S - first * (1 + drift), drift, float(sigma)


def _drifts(span_s: float, reach_s: float) -> Doubles:
    """Drifts to try, (drifts,), so that both ends of ``span_s`` are at most ``reach_s`` off for one of them."""
    count = min(41, int(np.ceil(MAX_DRIFT * span_s / (2 * reach_s))) | 1)
    return np.linspace(-MAX_DRIFT, MAX_DRIFT, 2 * count + 1)[1::2]


def _pattern(starts: Doubles, ends: Doubles, first: float, last: float, drift: float, block_s: float) -> Doubles:
    """Share of each block that was busy, (blocks,), without what is slower than 4 s, as in the trace.

    The first block begins 4 s before ``first``, both of them stretched by ``drift``.
    """
    stretch = 1 + drift
    edges = np.arange(first * stretch - HIGHPASS_S, last * stretch + HIGHPASS_S, block_s)
    moments = np.stack([starts, ends], axis=1).ravel() * stretch
    busy = np.concatenate(([0.0], np.cumsum(np.diff(moments) * (np.arange(len(moments) - 1) % 2 == 0))))
    share: Doubles = np.diff(np.interp(edges, moments, busy)) / block_s
    return share - moving_mean(share, round(HIGHPASS_S / block_s))


def _explained(fits: list[Doubles], patterns: list[Doubles]) -> Doubles:
    """What one or two patterns of positive height explain of the trace, (lags,), from their correlations with it."""
    single = [np.square(np.maximum(fit, 0.0)) / max(float(p @ p), 1e-9) for fit, p in zip(fits, patterns, strict=True)]
    if len(patterns) == 1:
        return single[0]
    (one, two), (first, second) = patterns, fits
    aa, bb, ab = float(one @ one), float(two @ two), float(one @ two)
    scale = max(aa * bb - ab * ab, 1e-9)
    height_one, height_two = (bb * first - ab * second) / scale, (aa * second - ab * first) / scale
    both = (height_one > 0) & (height_two > 0)
    explained: Doubles = np.where(both, height_one * first + height_two * second, np.maximum(*single))
    return explained


def _repeated(power: Doubles, widths: int) -> float:
    """How many times white noise's variance that of a sum is, from the correlation of (blocks,) over ``widths``."""
    centred = power - np.median(power)
    quiet = np.clip(centred, *(np.percentile(centred, (10.0, 60.0)) * 3))
    total = max(float(quiet @ quiet), 1e-9)
    correlation = [float(quiet[lag:] @ quiet[:-lag]) / total for lag in range(1, min(widths, 50) + 1)]
    return float(np.clip(1 + 2 * sum(correlation), 1.0, 2.0 * widths + 1))


def _by_pulses(
    signal: Signal, pulses: tuple[Doubles, Doubles], bursts: tuple[Doubles, Doubles], offset: float, drift: float
) -> tuple[float, float]:
    """Offset in s and drift by the steps at the pulses' edges, before the run and after it."""
    middle = float(bursts[0][0] + bursts[1][-1]) / 2
    moments, signs = _edges(*pulses, signal.period_s)
    half_s = max(PULSE_HALF_S, 2 * signal.period_s)
    found: list[tuple[float, float]] = []
    for part in (moments < middle, moments >= middle):
        if np.any(part):
            own = moments[part]
            shift = _best_shift(signal, own * (1 + drift) + offset, signs[part], half_s, 1.2 * half_s)
            if np.isfinite(shift):
                found.append((float(own.mean()), shift))
    if len(found) == 2:
        (early, one), (late, two) = found
        slope = (two - one) / (late - early)
        if abs(drift + slope) < MOST_DRIFT:
            return offset + one - slope * early, drift + slope
    return (offset + found[0][1], drift) if found else (offset, drift)


def _edges(starts: Doubles, ends: Doubles, period_s: float) -> tuple[Doubles, Doubles]:
    """Moments of the power steps in s and their signs, each (edges,) float64; back-to-back runs have none between."""
    gaps = starts[1:] - ends[:-1] > 2 * period_s
    rising, falling = np.concatenate(([True], gaps)), np.concatenate((gaps, [True]))
    moments = np.concatenate([starts[rising], ends[falling]])
    signs = np.concatenate([np.ones(int(rising.sum())), -np.ones(int(falling.sum()))])
    order = np.argsort(moments)
    if len(order) > MAX_EDGES:
        order = order[np.linspace(0, len(order) - 1, MAX_EDGES).astype(np.int64)]
    return moments[order], signs[order]


def _half_width(signal: Signal, bursts: tuple[Doubles, Doubles]) -> tuple[float, float]:
    """Time in s on each side of a step to average over, as short as the noise allows, and how far to search."""
    gaps = bursts[0][1:] - bursts[1][:-1]
    gaps = gaps[gaps > 2 * signal.period_s]
    lengths = bursts[1] - bursts[0]
    room_s = SEARCH * min(float(np.min(lengths)), float(np.min(gaps)) if len(gaps) else np.inf)
    high, low = np.percentile(signal.power_mw, (95.0, 20.0))
    step_sigma = float(high - low) / (signal.noise_mw + 1e-9) * np.sqrt(signal.rate_hz * max(1, len(gaps) // 4))
    needed_s = 2 * (SURE_STEPS / max(step_sigma, 1e-9)) ** 2
    return float(np.clip(needed_s, min(max(4e-4, 1.5 * signal.period_s), room_s), room_s)), room_s


def _scores(signal: Signal, moments: Doubles, signs: Doubles, half_s: float, shifts: Doubles) -> Doubles:
    """Sum of the power steps in mW at ``moments``, (edges,) s, for every shift of them, (shifts,) s to (shifts,).

    ``signs`` is (edges,): +1 where power should rise, -1 where it should fall.
    """
    at = moments + shifts[:, None]
    middle = signal.until_mj(at)
    after, before = signal.until_mj(at + half_s), signal.until_mj(at - half_s)
    total: Doubles = ((after - 2 * middle + before) @ signs) / half_s
    return total


def _best_shift(signal: Signal, moments: Doubles, signs: Doubles, half_s: float, reach_s: float) -> float:
    """By how much to shift ``moments``, (edges,) s, so that the steps there are highest; nan where none shows.

    Sampling makes the top of the score flat over a sample, its highest point arbitrary: the centre of the top counts.
    """
    coarse = np.linspace(-reach_s, reach_s, int(np.clip(np.ceil(4 * reach_s / half_s), 8, 400)) * 2 + 1)
    scores = _scores(signal, moments, signs, half_s, coarse)
    noise = signal.noise_mw * np.sqrt(2 * len(moments) / (half_s * signal.rate_hz))
    if float(scores.max()) <= 5 * noise:
        return float("nan")
    near = float(coarse[int(np.argmax(scores))]) + np.linspace(-half_s, half_s, 81)
    scores = _scores(signal, moments, signs, half_s, near)
    weights = np.maximum(scores - TOP_SHARE * float(scores.max()), 0.0)
    return float(near @ weights / weights.sum())


def _by_sections(
    signal: Signal, edges: tuple[Doubles, Doubles], half_s: float, room_s: float, offset: float, drift: float
) -> tuple[float, float, float, float, int]:
    """Offset in s, drift, its error, residual in s and number of sections: edges of up to 16 parts of the run."""
    moments, signs = edges
    count = int(np.clip(len(moments) // 8, 1, 16))
    parts = np.array_split(np.arange(len(moments)), count)
    residual, error, known = float("nan"), 0.0, 0
    for _ in range(2):
        shifts = np.array(
            [_best_shift(signal, moments[p] * (1 + drift) + offset, signs[p], half_s, room_s) for p in parts]
        )
        seen = np.isfinite(shifts)
        known = int(seen.sum())
        if known == 0:
            return offset, drift, error, residual, 0
        places = np.array([float(moments[p].mean()) for p in parts])[seen]
        slope, level = np.polyfit(places, shifts[seen], 1) if known > 2 else (0.0, float(shifts[seen].mean()))
        off = shifts[seen] - level - slope * places
        residual = float(np.max(np.abs(off)))
        error = float(np.std(off) / np.std(places) / np.sqrt(known - 2)) if known > 2 else 0.0
        if abs(drift + slope) < MOST_DRIFT:
            offset, drift = offset + float(level), drift + float(slope)
    return offset, drift, error, residual, known


def _longer(
    signal: Signal, edges: tuple[Doubles, Doubles], half_s: float, room_s: float, offset: float, drift: float
) -> float:
    """How much longer than the power says the windows are, in s: starts and ends fitted apart."""
    moments, signs = edges
    mapped = moments * (1 + drift) + offset
    starts, ends = (
        _best_shift(signal, mapped[signs == sign], signs[signs == sign], half_s, room_s) for sign in (1.0, -1.0)
    )
    return starts - ends
