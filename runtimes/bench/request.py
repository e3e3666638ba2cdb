"""What the user asked ``bench`` for, the same for every device and artifact."""

from __future__ import annotations

import msgspec

from edgevit.records import Record
from runtimes.power.meter import MeterOptions
from runtimes.runners.workload import Workload


class Conditions(Record):
    """Under which conditions every run of a device starts.

    Attributes:
        max_temp_c: Highest temperature to start at; None for any.
        cooldown_s: Longest wait for that temperature.
        fixed_performance: Android's fixed performance mode while measuring.
    """

    max_temp_c: float | None = None
    cooldown_s: float = 300.0
    fixed_performance: bool = False


class MeterRequest(Record):
    """Which power meter, by its name in ``runtimes.power.meters``, and what it is told.

    Attributes:
        name: One of ``METERS``.
        options: What this meter is told beyond its name.
        idle_s: Idle before and after the measured bursts, for the background.
        top1: Top-1 accuracy in percent as the user states it, by artifact file name; the key ``""`` is for all others.
    """

    name: str
    options: MeterOptions = MeterOptions()
    idle_s: float = 4.0
    top1: dict[str, float] = msgspec.field(default_factory=dict)

    def top1_of(self, artifact: str) -> float | None:
        """What is stated for that artifact."""
        return self.top1.get(artifact, self.top1.get(""))


class BenchRequest(Record):
    """Workload, conditions, and with what.

    Attributes:
        workload: How artifacts are run; ``affinity`` as typed (``big``, ``little``, cores or a mask).
        threads: Thread counts; each one is a workload of its own.
        conditions: The conditions to start under.
        meter: The power meter, or None to measure latencies only.
        runner: As in ``runtimes.runners.choose.choose_runner``.
        tools_dir: Likewise.
        python: The interpreter on the device; None for ``python3``, and on this host for the one that runs this.
        resume: Continue earlier records instead of measuring again.
    """

    workload: Workload = Workload()
    threads: tuple[int, ...] = (1,)
    conditions: Conditions = Conditions()
    meter: MeterRequest | None = None
    runner: str = "auto"
    tools_dir: str | None = None
    python: str | None = None
    resume: bool = False
