"""``bench``: measure artifacts on devices, keep the records, print one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import EdgevitExportError, UsageError, unknown_choice
from edgevit_export.commands.options import AsJson
from edgevit_export.console import Progress, format_bytes, print_error, print_line, print_note, print_table

if TYPE_CHECKING:
    from edgevit_export.workflows.energy import EnergyOptions, EnergyOutcome
    from edgevit_export.workflows.subjects import Subjects
    from runtimes.bench.measure import BenchRequest, Outcome
    from runtimes.bench.plan import PlannedPush, PlannedRun
    from runtimes.bench.record import DeviceRun, Round, RunFailure
    from runtimes.devices.device import Device
    from runtimes.devices.device import Progress as ByteProgress

DEFAULT_RESULTS = Path("results")

Devices = Annotated[list[str] | None, typer.Option("--device", "-d", help="Serial, HOST:PORT, host, all; repeatable.")]
AdbServer = Annotated[str | None, typer.Option(help="HOST:PORT of an adb server elsewhere.")]
RemoteDir = Annotated[str | None, typer.Option(help="Directory on the device for this program's files.")]
Energy = Annotated[str | None, typer.Option(help="Also measure energy: monsoon, battery, rails, hwmon or rapl.")]
Burst = Annotated[int | None, typer.Option(min=1, help="Energy: forward passes per burst, for short models.")]
Idle = Annotated[float, typer.Option(min=2.0, help="Energy: idle before and after the run in s.")]
MeterSerial = Annotated[str | None, typer.Option(help="Energy: serial number of the Monsoon.")]
Vout = Annotated[float | None, typer.Option(help="Energy: voltage that the Monsoon is to set; otherwise untouched.")]
Rails = Annotated[str | None, typer.Option(help="Energy: power rails to add up, comma-separated.")]
Top1 = Annotated[list[str] | None, typer.Option(help="Energy: top-1 in percent, or FILE=PERCENT, for %/mJ.")]


@dataclass(frozen=True)
class BenchOptions:
    """What stands on the command line besides how to measure."""

    artifacts: tuple[Path, ...]
    devices: tuple[str, ...]
    adb_server: str | None
    remote_dir: str | None
    output: Path
    dry_run: bool
    replay: Path | None
    record: Path | None
    as_json: bool
    csv: Path | None
    markdown: Path | None
    energy: EnergyOptions | None = None


def bench(
    artifacts: Annotated[list[Path], typer.Argument(help="Artifacts, their manifests, or directories of them.")],
    device: Devices = None,
    runs: Annotated[int, typer.Option(min=1, help="Timed forward passes per artifact, over all rounds.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, help="Parts that the runs are split in; artifacts take turns.")] = 5,
    warmup: Annotated[int, typer.Option(min=0, help="Untimed forward passes before each round.")] = 10,
    gap: Annotated[float, typer.Option(min=0.0, help="Pause between forward passes in ms.")] = 0.0,
    threads: Annotated[str, typer.Option(help="Thread counts, e.g. 1,2,4.")] = "1",
    affinity: Annotated[str | None, typer.Option(help="Cores: big, little, a hex mask (f0) or a list (4-7).")] = None,
    max_temp: Annotated[float | None, typer.Option(help="Highest temperature to start a round at, in °C.")] = None,
    cooldown: Annotated[float, typer.Option(min=0.0, help="Longest wait for that temperature, in s.")] = 300.0,
    fixed_performance: Annotated[bool, typer.Option(help="Android's fixed performance mode while measuring.")] = False,
    runner: Annotated[str, typer.Option(help="auto, python, tool, or the path of a tool's binary.")] = "auto",
    tools_dir: Annotated[Path | None, typer.Option(help="Directory with TOOLS_DIR/<abi>/<tool>.")] = None,
    python: Annotated[str | None, typer.Option(help="The python3 on the device.")] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="Longest time for one round of one artifact, in s.")] = 600.0,
    adb_server: AdbServer = None,
    remote_dir: RemoteDir = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the records.")] = DEFAULT_RESULTS,
    resume: Annotated[bool, typer.Option("--resume", help="Continue; skip what is finished.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be executed, and do nothing.")] = False,
    replay: Annotated[Path | None, typer.Option(help="Play a recorded session back instead of using a device.")] = None,
    record: Annotated[Path | None, typer.Option(help="Record the session with the device, for --replay.")] = None,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option(help="Also write all numbers to this CSV file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table to this Markdown file.")] = None,
    energy: Energy = None, burst: Burst = None, idle: Idle = 4.0, meter_serial: MeterSerial = None,
    vout: Vout = None, rails: Rails = None, top1: Top1 = None,
) -> None:  # fmt: skip
    """Measure artifacts on a device: push, run in rounds, pull, verify the outputs, report.

    \b
    Without --device: the only attached device, else this machine.
    """
    from edgevit_export.commands.options import split_list
    from edgevit_export.workflows.subjects import find_subjects
    from runtimes.bench.measure import BenchRequest

    request = BenchRequest(
        runs=runs, rounds=rounds, warmup=warmup, gap_ms=gap, threads=parse_threads(threads), affinity=affinity,
        max_temp_c=max_temp, cooldown_s=cooldown, fixed_performance=fixed_performance, runner=runner, python=python,
        tools_dir=str(tools_dir) if tools_dir else None, timeout_s=timeout, resume=resume,
    )  # fmt: skip
    options = BenchOptions(
        artifacts=tuple(artifacts), devices=tuple(split_list(device)), adb_server=adb_server, remote_dir=remote_dir,
        output=output, dry_run=dry_run, replay=replay, record=record, as_json=as_json, csv=csv, markdown=markdown,
        energy=_energy(energy, request, burst, idle, meter_serial, vout, rails, top1),
    )  # fmt: skip
    _refuse_energy_without_device(options)
    run(options, request, find_subjects(options.artifacts))


def parse_threads(text: str) -> tuple[int, ...]:
    """``1,2,4`` as numbers.

    Raises:
        UsageError: Not positive numbers.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"--threads '{text}': expected positive numbers separated by commas", hint="--threads 1,2,4")
    return tuple(dict.fromkeys(int(word) for word in words))


