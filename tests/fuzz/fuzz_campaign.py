"""Many inputs for a reader: in child processes that are ended from outside when one input takes too long."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fuzz_reader import Reader

CHILD = Path(__file__).with_name("fuzz_child.py")
DEADLINE_S = 10.0
START_S = 120.0  # chosen: torch is loaded within seconds, on a busy machine within a minute
HANG, DIED = "Hang", "Died"
KEPT = 3  # inputs kept of each kind of finding


@dataclass(frozen=True)
class Finding:
    """An input that did not end as it should."""

    reader: str
    number: int
    error: str
    where: str
    said: str

    @property
    def kind(self) -> str:
        """What is counted as one fault: the error and where it came from."""
        return f"{re.sub(r'[0-9]+', 'N', self.error)} at {self.where}"


@dataclass
class Tally:
    """What came of a reader's inputs; ``slowest_ms`` is processor time, ``peak_bytes`` beyond what it takes at rest."""

    reader: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_ms: float = 0.0
    peak_bytes: int = 0
    limited: bool = True
    refusals: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def take(self, answer: dict[str, object]) -> None:
        """Count what a child told of one input."""
        self.inputs += 1
        self.slowest_ms = max(self.slowest_ms, float(answer.get("ms", 0.0)))  # type: ignore[arg-type]
        self.peak_bytes = max(self.peak_bytes, int(answer.get("bytes", 0)))  # type: ignore[call-overload]
        if answer["outcome"] == "accepted":
            self.accepted += 1
        elif answer["outcome"] == "refused":
            self.refused += 1
            self.refusals[str(answer["error"])] += 1
        else:
            told = (str(answer.get(key, "")) for key in ("error", "where", "said"))
            self.findings.append(Finding(self.reader, int(answer["number"]), *told))  # type: ignore[call-overload]

    def add(self, other: Tally) -> None:
        """Count what another part of the same reader's inputs gave."""
        self.inputs, self.accepted = self.inputs + other.inputs, self.accepted + other.accepted
        self.refused, self.limited = self.refused + other.refused, self.limited and other.limited
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.refusals += other.refusals
        self.findings += other.findings

    def kinds(self) -> dict[str, list[Finding]]:
        """The findings by what is one fault."""
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.kind, []).append(finding)
        return found


class Child:
    """One process that reads, and a thread that hears it, so that waiting for it can end."""

    def __init__(self, registry: str, reader: str, arguments: Sequence[str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by ``end``
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(CHILD), registry, reader, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONFAULTHANDLER": "1"},
        )  # fmt: skip
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def answer(self, timeout_s: float) -> dict[str, object] | None:
        """The next line; None when there are no more. Raises ``queue.Empty`` when nothing came in time."""
        line = self._lines.get(timeout=timeout_s)
        return None if line is None else dict(json.loads(line))

    def end(self) -> tuple[int, str]:
        """End it if it still runs; its exit code, and the end of what it said."""
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()[-400:]
        self._errors.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code, said


def run(
    reader: Reader,
    *,
    seed: int = 0,
    first: int = 0,
    end: int = 0,
    files: Sequence[Path] = (),
    registry: str = "fuzz_registry",
    deadline_s: float = DEADLINE_S,
) -> Tally:
    """Read inputs ``first`` to ``end`` of ``seed``, and behind them ``files``, whose numbers go on from ``end``.

    A child that hangs or dies is replaced behind that input. What took too long is read once more by itself, since a
    busy machine may have been the reason.
    """

    def heard(tally: Tally, start: int, stop: int, names: Sequence[str]) -> int:
        child = Child(registry, reader.name, [str(seed), str(start), str(stop), *names])
        return _listen(child, tally, stop + len(names), deadline_s)

    tally, names = Tally(reader.name), [str(path) for path in files]
    while first < end + len(names):
        first = heard(tally, first, end, names)
    for hung in [finding for finding in tally.findings if finding.error.startswith(HANG)]:
        again, number = Tally(reader.name), hung.number
        if number < end:
            heard(again, number, number + 1, ())
        else:
            heard(again, number, number, names[number - end : number - end + 1])
        tally.findings.remove(hung)
        tally.inputs -= 1
        tally.add(again)
    return tally


def _listen(child: Child, tally: Tally, end: int, deadline_s: float) -> int:
    """Hear a child out; the number of the input that the next one is to begin with."""
    number: int | None = None
    begun_s = time.monotonic()
    try:
        while (answer := child.answer(START_S if number is None else deadline_s)) is not None:
            if "begins" in answer:
                number, begun_s = int(answer["begins"]), time.monotonic()  # type: ignore[call-overload]
            elif "number" in answer:
                tally.take(answer)
                number = int(answer["number"]) + 1  # type: ignore[call-overload]
            else:
                tally.limited &= bool(answer["limited"])
    except queue.Empty:
        child.end()
        if number is None:
            raise RuntimeError(f"{tally.reader}: reading its seeds took more than {START_S:g} s") from None
        took_s = time.monotonic() - begun_s
        tally.take(
            {"number": number, "outcome": "foreign", "error": f"{HANG}: {took_s:.0f} s", "where": "", "said": ""}
        )
        return number + 1
    code, said = child.end()
    if number is None:
        raise RuntimeError(f"{tally.reader}: its process failed before the first input: {said}")
    if number < end:
        how = f"signal {-code}" if code < 0 else f"exit code {code}" if code else "it left before its end"
        tally.take({"number": number, "outcome": "foreign", "error": f"{DIED}: {how}", "where": "", "said": said})
    return number + 1


def keep(reader: Reader, tally: Tally, *, seed: int, target: Path) -> list[tuple[Finding, int, Path]]:
    """Write the smallest inputs of each kind of finding to ``target``; the finding, how often, and the file."""
    kept = []
    for findings in tally.kinds().values():
        sized = [(reader.mutated(seed=seed, number=each.number), each) for each in findings[:50]]
        sized.sort(key=lambda pair: len(pair[0]))
        for data, finding in sized[:KEPT]:
            name = re.sub(r"[^A-Za-z0-9]+", "-", finding.error)[:40].strip("-")
            path = target / reader.name / f"{name}-{seed}-{finding.number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        kept.append((sized[0][1], len(findings), target / reader.name / path.name))
    return kept
