"""What every adapter of a runtime's own benchmark tool has: building its command line, and reading what it printed.

Both are pure functions on text, so they are tested on recorded output. What a tool cannot do is refused before
anything is run; what an adapter cannot read is an error that shows the text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import msgspec

from edgevit.errors import DeviceError, first_line
from edgevit.records import Record
from edgevit.text import printable
from runtimes.runners.exits import show_tail
from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, RunSample, Subject, Summary
from runtimes.runners.workload import Workload

Feed = Literal["golden", "ones", "random"]
NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"  # C++ streams print six significant digits: a million is 1e+06
US, MS, SECONDS = 1e3, 1e6, 1e9  # in ns
MIB = 1024.0 * 1024.0  # in bytes


class ToolCommand(Record):
    """The command line (without the program itself), its environment, and the files that it leaves behind.

    ``environment`` may hold ``{directory}``, which stands for the directory of the program. ``outputs``
    holds the files with the model's raw outputs in order; empty when the tool cannot dump them.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    files: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class ToolAdapter(ABC):
    """One tool.

    Attributes:
        name: Also of its program.
        log_tag: Its tag in Android's log, where it writes there instead of to its standard output.
        inputs: What it feeds: the golden input, or values of its own.
        dumps_outputs: Whether it hands out the model's outputs.
        how_to_get: For a device without it.
    """

    name: str
    log_tag: str | None = None
    inputs: Feed
    dumps_outputs: bool
    how_to_get: str

    @property
    def title(self) -> str:
        """Its name in records and messages."""
        return self.name

    def refusal(self, subject: Subject, workload: Workload) -> str | None:
        """Why this tool cannot do what ``workload`` asks; None when it can."""
        return None

    @abstractmethod
    def command(self, subject: Subject, workload: Workload) -> ToolCommand:
        """How the tool is called for what it does not refuse; paths are relative to the working directory."""

    def parse(self, finished: Finished, workload: Workload) -> Measured:
        """Read what the tool printed and left.

        Raises:
            DeviceError: It cannot be read, tells what cannot be, or does not answer the workload; the message shows
                the text.
        """
        try:
            return self._parse(finished, workload)
        except (ValueError, OverflowError) as error:  # thousands of digits, infinities, and what records refuse
            raise self.unreadable(first_line(error), finished) from error

    @abstractmethod
    def _parse(self, finished: Finished, workload: Workload) -> Measured:
        """``parse``, with the errors of Python's numbers."""

    def measured(
        self,
        latencies_ns: Sequence[int] = (),
        *,
        summary: Summary | None = None,
        load_ns: float | None = None,
        first_ns: float | None = None,
        peak_memory_bytes: float | None = None,
    ) -> Measured:
        """What the tool measured, in whole nanoseconds and bytes."""

        def whole(value: float | None) -> int | None:
            return None if value is None else round(value)

        return Measured(
            runner=self.title,
            runtime=f"{self.title} (its own build)",
            samples=tuple(RunSample(latency_ns=latency) for latency in latencies_ns),
            summary=summary,
            load_ns=whole(load_ns),
            first_ns=whole(first_ns),
            peak_memory_bytes=whole(peak_memory_bytes),
        )

    def unreadable(self, why: str, finished: Finished) -> DeviceError:
        """The error for output that cannot be read; it shows the text."""
        return DeviceError(
            f"cannot read the output of {self.title}: {printable(why)}{show_tail(finished.printed.encode())}",
            hint="if this is another version of the tool, measure with --runner python, or report the text above",
        )

    def check_count(self, seen: int, workload: Workload, finished: Finished) -> None:
        """Refuse results of more or fewer runs than were asked for.

        Raises:
            DeviceError: The counts differ.
        """
        if seen != workload.runs:
            raise self.unreadable(f"expected {workload.runs} timed runs, got {seen}", finished)


def find_number(label: str, text: str, unit: float = 1.0) -> float | None:
    """The number after ``label`` (a regular expression) times ``unit``; the last one when there are several."""
    found = re.findall(rf"{label}\s*({NUMBER})", text)
    return float(found[-1]) * unit if found else None
