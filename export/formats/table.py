"""The formats as data. A new one costs a ``Format`` member, a row here, its folder, and a row in ``runtimes.sessions``.

The rows name functions by import string, loaded on first use, so that this table can be read without torch:

- ``exporter``: ``(Program, Recipe, Path) -> None`` writes the file (the path given is temporary).
- ``reader``: ``(Path) -> FileFacts`` reads names, shapes, operators and metadata back from the file alone; its module
  imports no converter.
- ``restates``: ``(ModelSpec, inputs, outputs) -> dict[str, str]`` what only files of this format say of their model
  besides ``export.formats.metadata``, by the reader's key; "" for what they must not say.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edgevit.errors import ArtifactError, MissingDependencyError, UsageError, unknown_choice
from export.formats.metadata import KEYS, artifact_metadata
from export.formats.onnx_file.versions import OPSETS, STATIC_OPSETS
from export.formats.ptl_file.versions import BYTECODES
from export.recipe import Format, Precision, Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from export.artifact import FileFacts, Manifest


@dataclass(frozen=True)
class FormatRow:
    """What the tool knows about one format without importing anything heavy.

    Attributes:
        format: The format.
        title: Its name for people.
        aliases: Other names that the command line takes.
        exporter: Import string of the writer.
        reader: Import string of the reader.
        restates: Import string of what its files say of their model in a way of their own; None where they do not.
        export_modules: All must be importable to export.
        extra: Name of the pip extra that brings them.
        precisions: Number types that it can be written in.
        versions: By field of the recipe, the versions of itself that it can be written in: a range, or a few, best
            first.
        static_versions: The same for static int8, where not all of them have a form for it.
        fixed_batch: Why it cannot leave the batch free; None where it can.
        slow: Its converter takes longer than all the rest of an export.
        unbuilt: By (system, machine) as ``platform`` tells them, the package that exporting needs and that has no build
            for such a host (``benchmarks/hosts.py``).
    """

    format: Format
    title: str
    aliases: tuple[str, ...]
    exporter: str
    reader: str
    export_modules: tuple[str, ...]
    extra: str
    precisions: tuple[Precision, ...] = tuple(Precision)
    versions: Mapping[str, Sequence[int]] = field(default_factory=dict)
    static_versions: Mapping[str, Sequence[int]] = field(default_factory=dict)
    fixed_batch: str | None = None
    slow: bool = False
    unbuilt: Mapping[tuple[str, str], str] = field(default_factory=dict)
    restates: str | None = None


_INTEL_MAC = {("Darwin", "x86_64"): "torch"}

FORMATS: dict[Format, FormatRow] = {
    row.format: row
    for row in (
        FormatRow(
            format=Format.PTL,
            title="TorchScript lite",
            aliases=("torchscript", "pytorch", "torchscript-lite"),
            exporter="export.formats.ptl_file.write:write",
            reader="export.formats.ptl_file.read:read",
            export_modules=("torch",),
            extra="ptl",
            versions={"ptl_bytecode": BYTECODES},
            unbuilt=_INTEL_MAC,
        ),
        FormatRow(
            format=Format.ONNX,
            title="ONNX",
            aliases=("ort", "onnxruntime"),
            exporter="export.formats.onnx_file.write:write",
            reader="export.formats.onnx_file.read:read",
            restates="export.formats.onnx_file.metadata:own_metadata",
            export_modules=("torch", "onnx", "onnxsim"),
            extra="onnx",
            versions={"opset": OPSETS},
            static_versions={"opset": STATIC_OPSETS},
            unbuilt=_INTEL_MAC,
        ),
        FormatRow(
            format=Format.TFLITE,
            title="TFLite",
            aliases=("litert", "tf-lite"),
            exporter="export.formats.tflite_file.write:write",
            reader="export.formats.tflite_file.read:read",
            restates="export.formats.tflite_file.metadata:own_metadata",
            export_modules=("torch", "litert_torch"),
            extra="tflite",
            fixed_batch="litert-torch fixes every shape",
            slow=True,
            unbuilt={("Linux", "aarch64"): "litert-converter", **_INTEL_MAC},
        ),
        FormatRow(
            format=Format.PTE,
            title="ExecuTorch",
            aliases=("executorch",),
            exporter="export.formats.pte_file.write:write",
            reader="export.formats.pte_file.read:read",
            export_modules=("torch", "executorch"),
            extra="executorch",
            fixed_batch="every shape is fixed",
            slow=True,
            unbuilt={("Linux", "aarch64"): "coremltools", **_INTEL_MAC},
        ),
    )
}
ELSEWHERE = (
    "export it on Linux x86-64 or macOS arm64; `verify` and `bench` take the files on any host with their runtime"
)
VERSION_FIELDS = tuple(dict.fromkeys(name for row in FORMATS.values() for name in row.versions))
"""The fields of a recipe that belong to single formats."""


def parse_format(name: str) -> Format:
    """The format called ``name``, by its own name or an alias, in any case.

    Raises:
        UsageError: No format has that name; lists the choices and the closest match.
    """
    lowered = name.strip().lower().lstrip(".")
    for row in FORMATS.values():
        if lowered == row.format.value or lowered in row.aliases:
            return row.format
    raise unknown_choice("format", name, [row.format.value for row in FORMATS.values()])


def format_of(path: Path) -> Format:
    """The format that the suffix of ``path`` names, in any case.

    Raises:
        UsageError: No format has that suffix.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in list(Format):
        raise UsageError(f"{path}: '{path.suffix}' is no artifact suffix: expected one of .{', .'.join(Format)}")
    return Format(suffix)


