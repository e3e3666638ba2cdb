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

    ``counts`` is how many inferences each burst holds; empty where all hold ``inferences_per_burst``. ``controls`` are
    intervals laid out like bursts in which the runner waited and the model did not run: what the trace shows there is
    somebody else's. ``other`` are intervals in which the device may be busy in a way that nobody stamped in detail
    (loading a model): no background is taken from them.
    ``inferences_per_burst`` is k where a short model ran k times within one burst (the smallest of ``counts``).
    ``suspended_ns`` is how far CLOCK_BOOTTIME ran ahead of CLOCK_MONOTONIC during the run: above zero the device slept
    in the middle.
    """

    schema_version: Literal[1, 2] = 2
    bursts: tuple[Window, ...]
    counts: tuple[int, ...] = ()
    controls: tuple[Window, ...] = ()
    pulses: tuple[Window, ...] = ()
    warmup: tuple[Window, ...] = ()
    other: tuple[Window, ...] = ()
    inferences_per_burst: int = 1
    suspended_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse stamps that are no sequence of intervals."""
        if not self.bursts or self.inferences_per_burst < 1:
            raise ArtifactError("run stamps need at least one burst of at least one inference")
        if self.counts and (len(self.counts) != len(self.bursts) or min(self.counts) < 1):
            raise ArtifactError(
                f"run stamps: {len(self.counts)} counts for {len(self.bursts)} bursts: expected as many, of at least 1"
            )
        if self.counts and self.inferences_per_burst != min(self.counts):
            raise ArtifactError(
                f"run stamps: {self.inferences_per_burst} inferences per burst, but the smallest count is "
                f"{min(self.counts)}"
            )
        ordered = sorted((*self.bursts, *self.controls, *self.pulses, *self.warmup), key=lambda window: window.start_ns)
        for window in ordered:
            if window.end_ns <= window.start_ns:
                raise ArtifactError(
                    f"run stamps: an interval ends at {window.end_ns} ns, not after {window.start_ns} ns"
                )
        for before, after in pairwise(ordered):
            if after.start_ns < before.end_ns:
                raise ArtifactError(f"run stamps: an interval starts at {after.start_ns} ns, before {before.end_ns} ns")

    @property
    def burst_counts(self) -> tuple[int, ...]:
        """Number of inferences in each burst."""
        return self.counts or (self.inferences_per_burst,) * len(self.bursts)

    @property
    def inferences(self) -> int:
        """Number of inferences in all bursts together."""
        return sum(self.burst_counts)
