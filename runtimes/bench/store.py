"""The records of one device while it is measured: in memory, and on the disk as far as they have come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from edgevit.errors import ArtifactError, EdgevitExportError, FailureError, UsageError
from edgevit.names import file_name
from edgevit.records import sha256_file, writing
from edgevit.shell import quoted
from runtimes.bench.plan import Job
from runtimes.bench.record import (
    DeviceRun,
    EnergyRun,
    Round,
    RunFailure,
    new_record,
    partial_path,
    record_directory,
)
from runtimes.bench.request import BenchRequest
from runtimes.power.trace import PowerTrace

NO_RECORDS = (".energy.json", ".stamps.json")  # what version 1 kept beside its records


class RecordStore:
    """One record per job; each change is on the disk before the next run starts.

    A record that is not complete waits beside an earlier complete one, which it replaces only when it is complete.
    Where a file cannot be written any more (a full disk, a directory that was removed), it and all later ones go to a
    temporary directory: what was measured is not lost, and the measuring goes on.

    Args:
        output: Directory of the records.
        device: The device's serial.
        jobs: What is measured.
        request: What was asked for; with a power meter a record is complete when its energy is there as well.

    Attributes:
        directory: Where the device's records and traces are written now.
        moved: Why not all of them are where they were asked for, and where they are; None while they are.
    """

    def __init__(self, output: Path, device: str, jobs: Sequence[Job], request: BenchRequest) -> None:
        self.directory = record_directory(output, device)
        self.moved: EdgevitExportError | None = None
        self._device = device
        self._jobs = {job.key: job for job in jobs}
        self._meter = request.meter
        self._waited: list[str] = []
        self._records = {
            key: new_record(device, job.subject, job.runner.name, job.workload, request.conditions)
            for key, job in self._jobs.items()
        }

    def __getitem__(self, key: str) -> DeviceRun:
        return self._records[key]

    @property
    def records(self) -> list[DeviceRun]:
        """One record per job, as far as it has come."""
        return list(self._records.values())

    @property
    def open_jobs(self) -> list[Job]:
        """The jobs that are neither complete nor failed."""
        return [
            self._jobs[key] for key, record in self._records.items() if not record.complete and record.failure is None
        ]

    def resume(self) -> list[str]:
        """Take over earlier records that measure the same files in the same way, whatever they are called.

        A complete record wins over one that is not, more rounds over fewer.

        Returns:
            The records that cannot be read, in words.
        """
        earlier, problems = [], []
        for path in sorted(self.directory.glob("*.json")):
            try:
                earlier += (
                    []
                    if path.name.startswith(".") or path.name.endswith(NO_RECORDS)
                    else [(path, DeviceRun.load(path))]
                )
            except ArtifactError as error:
                problems.append(error.message)
        for key, new in self._records.items():
            fitting = [(path, self._taken_over(path, key, record)) for path, record in earlier if record.continues(new)]
            if fitting:
                path, record = max(fitting, key=lambda each: (each[1].complete, len(each[1].rounds)))
                self._records[key] = record
                if path != self.path(key):
                    self._waited.append(key)
        return problems

    def _taken_over(self, path: Path, key: str, record: DeviceRun) -> DeviceRun:
        """An earlier record as that of ``key``: without its failures, and without energy that is not asked for now.

        That is what another meter measured, or with other bursts, gaps or idle, or what has lost its trace.
        """
        energy, workload = record.energy, self._jobs[key].workload
        if energy is not None:
            same = self._meter is not None and energy.answers(self._meter) and record.workload == workload
            trace = path.with_name(energy.trace_file)
            if not same or not trace.is_file() or sha256_file(trace) != energy.trace_sha256:
                energy = None
        record = msgspec.structs.replace(
            record, workload=workload, energy=energy, failure=None, energy_failure=None
        )  # fmt: skip
        return self._judged_complete(key, record)

    def keep_completed(self) -> None:
        """Put resumed records in their place that lack nothing more: the energy that failed is not asked for now."""
        for key in self._waited:
            if self._records[key].complete:
                self._keep(key)

    def add_round(self, key: str, finished: Round) -> None:
        """Keep one more round."""
        self._keep(key, rounds=(*self._records[key].rounds, finished))

    def add_energy(self, key: str, energy: EnergyRun) -> None:
        """Keep the run under the power meter."""
        self._keep(key, energy=energy)

    def keep_trace(self, key: str, trace: PowerTrace) -> Path:
        """Keep what the power meter told, beside the record.

        Raises:
            UsageError: It can be written nowhere.
        """
        return self._write(self.path(key).with_suffix(".energy.npz").name, trace.save)

    def fail(self, key: str, error: EdgevitExportError, round: int | None = None) -> RunFailure:
        """Keep why the artifact could not be measured."""
        failure = self._failure(key, error, round)
        self._keep(key, failure=failure)
        return failure

    def fail_energy(self, key: str, error: EdgevitExportError) -> RunFailure:
        """Keep why its energy could not be measured; its latencies stand."""
        failure = self._failure(key, error, None)
        self._keep(key, energy_failure=failure)
        return failure

    def path(self, key: str) -> Path:
        """Where the record of ``key``, one artifact, runner and workload, stands when it is complete.

        What was measured with a meter and what without do not replace each other.
        """
        meter = "" if self._meter is None else f"-{file_name(self._meter.name)}"
        return self.directory / f"{key}{meter}.json"

    def origin(self, key: str) -> str:
        """What ``key`` stands for in messages."""
        return f"{self._jobs[key].subject.name} on {self._device}"

    def _failure(self, key: str, error: EdgevitExportError, round: int | None) -> RunFailure:
        named = self._jobs[key].subject.name in error.message
        message = error.message if named else f"{self.origin(key)}: {error.message}"
        return RunFailure(message=message, hint=error.hint, round=round, exit_code=error.exit_code)

    def _judged_complete(self, key: str, record: DeviceRun) -> DeviceRun:
        metered = self._meter is None or (record.energy is not None and record.energy.meter == self._meter.name)
        complete = metered and len(record.rounds) == len(self._jobs[key].rounds)
        return msgspec.structs.replace(record, complete=complete)

    def _keep(self, key: str, **changes: object) -> None:
        changed = msgspec.structs.replace(self._records[key], **changes)
        record = self._records[key] = self._judged_complete(key, changed)
        path = self.path(key)
        is_final = record.complete and record.failure is None
        with suppress(UsageError, FailureError):  # told by ``moved``; the record is still in memory
            written = self._write((path if is_final else partial_path(path)).name, record.save)
            if is_final:
                with suppress(OSError):
                    partial_path(written).unlink()

    def _write(self, name: str, save: Callable[[Path], None]) -> Path:
        """Save a file where it belongs, else in a temporary directory, which then gets all later ones."""
        asked = self.directory
        try:
            with writing(asked / name) as path:
                save(path)
            return path
        except (UsageError, FailureError) as error:
            failed, is_second = error, self.moved is not None
        self.moved = FailureError(f"{failed.message}; only the output of this command holds what was measured")
        if is_second:
            raise failed
        with writing(Path(tempfile.gettempdir(), name)):
            self.directory = Path(tempfile.mkdtemp(prefix="edgevit-records-"))
        written = self._write(name, save)
        self.moved = FailureError(
            f"{failed.message}; what was measured from then on is in {self.directory}",
            hint=f"free some space, then: mv {quoted(self.directory)}/* {quoted(asked)}",
        )
        return written
