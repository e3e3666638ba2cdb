"""``bench --energy``: capture, analyse, keep and print the energy of artifacts on one device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError, DeviceLostError, EdgevitExportError, MeterError

if TYPE_CHECKING:
    from runtimes.bench.capture import EnergyCapture
    from runtimes.bench.energy_plan import EnergyPlan, EnergySettings
    from runtimes.devices.device import Device
    from runtimes.power.meter import PowerMeter
    from runtimes.runners.runner import Runner, RunSettings, Subject
    from validation.energy.report import EnergyReport

COLUMNS = ("artifact", "runs", "energy mJ", "± sd", "with tail", "power mW", "time ms", "top-1/mJ", "verdict")
RIGHT = ("runs", "energy mJ", "± sd", "with tail", "power mW", "time ms", "top-1/mJ")
LEASE_MARGIN_S = 1800.0


@dataclass(frozen=True)
class EnergyOutcome:
    """One artifact: its report, or why there is none. ``path`` is where the report was written."""

    name: str
    report: EnergyReport | None = None
    path: Path | None = None
    error: EdgevitExportError | None = None


@dataclass(frozen=True)
class EnergyBench:
    """Measures energy on one device.

    Attributes:
        device: The device.
        subjects: What to measure.
        meter: With what (see ``runtimes.power.meters.open_meter``).
        settings: How.
        output: Directory of the reports, traces and stamps: ``OUTPUT/<device>/<artifact>.energy.*``.
        runner: ``auto``, ``python``, ``tool`` or a tool's binary, as in ``bench``.
        python: The python3 on the device, None for the default.
        tools_dir: Directory with tools, or None.
        top1: Top-1 accuracy in percent by artifact file name, as the user states it; the key ``""`` is for all others.
        note: Told of each step.
    """

    device: Device
    subjects: Sequence[Subject]
    meter: PowerMeter
    settings: EnergySettings
    output: Path
    runner: str = "auto"
    python: str | None = None
    tools_dir: Path | None = None
    top1: dict[str, float] | None = None
    note: Callable[[str], None] = lambda text: None

    def run(self) -> list[EnergyOutcome]:
        """Measure all; an artifact that fails leaves the others running, a lost device or meter ends it.

        Raises:
            EdgevitExportError: Nothing could be measured: no meter, no device, or no such option.
        """
        from runtimes.conditions.hygiene import stay_awake
        from runtimes.conditions.lease import DeviceSession
        from runtimes.conditions.state import read_state

        state = read_state(self.device)
        self.meter.prepare()
        self.meter.close()
        android = state.android_version is not None
        lease_s = self.settings.timeout_s + LEASE_MARGIN_S
        outcomes: list[EnergyOutcome] = []
        with DeviceSession(self.device, lease_s=lease_s, report=self.note) as session:
            stay_awake(session)
            for subject in self.subjects:
                session.extend(lease_s)
                outcome = self._measure(subject, self._runner_for(subject, android))
                outcomes.append(outcome)
                if isinstance(outcome.error, (DeviceLostError, MeterError)):
                    break
        return outcomes

    def _runner_for(self, subject: Subject, android: bool) -> Callable[[RunSettings, EnergyPlan | None], Runner]:
        from runtimes.bench.energy_runner import EnergyRunner
        from runtimes.conditions.state import read_state
        from runtimes.runners.choose import RunnerChooser, survey
        from runtimes.runners.python.launch import PythonRunner

        setup = survey(self.device, read_state(self.device), python=self.python, tools_dir=self.tools_dir)

        def runner_for(settings: RunSettings, plan: EnergyPlan | None) -> Runner:
            chooser = RunnerChooser(setup, settings, self.runner, self.tools_dir, android=android)
            chosen = chooser.choose(subject.format)
            if plan is not None and isinstance(chosen, PythonRunner):
                return EnergyRunner(setup.python.command, settings, plan)
            return chosen

        return runner_for

    def _measure(
        self, subject: Subject, runner_for: Callable[[RunSettings, EnergyPlan | None], Runner]
    ) -> EnergyOutcome:
        from runtimes.bench.capture import Capture

        try:
            capture = Capture(self.device, self.meter, self.settings, note=self.note).run(subject, runner_for)
            report = self._analyze(subject, capture)
            return EnergyOutcome(subject.name, report, self._keep(subject, capture, report))
        except EdgevitExportError as error:
            self.note(f"{subject.name}: failed: {error.message}")
            return EnergyOutcome(subject.name, error=error)

    def _analyze(self, subject: Subject, capture: EnergyCapture) -> EnergyReport:
        import msgspec

        from validation.energy.analysis import analyze_energy
        from validation.energy.report import EnergySubject
        from validation.energy.whole_run import analyze_whole_run

        top1 = None if self.top1 is None else self.top1.get(subject.name, self.top1.get(""))
        if capture.plan.whole_run:
            if capture.stamps is None or capture.device_to_trace_s is None:
                raise DeviceError(
                    f"{self.meter.name} needs the run's times, which {capture.runner} does not tell",
                    hint="--runner python, or --energy monsoon",
                )
            report = analyze_whole_run(
                capture.trace,
                capture.stamps,
                device_to_trace_s=capture.device_to_trace_s,
                period_s=self.meter.resolution.period_s,
                top1_percent=top1,
            )
        else:
            report = analyze_energy(
                capture.trace, runs=None if capture.stamps else self.settings.runs, stamps=capture.stamps,
                top1_percent=top1,
            )  # fmt: skip
        return msgspec.structs.replace(
            report,
            subject=EnergySubject(
                artifact=subject.name, sha256=subject.sha256, format=str(subject.format), device=self.device.serial,
                runner=capture.runner, runtime=capture.measured.runtime, threads=self.settings.threads,
            ),
        )  # fmt: skip

    def _keep(self, subject: Subject, capture: EnergyCapture, report: EnergyReport) -> Path:
        from runtimes.bench.record import file_name, record_path

        path = record_path(self.output, self.device.serial, subject, capture.runner, self.settings.threads)
        stem = file_name(path.stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        capture.trace.save(path.with_name(f"{stem}.energy.npz"))
        if capture.stamps is not None:
            capture.stamps.save(path.with_name(f"{stem}.energy.stamps.json"))
        report.save(path.with_name(f"{stem}.energy.json"))
        return path.with_name(f"{stem}.energy.json")


@dataclass(frozen=True)
class EnergyOptions:
    """What stands on ``bench``'s command line when ``--energy`` does.

    ``gap_ms`` 0 means that none was given. ``burst``, ``meter_serial`` (of the Monsoon), ``vout`` (volts that it is to
    set) and ``rails`` may all be left out.
    """

    meter: str
    runs: int = 50
    warmup: int = 10
    gap_ms: float = 0.0
    threads: tuple[int, ...] = (1,)
    affinity: str | None = None
    burst: int | None = None
    idle_s: float = 4.0
    timeout_s: float = 600.0
    meter_serial: str | None = None
    vout: float | None = None
    rails: tuple[str, ...] | None = None
    runner: str = "auto"
    python: str | None = None
    tools_dir: Path | None = None
    top1: tuple[str, ...] = ()


def measure_energy(
    device: Device,
    subjects: Sequence[Subject],
    options: EnergyOptions,
    output: Path,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> list[EnergyOutcome]:
    """All that ``bench --energy METER`` does on one device, thread count by thread count; print_outcomes prints it.

    Raises:
        EdgevitExportError: Nothing could be measured: no such meter, not found, not fit for this device.
    """
    from edgevit_export.commands.energy import parse_top1
    from runtimes.bench.energy_plan import EnergySettings
    from runtimes.conditions.hygiene import affinity_mask
    from runtimes.conditions.state import read_state
    from runtimes.power.meters import open_meter

    top1 = parse_top1(list(options.top1))
    mask = affinity_mask(read_state(device), options.affinity) if options.affinity else None
    meter = open_meter(
        options.meter, device, serial=options.meter_serial, volts=options.vout, rails=options.rails
    )  # fmt: skip
    outcomes: list[EnergyOutcome] = []
    for threads in options.threads:
        settings = EnergySettings(
            runs=options.runs, warmup=options.warmup, gap_ms=options.gap_ms or None, burst=options.burst,
            threads=threads, affinity=None if mask is None else f"{mask:x}", idle_s=options.idle_s,
            timeout_s=options.timeout_s,
        )  # fmt: skip
        bench = EnergyBench(
            device, subjects, meter, settings, output, options.runner, options.python, options.tools_dir, top1, note
        )
        outcomes += bench.run()
    return outcomes


def energy_row(name: str, report: EnergyReport) -> tuple[str, ...]:
    """One row of the table; a dash where there is no figure."""

    def text(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    return (
        name,
        str(report.inferences),
        text(report.energy_mj, 2),
        text(report.energy_sd_mj, 2),
        text(report.energy_with_tail_mj, 2),
        text(report.power_mw, 0),
        text(report.duration_ms, 2),
        text(report.efficiency_percent_per_mj, 3),
        report.verdict,
    )


def print_outcomes(outcomes: Sequence[EnergyOutcome]) -> None:
    """The table to stdout, reasons to stderr."""
    from edgevit_export.console import print_error, print_note, print_table

    reports = [(outcome.name, outcome.report) for outcome in outcomes if outcome.report is not None]
    if reports:
        print_table(COLUMNS, [energy_row(name, report) for name, report in reports], right=RIGHT)
    for name, report in reports:
        for reason in (*report.reasons, *report.notes):
            print_note(f"{name}: {reason}")
    for outcome in outcomes:
        if outcome.error is not None:
            print_error(outcome.error)
    sys.stdout.flush()


def exit_code(outcomes: Sequence[EnergyOutcome]) -> int:
    """The worst of all: an error's own code, 1 for a figure that is not verified."""
    reports = [(outcome.name, outcome.report) for outcome in outcomes if outcome.report is not None]
    codes = [outcome.error.exit_code for outcome in outcomes if outcome.error is not None]
    codes += [1 for _, report in reports if not report.passed]
    return max(codes, default=0)