def _energy(
    meter: str | None,
    request: BenchRequest,
    burst: int | None,
    idle_s: float,
    meter_serial: str | None,
    vout_v: float | None,
    rails: str | None,
    top1: list[str] | None,
) -> EnergyOptions | None:
    from edgevit_export.commands.options import split_list
    from edgevit_export.workflows.energy import EnergyOptions
    from runtimes.power.meters import METERS

    details = {
        "--burst": burst, "--meter-serial": meter_serial, "--vout": vout_v, "--rails": rails, "--top1": top1,
    }  # fmt: skip
    if meter is None:
        if given := [option for option, value in details.items() if value is not None]:
            raise UsageError(f"{', '.join(given)} without --energy", hint="add --energy monsoon, or another meter")
        return None
    if meter not in METERS:
        raise unknown_choice("energy meter", meter, METERS)
    return EnergyOptions(
        meter=meter, runs=request.runs, warmup=request.warmup, gap_ms=request.gap_ms, threads=request.threads,
        affinity=request.affinity, burst=burst, idle_s=idle_s, timeout_s=request.timeout_s, meter_serial=meter_serial,
        vout=vout_v, rails=tuple(split_list([rails])) if rails else None, runner=request.runner, python=request.python,
        tools_dir=Path(request.tools_dir) if request.tools_dir else None, top1=tuple(top1 or ()),
    )  # fmt: skip


def _refuse_energy_without_device(options: BenchOptions) -> None:
    conflicts = {"--dry-run": options.dry_run, "--replay": options.replay, "--record": options.record}
    given = [option for option, value in conflicts.items() if value]
    if options.energy is not None and given:
        raise UsageError(f"--energy with {', '.join(given)}: energy is only measured on a device that is there")


