"""A part of a power trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runtimes.power.trace import PowerTrace


def section(trace: PowerTrace, start_s: float, end_s: float) -> PowerTrace:
    """The part between two times; sample indices start at zero again."""
    first = max(0, round(start_s * trace.rate_hz))
    last = min(len(trace.power_mw), round(end_s * trace.rate_hz))
    inside = (trace.host_stamps[:, 0] >= first) & (trace.host_stamps[:, 0] < last)
    return replace(
        trace,
        power_mw=trace.power_mw[first:last],
        flags=trace.flags[first:last],
        current_ma=None if trace.current_ma is None else trace.current_ma[first:last],
        voltage_v=None if trace.voltage_v is None else trace.voltage_v[first:last],
        host_stamps=trace.host_stamps[inside] - np.array([first, 0.0]),
    )
