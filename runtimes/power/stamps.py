"""``RunStamps``: when the runner was busy, on the device's own clock."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from edgevit.errors import ArtifactError
from edgevit.records import Record


class Window(Record):
    """One busy interval on the device's monotonic clock, in ns."""

    start_ns: int
    end_ns: int


class RunStamps(Record):
    """Start and end of every measured burst, of the sync pulses around them and of the warm-up.

    ``other`` are intervals in which the device may be busy in a way that nobody stamped in detail (loading a model):
    no background is taken from them.
    ``inferences_per_burst`` is k where a short model ran k times within one burst. ``suspended_ns`` is how far
    CLOCK_BOOTTIME ran ahead of CLOCK_MONOTONIC during the run: above zero the device slept in the middle.
    """

    schema_version: Literal[1] = 1
    bursts: tuple[Window, ...]
    pulses: tuple[Window, ...] = ()
    warmup: tuple[Window, ...] = ()
    other: tuple[Window, ...] = ()
    inferences_per_burst: int = 1
    suspended_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse stamps that are no sequence of intervals."""
        if not self.bursts or self.inferences_per_burst < 1:
            raise ArtifactError("run stamps need at least one burst of at least one inference")
        ordered = sorted((*self.bursts, *self.pulses, *self.warmup), key=lambda window: window.start_ns)
        for window in ordered:
            if window.end_ns <= window.start_ns:
                raise ArtifactError(
                    f"run stamps: an interval ends at {window.end_ns} ns, not after {window.start_ns} ns"
                )
        for before, after in pairwise(ordered):
            if after.start_ns < before.end_ns:
                raise ArtifactError(f"run stamps: an interval starts at {after.start_ns} ns, before {before.end_ns} ns")

    @property
    def inferences(self) -> int:
        """Number of inferences in all bursts together."""
        return len(self.bursts) * self.inferences_per_burst
