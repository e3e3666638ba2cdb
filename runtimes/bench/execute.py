"""Execute a plan on one device: push, run in rounds, fetch, judge, and keep what is finished.

A failure stays with what it belongs to: an artifact that fails leaves the others running, a device that is lost is
called back once, and every round that was finished is on the disk before the next one starts.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, EdgevitExportError
from runtimes.bench.plan import Plan, PlannedPush, PlannedRun, split_runs
from runtimes.bench.planning import Job
from runtimes.bench.record import DeviceRun, Round, RunFailure, Verification, facts_of, partial_path, record_path
from runtimes.conditions.state import DeviceState, read_state
from runtimes.devices.device import Device, Progress, in_context
from runtimes.devices.processes import START_OF
from runtimes.runners.runner import Feed, Finished, Measured, RunSettings, Subject

Judge = Callable[[Subject, list[Feed], str], Verification]
"""``judge(subject, answers, runtime)``: whether the answers to ``subject.feeds`` (or the first ones) are right."""

MAX_LINES = 20000  # of what a program prints; one that prints for ever must not fill the memory
PID_FILE = "bench.pid"
FRESH_STATE_S = 1.0
ALIVE_TIMEOUT_S = 10.0
RECONNECT_S = 30.0
RESUME_HINT = "plug it in again, then run the same command with --resume"

# $1 the process log: "pid start" of all that was started with its own group.
_END_LEFTOVERS = (
    START_OF
    + """
while read -r pid start; do
  [ -n "$start" ] && [ "$(start_of "$pid")" = "$start" ] && { kill -9 "-$pid" 2>/dev/null || kill -9 "$pid"; }
