"""The networks of the paper's Table 2 as artifacts: built, exported where that is missing, measured format by format.

Export and bench are those of any network. Each network is exported in a process of its own, whose memory is then free
again; what is there and whole is not exported again, so that a run that was killed goes on where it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ArtifactError, EdgevitExportError, MissingDependencyError, UsageError
from edgevit.neighbours import Neighbour
from edgevit.records import sha256_file
from edgevit_export.console import Progress
from edgevit_export.workflows.export_request import whole_recipe
from export.manifest import load_manifest, manifests_in
from export.recipe import Recipe
from export.side_process import SideProcess, can_fork

if TYPE_CHECKING:
    from torch import nn

    from edgevit.spec import ModelSpec
    from edgevit_export.workflows.export import ExportReport
    from export.artifact import Manifest

_TOOL = "edgevit-export"


@dataclass(frozen=True)
class PaperNetworks:
    """Which networks, as which artifacts, where.

    Attributes:
        networks: Those that can be had.
        recipes: One a format.
        directory: Of the artifacts.
        input_size: (height, width) in pixels instead of the paper's.
        seed: Of the random weights.
    """

    networks: tuple[Neighbour, ...]
    recipes: tuple[Recipe, ...]
    directory: Path
    input_size: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be had.

        Raises:
            UsageError: Nothing is left to measure, or a network without a source was asked for.
        """
        if not self.networks:
            raise UsageError("no network to measure", hint="edgevit-export paper --models edgevit-xxs,deit-tiny")
        for each in self.networks:
            if each.missing:
                raise UsageError(
                    f"{each.model} cannot be measured: {each.missing}",
                    hint="docs/reports.md shows how to measure it beside the others",
                )

    def size_of(self, network: Neighbour) -> tuple[int, int]:
        """(height, width) at which it is exported."""
        return self.input_size or (network.input_size, network.input_size)

    def whole(self) -> dict[tuple[str, Recipe], Path]:
        """The manifests of what is there and whole, by the network's name and the recipe."""
        found = {}
        for path in manifests_in(self.directory) if self.directory.is_dir() else ():
            try:
                manifest = load_manifest(path)
            except ArtifactError:
                continue  # it is exported again, and replaced
            for network in self.networks:
                if self._asked_for(network, manifest) and _is_whole(path, manifest):
                    found[network.model, manifest.recipe] = path
        return found

    def _asked_for(self, network: Neighbour, manifest: Manifest) -> bool:
        """Whether the file is of this network and size, with the weights of this seed, verified, by this version."""
        spec, (height, width) = manifest.spec, self.size_of(network)
        return (
            network.is_made_as(spec.network)
            and [tensor.shape for tensor in spec.inputs] == [(1, 3, height, width)]
            and (spec.weights.source, spec.weights.seed) == ("random", self.seed)
            and manifest.recipe in {whole_recipe(recipe) for recipe in self.recipes}
            and manifest.parity is not None
            and manifest.parity.passed
            and manifest.tools.get(_TOOL) == version(_TOOL)
        )

    def missing(self) -> list[tuple[Neighbour, tuple[Recipe, ...]]]:
        """What is to be exported: each network with the recipes in which it is not there."""
        whole = self.whole()
        rows = [
            (network, tuple(r for r in self.recipes if (network.model, whole_recipe(r)) not in whole))
            for network in self.networks
        ]
        return [(network, recipes) for network, recipes in rows if recipes]


def _is_whole(path: Path, manifest: Manifest) -> bool:
    files = ((manifest.file, manifest.sha256), (manifest.golden.file, manifest.golden.sha256))
    beside = [(path.with_name(name), digest) for name, digest in files]
    return all(file.is_file() and sha256_file(file) == digest for file, digest in beside)


def build_network(network: Neighbour, input_size: tuple[int, int], *, seed: int = 0) -> tuple[nn.Module, ModelSpec]:
    """A network with random weights, at (height, width) pixels.

    Raises:
        UsageError: It does not take that size.
        MissingDependencyError: timm or torch is not installed.
    """
    if network.edgevit is not None:
        from edgevit.build import build_model

        return build_model(network.edgevit, input_size=input_size, seed=seed)
    from edgevit.sources.from_timm import build_timm

    assert network.timm is not None, "PaperNetworks has refused what has no source"
    return build_timm(
        network.timm, architecture=network.architecture, weights="random", seed=seed, input_size=input_size
    )


def export_missing(
    asked: PaperNetworks, command: tuple[str, ...], progress: Progress, *, verbose: bool = False
) -> Iterator[tuple[Neighbour, ExportReport | EdgevitExportError]]:
    """Export what is missing, one network after the other; what goes wrong with one does not stop the others.

    Raises:
        MissingDependencyError: Something is not installed, which would be told of each of them.
    """
    missing = asked.missing()
    for number, (network, recipes) in enumerate(missing, 1):
        formats = ", ".join(recipe.format for recipe in recipes)
        progress.note(f"export {number} of {len(missing)}: {network.model} ({network.source}) as {formats}")

        def work(network: Neighbour = network, recipes: tuple[Recipe, ...] = recipes) -> ExportReport:
            return _export(asked, network, recipes, command, verbose=verbose)

        with tempfile.TemporaryDirectory(prefix="edgevit-paper-") as room:
            what = f"exporting {network.model}"
            try:
                outcome = SideProcess(work, Path(room) / "report", what, forked=can_fork()).result()
            except MissingDependencyError:
                raise
            except EdgevitExportError as error:
                yield network, error
            else:
                yield network, outcome


def _export(
    asked: PaperNetworks, network: Neighbour, recipes: Sequence[Recipe], command: tuple[str, ...], *, verbose: bool
) -> ExportReport:
    from edgevit_export.workflows.export import export

    model, spec = build_network(network, asked.size_of(network), seed=asked.seed)
    return export(
        model, spec, recipes, output=asked.directory, command=command, progress=Progress(), verbose=verbose,
        side_by_side=True,
    )  # fmt: skip


def by_format(asked: PaperNetworks) -> list[tuple[Recipe, list[Path]]]:
    """The manifests that are there and whole, format by format, since ratios are made within one; none is empty."""
    whole = asked.whole()
    rows = [
        (recipe, [whole[key] for network in asked.networks if (key := (network.model, whole_recipe(recipe))) in whole])
        for recipe in asked.recipes
    ]
    return [(recipe, manifests) for recipe, manifests in rows if manifests]
