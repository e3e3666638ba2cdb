"""A meter that draws its trace from what the runner really did here: 2 W above 0.8 W while busy, 3 W in pulses."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from edgevit.errors import MeterError
from runtimes.power.meter import PowerMeter, Resolution
from runtimes.power.trace import PowerTrace

IDLE_MW, BUSY_MW, PULSE_MW = 800.0, 2000.0, 3000.0
RATE_HZ = 5000.0


class StampMeter(PowerMeter):
    """``fails`` makes it break off in the middle; ``calls`` records what was asked of it."""

    name = "monsoon"
    resolution = Resolution(period_s=0.0002, step_mj=0.0, scope="all of it")

    def __init__(self, directory: Path, *, cuts_usb: bool = True, fails: bool = False) -> None:
        self._directory = directory
        self.cuts_usb = cuts_usb
        self._fails = fails
        self.calls: list[str] = []

    def prepare(self) -> None:
        self.calls.append("prepare")

    def start(self) -> None:
        self.calls.append("start")
        self._started_s = time.monotonic()

    def check(self) -> None:
        if self._fails and time.monotonic() - self._started_s > 0.5:
            raise MeterError("the Monsoon was unplugged or reset (while sampling)")

    def stop(self) -> PowerTrace:
        self.calls.append("stop")
        count = int((time.monotonic() - self._started_s) * RATE_HZ)
        edges = self._started_s + np.arange(count + 1) / RATE_HZ
        power = np.random.default_rng(0).normal(IDLE_MW, 30.0, count)
        for start, end, above_mw in self._busy():
            first, last = np.searchsorted(edges, [start - 1e-3, end + 1e-3])
            local = np.clip(edges[first : last + 1], start, end)
            power[first:last] += np.diff(local) * RATE_HZ * above_mw
        index = np.arange(0, count, 500.0)
        stamps = np.stack([index, self._started_s + index / RATE_HZ], axis=1)
        return PowerTrace(RATE_HZ, power, np.zeros(count, np.uint8), host_stamps=stamps, meta={"meter": "stamps"})

    def close(self) -> None:
        self.calls.append("close")

    def _busy(self) -> list[tuple[float, float, float]]:
        """Start and end in s, and power in mW, of pulses, warm-up and runs in the newest lines file."""
        found = sorted(self._directory.glob("**/*.lines.jsonl"), key=lambda path: path.stat().st_mtime)
        if not found:
            return []
        newest = found[-1]
        lines = [json.loads(line) for line in newest.read_text().splitlines()]
        busy = [line for line in lines if line["line"] in ("pulse", "sample")]
        return sorted(
            (
                line["start_monotonic_ns"] / 1e9,
                line["end_monotonic_ns"] / 1e9,
                PULSE_MW if line["line"] == "pulse" else BUSY_MW,
            )
            for line in busy
        )
