"""Energy per inference from the windows of a model, and how far it can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from runtimes.power.stamps import RunStamps
from validation.energy.alignment import Alignment
from validation.energy.model import Model, Windows, fit_model
from validation.energy.signal import Bools, Doubles, Signal
from validation.statistics import student_quantile

LAGS = 2  # neighbouring windows share a gap, and what is slower than two cycles the background follows
MOSTLY = 0.6  # correlation from which on a third of the scatter is explained; by chance not in 30 windows
LEAST_VARIANCE = 0.25  # of what independent windows would have: shared gaps make neighbours scatter against each other


@dataclass(frozen=True, eq=False)
class Estimate:
    """Energy of one inference.

    With bursts of one length it is the energy of all windows by the number of inferences in them. With several lengths
    it is the slope of a window's energy over the number of inferences, and ``overhead_mj`` is what a burst costs
    besides: a load that comes with every burst, or a clock that rises first.

    Attributes:
        energy_mj: The figure.
        error_mj: Its standard error, from how the windows scatter.
        bias_mj: What other ways to see the tail and the background would change, as a standard error.
        half_mj: Half of the 95 % interval from both.
        overhead_mj: Energy per burst beyond its inferences; None with bursts of one length.
        overhead_half_mj: Half of its 95 % interval.
        control_mj: Mean energy of a window in which the model did not run; None without.
        control_half_mj: Half of its 95 % interval.
        used: (n,) bool, windows that were counted.
        off_mj: (n,) float64, what each window's energy is off the common line.
    """

    energy_mj: float
    error_mj: float
    bias_mj: float
    half_mj: float
    overhead_mj: float | None
    overhead_half_mj: float | None
    control_mj: float | None
    control_half_mj: float | None
    used: Bools
    off_mj: Doubles


def estimate(signal: Signal, stamps: RunStamps, alignment: Alignment, model: Model) -> Estimate:
    """The energy of one inference in ``model``, which was fitted to ``signal``."""
    bursts = model.bursts
    used = bursts.whole if np.any(bursts.whole) else np.ones(len(bursts.counts), np.bool_)
    bursts = replace(bursts, energy_mj=bursts.energy_mj - _taken_in(signal, bursts, used))
    counts, energy = bursts.counts[used], bursts.energy_mj[used]
    weights = _weights(counts)
    figure = float(weights @ energy)
    overhead, off = _line(bursts, used, figure)
    freedom = max(1, len(counts) - (2 if overhead is None else 3))
    scatter = without_trend(off[used])
    error = standard_error(weights * scatter, freedom)
    bias = _bias(signal, stamps, alignment, model, weights, used)
    quantile = student_quantile(freedom)
    each = (1 / len(counts) - weights * float(counts.mean())) if overhead is not None else None
    control, control_half = _mean(model.controls)
    return Estimate(
        energy_mj=figure,
        error_mj=error,
        bias_mj=bias,
        half_mj=quantile * math.hypot(error, bias),
        overhead_mj=overhead,
        overhead_half_mj=None if each is None else quantile * standard_error(each * scatter, freedom),
        control_mj=control,
        control_half_mj=control_half,
        used=used,
        off_mj=off,
    )


def without_trend(values: Doubles) -> Doubles:
    """(n,) values in order, minus a straight line through them: power that grows with the heat is no scatter."""
    order = np.arange(len(values), dtype=np.float64)
    return values - np.polyval(np.polyfit(order, values, 1), order) if len(values) > 2 else values - values.mean()


def _taken_in(signal: Signal, bursts: Windows, used: Bools) -> Doubles:
    """(n,) mJ that a meter of single moments took in too much of each window, because of how many of them lie in it.

    A mean over the sample takes in what it should: the share of this effect is fitted, where most of the scatter is it.
    """
    power_mw = bursts.energy_mj[used].sum() / bursts.durations_s[used].sum()
    moments = np.ceil(bursts.ends_s * signal.rate_hz - 0.5) - np.ceil(bursts.starts_s * signal.rate_hz - 0.5)
    effect = power_mw * (moments * signal.period_s - bursts.durations_s)
    off = _line(bursts, used, float(_weights(bursts.counts[used]) @ bursts.energy_mj[used]))[1]
    centred = (effect - effect[used].mean())[used]
    along, size = float(centred @ off[used]), max(float(centred @ centred), 1e-12)
    if along < MOSTLY * math.sqrt(size * float(off[used] @ off[used])):
        return np.zeros(len(effect))
    taken: Doubles = min(along / size, 1.0) * (effect - effect[used].mean())
    return taken


def _weights(counts: Doubles) -> Doubles:
    """(n,): the figure is the sum of these times the windows' energies: their slope over ``counts``, or the mean."""
    away = counts - float(counts.mean())
    if float(np.ptp(counts)) > 0:
        return np.asarray(away / float(away @ away), np.float64)
    return np.full(len(counts), 1.0 / float(counts.sum()))


def _line(bursts: Windows, used: Bools, figure: float) -> tuple[float | None, Doubles]:
    """Energy of a burst beyond its inferences, and (n,) mJ that the windows are off.

    Bursts of one length may take their own time each: their common power counts.
    """
    counts, energy = bursts.counts, bursts.energy_mj
    if float(np.ptp(counts[used])) > 0:
        overhead = float(np.mean(energy[used] - figure * counts[used]))
        return overhead, energy - overhead - figure * counts
    power_mw = float(energy[used].sum() / bursts.durations_s[used].sum())
    return None, energy - power_mw * bursts.durations_s


def _bias(
    signal: Signal, stamps: RunStamps, alignment: Alignment, model: Model, weights: Doubles, used: Bools
) -> float:
    """Standard error in mJ from how tail and background are seen.

    What the last third of each gap as background would change (anything in between is as likely: a third of its square
    counts), and the error of the tail in the pads.
    """
    late = fit_model(signal, stamps, alignment, late=True)
    other = float(weights @ (late.bursts.energy_mj - model.bursts.energy_mj)[used])
    return math.hypot(other / math.sqrt(3), model.tail.in_pad_mw[1] * model.pad_s * float(weights.sum()))


def _mean(windows: Windows) -> tuple[float | None, float | None]:
    """Mean energy in mJ and half of its 95 % interval; None without windows."""
    energy = windows.energy_mj[windows.whole]
    if len(energy) < 2:
        return None, None
    off = energy - energy.mean()
    return float(energy.mean()), student_quantile(len(energy) - 1) * standard_error(off / len(off), len(off) - 1)


def standard_error(parts: Doubles, freedom: int) -> float:
    """Standard error of the sum of (n,) parts in order, neighbours correlated over two lags (Newey and West 1987)."""
    variance = float(parts @ parts)
    for lag in range(1, min(LAGS, len(parts) - 1) + 1):
        variance += 2 * (1 - lag / (LAGS + 1)) * float(parts[lag:] @ parts[:-lag])
    variance = max(variance, LEAST_VARIANCE * float(parts @ parts))
    return math.sqrt(variance * len(parts) / freedom)
