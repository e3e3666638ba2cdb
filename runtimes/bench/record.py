"""``DeviceRun``: everything that was measured for one artifact on one device with one thread count.

Every raw sample and the state around each round are kept, so that a verdict can be made again, with other limits or
by a later version, without the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.artifact import ParityResult
from export.recipe import Format
from runtimes.conditions.state import DeviceState
from runtimes.runners.runner import Measured, RunSettings, Subject


class ArtifactFacts(Record):
    """Which file was measured, and the shapes it was fed; figures of different input sizes must not be compared."""

    name: str
    format: Format
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...] = ()


class Verification(Record):
    """Whether the device's outputs are right: judged, or why not."""

    status: Literal["passed", "failed", "not verified"]
    reason: str = ""
    parity: ParityResult | None = None


class Round(Record):
    """One process on the device, with the device's state before and after it."""

    index: int
    started_utc: str
    measured: Measured
    verification: Verification
    before: DeviceState
    after: DeviceState


class RunFailure(Record):
    """Why an artifact could not be measured, in the words of the error."""

    message: str
    hint: str | None = None
    round: int | None = None


class DeviceRun(Record):
    """The record of one artifact, device and thread count. ``rounds`` grows; ``complete`` when all are there."""

    schema_version: Literal[1] = 1
    tool: str
    created_utc: str
    device: str
    artifact: ArtifactFacts
    runner: str
    threads: int
    settings: RunSettings
    rounds: tuple[Round, ...] = ()
    complete: bool = False
    failure: RunFailure | None = None

    def answers_to(self, subject: Subject, runner: str, threads: int, settings: RunSettings) -> bool:
        """Whether this record measures that very file in that very way, so that it can be continued."""
        return (self.artifact.sha256, self.runner, self.threads, self.settings) == (
            subject.sha256,
            runner,
            threads,
            settings,
        )


def facts_of(subject: Subject) -> ArtifactFacts:
    """The part of a subject that its record keeps."""
    return ArtifactFacts(
        name=subject.name,
        format=subject.format,
        sha256=subject.sha256,
        size_bytes=subject.size_bytes,
        inputs=subject.inputs,
    )


def record_path(output: Path, device: str, subject: Subject, runner: str, threads: int) -> Path:
    """Where the record is kept: a directory per device, a file per artifact, runner and thread count.

    The hash keeps artifacts of one name apart.
    """
    return output / file_name(device) / f"{record_key(subject, runner, threads)}.json"


def partial_path(path: Path) -> Path:
    """Where a record waits that is not complete or failed: an earlier complete one is not touched by it."""
    return path.with_suffix(".partial.json")


def record_key(subject: Subject, runner: str, threads: int) -> str:
    """Name of one artifact, runner and thread count in plans and file names."""
    return file_name(f"{subject.name}-{subject.sha256[:8]}-{runner}-t{threads}")


def file_name(text: str) -> str:
    """``text`` without what file systems and shells dislike in names."""
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in text)