def run(options: BenchOptions, request: BenchRequest, subjects: Subjects) -> None:
    """Measure on all devices and print; exits with 1 when a result failed, 4 when a device could not be measured."""
    from runtimes.conditions.lease import ending_sessions_on_signals

    devices = _open_devices(options)
    energies: list[EnergyOutcome] = []
    with ending_sessions_on_signals():
        outcomes = _measure_all(devices, options, request, subjects)
        if options.energy is not None and any(outcome.runs for outcome in outcomes):
            energies = _measure_energies(options, options.energy, subjects)
    if len(outcomes) == 1 and outcomes[0].error is not None and not outcomes[0].runs:
        raise outcomes[0].error
    if options.dry_run:
        _print_plans(outcomes, as_json=options.as_json)
    else:
        print_runs([run for outcome in outcomes for run in outcome.runs], options, energies)
    for outcome in outcomes:
        if outcome.error is not None:
            print_error(outcome.error)
    if code := max(_exit_code(outcomes), _energy_exit_code(energies)):
        raise typer.Exit(code)


def _measure_energies(options: BenchOptions, energy: EnergyOptions, subjects: Subjects) -> list[EnergyOutcome]:
    """A run of its own per artifact, behind the latencies: a meter is one unit, so devices take turns."""
    from edgevit_export.workflows.energy import EnergyOutcome, measure_energy

    progress, found = Progress(), list[EnergyOutcome]()
    for device in _open_devices(options):

        def note(text: str, serial: str = device.serial) -> None:
            progress.note(f"{serial}: {text}")

        try:
            with device:
                found += measure_energy(device, subjects.subjects, energy, options.output, note=note)
        except EdgevitExportError as error:
            found.append(EnergyOutcome(name=device.serial, error=error))
    return found


def _energy_exit_code(energies: Sequence[EnergyOutcome]) -> int:
    from edgevit_export.workflows.energy import exit_code

    return exit_code(energies)


def _open_devices(options: BenchOptions) -> list[Device]:
    from runtimes.devices.recording import Recording, RecordingDevice, ReplayDevice
    from runtimes.devices.select import select_device, select_devices

    if options.replay is not None:
        return [ReplayDevice(Recording.load(options.replay))]
    server, remote_dir = options.adb_server, options.remote_dir
    if options.devices:
        devices = list(select_devices(options.devices, adb_server=server, remote_dir=remote_dir))
    else:
        devices = [select_device(None, adb_server=server, remote_dir=remote_dir)]
    if options.record is None:
        return devices
    if len(devices) > 1:
        raise UsageError("--record needs a single device", hint=f"--device {devices[0].serial}")
    return [RecordingDevice(devices[0])]


def _measure_all(
    devices: Sequence[Device], options: BenchOptions, request: BenchRequest, subjects: Subjects
) -> list[Outcome]:
    """One device here in this thread, several side by side: one that fails does not stop the others."""
    stop = Event()
    progress = Progress()
    if len(devices) == 1:
        watcher = ConsoleWatcher(devices[0].serial, progress, bars=True)
        return [_measure(devices[0], options, request, subjects, watcher, stop)]
    with ThreadPoolExecutor(len(devices)) as pool:
        futures: list[Future[Outcome]] = [
            pool.submit(_measure, device, options, request, subjects, ConsoleWatcher(device.serial, progress), stop)
            for device in devices
        ]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            progress.note("stopping: every device ends the round that it is in")
            raise


def _measure(
    device: Device,
    options: BenchOptions,
    request: BenchRequest,
    subjects: Subjects,
    watcher: ConsoleWatcher,
    stop: Event,
) -> Outcome:
    from runtimes.bench.measure import Measurement, Outcome
    from runtimes.devices.recording import RecordingDevice

    measurement = Measurement(
        device, subjects.subjects, request, options.output, subjects.judge(), watcher, stop.is_set
    )
    try:
        with device:
            outcome = measurement.run(dry_run=options.dry_run)
            if options.record is not None and isinstance(device, RecordingDevice):
                device.recording(request.to_json()).save(options.record)
            return outcome
    except EdgevitExportError as error:
        return Outcome(serial=device.serial, error=error)


