"""``Workload``: what is run, written once, from the command line to the runner on the device."""

from __future__ import annotations

import msgspec

from edgevit.errors import UsageError
from edgevit.records import Record


class SyncPulses(Record):
    """Busy bursts on all cores, before and after the runs, that a power trace can be aligned by."""

    busy_ms: tuple[int, ...] = (300, 150, 450)
    idle_ms: int = 300

    @property
    def duration_s(self) -> float:
        """How long one pattern takes."""
        return (sum(self.busy_ms) + self.idle_ms * (len(self.busy_ms) + 1)) / 1e3


class Step(Record):
    """One step of a run: a rest of ``gap_ms``, then a burst or, where ``count`` is 0, a control.

    Attributes:
        gap_ms: Rest from the end of what was before to the start of this.
        count: Forward passes that follow each other without a gap; 0 for a control.
        wait_ms: How long a control lasts: the runner wakes and stamps as for a burst, and waits instead of running.
    """

    gap_ms: float
    count: int
    wait_ms: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is neither a burst nor a control."""
        if self.gap_ms < 0 or self.count < 0 or (self.count > 0) == (self.wait_ms > 0):
            raise UsageError(
                f"a step of {self.count} runs that waits {self.wait_ms:g} ms after a gap of {self.gap_ms:g} ms: "
                "expected runs or a wait, and nothing negative"
            )


class Workload(Record):
    """How one artifact is run.

    What the user leaves open is None and is filled in when it is known: what concerns bursts and gaps of a run under a
    power meter follows from the latency and the meter (``runtimes.bench.layout``). Without a meter, and in records of
    versions that knew no better, None stands for no gap, bursts of one length, gaps of one length and no controls.

    Attributes:
        runs: Timed forward passes over all rounds. As it is asked for under a meter: bursts; once that is laid out,
            the forward passes of all of them together, which are those of ``schedule``.
        rounds: Processes that the runs are split over; artifacts take turns.
        warmup: Untimed forward passes before each round.
        gap_ms: Idle between bursts; where it varies, its mean.
        burst: Forward passes that follow each other without a gap; where bursts differ, what ``burst_factors`` times.
        gap_spread: Gaps vary at random by up to this share of ``gap_ms``, up and down; 0 for constant ones.
        burst_factors: Bursts hold so many times ``burst`` forward passes, as often each, in random order.
        controls: Steps between the bursts in which the model does not run; see ``Step``.
        seed: Of all that is random.
        schedule: Every step, as the runner executes it; empty stands for bursts of ``burst`` with constant gaps.
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
    gap_spread: float | None = None
    burst_factors: tuple[int, ...] | None = None
    controls: int | None = None
    seed: int | None = None
    schedule: tuple[Step, ...] = ()
    threads: int = 1
    affinity: str | None = None
    idle_s: float = 0.0
    pulses: SyncPulses | None = None
    timeout_s: float = 600.0

    @property
    def of_rounds(self) -> Workload:
        """It without what concerns a power meter alone, as the rounds that measure latency do it."""
        return msgspec.structs.replace(
            self, burst=None, gap_spread=None, burst_factors=None, controls=None, seed=None, schedule=()
        )
