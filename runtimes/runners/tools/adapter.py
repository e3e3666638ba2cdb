"""What every adapter of a foreign benchmark tool has: building its command line, and reading what it printed.

Both are pure functions on text, so they are tested on recorded output. What a tool cannot do is refused before
anything is run; what an adapter cannot read is an error that shows the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from edgevit.errors import DeviceError
from edgevit.records import Record
from export.recipe import Format
from runtimes.runners.contract import show_tail
from runtimes.runners.runner import Summary
from runtimes.runners.workload import Workload

# C++ streams print six significant digits, so a million becomes 1e+06.
Feed = Literal["golden", "ones", "random"]
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"


class ToolInput(Record):
    """One input tensor as a file of raw little-endian values on the device."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: str


class ToolRequest(Record):
    """What a tool is asked to do. Paths are the device's, relative to the working directory."""

    model: str
    inputs: tuple[ToolInput, ...]
    output: str
    output_count: int
    workload: Workload


class ToolCommand(Record):
    """The command line (without the program itself), its environment, and the files that it leaves behind.

    ``environment`` may hold ``{directory}``, which stands for the directory of the program. ``outputs``
    holds the files with the model's raw outputs in order; empty when the tool cannot dump them.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    files: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolOutput:
    """All that a finished tool left: both streams, Android's log of its process, and files by name."""

    stdout: str
    stderr: str
    log: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Everything printed, wherever it went."""
        return "\n".join(part for part in (self.stdout, self.stderr, self.log) if part)


class ToolResult(Record):
    """What the tool measured: every latency, or a summary where that is all it tells."""

    tool: str
    latencies_ns: tuple[int, ...] = ()
    summary: Summary | None = None
    load_ns: int | None = None
    first_ns: int | None = None
    peak_memory_bytes: int | None = None


class ToolAdapter(Protocol):
    """One tool. ``inputs`` says what it feeds: the golden input, or values of its own."""

    name: str
    binary: str
    format: Format
    inputs: Feed
    dumps_outputs: bool
    how_to_get: str

    def refusal(self, request: ToolRequest) -> str | None:
        """Why this tool cannot do what ``request`` asks; None when it can."""
        ...

    def command(self, request: ToolRequest) -> ToolCommand: ...

    def parse(self, output: ToolOutput, request: ToolRequest) -> ToolResult:
        """Read what the tool printed.

        Raises:
            DeviceError: It cannot be read, or it does not answer the request; the message shows the text.
        """
        ...


def find_number(label: str, text: str) -> float | None:
    """The number after ``label`` (a regular expression) in ``text``; the last one when there are several."""
    found = re.findall(rf"{label}\s*({NUMBER})", text)
    return float(found[-1]) if found else None


def unreadable(tool: str, why: str, output: ToolOutput) -> DeviceError:
    """The error for output that an adapter cannot read; it shows the text."""
    return DeviceError(
        f"cannot read the output of {tool}: {why}{show_tail(output.text.encode())}",
        hint="if this is another version of the tool, measure with --runner python, or report the text above",
    )


def check_count(tool: str, seen: int, request: ToolRequest, output: ToolOutput) -> None:
    """Refuse results of more or fewer runs than were asked for.

    Raises:
        DeviceError: The counts differ.
    """
    if seen != request.workload.runs:
        raise unreadable(tool, f"expected {request.workload.runs} timed runs, got {seen}", output)