class ConsoleWatcher:
    """Tells on stderr what happens on one device; see ``Watcher``. ``bars`` only where it is alone on the terminal."""

    def __init__(self, serial: str, progress: Progress, *, bars: bool = False) -> None:
        self._serial = serial
        self._progress = progress
        self._bars = bars
        self._open_bar = ExitStack()

    def push(self, item: PlannedPush) -> ByteProgress | None:
        """A line, and a bar on a terminal, for what is large; small files pass in silence."""
        self._open_bar.close()
        if item.size_bytes <= 1_000_000:
            return None
        title = f"pushing {Path(item.local).name}"
        self.note(f"{title} ({format_bytes(item.size_bytes)})")
        if not self._bars:
            return None
        update = self._open_bar.enter_context(self._progress.bytes_bar(title, item.size_bytes))
        return lambda name, done_bytes, total_bytes: update(done_bytes)

    def round_started(self, planned: PlannedRun, number: int, total: int) -> None:
        self._open_bar.close()
        self.note(f"run {number} of {total}: {planned.key}, round {planned.round + 1}, {planned.runs} runs")

    def round_ended(self, planned: PlannedRun, finished: Round) -> None:
        if finished.verification.status == "failed":
            self.note(f"{planned.key}: outputs wrong: {finished.verification.reason}")

    def failed(self, key: str, failure: RunFailure) -> None:
        self._open_bar.close()
        self.note(f"{key}: failed: {failure.message}" + (f" (hint: {failure.hint})" if failure.hint else ""))

    def note(self, text: str) -> None:
        self._progress.note(f"{self._serial}: {text}")


def _print_plans(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    plans = [outcome.plan for outcome in outcomes if outcome.plan is not None]
    if as_json:
        print_line(json.dumps([json.loads(plan.to_json()) for plan in plans], indent=2))
        return
    for plan in plans:
        for line in plan.lines():
            print_line(line)


def print_runs(runs: Sequence[DeviceRun], options: BenchOptions, energies: Sequence[EnergyOutcome] = ()) -> None:
    """Judge and print records: table or JSON to stdout, reasons to stderr, CSV and Markdown to files.

    JSON is a list of latency reports; with ``--energy`` an object with that list and one of energy reports.
    """
    from validation.latency.analysis import judge_run
    from validation.latency.tables import (
        LATENCY_COLUMNS,
        LATENCY_RIGHT,
        latency_csv,
        latency_rows,
        markdown,
        reason_lines,
    )

    reports = [judge_run(run) for run in runs]
    if options.as_json:
        latency = [json.loads(report.to_json()) for report in reports]
        joules = [json.loads(found.report.to_json()) for found in energies if found.report is not None]
        both = {"latency": latency, "energy": joules}
        print_line(json.dumps(latency if options.energy is None else both, indent=2))
    else:
        print_table(LATENCY_COLUMNS, latency_rows(reports), right=LATENCY_RIGHT)
    for line in reason_lines(reports):
        print_note(line)
    if energies:
        _print_energies(energies, as_json=options.as_json)
    if options.csv is not None:
        _write(options.csv, latency_csv(reports))
    if options.markdown is not None:
        _write(options.markdown, markdown(LATENCY_COLUMNS, latency_rows(reports), LATENCY_RIGHT))


def _print_energies(energies: Sequence[EnergyOutcome], *, as_json: bool) -> None:
    from edgevit_export.workflows.energy import print_outcomes

    if not as_json:
        print_line()
        print_outcomes(energies)
    for found in energies:
        if as_json and found.error is not None:
            print_error(found.error)


def _write(path: Path, text: str) -> None:
    from edgevit.records import atomic_path

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    """The worst of all: a device that could not be measured, a run that could not be finished, a wrong output."""
    from validation.latency.analysis import judge_run

    codes = [outcome.error.exit_code for outcome in outcomes if outcome.error is not None]
    runs = [run for outcome in outcomes for run in outcome.runs]
    codes += [4 for run in runs if run.failure is not None]
    codes += [1 for run in runs if not judge_run(run).passed]
    return max(codes, default=0)
