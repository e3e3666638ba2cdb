"""A Monsoon whose phone draws what the processor time of a program on this machine says, as it happens.

The runner's own stamps are not asked: what it says of its bursts is then held against what the kernel counted.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from adbd_rig import Adbd
from fake_hvpm import FakeUnit, encode_samples

IDLE_MA, BUSY_MA, VOLTS = 200.0, 500.0, 3.85
RATE_HZ = 5000
FIRST = -15  # niceness


def come_first(task: int) -> None:
    """Let a process or a thread have the processor before others, where this user may say so."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, task, FIRST)


class LiveUnit(FakeUnit):
    """A unit in the supply of ``adbd``'s device: it cuts that device's USB while it samples.

    ``program`` is part of the command line of the program whose processor time is drawn; ``drawn`` is when how much of
    it was, in s of the monotonic clock and of processor time. Who draws and what the daemon starts come first: what has
    to wait for the processor is drawn in pieces.
    """

    def __init__(self, adbd: Adbd, program: str) -> None:
        super().__init__(realtime=True)
        self._adbd, self._program = adbd, program
        if adbd.process is not None:
            come_first(adbd.process.pid)
        self._pid: int | None = None
        self._first = False
        self.drawn: list[tuple[float, float]] = []

    def start(self) -> None:
        """The line is cut."""
        super().start()
        self.samples = encode_samples(np.zeros(0), np.zeros(0))
        self._drawn_s = 0.0
        self._looked_s = 0.0
        self._adbd.pull_cable()

    def busy_s(self, start_ns: int, end_ns: int) -> float:
        """Processor time between two moments of the monotonic clock."""
        moments, busy_s = np.array(self.drawn).T
        before_s, after_s = np.interp([start_ns / 1e9, end_ns / 1e9], moments, busy_s)
        return float(after_s - before_s)

    def _packet(self, timeout_ms: int) -> bytes:
        if not self._first:
            come_first(threading.get_native_id())
            self._first = True
        while self._next + 3 >= len(self.samples):
            time.sleep(0.0005)
            self._draw()
        return super()._packet(timeout_ms)

    def _overflow(self) -> None:
        """What piles up between two transfers is drawn when it is asked for."""

    def _draw(self) -> None:
        new = self._made() - (len(self.samples) - 20)
        if new <= 0:
            return
        busy_s = self._used_s()
        share = min(busy_s / (new / RATE_HZ), 2.0)
        self.drawn.append((time.monotonic(), (self.drawn[-1][1] if self.drawn else 0.0) + busy_s))
        current = np.full(new, IDLE_MA + BUSY_MA * share)
        self.samples = np.concatenate([self.samples, encode_samples(current, np.full(new, VOLTS))[20:]])

    def _used_s(self) -> float:
        """Processor time of the program since it was asked last; None of it is lost while it runs."""
        if self._pid is None:
            if time.monotonic() - self._looked_s < 0.05:
                return 0.0
            self._looked_s = time.monotonic()
            self._pid, self._drawn_s = self._find(), 0.0
            if self._pid is None:
                return 0.0
        try:
            now_s = time.clock_gettime((~self._pid << 3) | 2)  # the process's processor clock: see clock_getcpuclockid
        except OSError:
            self._pid = None
            return 0.0
        used_s, self._drawn_s = now_s - self._drawn_s, now_s
        return used_s

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
