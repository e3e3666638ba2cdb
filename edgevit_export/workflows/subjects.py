"""From paths on the command line to what is measured, and to who judges the answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ArtifactError, UsageError
from edgevit.records import sha256_file
from edgevit.shell import quoted
from export.formats.table import FORMATS, format_of, read_artifact
from export.manifest import EXPORT_HINT, find_manifests, load_manifest, manifest_path, manifests_in
from export.recipe import Recipe

if TYPE_CHECKING:
    from edgevit.spec import TensorSpec
    from export.artifact import FileFacts, Manifest
    from export.golden import GoldenSet
    from runtimes.bench.record import Verification
    from runtimes.runners.runner import Feed, Subject
    from validation.artifact.limits import Limits

RANDOM_SEED = 2205  # chosen: any will do that stays the same, so that repeated runs feed the same inputs
NUMBERS = (
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
)
MOST_VALUES = 2**26  # chosen: a batch of 100 photos of 448 pixels; as float64 they take 0.5 GB for a moment
NO_GOLDEN = "no manifest and so no golden set beside the file"


@dataclass(frozen=True)
class Reference:
    """What an artifact's answers are judged by."""

    golden: GoldenSet
    inputs: tuple[TensorSpec, ...]
    limits: Limits


@dataclass(frozen=True)
class Subjects:
    """The subjects, and the references of those that have one, by SHA-256."""

    subjects: tuple[Subject, ...]
    references: dict[str, Reference]

    def judge(self, subject: Subject, answers: list[Feed], runtime: str) -> Verification:
        """Whether answers are right, as in ``verify``; "not verified" for a file without a golden set."""
        from runtimes.bench.record import Verification
        from validation.artifact.device_parity import judge_answers

        reference = self.references.get(subject.sha256)
        if reference is None:
            return Verification(status="not verified", reason=NO_GOLDEN)
        report = judge_answers(reference.golden, reference.inputs, answers, runtime=runtime, limits=reference.limits)
        return Verification(
            status="passed" if report.passed else "failed",
            reason="; ".join(report.reasons),
            parity=report.summary(),
        )


def find_subjects(paths: Sequence[Path]) -> Subjects:
    """The artifacts at ``paths``: files, manifests, or directories of artifacts with manifests.

    Raises:
        UsageError: Nothing there, or a file of no known format.
        ArtifactError: An artifact is not what its manifest says or has other than standard operators, or its golden
            set cannot be read.
        SessionError: Its golden set lacks an input, or its inputs share no batch.
    """
    subjects: dict[str, Subject] = {}
    references: dict[str, Reference] = {}
    for path in paths:
        for file, manifest in _files(path):
            subject, reference = _with_golden(file, manifest) if manifest else _without_golden(file)
            subjects.setdefault(f"{subject.name} {subject.sha256}", subject)
            if reference is not None:
                references[subject.sha256] = reference
    return Subjects(subjects=tuple(subjects.values()), references=references)


def _files(path: Path) -> list[tuple[Path, Path | None]]:
    """(artifact, its manifest) at ``path``."""
    if not path.is_dir() and path.suffix != ".json":
        if not path.is_file():
            raise UsageError(f"{path}: no such file or directory", hint=EXPORT_HINT)
        manifest = manifest_path(path)
        return [(path, manifest if manifest.is_file() else None)]
    if path.is_dir() and not manifests_in(path) and (bare := _bare_files(path)):
        raise UsageError(
            f"no manifest in {path}, so which of its {len(bare)} files are meant is not known",
            hint=f"without manifests name the files: edgevit-export bench {quoted(bare[0])}",
        )
    return [(manifest.parent / load_manifest(manifest).file, manifest) for manifest in find_manifests([path])]


def _bare_files(directory: Path) -> list[Path]:
    """The files of known formats directly in ``directory``, by name."""
    return sorted(each for each in directory.iterdir() if each.suffix.removeprefix(".") in FORMATS and each.is_file())


