"""Every field of a real manifest, changed by itself, fails verification, or is listed here with its reason."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from small_artifacts import small_net
from small_exports import small_spec

from edgevit_export import export
from export.recipe import Format
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session
from validation.artifact.checks import VerifyReport
from validation.artifact.verify import verify_artifact

Path_ = tuple[str | int, ...]

NO_EVIDENCE = {
    "created_utc": "when somebody's clock says it was made",
    "command": "what somebody typed",
    "passes": "a log of the export: only exporting again repeats it",
    "tools": "packages that were installed; those that the file or parity names are compared",
}
TOLD = {"file", "golden.file"}
"""A renamed file is known by its SHA-256, and verification says so."""
COMPARED_TOOLS = {Format.TFLITE: {"ai-edge-litert"}, Format.ONNX: {"torch", "onnxruntime"}}
OTHER_CHOICE = {
    "nchw": "nhwc", "classify": "features", "bicubic": "bilinear", "RGB": "BGR", "random": "checkpoint",
    "tflite": "onnx", "onnx": "ptl", "full": "none", "float32": "float16",
}  # fmt: skip


@pytest.fixture(scope="module", params=[Format.TFLITE, Format.ONNX])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    spec = replace(small_spec(), labels=("ant", "bee", "cat", "dog", "eel", "fox", "gnu"))
    report = export(small_net(), spec, [request.param], output=directory)
    assert report.passed, report.outcomes
    return directory / f"small-net.{request.param}.json"


class Shared:
    """Opens each artifact once; its sessions survive their closing."""

    def __init__(self) -> None:
        self.sessions: dict[Path, Session] = {}

    def __call__(self, path: Path, format: Format, *, threads: int = 1) -> Session:
        if path not in self.sessions:
            session = open_session(path, format, threads=threads)
            session.close = lambda: None  # type: ignore[method-assign]
            self.sessions[path] = session
        return self.sessions[path]


def leaves(value: object, path: Path_ = ()) -> Iterator[Path_]:
    """The places of all values that are no lists or dicts, of those that are empty, and of every list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    children = list(inner)
    if not children or isinstance(value, list):
        yield path
    for key, child in children:
        yield from leaves(child, (*path, key))


def changed(value: object) -> object:
    """Another value that the field could hold; figures by more than two machines may differ."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 10 * value + 1
    if isinstance(value, str):
        return OTHER_CHOICE.get(value, f"9{value}")
    if isinstance(value, list):
        return value[:-1] if value else ["x"]
    return {"x": "y"} if value == {} else 1


def at(data: object, path: Path_) -> object:
    for key in path:
        data = data[key]  # type: ignore[index]
    return data


def edited(manifest: dict[str, object], path: Path_) -> dict[str, object]:
    data = copy.deepcopy(manifest)
    parent = at(data, path[:-1])
    parent[path[-1]] = changed(at(data, path))  # type: ignore[index]
    return data


def dotted(path: Path_) -> str:
    return ".".join(str(key) for key in path)


def is_evidence(path: Path_, format: Format) -> bool:
    if path[0] == "tools":
        return len(path) > 1 and path[1] in COMPARED_TOOLS[format]
    return path[0] not in NO_EVIDENCE


def verified(directory: Path, name: str, data: dict[str, object], opener: Shared) -> VerifyReport:
    (directory / name).write_text(json.dumps(data))
    return verify_artifact(directory / name, opener=opener)


def test_every_field_is_compared_or_listed(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported.parent, tmp_path / "copy")
    manifest, directory, opener = json.loads(exported.read_text()), tmp_path / "copy", Shared()
    format = Format(manifest["recipe"]["format"])
    assert verified(directory, exported.name, manifest, opener).passed
    every = list(leaves(manifest))
    evidence = [path for path in every if is_evidence(path, format) and dotted(path) not in TOLD]
    assert len(evidence) > 100
    passed = [
        dotted(path) for path in evidence if verified(directory, exported.name, edited(manifest, path), opener).passed
    ]
    assert passed == []


def test_what_is_listed_is_no_evidence_indeed(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported.parent, tmp_path / "copy")
    manifest, opener = json.loads(exported.read_text()), Shared()
    format = Format(manifest["recipe"]["format"])
    data = manifest
    for path in leaves(manifest):
        free = not is_evidence(path, format) and len(path) > 1
        if free and at(data, path) is not None and not isinstance(at(data, path), list):
            data = edited(data, path)
    data["created_utc"], data["passes"] = "long ago", data["passes"][:-1]
    assert data["command"] != manifest["command"] and data["tools"] != manifest["tools"]
    assert verified(tmp_path / "copy", exported.name, data, opener).passed


def test_a_name_is_told(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported.parent, tmp_path / "copy")
    manifest = json.loads(exported.read_text())
    for place in TOLD:
        data = edited(manifest, tuple(place.split(".")))
        report = verified(tmp_path / "copy", exported.name, data, Shared())
        assert report.passed
        assert any("is known by its content" in text for check in report.checks for text in check.details)
