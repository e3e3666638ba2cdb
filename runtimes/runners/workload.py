"""``Workload``: what is run, written once, from the command line to the runner on the device."""

from __future__ import annotations

from edgevit.records import Record


class SyncPulses(Record):
    """Busy bursts on all cores, before and after the runs, that a power trace can be aligned by."""

    busy_ms: tuple[int, ...] = (300, 150, 450)
    idle_ms: int = 300

    @property
    def duration_s(self) -> float:
        """How long one pattern takes."""
        return (sum(self.busy_ms) + self.idle_ms * (len(self.busy_ms) + 1)) / 1e3


class Workload(Record):
    """How one artifact is run.

    What the user leaves open is None and is filled in when it is known: ``burst`` and ``gap_ms`` of a run under a power
    meter follow from the latency and the meter, without a meter they are 1 and 0.

    Attributes:
        runs: Timed forward passes over all rounds; under a meter: bursts.
        rounds: Processes that the runs are split over; artifacts take turns.
        warmup: Untimed forward passes before each round.
        gap_ms: Idle between bursts.
        burst: Forward passes that follow each other without a gap.
        threads: Threads of the runtime.
        affinity: The cores that may be used: on the command line a name, a list or a mask; once the device is known a
            hexadecimal mask without 0x.
        idle_s: Idle before and after all runs.
        pulses: The pattern to align a power trace by, before and after all runs.
        timeout_s: Longest time for one process, on top of the time that is planned for it.
    """

    runs: int = 50
    rounds: int = 5
    warmup: int = 10
    gap_ms: float | None = None
    burst: int | None = None
    threads: int = 1
    affinity: str | None = None
    idle_s: float = 0.0
    pulses: SyncPulses | None = None
    timeout_s: float = 600.0
