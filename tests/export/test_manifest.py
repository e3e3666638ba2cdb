"""Manifests: found, checked against their schema, and bound to their directory."""

import importlib.metadata
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import msgspec
import pytest
from export_rig import ONNX, PTL, export_to

from edgevit.errors import ArtifactError, UsageError
from export.artifact import Manifest
from export.manifest import (
    TOOLS,
    created_utc,
    find_manifests,
    load_manifest,
    manifest_of_content,
    manifest_path,
    renamed,
    tool_versions,
)


def schema_text() -> str:
    """What docs/manifest.schema.json must hold."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of an artifact that edgevit-export wrote",
        **msgspec.json.schema(Manifest),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def test_the_published_schema_is_current_and_fits(tmp_path: Path) -> None:
    published = (Path(__file__).parents[2] / "docs" / "manifest.schema.json").read_text()
    assert published == schema_text(), "write schema_text() to docs/manifest.schema.json"
    (path,) = export_to(tmp_path)
    document = json.loads(path.read_text())
    validator = jsonschema.Draft202012Validator(json.loads(published))
    validator.validate(document)
    del document["sha256"]
    assert not validator.is_valid(document)


def test_manifests_are_found_by_directory_artifact_and_name(tmp_path: Path) -> None:
    ptl, onnx = export_to(tmp_path, PTL, ONNX)
    assert set(find_manifests([tmp_path])) == {ptl, onnx}
    assert find_manifests([tmp_path / "conv-net.ptl", ptl]) == (ptl,)
    ptl.unlink()
    with pytest.raises(ArtifactError, match=r"conv-net\.ptl has no manifest"):
        find_manifests([tmp_path / "conv-net.ptl"])
    with pytest.raises(UsageError, match="no such file"):
        find_manifests([tmp_path / "nothing.onnx"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no manifest in"):
        find_manifests([tmp_path / "empty"])


def test_the_time_of_creation_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert created_utc() == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        created_utc()
    for beyond in ("9" * 12, "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", beyond)
        with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
            created_utc()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    age = datetime.now(UTC) - datetime.fromisoformat(created_utc())
    assert timedelta(0) <= age < timedelta(seconds=60)


def test_a_manifest_knows_where_it_belongs() -> None:
    assert manifest_path(Path("a/edgevit-s-224x224.onnx")) == Path("a/edgevit-s-224x224.onnx.json")
    assert Manifest.__struct_fields__[0] == "schema_version"


def test_a_manifest_that_names_files_elsewhere_or_is_none_is_refused(tmp_path: Path) -> None:
    (ptl,) = export_to(tmp_path)
    whole = ptl.read_text()
    golden = load_manifest(ptl).golden.file
    for name in (f"../{golden}", "..", "", "/tmp/golden.npz", ".", "a\0b", "a\nb", "\x1b[2J", "a\\b", "x" * 300):
        ptl.write_text(whole.replace(f'"{golden}"', json.dumps(name)))
        with pytest.raises(ArtifactError, match="not beside it") as refused:
            load_manifest(ptl)
        assert refused.value.message.isprintable()
    ptl.write_text(whole)
    assert load_manifest(ptl).file == "conv-net.ptl"
    ptl.write_text(whole.replace('"conv-net.ptl"', '"../conv-net.ptl"'))
    with pytest.raises(ArtifactError, match="not beside it"):
        load_manifest(ptl)
    ptl.write_text("{}")
    with pytest.raises(ArtifactError, match="not a valid Manifest"):
        load_manifest(ptl)
    ptl.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        load_manifest(ptl)


def test_tools_are_those_installed() -> None:
    versions = tool_versions()
    assert versions["torch"] == importlib.metadata.version("torch")
    assert set(versions) <= set(TOOLS)


def test_a_manifest_of_version_1_is_still_read(tmp_path: Path) -> None:
    (path,) = export_to(tmp_path)
    document = json.loads(path.read_text())
    document["schema_version"] = 1
    document["passes"] = [{"name": "fold_scale", "rewrites": 2, "detail": "2 factors folded"}]
    path.write_text(json.dumps(document))
    manifest = load_manifest(path)
    assert (manifest.schema_version, manifest.shortfalls()) == (1, ())


def test_a_file_is_found_by_its_bytes_and_so_is_its_manifest(tmp_path: Path) -> None:
    path = export_to(tmp_path)[0]
    manifest = load_manifest(path)
    artifact = path.with_name(manifest.file)
    assert manifest_of_content(artifact) == path
    moved = artifact.rename(path.with_name("other.bin"))
    (tmp_path / "same-size.bin").write_bytes(bytes(manifest.bytes))
    assert renamed(tmp_path, "*", manifest.sha256, manifest.bytes) == renamed(tmp_path, "*", manifest.sha256) == moved
    assert renamed(tmp_path, "*.ptl", manifest.sha256, manifest.bytes) is None
    assert renamed(tmp_path, "*", "0" * 64) is None
    assert manifest_of_content(moved) == path
    assert manifest_of_content(tmp_path / "same-size.bin") is None
    (tmp_path / "broken.onnx.json").write_text("{")
    assert manifest_of_content(moved) == path


def test_a_pointer_in_place_of_a_manifest_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx.json"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ArtifactError, match=r"a\.onnx\.json is a git LFS pointer"):
        load_manifest(path)
    path.unlink()
    path.symlink_to("../.git/annex/objects/x.json")
    with pytest.raises(ArtifactError, match=r"is missing: it is a symbolic link to .* run git annex get"):
        load_manifest(path)

    assert tool_versions(["numpy", "no-such-package"]) == {"numpy": importlib.metadata.version("numpy")}


def test_a_directory_is_searched_by_suffix_and_in_order(tmp_path: Path) -> None:
    for name in ("b.tflite.json", "a.onnx.json", "notes.json", "c.onnx", "d.onnx.json.bak"):
        (tmp_path / name).touch()
    (tmp_path / "e.ptl.json").mkdir()
    assert find_manifests([tmp_path]) == (tmp_path / "a.onnx.json", tmp_path / "b.tflite.json")
    assert find_manifests([tmp_path / "b.tflite.json", tmp_path]) == (
        tmp_path / "b.tflite.json",
        tmp_path / "a.onnx.json",
    )
    assert find_manifests([]) == ()
