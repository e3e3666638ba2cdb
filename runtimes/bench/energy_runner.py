"""The Python runner in energy mode: idle, sync pulses and gaps around the bursts, and all stamps kept."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from runtimes.bench.energy_plan import PULSES, EnergyPlan
from runtimes.bench.plan import PlannedRun
from runtimes.power.stamps import RunStamps, Window
from runtimes.runners.contract import RunLines, RunRequest, Sample, parse_lines
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Finished, Measured, RunSettings, Subject


class EnergyRunner(PythonRunner):
    """See ``PythonRunner``; after ``read``, ``lines`` holds all that the runner told."""

    lines: RunLines | None = None

    def __init__(self, python: str, settings: RunSettings, plan: EnergyPlan) -> None:
        super().__init__(python, settings)
        self._plan = plan

    def _request(self, subject: Subject, runs: int, threads: int) -> RunRequest:
        return msgspec.structs.replace(
            super()._request(subject, runs, threads),
            burst=self._plan.burst,
            lead_in_ms=self._plan.idle_s * 1e3,
            lead_out_ms=self._plan.idle_s * 1e3,
            pulses=None if self._plan.whole_run else PULSES,
        )

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """As ``PythonRunner.read``; keeps the lines as well."""
        measured = super().read(subject, planned, finished, origin)
        data = finished.files[planned.fetch[0]]
        self.lines = parse_lines(data, self._request(subject, planned.runs, planned.threads), origin=origin)
        return measured


def stamps_of(lines: RunLines, *, burst: int) -> RunStamps:
    """When the runner was busy, from its lines; ``burst`` inferences without a gap count as one interval."""
    samples = lines.samples
    bursts = tuple(_window(samples[first : first + burst]) for first in range(0, len(samples), burst))
    other = tuple(
        Window(start_ns=phase.start_monotonic_ns, end_ns=phase.end_monotonic_ns)
        for phase in lines.phases
        if phase.name in ("load", "golden") and phase.end_monotonic_ns > phase.start_monotonic_ns
    )
    pulses = tuple(Window(start_ns=pulse.start_monotonic_ns, end_ns=pulse.end_monotonic_ns) for pulse in lines.pulses)
    warmup = tuple(_window([sample]) for sample in lines.warmup)
    return RunStamps(
        bursts=bursts,
        pulses=pulses,
        warmup=warmup,
        other=other,
        inferences_per_burst=burst,
        suspended_ns=_suspended_ns([*lines.warmup, *samples]),
    )


def _window(samples: Iterable[Sample]) -> Window:
    listed = list(samples)
    return Window(start_ns=listed[0].start_monotonic_ns, end_ns=listed[-1].end_monotonic_ns)


def _suspended_ns(samples: list[Sample]) -> int:
    """How far the boot clock, which runs on while the device sleeps, ran ahead of the monotonic one."""
    first, last = samples[0], samples[-1]
    ahead = last.end_boottime_ns - last.end_monotonic_ns - (first.start_boottime_ns - first.start_monotonic_ns)
    return max(0, ahead)
