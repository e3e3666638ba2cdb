"""Take every packet from a Monsoon while it samples, and do nothing else.

The unit queues 16 samples (3.2 ms); whoever asks later than that loses data. So a thread of its own asks for 256
packets at once: while such a transfer is under way the host controller fetches them by itself, and only the moment
between two transfers counts. It asks the system to be served before others (granted to root and to users with a
real-time limit), the memory is laid out before, the garbage collector rests, and the interpreter hands the processor
over every 0.5 ms instead of every 5 ms. Decoding comes afterwards. A failed transfer ends the recording; nothing is
ever started again in silence.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError
from runtimes.power.monsoon_packets import PACKET_BYTES, READ_BYTES

CHUNK_PACKETS = 1 << 16  # chosen, because 4 MiB are laid out at once and last for half a minute
STAMP_EVERY = 256  # packets: what one transfer brings
SWITCH_INTERVAL_S = 0.0005  # chosen, because it is a sixth of the unit's queue
START_S = 5.0  # chosen, because the unit calibrates itself before it sends
SILENCE_S = 3.0  # chosen, because a unit that samples sends every millisecond

ReadInto = Callable[[memoryview], int]
"""Fills the buffer with packets of 64 bytes, the last one possibly short, and returns the number of bytes: 0 when
none came in time. Raises MeterError when the unit is lost."""


class PacketReader:
    """A thread that stores packets from ``read_into`` until it is stopped or the unit is lost."""

    def __init__(self, read_into: ReadInto) -> None:
        self._read_into = read_into
        self._chunks: list[NDArray[np.uint8]] = []
        self._filled = 0
        self._next_stamp = 1
        self._stamps: list[tuple[int, float]] = []
        self._error: MeterError | None = None
        self._stop = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="monsoon-reader", daemon=True)
        self._collecting = gc.isenabled()
        self._switching_s = sys.getswitchinterval()

    def start(self) -> None:
        """Begin to read; returns when the first packet is in.

        Raises:
            MeterError: Nothing came in ``START_S``, or the unit was lost.
        """
        gc.disable()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()
        if not self._first.wait(START_S) or self._error is not None:
            error = self._error or MeterError(f"the Monsoon sent nothing in {START_S:g} s after the start of sampling")
            self.stop()
            raise error

    def check(self) -> None:
        """Raise what ended the reading, if anything did."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End reading and put the interpreter back; raises nothing."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=SILENCE_S + 2.0)
        sys.setswitchinterval(self._switching_s)
        if self._collecting:
            gc.enable()

    def recording(self) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """All packets, and when some of them came.

        Returns:
            (n, 64) uint8 packets; (m, 2) float64: number of a packet, host's monotonic seconds of its arrival.

        Raises:
            MeterError: The reading broke off, or has not ended.
        """
        if self._thread.is_alive():
            raise MeterError("the Monsoon is still being read")
        self.check()
        packets = np.concatenate(self._chunks)[: self._filled]
        return packets, np.array(self._stamps, np.float64).reshape(-1, 2)

    def _loop(self) -> None:
        try:
            self._read_all()
        except MeterError as error:
            self._error = error
        except Exception as error:  # the thread must not die without a word
            self._error = MeterError(f"reading the Monsoon failed after {self._filled} packets: {error!r}")
            self._error.__cause__ = error
        self._first.set()

    def _read_all(self) -> None:
        _ask_for_priority()
        last_s = time.monotonic()
        while not self._stop.is_set():
            chunk = np.zeros((CHUNK_PACKETS, PACKET_BYTES), np.uint8)
            self._chunks.append(chunk)
            buffer = chunk.data.cast("B")
            place, end = 0, CHUNK_PACKETS * PACKET_BYTES
            while place < end and not self._stop.is_set():
                length = self._read_into(buffer[place : min(end, place + READ_BYTES)])
                now_s = time.monotonic()
                if length:
                    last_s = now_s
                    count = -(-length // PACKET_BYTES)
                    place += count * PACKET_BYTES
                    self._took(count, now_s)
                elif now_s - last_s > SILENCE_S:
                    raise MeterError(
                        f"the Monsoon went silent: nothing for {SILENCE_S:g} s after {self._filled} packets",
                        hint="check its USB cable and its supply; what was recorded cannot be used",
                    )

    def _took(self, count: int, now_s: float) -> None:
        self._filled += count
        if self._filled >= self._next_stamp:
            self._stamps.append((self._filled - 1, now_s))
            self._next_stamp = self._filled + STAMP_EVERY
        self._first.set()


def _ask_for_priority() -> None:
    """Real-time scheduling for this thread, else a better nice value, else nothing."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        with suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)