done 2>/dev/null <"$1"; true
"""
)

_T = TypeVar("_T")


class Watcher(Protocol):
    """Is told what happens; every method may do nothing."""

    def push(self, item: PlannedPush) -> Progress | None:
        """A file is about to be pushed; what is returned gets the bytes."""
        ...

    def round_started(self, planned: PlannedRun, number: int, total: int) -> None: ...

    def round_ended(self, planned: PlannedRun, finished: Round) -> None: ...

    def failed(self, key: str, failure: RunFailure) -> None: ...

    def note(self, text: str) -> None: ...


class Bench:
    """The measuring of one device.

    Args:
        device: The device; its lock is held and its state arranged by the caller.
        jobs: What to measure.
        settings: How; as in the plan.
        output: Directory of the records.
        judge: Says whether outputs are right.
        watcher: Is told what happens.
        stop: True when the user wants to end: no further run is started.

    ``before_run`` is called before each run; whoever holds the device's lock sets it, to renew the lock and to wait
    for the start temperature.
    """

    def __init__(
        self,
        device: Device,
        jobs: Sequence[Job],
        settings: RunSettings,
        output: Path,
        judge: Judge,
        watcher: Watcher,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._device = device
        self._jobs = {job.key: job for job in jobs}
        self._settings = settings
        self._output = output
        self._judge = judge
        self._watcher = watcher
        self.before_run: Callable[[], None] = lambda: None
        self._stop = stop
        self._lost: DeviceLostError | None = None
        self._state: DeviceState | None = None
        self._state_at_s = float("-inf")
        self._records = {
            key: new_record(device.serial, job.subject, job.runner.name, job.threads, settings)
            for key, job in self._jobs.items()
        }

    @property
    def records(self) -> list[DeviceRun]:
        """One record per job, as far as it has come."""
        return list(self._records.values())

    def resume(self) -> dict[str, int]:
        """Take over the rounds of earlier records that measure the same files in the same way; rounds by key."""
        for key, job in self._jobs.items():
            for path in (partial_path(self._path(job)), self._path(job)):
                record = DeviceRun.load(path) if path.is_file() else None
                if record and record.answers_to(job.subject, job.runner.name, job.threads, self._settings):
                    self._records[key] = msgspec.structs.replace(record, failure=None)
                    break
        return {key: len(record.rounds) for key, record in self._records.items()}

    def execute(self, plan: Plan) -> None:
        """Do what ``plan`` says; ``records`` then has one record per job, failed ones included.

        Raises:
            KeyboardInterrupt: Passed on, with all finished rounds on the disk and nothing left running.
        """
        try:
            self._push_all(plan)
            for number, planned in enumerate(plan.runs, start=1):
                if self._stop():
                    break
                if self._records[planned.key].failure is None:
                    self._watcher.round_started(planned, number, len(plan.runs))
                    self._attempt(planned)
        finally:
            with suppress(DeviceError):
                if self._lost is None:
                    self._remove({name for planned in plan.runs for name in planned.clear}, plan.scratch)

    def _push_all(self, plan: Plan) -> None:
        for item in plan.pushes:
            if self._stop() or all(self._records[key].failure for key in item.keys):
                continue
            try:
                self._patiently(partial(self._push, item))
            except EdgevitExportError as error:
                for key in item.keys:
                    self._fail(key, error, None)

    def _push(self, item: PlannedPush) -> None:
        progress = self._watcher.push(item)
        mode = 0o755 if item.program else 0o644
        self._device.push(Path(item.local), item.remote, progress=progress, mode=mode)

    def _attempt(self, planned: PlannedRun) -> None:
        try:
            finished = self._patiently(lambda: self._round(planned))
        except EdgevitExportError as error:
            self._fail(planned.key, error, planned.round)
            return
        record = self._records[planned.key]
        rounds = (*record.rounds, finished)
        complete = len(rounds) == len(split_runs(self._settings.runs, self._settings.rounds))
        self._keep(planned.key, msgspec.structs.replace(record, rounds=rounds, complete=complete))
        self._watcher.round_ended(planned, finished)

    def _patiently(self, work: Callable[[], _T]) -> _T:
        """Do it; when the device is lost meanwhile, call it back and do it once more."""
        if self._lost is not None:
            raise self._lost
        try:
            return work()
        except (DeviceLostError, DeviceTimeoutError) as error:
            if isinstance(error, DeviceTimeoutError) and self._answers():
                raise
            self._watcher.note(f"{error.message}: trying to get {self._device.serial} back")
            self._call_back(error)
        try:
            return work()
        except DeviceLostError as error:
            self._lost = error
            raise

    def _call_back(self, error: DeviceError) -> None:
        """Raises what was lost when the device does not come back; all that is left then fails at once."""
        try:
            self._device.reconnect(RECONNECT_S)
            end_leftovers(self._device)
        except DeviceError:
            self._lost = DeviceLostError(error.message, hint=error.hint or RESUME_HINT)
            raise self._lost from error

    def _answers(self) -> bool:
        try:
            return self._device.run(["true"], ALIVE_TIMEOUT_S).ok
        except DeviceError:
            return False

    def _round(self, planned: PlannedRun) -> Round:
        job = self._jobs[planned.key]
        origin = f"{job.subject.name} on {self._device.serial}"
        self.before_run()
        before = self._read_state()
        started_utc = datetime.now(UTC).isoformat(timespec="seconds")
        finished = self._run(planned)
        measured = job.runner.read(job.subject, planned, finished, origin)
        after = self._read_state()
        return Round(
            index=planned.round,
            started_utc=started_utc,
            measured=measured,
            verification=self._verify(job, planned, measured),
            before=before,
            after=after,
        )

    def _run(self, planned: PlannedRun) -> Finished:
        """One process, to its end or its deadline, and the files that it left."""
        command = in_context(clearing(planned), cwd=planned.cwd, env=planned.environment)
        limit_s = planned.timeout_s
        with self._device.stream(command, heartbeat_s=limit_s, timeout_s=limit_s) as running:
            printed = "\n".join(deque(running, MAX_LINES))
        log = self._log_of(f"{planned.cwd}/{PID_FILE}", planned.log_tag) if planned.log_tag else ""
        files = self._fetch(planned, planned.fetch)
        return Finished(rc=running.rc or 0, stdout=printed, stderr=running.err, log=log, files=files)

    def _log_of(self, pid_file: str, tag: str) -> str:
        return self._device.script('logcat -d --pid="$(cat "$1")" -s "$2:*"', pid_file, tag).out

    def _fetch(self, planned: PlannedRun, names: Sequence[str]) -> dict[str, bytes]:
        """The files of ``names`` that exist."""
        files: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory(prefix="edgevit-bench-") as directory:
            local = Path(directory) / "fetched"
            for name in names:
                remote = f"{planned.cwd}/{name}"
                try:
                    self._device.pull(remote, local)
                    files[name] = local.read_bytes()
                except (DeviceLostError, DeviceTimeoutError):
                    raise
                except DeviceError:
                    if self._device.run(["test", "-e", remote]).ok:
                        raise
        return files

    def _verify(self, job: Job, planned: PlannedRun, measured: Measured) -> Verification:
        """Judge the outputs; those that equal an earlier round's in every bit have its verdict."""
        if job.runner.unverified is not None:
            return Verification(status="not verified", reason=job.runner.unverified)
        digest = measured.outputs_sha256
        for earlier in self._records[planned.key].rounds:
            if digest is not None and earlier.measured.outputs_sha256 == digest:
                return earlier.verification
        files = self._fetch(planned, planned.outputs)
        origin = f"{job.subject.name} on {self._device.serial}"
        if missing := [name for name in planned.outputs if name not in files]:
            raise DeviceError(
                f"{origin}: the run ended well but left no outputs ({', '.join(missing)})",
                hint="edgevit-export bench --dry-run prints the command, to be tried by hand",
            )
        if digest is not None and hashlib.sha256(files[planned.outputs[0]]).hexdigest() != digest:
            raise DeviceError(f"{origin}: the outputs were changed on their way: their SHA-256 is not the runner's")
        return self._judge(job.subject, job.runner.answers(job.subject, planned, files), measured.runtime)

    def _read_state(self) -> DeviceState:
        """The state now; the one of a moment ago will do."""
        if self._state is None or time.monotonic() - self._state_at_s > FRESH_STATE_S:
            self._state = read_state(self._device)
            self._state_at_s = time.monotonic()
        return self._state

    def _remove(self, names: Iterable[str], directory: str) -> None:
        if paths := [f"{directory}/{name}" for name in names]:
            self._device.run(["rm", "-f", *paths])

    def _fail(self, key: str, error: EdgevitExportError, round: int | None) -> None:
        name = self._jobs[key].subject.name
        message = error.message if name in error.message else f"{name} on {self._device.serial}: {error.message}"
        failure = RunFailure(message=message, hint=error.hint, round=round)
        self._keep(key, msgspec.structs.replace(self._records[key], failure=failure))
        self._watcher.failed(key, failure)

    def _keep(self, key: str, record: DeviceRun) -> None:
        self._records[key] = record
        path = self._path(self._jobs[key])
        path.parent.mkdir(parents=True, exist_ok=True)
        if record.complete and record.failure is None:
            record.save(path)
            partial_path(path).unlink(missing_ok=True)
        else:
            record.save(partial_path(path))

    def _path(self, job: Job) -> Path:
        return record_path(self._output, self._device.serial, job.subject, job.runner.name, job.threads)


def clearing(planned: PlannedRun) -> list[str]:
    """The planned command in a shell that first removes what an earlier run left, and notes its pid where asked."""
    names = " ".join(f'"${{{place}}}"' for place in range(1, len(planned.clear) + 1))
    steps = [f"rm -f {names}; shift {len(planned.clear)}"] if planned.clear else []
    if planned.log_tag:
        steps.append(f"echo $$ >{PID_FILE}")
    script = "; ".join([*steps, 'exec "$@"'])
    return ["sh", "-c", script, "sh", *planned.clear, *planned.argv]


def new_record(
    device: str,
    subject: Subject,
    runner: str,
    threads: int,
    settings: RunSettings,
    failure: RunFailure | None = None,
) -> DeviceRun:
    """A record without rounds."""
    return DeviceRun(
        tool=f"edgevit-export {version('edgevit-export')}",
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        device=device,
        artifact=facts_of(subject),
        runner=runner,
        threads=threads,
        settings=settings,
        failure=failure,
    )


def end_leftovers(device: Device) -> None:
    """End what an interrupted connection left running, as far as the device's process log names it."""
    if device.process_log is not None:
        device.script(_END_LEFTOVERS, device.process_log)
