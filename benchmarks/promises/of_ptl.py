"""TorchScript lite in each release of PyTorch Mobile, from the first that had a lite interpreter to the last."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import IO

import numpy as np

from benchmarks.promises.artifacts import NARROW, Artifacts
from benchmarks.promises.lite_runtime import RELEASES, LiteRuntimes
from benchmarks.promises.pythons import Unavailable, Workshop
from benchmarks.promises.table import Row, limits_of, seen
from edgevit.errors import SessionError
from export.artifact import FileFacts
from export.formats.ptl_file.versions import BYTECODES
from export.formats.table import read_artifact
from export.golden import load_golden
from export.manifest import load_manifest
from export.recipe import Format, Optimize, Recipe
from runtimes.sessions.session import Array, Arrays, LocalSession
from validation.artifact.parity import compare

SAMPLES = 6
"""Of the golden set, the first: under QEMU one takes seconds."""
VARIED = (
    (Recipe(format=Format.PTL, ptl_bytecode=4, optimize=Optimize.NONE), "classify"),
    (Recipe(format=Format.PTL, ptl_bytecode=7, optimize=Optimize.NONE), "classify"),
    (Recipe(format=Format.PTL, ptl_bytecode=4, dynamic_batch=True), "classify"),
    (Recipe(format=Format.PTL, ptl_bytecode=7, dynamic_batch=True), "classify"),
    (Recipe(format=Format.PTL, ptl_bytecode=4), "features"),
    (Recipe(format=Format.PTL, ptl_bytecode=7), "features"),
)
"""Other recipes, tried with the first release that they are for and with the last."""


class LiteSession(LocalSession):
    """A lite interpreter of a release that is asked for one run after the other."""

    def __init__(self, path: Path, facts: FileFacts, command: tuple[str, ...], title: str) -> None:
        super().__init__(path)
        self.runtime, self.inputs, self.outputs = title, facts.inputs, facts.outputs
        self._folder = Path(tempfile.mkdtemp(prefix="promises-"))
        self._process = subprocess.Popen(
            [*command, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self._expect("loaded")
        except BaseException:
            self.close()
            raise

    def _run(self, arrays: Arrays) -> Arrays:
        target = self._folder / "outputs"
        parts = [str(target)]
        for place, spec in enumerate(self.inputs):
            source = self._folder / f"input-{place}"
            array = np.ascontiguousarray(arrays[spec.name], dtype="<f4")
            source.write_bytes(array.tobytes())
            parts.append(f"{source}@{'x'.join(map(str, array.shape))}")
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write("\t".join(parts) + "\n")
        stdin.flush()
        self._expect("done")
        found = _tensors(target.read_bytes())
        return {spec.name: array for spec, array in zip(self.outputs, found, strict=True)}

    def _expect(self, word: str) -> None:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        line = stdout.readline().strip()
        if line != word:
            raise SessionError(line[:200] or f"ended with exit code {self._process.wait()}")

    def _release(self) -> None:
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


def _tensors(data: bytes) -> list[Array]:
    found: list[Array] = []
    while data:
        rank = int(np.frombuffer(data[:8], "<i8")[0])
        shape = np.frombuffer(data[8 : 8 + 8 * rank], "<i8")
        end = 8 + 8 * rank + 4 * int(shape.prod())
        found.append(np.frombuffer(data[8 + 8 * rank : end], "<f4").reshape(shape))
        data = data[end:]
    return found


def rows(workshop: Workshop, artifacts: Artifacts) -> Iterator[Row]:
    """Every bytecode in every release, then other recipes at both ends of what they are for."""
    runtimes = LiteRuntimes(workshop.root)
    for bytecode in (None, *BYTECODES):
        manifest = artifacts.exported(Recipe(format=Format.PTL, ptl_bytecode=bytecode))
        for release in RELEASES:
            yield _tried(manifest, release, runtimes)
    for (precision, static), bytecode in product(NARROW, (None, *BYTECODES)):
        recipe = Recipe(format=Format.PTL, precision=precision, ptl_bytecode=bytecode)
        manifest = artifacts.exported(recipe, static=static)
        for release in RELEASES:
            yield _tried(manifest, release, runtimes)
    for recipe, task in VARIED:
        manifest = artifacts.exported(recipe, task=task)
        releases = list(RELEASES)
        first = releases.index(_claimed_from(load_manifest(manifest).requires))
        for release in sorted({first, max(first - 1, 0), len(releases) - 1}):
            yield _tried(manifest, releases[release], runtimes)


def _claimed_from(requires: str) -> str:
    """The release in ``PyTorch Mobile >= 1.10 (bytecode 7)``."""
    return requires.split(">= ")[1].split(maxsplit=1)[0]


def _tried(manifest_path: Path, release: str, runtimes: LiteRuntimes) -> Row:
    manifest = load_manifest(manifest_path)
    artifact, title = manifest_path.parent / manifest.file, f"PyTorch Mobile {RELEASES[release]} (arm64)"
    names = list(RELEASES)
    claimed = names.index(release) >= names.index(_claimed_from(manifest.requires))
    try:
        command = runtimes.command(release)
    except Unavailable as error:
        return Row(manifest.file, manifest.requires, title, f"not tried: {error}", None)
    golden = load_golden(manifest_path.parent / manifest.golden.file, manifest.golden)[:SAMPLES]
    try:
        session = LiteSession(artifact, read_artifact(artifact, manifest.recipe.format), command, title)
        try:
            report = compare(session, golden, limits_of(manifest), inputs=manifest.inputs)
        finally:
            session.close()
    except SessionError as error:
        return Row(manifest.file, manifest.requires, title, error.message, False if claimed else None)
    words = seen(report)
    # What runs although nothing is claimed says too little, which is a wrong claim as well.
    return Row(manifest.file, manifest.requires, title, words, report.passed and claimed)
