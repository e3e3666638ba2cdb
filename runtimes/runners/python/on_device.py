"""The runner for devices with python3: executes one ``RunRequest`` with the sessions of ``runtimes/``.

Runs on the device, inside a zip built by ``runtimes.runners.python.bundle``, with python3, numpy and the format's
runtime and nothing else. It therefore reads and writes plain JSON; the records in ``runtimes.runners.contract`` are how
the other side sees it.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes.runners.array_sets import read_sets, write_sets

if TYPE_CHECKING:
    from runtimes.sessions.session import Array, Session

RUNNER = "python 3"
CONTRACT_VERSION = 3
REQUEST_VERSION = 4
LineDict = dict[str, object]
Stamp = tuple[int, int, int, int]
# The first that there is runs on while the machine sleeps, where ``time.monotonic`` stops: Linux has the first, macOS
# the second (``mach_continuous_time``; its ``time.monotonic`` is ``mach_absolute_time``).
_BOOT_CLOCKS = ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW", "CLOCK_MONOTONIC")
BOOT_CLOCK: int = next(getattr(time, name) for name in _BOOT_CLOCKS if hasattr(time, name))


class LineWriter:
    """Collects the lines and writes them to a file that appears only when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self.stage = "start"

    def add(self, line: str, **fields: object) -> None:
        """Append one line of kind ``line``."""
        self._lines.append(json.dumps({"line": line, **fields}) + "\n")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Append a ``phase`` line around a block."""
        self.stage = name
        start = time.monotonic_ns()
        yield
        self.add("phase", name=name, start_monotonic_ns=start, end_monotonic_ns=time.monotonic_ns())

    def end(self, samples: int) -> None:
        """Append the end marker and write the file."""
        text = "".join(self._lines)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.add("end", samples=samples, lines=len(self._lines), sha256=digest)
        self.write()

    def write(self) -> None:
        """Write all lines, flush them to the disk, then move the file to its name."""
        partial = self._path.with_name(self._path.name + ".part")
        with partial.open("w", encoding="utf-8") as file:
            file.write("".join(self._lines))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)


def main(arguments: list[str]) -> int:
    """Execute the request stored at ``arguments[0]``; returns the process's exit code."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    lines = LineWriter(Path(request["lines"]))
    try:
        _execute(request, lines)
    except Exception as error:
        lines.add("error", stage=lines.stage, error=f"{type(error).__name__}: {error}", detail="")
        lines.write()
        print(f"runner failed at {lines.stage}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _execute(request: dict[str, Any], lines: LineWriter) -> None:
    lines.stage = "read the request"
    if request["schema_version"] != REQUEST_VERSION:
        raise ValueError(f"a request of version {request['schema_version']}, this runner takes {REQUEST_VERSION}")
    lines.stage = "pin"
    workload: dict[str, Any] = request["workload"]
    if workload["affinity"]:
        _pin(workload["affinity"])
    lines.stage = "open the model"
    start = time.monotonic_ns()
    session = _open(request)
    loaded = time.monotonic_ns()
    try:
        lines.add("header", **_header(workload, session.runtime))
        lines.add("phase", name="load", start_monotonic_ns=start, end_monotonic_ns=loaded)
        lines.stage = "read the inputs"
        inputs = read_sets(Path(request["inputs"]))
        _measure(workload, session, inputs[0], lines)
        if request["outputs"]:
            with lines.phase("golden"):
                outputs = [session.run(arrays) for arrays in inputs]
            _save_outputs(request["outputs"], outputs, lines)
    finally:
        session.close()
    lines.add("memory", peak_bytes=peak_memory_bytes())
    lines.end(workload["runs"])


def peak_memory_bytes(status: Path = Path("/proc/self/status")) -> int:
    """Peak resident memory of this program.

    ``ru_maxrss`` survives exec and is that of whatever forked this process where that was larger; ``VmHWM`` belongs to
    the address space, which exec replaces. ``ru_maxrss`` is in kB on Linux, in bytes on macOS, which has no /proc.
    """
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _open(request: dict[str, Any]) -> Session:
    from export.recipe import Format
    from runtimes.sessions.table import open_session

    return open_session(Path(request["model"]), Format(request["format"]), threads=request["workload"]["threads"])


def _header(workload: dict[str, Any], runtime: str) -> LineDict:
    return {
        "contract": CONTRACT_VERSION,
        "runner": RUNNER,
        "runtime": runtime,
        "python": platform.python_version(),
        "pid": os.getpid(),
        "threads": workload["threads"],
        "cpus": usable_cpus(),
        "clocks": {
            "realtime_ns": time.time_ns(),
            "monotonic_ns": time.monotonic_ns(),
            "boottime_ns": time.clock_gettime_ns(BOOT_CLOCK),
        },
    }


def _measure(workload: dict[str, Any], session: Session, arrays: dict[str, Array], lines: LineWriter) -> None:
    with lines.phase("lead_in"):
        time.sleep(workload["idle_s"])
        _pulses(workload["pulses"], "before", lines)
    with lines.phase("warmup"):
        warmup, _ = do_steps(
            lambda: session.run(arrays), [{"gap_ms": 0.0, "count": workload["warmup"], "wait_ms": 0.0}]
        )
    with lines.phase("runs"):
        samples, controls = do_steps(lambda: session.run(arrays), workload["schedule"])
    with lines.phase("lead_out"):
        _pulses(workload["pulses"], "after", lines)
        time.sleep(workload["idle_s"])
    for kind, stamps in (("warmup", warmup), ("run", samples)):
        for index, (start, end, boot_start, boot_end) in enumerate(stamps):
            lines.add(
                "sample",
                kind=kind,
                index=index,
                latency_ns=end - start,
                start_monotonic_ns=start,
                end_monotonic_ns=end,
                start_boottime_ns=boot_start,
                end_boottime_ns=boot_end,
            )
    for index, (start, end, *_) in enumerate(controls):
        lines.add("control", index=index, start_monotonic_ns=start, end_monotonic_ns=end)


def do_steps(run: Callable[[], object], schedule: list[dict[str, Any]]) -> tuple[list[Stamp], list[Stamp]]:
    """Do each step of the schedule: rest, then run ``count`` times, or wait for ``wait_ms`` where that is 0.

    The boot clock is read outside the monotonic pair, so that it does not count. The garbage collector rests. All that
    can be done before is done before, and a control passes through the same lines as a run.

    Returns:
        (start, end) monotonic and (start, end) boot time in ns of each run, and of each control.
    """
    runs: list[Stamp] = []
    controls: list[Stamp] = []
    steps: list[tuple[int, int, Callable[[], object], list[Stamp]]] = [
        (int(step["gap_ms"] * 1e6), step["count"], run, runs)
        if not step["wait_ms"]
        else (int(step["gap_ms"] * 1e6), 1, partial(time.sleep, step["wait_ms"] / 1e3), controls)
        for step in schedule
    ]
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = time.monotonic_ns()
        for gap_ns, count, work, stamps in steps:
            if gap_ns:  # to a moment, not for a time: what was done since the last end does not lengthen the gap
                time.sleep(max(0, end + gap_ns - time.monotonic_ns()) / 1e9)
            for _ in range(count):
                boot_start = time.clock_gettime_ns(BOOT_CLOCK)
                start = time.monotonic_ns()
                work()
                end = time.monotonic_ns()
                stamps.append((start, end, boot_start, time.clock_gettime_ns(BOOT_CLOCK)))
    finally:
        if collecting:
            gc.enable()
    return runs, controls


def _pulses(pulses: dict[str, Any] | None, place: str, lines: LineWriter) -> None:
    if pulses is None:
        return
    for index, busy_ms in enumerate(pulses["busy_ms"]):
        time.sleep(pulses["idle_ms"] / 1e3)
        start = time.monotonic_ns()
        _keep_busy(start + int(busy_ms * 1e6))
        lines.add("pulse", place=place, index=index, start_monotonic_ns=start, end_monotonic_ns=time.monotonic_ns())
    time.sleep(pulses["idle_ms"] / 1e3)


def _keep_busy(until_ns: int) -> None:
    block = bytes(1 << 18)  # hashing a large block leaves the interpreter lock, so threads load all cores

    def burn() -> None:
        while time.monotonic_ns() < until_ns:
            hashlib.sha256(block).digest()

    threads = [threading.Thread(target=burn) for _ in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _save_outputs(name: str, outputs: list[dict[str, Array]], lines: LineWriter) -> None:
    lines.stage = "write the outputs"
    path = Path(name)
    partial = path.with_name(path.name + ".part")
    write_sets(partial, outputs)
    partial.replace(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines.add("output", file=name, sha256=digest, count=len(outputs))


def usable_cpus() -> list[int]:
    """The cores that this process may use; all, where the system cannot bind a process to some."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _pin(mask: str) -> None:
    if not hasattr(os, "sched_setaffinity"):
        raise OSError(f"{platform.system()} cannot bind a process to cores")
    os.sched_setaffinity(0, _cpus(mask))


def _cpus(mask: str) -> set[int]:
    value = int(mask, 16)
    return {index for index in range(value.bit_length()) if value >> index & 1}