def load(import_string: str) -> Callable[..., Any]:
    """The function that ``"package.module:function"`` names."""
    module, _, function = import_string.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def read_artifact(path: Path, format: Format) -> FileFacts:
    """What stands in an artifact, read from the file alone; nothing of it is run.

    Raises:
        ArtifactError: The file is not of that format.
    """
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is no regular file: a pipe or device is not read, since it may never end")
    facts: FileFacts = load(FORMATS[format].reader)(path)
    return facts


def restated(manifest: Manifest) -> dict[str, str]:
    """All that the file of ``manifest`` must say of itself, by its reader's keys; "" for what it must not say."""
    texts = dict.fromkeys(KEYS, "")
    texts |= artifact_metadata(manifest.spec, manifest.recipe, manifest.inputs, manifest.outputs, manifest.quantization)
    own = FORMATS[manifest.recipe.format].restates
    return texts | (load(own)(manifest.spec, manifest.inputs, manifest.outputs) if own else {})


def require_export(format: Format) -> None:
    """Refuse early, before any work, when ``format`` cannot be exported here.

    Raises:
        MissingDependencyError: Names the modules and the extra that brings them.
    """
    row = FORMATS[format]
    if missing := [name for name in row.export_modules if find_spec(name) is None]:
        host = platform.system(), platform.machine()
        if lacking := row.unbuilt.get(host):
            told = f"{format} cannot be exported on {' '.join(host)}: {lacking} has no build for it"
            raise MissingDependencyError(told, hint=ELSEWHERE)
        raise MissingDependencyError(
            f"cannot export {format}: {', '.join(missing)} not installed",
            extra=row.extra,
        )


def check_recipe(recipe: Recipe, *, calibrated: bool = False) -> None:
    """Refuse early, before any work, a recipe that its format cannot be written by.

    Args:
        recipe: What was asked for.
        calibrated: Images to calibrate on were given, which makes int8 static, but they were not read yet.

    Raises:
        UsageError: Says what the format can.
    """
    row = FORMATS[recipe.format]
    if recipe.precision not in row.precisions:
        raise UsageError(f"{recipe.precision} for {row.format}: choose from {', '.join(row.precisions)}")
    is_static = recipe.precision is Precision.INT8 and (calibrated or recipe.calibration is not None)
    for name in VERSION_FIELDS:
        _check_version(row, name, getattr(recipe, name), is_static=is_static)
    if recipe.ptl_prepacked and recipe.format is not Format.PTL:
        raise UsageError(f"prepacked weights for {row.format}: only {Format.PTL} has them", hint="leave them out")
    if recipe.ptl_prepacked and recipe.precision is not Precision.FP32:
        told = f"prepacked weights in {recipe.precision}: they are stored in {Precision.FP32}, and packed from that"
        raise UsageError(
            told, hint=f"leave one of them out: {recipe.precision} alone is at most half as large as float32"
        )
    if recipe.dynamic_batch and row.fixed_batch:
        raise UsageError(f"{row.format} cannot leave the batch free: {row.fixed_batch}", hint="use --batch N")


def _check_version(row: FormatRow, field_name: str, asked: int | None, *, is_static: bool) -> None:
    """Refuse a version that the format cannot be written in, and one that only another format has."""
    fewer = is_static and field_name in row.static_versions
    values = (row.static_versions if fewer else row.versions).get(field_name, ())
    if asked is None or asked in values:
        return
    name = field_name.rpartition("_")[2]
    if not values:
        owner = next(other.format for other in FORMATS.values() if field_name in other.versions)
        raise UsageError(f"{name} {asked} for {row.format}: {name}s are those of {owner}", hint="leave it out")
    if isinstance(values, range):
        choices, best = f"{values[0]} to {values[-1]}", min(max(asked, values[0]), values[-1])
    else:
        choices, best = f"{', '.join(map(str, values))}, or leave it out", values[0]
    choices += ", or leave out the images of the calibration" if fewer else ""
    option, what = field_name.replace("_", "-"), f"static int8 in {row.format}" if fewer else row.format
    raise UsageError(f"{name} {asked} for {what}: choose from {choices}", hint=f"--{option} {best}")
