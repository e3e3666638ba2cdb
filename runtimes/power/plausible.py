"""What no power trace of a phone or a board can hold: every reader asks here, lest a wrong unit be a wrong figure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError

Floats = NDArray[np.floating]

VOLTS = (0.5, 60.0)  # below every chip's supply; above is no extra-low voltage (IEC 60364), and a battery in mV is 3700
LONGEST_S = 86_400.0  # chosen: a recording for one figure takes minutes
# Of our meters the slowest grid has 20 Hz, and 10 kHz in ms taken for s is 10 Hz; the fastest import is 10 kHz, and
# times in s taken for ms make 20 Hz to 20 kHz. Where nobody can mistake the unit, only what no meter does is refused.
RATES_HZ = (15.0, 15_000.0)
KNOWN_RATES_HZ = (1.0, 2_000_000.0)
# A phone that is awake draws over 10 mA (38 mW), and one that draws 20 W in A taken for mA makes 20 mW; the largest
# mode of a Jetson AGX Orin is 60 W, and 26 mA in uA taken for mA make 100 W.
POWER_MW = (20.0, 100_000.0)
KNOWN_LEAST_MW = 1.0
MOST_MW = 1e8  # chosen: no machine that runs this draws 100 kW
PEAK = 10  # chosen: no supply of such a device gives 1 kW at any moment; a digit too many does
MAX_NEGATIVE = 0.1  # of the area; chosen: noise around a rest of a few mW beside what a run draws is less
MAX_OWN_NEGATIVE = 0.75  # chosen: noise around nothing at all is half
MAX_DISAGREEMENT = 0.02  # chosen: columns are rounded, and means of products are not products of means


def check_plausible(
    origin: str,
    *,
    rate_hz: float,
    power_mw: Floats,
    current_ma: Floats | None,
    voltage_v: Floats | None,
    units: Collection[str] | None = None,
) -> None:
    """Refuse what cannot be a power trace, and say what it looks like.

    Args:
        origin: The file, for messages.
        rate_hz: Samples per second.
        power_mw: (n,) mW; NaN where nothing was measured.
        current_ma: (n,) mA, or None.
        voltage_v: (n,) V, or None.
        units: Roles (``time``, ``current``, ``voltage``, ``power``) whose unit the user states; None for a trace of our
            own, whose units nobody can mistake.

    Raises:
        MeterError: What was seen, what was expected, the likely cause and the option that mends it.
    """
    check_finite(origin, power_mw=power_mw, current_ma=current_ma, voltage_v=voltage_v)
    foreign = units is not None
    _check_rate(origin, rate_hz, len(power_mw), known=units is None or "time" in units, foreign=foreign)
    if voltage_v is not None:
        _check_voltage(origin, _mean(voltage_v), foreign=foreign)
    for name, values in (("current", current_ma), ("power", power_mw)):
        if values is not None:
            _check_sign(origin, name, values, foreign=foreign)
    if units is not None:
        _check_power(origin, power_mw, "current" if current_ma is not None else "power", units)


def check_finite(origin: str, *, power_mw: Floats, current_ma: Floats | None, voltage_v: Floats | None) -> None:
    """Refuse infinite values, and a power of more than ``MOST_MW`` in either direction; arrays are (n,).

    Raises:
        MeterError: Which sample.
    """
    for name, values in (("power", power_mw), ("current", current_ma), ("voltage", voltage_v)):
        if values is not None and np.any(np.isinf(values)):
            raise MeterError(f"{origin}: the {name} of sample {int(np.argmax(np.isinf(values)))} is infinite")
    above = np.abs(power_mw) > MOST_MW
    if np.any(above):
        at = int(np.argmax(above))
        raise MeterError(f"{origin}: the power of sample {at} is {power_mw[at]:.4g} mW, expected {MOST_MW:g} at most")


def check_agreement(origin: str, power_mw: Floats, product_mw: Floats) -> None:
    """Refuse a column of power, (n,) mW, that is not what the columns of current and voltage say, (n,) mW.

    Raises:
        MeterError: They differ by more than 2 %.
    """
    both = np.isfinite(power_mw) & np.isfinite(product_mw)
    total = float(np.abs(product_mw[both]).sum())
    apart = float(np.abs(power_mw[both] - product_mw[both]).sum())
    if apart > MAX_DISAGREEMENT * total:
        told, made = _mean(power_mw[both]), _mean(product_mw[both])
        raise MeterError(
            f"{origin}: the column of power says {told:.4g} mW in the mean, current times voltage {made:.4g} mW, and "
            f"single samples differ by {apart / total if total else 1.0:.1%}: expected within {MAX_DISAGREEMENT:.0%}",
            hint=_mended(told / made if made else 0.0),
        )


def _mended(ratio: float) -> str:
    """What a ratio of power to current times voltage looks like."""
    for unit, factor in (("power=W", 1e-3), ("power=uW", 1e3), ("power=-mW", -1.0), ("current=-mA", -1.0)):
        if abs(ratio / factor - 1) < 0.2:
            return f"one of the units is another: --units {unit}, or that of current or voltage"
    return "one of the units is another (--units), or the columns are of different channels"


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else float("nan")


def _check_rate(origin: str, rate_hz: float, count: int, *, known: bool, foreign: bool) -> None:
    low, high = KNOWN_RATES_HZ if known else RATES_HZ
    seconds = count / rate_hz
    if low <= rate_hz <= high and seconds <= LONGEST_S:
        return
    slow = rate_hz < low or seconds > LONGEST_S
    looks = "the times look like ms or us, not s" if slow else "the times look like s, not ms"
    raise MeterError(
        f"{origin}: {rate_hz:.6g} samples a second over {seconds:.6g} s: expected {low:g} to {high:g} a second and "
        f"at most a day{f'; {looks}' if foreign else ''}",
        hint=f"--units time={'ms' if slow else 's'} if so; --units states the unit also where it is right"
        if foreign
        else None,
    )


def _check_voltage(origin: str, mean_v: float, *, foreign: bool) -> None:
    low, high = VOLTS
    if low <= mean_v <= high or np.isnan(mean_v):
        return
    size = abs(mean_v)
    unit = "V" if size < low else "mV" if high < size <= high * 1e3 else "uV" if size > high else "-V"
    raise MeterError(
        f"{origin}: a voltage of {mean_v:.4g} V in the mean: expected {low:g} to {high:g} V; it looks like {unit}"
        if foreign
        else f"{origin}: a voltage of {mean_v:.4g} V in the mean: expected {low:g} to {high:g} V",
        hint=f"--units voltage={unit}" if foreign else None,
    )


def _check_sign(origin: str, name: str, values: Floats, *, foreign: bool) -> None:
    known = values[np.isfinite(values)].astype(np.float64)
    area = float(np.abs(known).sum())
    below = -float(known[known < 0].sum()) / area if area else 0.0
    limit = MAX_NEGATIVE if foreign else MAX_OWN_NEGATIVE
    if below <= limit:
        return
    cause = "negated: the supply was wired or counted the other way round" if below > 0.5 else "charged in between"
    unit = {"current": "-mA", "power": "-mW"}[name]
    raise MeterError(
        f"{origin}: the {name} is negative, {below:.0%} of it: expected at most {limit:.0%} (noise); it looks {cause}",
        hint=f"--units {name}={unit}" if foreign and below > 0.5 else "record it while nothing charges the device",
    )


def _check_power(origin: str, power_mw: Floats, role: str, units: Collection[str]) -> None:
    low, high = POWER_MW
    low = KNOWN_LEAST_MW if {"current", "power"} & set(units) else low
    mean_mw = _mean(power_mw)
    if mean_mw < low or mean_mw > high:
        unit = {"current": ("A", "uA"), "power": ("W", "uW")}[role][mean_mw > high]
        raise MeterError(
            f"{origin}: {mean_mw:.4g} mW in the mean: expected {low:g} to {high:g} mW of a phone or a board; the "
            f"{role} looks like {unit}",
            hint=f"--units {role}={unit}, or its true unit",
        )
    if np.any(power_mw > PEAK * high):
        at = int(np.nanargmax(power_mw))
        raise MeterError(
            f"{origin}: {power_mw[at]:.4g} mW in sample {at}: expected at most {PEAK * high:g} mW at any moment",
            hint="look for a digit too many in the file",
        )
