"""What ``bench`` says on stderr while devices are measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit_export.console import Progress, format_bytes, print_note

if TYPE_CHECKING:
    from runtimes.bench.record import Round, RunFailure
    from runtimes.runners.process import PlannedPush, PlannedRun


class ConsoleWatcher:
    """Shows on stderr what happens on one device; see ``Watcher``.

    ``told`` holds the failures behind which no run has started, on no device that shares it. ``bars`` only where the
    device is alone on the terminal.
    """

    def __init__(self, serial: str, progress: Progress, told: set[str], *, bars: bool = False) -> None:
        self._serial = serial
        self._progress = progress
        self._told = told
        self._said: set[str] = set()
        self._bars = bars
        self._open_bar = ExitStack()
        self._update: Callable[[int], None] = lambda done_bytes: None

    def pushing(self, item: PlannedPush, done_bytes: int) -> None:
        """A line, and a bar on a terminal, for what is large; small files pass in silence."""
        if item.size_bytes <= 1_000_000:
            return
        if not done_bytes:
            self._open_bar.close()
            title = f"pushing {Path(item.local).name}"
            self.note(f"{title} ({format_bytes(item.size_bytes)})")
            if self._bars:
                self._update = self._open_bar.enter_context(self._progress.bytes_bar(title, item.size_bytes))
        self._update(done_bytes)
        if done_bytes == item.size_bytes:
            self._open_bar.close()

    def round_started(self, planned: PlannedRun, number: int, total: int) -> None:
        """Which of how many."""
        self._open_bar.close()
        self._told.clear()
        self.note(f"run {number} of {total}: {planned.key}, round {planned.round + 1}, {planned.workload.runs} runs")

    def round_ended(self, planned: PlannedRun, finished: Round) -> None:
        """Only wrong outputs are worth a line."""
        if finished.verification.status == "failed":
            self._say_once(f"{planned.key}: outputs wrong: {finished.verification.reason}")

    def failed(self, key: str, failure: RunFailure) -> None:
        """What failed, why, and what to do about it."""
        self._open_bar.close()
        self._told.add(failure.message)
        self._say_once(f"{key}: failed: {in_words(failure)}")

    def _say_once(self, text: str) -> None:
        """An error, so with ``--quiet`` too; several rounds and thread counts may have the same."""
        if text not in self._said:
            self._said.add(text)
            print_note(f"{self._serial}: {text}", is_error=True)

    def note(self, text: str) -> None:
        """A line that names the device."""
        self._progress.note(f"{self._serial}: {text}")


def in_words(failure: RunFailure) -> str:
    """What failed and what to do about it, on one line."""
    return failure.message + (f" (hint: {failure.hint})" if failure.hint else "")
