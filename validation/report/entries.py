"""Join what was measured: latency and energy of one artifact under one set of conditions make one entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import msgspec

from edgevit.spec import TensorSpec
from export.artifact import Delegation, ParityResult
from export.recipe import Recipe
from runtimes.bench.record import DeviceRun
from validation.energy.report import EnergyReport, EnergySubject
from validation.latency.analysis import LatencyReport, judge_run
from validation.latency.likeness import IMAGE_CHANNELS, image_shape
from validation.report.accuracy import StatedModel
from validation.report.results import Results
from validation.report.rows import Conditions
from validation.report.tables import counted

UNKNOWN_INPUT = "input size not recorded"


@dataclass(frozen=True)
class ModelFacts:
    """What a manifest says about an artifact, beyond what its results say.

    ``weights`` is set when they are random: an accuracy stated for such a file is not the file's own. ``recipe`` is
    None where nothing but the record is known.
    """

    parameters: int | None = None
    multiply_adds: int | None = None
    inputs: tuple[TensorSpec, ...] = ()
    weights: str | None = None
    recipe: Recipe | None = None
    size_bytes: int | None = None
    operators: int | None = None
    delegation: Delegation | None = None
    parity: ParityResult | None = None


@dataclass
class Entry:
    """All results of one artifact under one set of conditions, and what else is known of it.

    ``suffix`` tells it from others of its name, ``stated`` is what the user says of it, ``energy_gap_ms`` is the idle
    between the bursts of a process under a meter, which ran behind those whose latency is told. ``run`` is the record
    that the latency is of.
    """

    conditions: Conditions
    artifact: str
    sha256: str
    format: str
    created_utc: str = ""
    size_bytes: int = 0
    run: DeviceRun | None = None
    latency: LatencyReport | None = None
    energy: EnergyReport | None = None
    energy_gap_ms: float | None = None
    suffix: str = ""
    facts: ModelFacts = ModelFacts()
    stated: StatedModel = field(default_factory=StatedModel)


def joined_entries(results: Results, facts: Mapping[str, ModelFacts]) -> list[Entry]:
    """One entry for each record and each energy report that belongs to none, with names that tell them apart.

    Args:
        results: What was read.
        facts: What is known about artifacts, by SHA-256.
    """
    inputs = {sha256: fact.inputs for sha256, fact in facts.items() if fact.inputs}
    inputs |= {run.artifact.sha256: run.artifact.inputs for run in results.runs if run.artifact.inputs}
    titles = {run.device: _device(run) for run in results.runs if run.rounds}
    entries = [_of_run(run, inputs, titles) for run in results.runs]
    for place, own in results.energies_of_runs.items():
        entries[place].energy = own
        metered = results.runs[place].energy
        entries[place].energy_gap_ms = None if metered is None else metered.layout.workload.gap_ms
    for file, energy in results.energies:
        _join(entries, file, energy, inputs, titles)
    for entry in entries:
        entry.facts = facts.get(entry.sha256, entry.facts)
    _borrow_runtimes(entries)
    _tell_apart(entries)
    return entries


def _of_run(run: DeviceRun, inputs: Mapping[str, tuple[TensorSpec, ...]], titles: Mapping[str, str]) -> Entry:
    runtimes = dict.fromkeys(each.measured.runtime for each in run.rounds if each.measured.runtime)
    conditions = Conditions(
        # a run that failed at once tells no more of its device than the serial
        device=_device(run) if run.rounds else titles.get(run.device, run.device),
        runtime=" and ".join(runtimes),
        runner=run.runner,
        threads=run.workload.threads,
        input=input_words(inputs.get(run.artifact.sha256, ())),
        affinity=run.workload.affinity,
        gap_ms=run.workload.gap_ms or 0.0,
    )
    return Entry(
        conditions=conditions,
        artifact=run.artifact.name,
        sha256=run.artifact.sha256,
        format=str(run.artifact.format),
        created_utc=run.created_utc,
        size_bytes=run.artifact.size_bytes,
        facts=ModelFacts(recipe=run.artifact.recipe),
        run=run,
        latency=judge_run(run),
    )


def _device(run: DeviceRun) -> str:
    title = run.rounds[0].before.title
    return f"{title} ({run.device})" if title and title != run.device else run.device


def input_words(inputs: Sequence[TensorSpec]) -> str:
    """``224x224`` for an image input, with the batch where it is not 1; the plain shapes for anything else."""
    if not inputs:
        return UNKNOWN_INPUT
    return ", ".join(_input_word(spec) for spec in inputs)


def _input_word(spec: TensorSpec) -> str:
    shape = image_shape(spec)
    if len(shape) != 4 or (spec.layout is None and shape[1] not in IMAGE_CHANNELS):
        return "x".join(map(str, shape))
    return f"{shape[2]}x{shape[3]}" + (f", batch {shape[0]}" if shape[0] > 1 else "")


def _join(
    entries: list[Entry],
    file: Path,
    energy: EnergyReport,
    inputs: Mapping[str, tuple[TensorSpec, ...]],
    titles: Mapping[str, str],
) -> None:
    """Put an energy report to the latency of the same file under the same conditions, or into an entry of its own."""
    subject = energy.subject
    if subject is None:
        name = file.name.removesuffix(".json").removesuffix(".energy")
        conditions = Conditions(device="device not recorded", input=UNKNOWN_INPUT)
        entries.append(Entry(conditions, artifact=name, sha256="", format="", energy=energy))
        return
    device = titles.get(subject.device, subject.device)
    for entry in entries:
        if entry.energy is None and _same(entry, subject, device):
            entry.energy = energy
            return
    conditions = Conditions(
        device=device,
        runtime=subject.runtime,
        runner=subject.runner,
        threads=subject.threads,
        input=input_words(inputs.get(subject.sha256, ())),
        affinity=subject.affinity,
        gap_ms=subject.gap_ms or 0.0,
    )
    entries.append(Entry(conditions, subject.artifact, subject.sha256, subject.format, energy=energy))


def _same(entry: Entry, subject: EnergySubject, device: str) -> bool:
    """Whether both were run the same way; a report that does not tell its gap does not tell its cores either."""
    conditions = entry.conditions
    return (
        entry.sha256 == subject.sha256
        and conditions.device == device
        and conditions.runtime in ("", subject.runtime)
        and conditions.threads == subject.threads
        and conditions.affinity == subject.affinity
        and conditions.gap_ms == subject.gap_ms
        and runner_name(conditions.runner) == runner_name(subject.runner)
    )


def runner_name(name: str) -> str:
    """``python 1`` and ``python`` are one runner."""
    return name.split(" ", maxsplit=1)[0]


def bare_name(entry: Entry) -> str:
    """A name for people: the file's without suffix, the input's size and the precision, which are told beside it."""
    stem = PurePath(entry.artifact).stem.replace(f"-{entry.conditions.input}", "", 1)
    part = "" if entry.facts.recipe is None else entry.facts.recipe.precision_part
    return (stem.replace(f"-{part}", "", 1) if part else stem) or entry.artifact


def condition_words(conditions: Conditions) -> list[str]:
    """The conditions for a title, what is usual left out."""
    threads = conditions.threads
    words = [
        conditions.device,
        conditions.runtime,
        f"runner {conditions.runner}" if runner_name(conditions.runner) not in ("", "python") else "",
        "" if threads is None else counted(threads, "thread"),
        conditions.input,
        f"core mask {conditions.affinity}" if conditions.affinity else "",
        f"{conditions.gap_ms:g} ms between runs" if conditions.gap_ms else "",
    ]
    return [word for word in words if word]


def _borrow_runtimes(entries: Sequence[Entry]) -> None:
    """A run that failed before its runtime spoke stands with the others of its format."""
    for entry in entries:
        if entry.conditions.runtime or entry.latency is None or entry.latency.rounds:
            continue
        others = (other.conditions for other in entries if other.format == entry.format and other.conditions.runtime)
        same = (o for o in others if msgspec.structs.replace(entry.conditions, runtime=o.runtime) == o)
        entry.conditions = next(same, entry.conditions)


def _tell_apart(entries: Sequence[Entry]) -> None:
    """Suffixes for artifacts of one name in one group: by hash, or by date where the file is one."""
    for entry in entries:
        namesakes = [o for o in entries if o.artifact == entry.artifact and o.conditions == entry.conditions]
        hashes = {other.sha256 for other in namesakes}
        if len(namesakes) > 1:
            apart = entry.sha256[:8] if len(hashes) == len(namesakes) else entry.created_utc or entry.sha256[:8]
            entry.suffix = f" [{apart}]"


def grouped(entries: Iterable[Entry]) -> list[list[Entry]]:
    """What may be compared, together."""
    groups: dict[Conditions, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.conditions, []).append(entry)
    return list(groups.values())
