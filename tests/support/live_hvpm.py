"""A Monsoon whose phone draws power while the kernel says that a program on this machine runs, as it happens.

The runner's own stamps are not asked: what it says of its bursts is then held against what the kernel told.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from adbd_rig import Adbd
from fake_hvpm import OPENING, FakeUnit, encode_samples

IDLE_MA, BUSY_MA, VOLTS = 200.0, 500.0, 3.85
RATE_HZ = 5000
LONGEST_S = 600


class LiveUnit(FakeUnit):
    """A unit in the supply of ``adbd``'s device: it cuts that device's USB while it samples.

    ``program`` is part of the command line of the program that draws power while it runs or wants to: where another one
    has the processor it does not sleep. ``drawn`` is when how much of that was, in s of the monotonic clock and of time
    that it ran.
    """

    def __init__(self, adbd: Adbd, program: str) -> None:
        super().__init__(realtime=True)
        self._adbd, self._program = adbd, program
        self._state: int | None = None
        self.drawn: list[tuple[float, float]] = []

    def start(self) -> None:
        """The line is cut."""
        super().start()
        opening = encode_samples(np.zeros(0), np.zeros(0))
        self._memory = np.zeros((LONGEST_S * RATE_HZ, opening.shape[1]), np.uint8)  # once: to copy it all takes long
        self._memory[: len(opening)] = opening
        self.samples = self._memory[: len(opening)]
        kinds = encode_samples(np.array([IDLE_MA, IDLE_MA + BUSY_MA]), np.full(2, VOLTS))
        self._idle, self._busy = kinds[OPENING:]
        self._looked_s = 0.0
        self._adbd.pull_cable()

    def busy_s(self, start_ns: int, end_ns: int) -> float:
        """Time that it ran between two moments of the monotonic clock."""
        moments, busy_s = np.array(self.drawn).T
        before_s, after_s = np.interp([start_ns / 1e9, end_ns / 1e9], moments, busy_s)
        return float(after_s - before_s)

    def _packet(self, timeout_ms: int) -> bytes:
        while self._next + 3 >= len(self.samples):
            time.sleep(0.0005)
            self._draw()
        return super()._packet(timeout_ms)

    def _overflow(self) -> None:
        """What piles up between two transfers is drawn when it is asked for."""

    def _draw(self) -> None:
        done = len(self.samples)
        new = self._made() - (done - OPENING)
        if new <= 0:
            return
        runs = self._runs()
        before_s = self.drawn[-1][1] if self.drawn else 0.0
        self.drawn.append((time.monotonic(), before_s + runs * new / RATE_HZ))
        self._memory[done : done + new] = self._busy if runs else self._idle
        self.samples = self._memory[: done + new]

    def _runs(self) -> bool:
        if self._state is None:
            if time.monotonic() - self._looked_s < 0.05:
                return False
            self._looked_s = time.monotonic()
            if (pid := self._find()) is None:
                return False
            self._state = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            state = os.pread(self._state, 400, 0).rpartition(b") ")[2][:1]
        except ProcessLookupError:
            state = b"X"
        if state in b"XZ":
            os.close(self._state)
            self._state = None
        return state in b"RD"

    def _find(self) -> int | None:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                here = str((entry / "cwd").readlink()).startswith(str(self._adbd.root))
            except OSError:
                continue
            if here and self._program.encode() in words[0]:
                return int(entry.name)
        return None
