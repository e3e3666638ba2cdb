"""Exports of a small network as the front door makes them, without the judges."""

from __future__ import annotations

from pathlib import Path

from small_models import conv_net

from edgevit.records import sha256_file
from export.artifact import AuditResult
from export.build import export_artifact, make_manifest, stage_golden
from export.golden import load_golden, make_golden
from export.manifest import load_manifest
from export.program import capture
from export.recipe import Format, Recipe
from export.staging import commit, staging

PTL, ONNX = Recipe(format=Format.PTL), Recipe(format=Format.ONNX)


def export_to(directory: Path, *recipes: Recipe, seed: int = 0) -> list[Path]:
    """Export to ``recipes``, or to plain TorchScript lite; the manifests' paths."""
    model, spec = conv_net(seed=seed)
    with staging(directory) as stage:
        golden = stage_golden(make_golden(model, spec), spec, stage)
        program = capture(model, spec)
        staged = [export_artifact(program, recipe, stage) for recipe in recipes or (PTL,)]
        command = ("edgevit-export", "--seed", "0")
        manifests = [make_manifest(one, golden, audit=AuditResult(passed=True), command=command) for one in staged]
        return [
            commit(manifest, one.path, golden.path, directory) for manifest, one in zip(manifests, staged, strict=True)
        ]


def assert_whole(path: Path) -> None:
    """The artifact and the golden set of a manifest are there and have the hashes that it says."""
    manifest = load_manifest(path)
    artifact = path.with_name(manifest.file)
    assert (sha256_file(artifact), artifact.stat().st_size) == (manifest.sha256, manifest.bytes)
    load_golden(path.with_name(manifest.golden.file), manifest.golden)
