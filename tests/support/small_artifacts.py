"""A small convolutional network as real artifacts with manifest and golden set, and ways to damage them."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import torch
from fake_sessions import golden_set
from torch import nn

from edgevit.records import sha256_file
from edgevit.spec import Layout, ModelSpec, Task, TensorSpec, Weights
from export.artifact import GoldenReference, Manifest
from export.fingerprint import fingerprint
from export.formats.ptl_file.read import read_archive
from export.formats.table import FORMATS, load, read_artifact
from export.golden import GoldenSet, load_golden, make_golden
from export.program import Program, capture, with_input_layout
from export.recipe import Format, Recipe
from validation.artifact.audit import audit


class Block(nn.Module):
    """Residual block with a norm that passes can fold."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.act = nn.GELU()
        self.project = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.project(self.act(self.expand(self.norm(x))))


class SmallNet(nn.Module):
    """Stem, three residual blocks, head: (N, 3, 16, 16) to (N, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Block(12) for _ in range(3)))
        self.head = nn.Linear(12, 7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))


def small_net(seed: int = 0) -> SmallNet:
    torch.manual_seed(seed)
    model = SmallNet()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
    return model.eval().requires_grad_(False)


def small_spec(seed: int = 0, batch: int = 1) -> ModelSpec:
    return ModelSpec(
        name=f"small{seed}",
        variant="small",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(batch, 3, 16, 16), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(batch, 7)),),
        weights=Weights(source="random", seed=seed),
        num_classes=7,
    )


def small_golden(model: nn.Module, count: int = 5) -> GoldenSet:
    """Normal images; the first two are fingerprinted. The yardstick is that of ``model`` itself."""
    images = np.random.default_rng(7).normal(size=(count, 3, 16, 16)).astype(np.float32)
    return reference_of(model, images)


def reference_of(model: nn.Module, images: np.ndarray) -> GoldenSet:
    tensor = torch.from_numpy(images)
    exact = copy.deepcopy(model).double()(tensor.double()).numpy()
    error = float(np.abs(model(tensor).numpy() - exact).max())
    golden = golden_set({"image": images}, {"logits": exact}, error)
    return dataclasses.replace(golden, fingerprint=fingerprint(model, [images], range(min(2, len(images)))))


def write_artifact(
    directory: Path,
    format: Format,
    *,
    seed: int = 0,
    batch: int = 1,
    layout: Layout = Layout.NCHW,
    dynamic: bool = False,
) -> Path:
    """Write artifact, golden set and manifest; returns the manifest's path."""
    directory.mkdir(parents=True, exist_ok=True)
    model, recipe = small_net(seed), Recipe(format=format, input_layout=layout, dynamic_batch=dynamic)
    program: Program = with_input_layout(capture(model, small_spec(seed, batch)), layout)
    program = dataclasses.replace(program, dynamic_batch=dynamic)
    artifact = directory / f"small{seed}.{format}"
    load(FORMATS[format].exporter)(program, recipe, artifact)
    golden_path = directory / f"small{seed}.npz"
    make_golden(model, small_spec(seed, batch)).save(golden_path)
    manifest_path = directory / f"small{seed}.{format}.json"
    describe(artifact, golden_path, program, recipe).save(manifest_path)
    return manifest_path


def describe(artifact: Path, golden_path: Path, program: Program, recipe: Recipe) -> Manifest:
    facts = read_artifact(artifact, recipe.format)
    golden = load_golden(golden_path)
    return Manifest(
        file=artifact.name,
        sha256=sha256_file(artifact),
        bytes=artifact.stat().st_size,
        created_utc="2026-01-01T00:00:00Z",
        spec=program.spec,
        recipe=recipe,
        inputs=program.inputs,
        outputs=program.outputs,
        operators=facts.operators,
        requires=facts.requires,
        audit=audit(facts, recipe),
        golden=GoldenReference(
            file=golden_path.name,
            sha256=sha256_file(golden_path),
            inputs=len(golden.labels),
            yardstick=dict(golden.yardstick),
        ),
        tools={},
        command=(),
    )


def edit_manifest(path: Path, **changes: object) -> None:
    """Tamper with a manifest: ``golden__sha256="..."`` changes a nested field."""
    data = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        target = data
        for parent in parents:
            target = target[parent]
        target[last] = value
    path.write_text(json.dumps(data))


def reseal(manifest_path: Path) -> None:
    """Make the hashes and sizes of a tampered artifact and golden set right again, as a careful attacker would."""
    data = json.loads(manifest_path.read_text())
    artifact, golden = (manifest_path.parent / name for name in (data["file"], data["golden"]["file"]))
    edit_manifest(
        manifest_path, sha256=sha256_file(artifact), bytes=artifact.stat().st_size, golden__sha256=sha256_file(golden)
    )


def corrupt_weight(path: Path, weight: np.ndarray, position: int, change: float) -> None:
    """Change one number of one weight inside an artifact, found by its bytes (as stored there, any layout)."""
    data = bytearray(path.read_bytes())
    stored = np.ascontiguousarray(weight, np.float32).tobytes()
    start = bytes(data).find(stored)
    assert start >= 0, "the weight is not stored in this file as given"
    assert bytes(data).find(stored, start + 1) < 0, "the weight is stored twice"
    changed = np.frombuffer(stored, np.float32).copy()
    changed[position] += np.float32(change)
    data[start : start + len(stored)] = changed.tobytes()
    path.write_bytes(bytes(data))


class Hostile(nn.Module):
    """The right answer, and a file written on the way."""

    def __init__(self, network: torch.jit.ScriptModule, target: str) -> None:
        super().__init__()
        self.network = network
        self.target = target

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        written = torch.from_file(self.target, True, 4).copy_(torch.ones(4))
        answer: torch.Tensor = self.network(image + 0 * written.sum())  # or torch would leave the writing out
        return answer


class Restored(nn.Module):
    """Writes a file when it is loaded: torch calls ``__setstate__`` then."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.weight = torch.ones(2)

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, str]:
        return (self.weight, self.target)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str]) -> None:
        self.weight = state[0] + 0 * torch.from_file(state[1], True, 4).copy_(torch.ones(4)).sum()
        self.target = state[1]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.weight.sum()


def write_hostile(manifest_path: Path, target: Path) -> None:
    """Put a .ptl that overwrites ``target`` when run in the place of a sound one; the manifest agrees with it."""
    manifest = Manifest.load(manifest_path)
    artifact = manifest_path.with_name(manifest.file)
    extra = read_archive(artifact).extra_files
    network = torch.jit.trace(small_net(), torch.zeros(manifest.spec.inputs[0].shape))
    torch.jit.script(Hostile(network, str(target)))._save_for_lite_interpreter(str(artifact), _extra_files=extra)
    operators = json.loads(msgspec.json.encode(read_artifact(artifact, Format.PTL).operators))
    edit_manifest(manifest_path, operators=operators)
    reseal(manifest_path)
