"""The table of promises: what is claimed, what it was tried with, and what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.promises.old_session import OldSession
from benchmarks.promises.pythons import Environment, Unavailable
from edgevit.errors import SessionError
from export.artifact import Manifest
from export.formats.table import read_artifact
from export.golden import load_golden
from export.manifest import load_manifest
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare

HEADING = ("artifact", "claimed", "tried with", "result")


@dataclass(frozen=True)
class Row:
    """One artifact in one runtime. ``holds`` is None where nothing is claimed of it, or nothing was tried."""

    artifact: str
    claimed: str
    tried: str
    result: str
    holds: bool | None


def tried(
    manifest_path: Path, runtime: str, build: Callable[[], Environment], *, claimed: bool, delegate: bool = True
) -> Row:
    """Open an artifact in another runtime, and compare it with its golden set.

    Args:
        manifest_path: The manifest beside the artifact.
        runtime: The runtime in words.
        build: Makes the Python with that runtime.
        claimed: Whether the manifest's ``requires`` is about that runtime.
        delegate: With the runtime's default delegate.
    """
    manifest = load_manifest(manifest_path)
    artifact = manifest_path.parent / manifest.file
    try:
        environment = build()
    except Unavailable as error:
        return Row(manifest.file, manifest.requires, runtime, f"not tried: {error}", None)
    golden = load_golden(manifest_path.parent / manifest.golden.file, manifest.golden)
    try:
        session = OldSession(artifact, read_artifact(artifact, manifest.recipe.format), environment, delegate=delegate)
        try:
            report = compare(session, golden, limits_of(manifest), inputs=manifest.inputs)
        finally:
            session.close()
    except SessionError as error:
        return Row(manifest.file, manifest.requires, runtime, error.message, False if claimed else None)
    pieces = session.facts.get("partitions")
    share = f", {pieces} pieces" if pieces else ""
    return Row(manifest.file, manifest.requires, runtime, seen(report) + share, report.passed if claimed else None)


def limits_of(manifest: Manifest) -> Limits:
    """Those of the artifact's precision; its weights are random."""
    return Limits().of(manifest.recipe, untrained=manifest.spec.weights.source == "random")


def seen(report: ParityReport) -> str:
    """``runs: 1.31 yardsticks``, or ``runs: 33.1 dB`` of a precision that rounds on purpose."""
    figure = report.summary().figure.replace("x yardstick", "yardsticks")
    return f"{'runs' if report.passed else 'other values'}: {figure}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as Markdown; a promise that does not hold stands out."""
    lines = [f"| {' | '.join(HEADING)} |", f"|{'---|' * len(HEADING)}"]
    for row in rows:
        result = f"**{row.result}**" if row.holds is False else row.result
        lines.append(f"| {row.artifact} | {row.claimed} | {row.tried} | {result} |")
    return "\n".join(lines)
