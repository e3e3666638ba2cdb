"""ExecuTorch programs in the releases that share this PyTorch, older and newer than the one that wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.promises.artifacts import Artifacts
from benchmarks.promises.pythons import Workshop, own_python
from benchmarks.promises.table import Row, tried
from export.recipe import Format, Recipe

RELEASES = ("1.4.0", "1.4.1", "1.5.1")
CLAIMED_FROM = (1, 4, 1)


def rows(workshop: Workshop, artifacts: Artifacts) -> Iterator[Row]:
    """One row a release; each is put in front of the packages of this Python, since it needs its PyTorch."""
    manifest = artifacts.exported(Recipe(format=Format.PTE))
    for release in RELEASES:
        build = partial(workshop.environment, own_python(), f"executorch=={release}", host=True)
        claimed = tuple(map(int, release.split("."))) >= CLAIMED_FROM
        yield tried(manifest, f"executorch {release}", build, claimed=claimed)