def _with_golden(file: Path, manifest_file: Path) -> tuple[Subject, Reference]:
    from export.golden import load_golden
    from runtimes.runners.runner import Subject
    from validation.artifact.device_parity import feeds_for, fixed_batch
    from validation.artifact.feeding import require_feedable
    from validation.artifact.limits import Limits

    manifest = load_manifest(manifest_file)
    digest = _checked(file, manifest)
    _audited(file, manifest.recipe)
    require_feedable((*manifest.inputs, *manifest.outputs))
    golden = load_golden(manifest_file.parent / manifest.golden.file, manifest.golden)
    subject = Subject(
        name=file.name,
        path=file,
        format=manifest.recipe.format,
        sha256=digest,
        size_bytes=manifest.bytes,
        inputs=fixed_batch(manifest.inputs),
        outputs=fixed_batch(manifest.outputs),
        feeds=tuple(feeds_for(golden, manifest.inputs)),
        network=manifest.spec.network,
        recipe=manifest.recipe,
    )
    limits = Limits().of(manifest.recipe, untrained=manifest.spec.weights.source == "random")
    return subject, Reference(golden=golden, inputs=manifest.inputs, limits=limits)


def _checked(file: Path, manifest: Manifest) -> str:
    if not file.is_file():
        raise ArtifactError(f"{file}: the manifest is there, but the artifact is not")
    digest = sha256_file(file)
    if digest != manifest.sha256:
        raise ArtifactError(
            f"{file} is not the file of its manifest: expected SHA-256 {manifest.sha256[:12]}, got {digest[:12]}",
            hint="export it again",
        )
    return digest


def _audited(file: Path, recipe: Recipe) -> FileFacts:
    """What stands in the file; one whose operators are not all standard is never run, here or on a device."""
    from validation.artifact.audit import audit

    facts = read_artifact(file, recipe.format)
    found = audit(facts, recipe)
    if not found.passed:
        raise ArtifactError(
            f"{file} is not run, because its audit fails: {'; '.join(found.violations)}",
            hint=f"edgevit-export inspect {quoted(file)}",
        )
    return facts


def _require_possible(file: Path, inputs: tuple[TensorSpec, ...]) -> None:
    """Refuse inputs that cannot be made: the file says their sizes, and no memory is taken on its word.

    Raises:
        ArtifactError: Names the first.
    """
    for spec in inputs:
        if spec.dtype not in NUMBERS or not 0 < math.prod(spec.shape) <= MOST_VALUES:
            shape = "x".join(map(str, spec.shape))[:100]
            raise ArtifactError(
                f"{file}: no input can be made up for '{spec.name}', which is {spec.dtype} {shape}: expected numbers, "
                f"at most {MOST_VALUES} of them"
            )


def _without_golden(file: Path) -> tuple[Subject, None]:
    """An artifact from elsewhere (a baseline to compare with): random inputs, outputs cannot be judged."""
    import numpy as np

    from runtimes.runners.runner import Subject
    from validation.artifact.device_parity import fixed_batch
    from validation.artifact.feeding import require_feedable

    format = format_of(file)
    facts = _audited(file, Recipe(format=format))
    require_feedable((*facts.inputs, *facts.outputs))
    generator = np.random.default_rng(RANDOM_SEED)
    inputs = fixed_batch(facts.inputs)
    _require_possible(file, inputs)
    feed: Feed = {
        spec.name: np.asarray(generator.random(spec.shape) if spec.dtype.startswith("float") else np.ones(spec.shape))
        .astype(spec.dtype)
        for spec in inputs
    }  # fmt: skip
    subject = Subject(
        name=file.name,
        path=file,
        format=format,
        sha256=sha256_file(file),
        size_bytes=file.stat().st_size,
        inputs=inputs,
        outputs=fixed_batch(facts.outputs),
        feeds=(feed,),
    )
    return subject, None
