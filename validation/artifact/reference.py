"""What a foreign file is held against: the golden set of one of our artifacts, or one that stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import ArtifactError, UsageError
from edgevit.records import sha256_file
from edgevit.spec import TensorSpec
from export.golden import GoldenSet, load_golden
from export.manifest import SUFFIX, load_manifest, manifest_path
from export.plain_golden import load_any_golden
from validation.artifact.golden_checks import golden_problems, stimuli_problems
from validation.artifact.limits import Limits


@dataclass(frozen=True)
class Reference:
    """Inputs and answers that a file must give.

    Attributes:
        origin: Where they come from, for reports.
        golden: The inputs ``(count, ...)`` and answers, with yardsticks where they are ``measured``.
        inputs: What the model takes, in the order of its arguments.
        measured: The yardsticks are those of a run in float32 against one in float64; else they are 0.
    """

    origin: str
    golden: GoldenSet
    inputs: tuple[TensorSpec, ...]
    measured: bool

    def limits(self, asked: Limits) -> Limits:
        """What was asked for.

        Raises:
            UsageError: There is no yardstick, and no absolute error was asked for.
        """
        if not self.measured and asked.atol is None:
            raise UsageError(
                f"{self.origin} has no yardstick: say how large an error may be",
                hint="--atol 1e-4, say; or give an artifact of edgevit-export as --reference",
            )
        return asked


def load_reference(path: Path) -> Reference:
    """The reference at ``path``: an artifact with its manifest, the manifest, or an ``.npz``.

    Raises:
        UsageError: No such file.
        ArtifactError: The manifest, its golden set or the ``.npz`` cannot be used.
    """
    if not path.is_file():
        raise UsageError(f"--reference {path}: no such file")
    if path.suffix == ".npz":
        golden, measured = load_any_golden(path)
        inputs = tuple(
            TensorSpec(name=name, shape=(1, *array.shape[1:]), dtype=str(array.dtype))
            for name, array in golden.inputs.items()
        )
        return Reference(path.name, golden, inputs, measured)
    manifest = path if path.suffix == SUFFIX else manifest_path(path)
    if not manifest.is_file():
        raise UsageError(
            f"--reference {path}: it has no manifest {manifest.name} beside it, and so no golden set",
            hint="give an artifact as edgevit-export wrote it, or a golden set (.npz)",
        )
    return _of_manifest(manifest)


def _of_manifest(path: Path) -> Reference:
    """The golden set of a manifest; the artifact itself is not opened, only held against its SHA-256 if it is there."""
    manifest = load_manifest(path)
    artifact = path.with_name(manifest.file)
    if artifact.is_file() and sha256_file(artifact) != manifest.sha256:
        raise ArtifactError(f"{artifact} is not the file of its manifest, and so no reference")
    golden = load_golden(path.with_name(manifest.golden.file), manifest.golden)
    if problems := golden_problems(golden, manifest) or stimuli_problems(golden, manifest.spec):
        raise ArtifactError(f"{path.with_name(manifest.golden.file)} is no reference: {'; '.join(problems[:3])}")
    return Reference(manifest.file, golden, manifest.spec.inputs, measured=True)
