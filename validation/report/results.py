"""Find and read what ``bench`` and ``energy`` left: records of runs and energy reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgevit.errors import ArtifactError, EdgevitExportError, UsageError
from edgevit.records import read_json
from edgevit.text import read_bytes
from runtimes.bench.record import DeviceRun
from validation.energy.judge import judge_energy
from validation.energy.report import EnergyReport

_HINT = "edgevit-export bench artifacts/ writes results/; edgevit-export report --paper needs none"
_PARTIAL = ".partial.json"


class _Peek(msgspec.Struct, frozen=True):
    """As much of any JSON file as tells what it is."""

    artifact: object = None
    settings: object = None
    workload: object = None
    trace: object = None
    method: object = None


_ANY: type = _Peek | list[object] | str | float | bool | None  # type: ignore[assignment]  # as msgspec takes it


@dataclass
class Results:
    """What was found.

    Attributes:
        runs: Records of runs, failed and unfinished ones included.
        energies_of_runs: The energy that stands in a record itself, by the record's place in ``runs``.
        energies: (file, report) of traces that were analysed by themselves, and of earlier versions, which kept energy
            apart from its record; reports without a subject are named after their file.
        problems: Files that are results but cannot be read, in words.
        ignored: JSON files that are no results.
        sources: What was searched.
    """

    runs: list[DeviceRun] = field(default_factory=list)
    energies_of_runs: dict[int, EnergyReport] = field(default_factory=dict)
    energies: list[tuple[Path, EnergyReport]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    sources: list[Path] = field(default_factory=list)


def read_results(paths: Sequence[Path]) -> Results:
    """Read all results below directories, and single files.

    A file in a directory that cannot be read becomes a problem; a file that was named itself is an error.

    Raises:
        UsageError: A path does not exist, or there are no results.
        ArtifactError: A named file cannot be read, or not one of those found can.
        EdgevitExportError: The energy of a named record cannot be told from its trace.
    """
    results = Results(sources=list(paths))
    seen: set[Path] = set()
    for path in paths:
        for file in _candidates(path):
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            try:
                _read(file, results)
            except EdgevitExportError as error:  # also of the analysis: a trace without the runs of its record
                if path.is_file():
                    raise
                named = str(file.parent) in error.message
                results.problems.append(error.message if named else f"{file}: {error.message}")
            if path.is_file() and file in results.ignored:
                raise UsageError(f"{file} is neither the record of a run nor an energy report", hint=_HINT)
    if not results.runs and not results.energies:
        raise _nothing(results)
    return results


def _candidates(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*.json") if not file.name.startswith("."))
        return [file for file in found if not _superseded(file)]
    if not path.is_file():
        raise UsageError(f"{path}: no such file or directory", hint=_HINT)
    return [path]


def _superseded(file: Path) -> bool:
    """An unfinished record beside a complete one of the same run: a repetition that failed changes nothing."""
    return file.name.endswith(_PARTIAL) and file.with_name(file.name.removesuffix(_PARTIAL) + ".json").is_file()


def _read(file: Path, results: Results) -> None:
    """Add one file to the results, or to what is ignored."""
    text = read_bytes(file, what="result")
    peek: object = read_json(text, _ANY, what="JSON text", origin=str(file))
    if not isinstance(peek, _Peek):
        peek = _Peek()
    if peek.artifact is not None and (peek.settings is not None or peek.workload is not None):
        run = DeviceRun.from_json(text, origin=str(file))
        results.runs.append(run)
        if (energy := judge_energy(run, file.parent)) is not None:
            results.energies_of_runs[len(results.runs) - 1] = energy
    elif peek.trace is not None and peek.method is not None:
        results.energies.append((file, EnergyReport.from_json(text, origin=str(file))))
    else:
        results.ignored.append(file)


def _nothing(results: Results) -> UsageError | ArtifactError:
    where = ", ".join(str(path) for path in results.sources)
    if results.problems:
        return ArtifactError(f"no readable results in {where}: {'; '.join(results.problems)}")
    others = f" ({len(results.ignored)} JSON files there are something else)" if results.ignored else ""
    return UsageError(f"no results in {where}{others}", hint=_HINT)
