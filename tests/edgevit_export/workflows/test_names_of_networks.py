"""Networks are called as their authors like: the files get names that a file system takes, and that differ."""

from __future__ import annotations

from pathlib import Path

import msgspec
import plain_net
import pytest

from edgevit_export import export, verify


@pytest.mark.parametrize("name", ["timm/resnet18.a1_in1k", "hf-hub:me/net@main", "..", "a b\n", "net:1"])
def test_a_name_that_is_no_file_name_is_made_one(tmp_path: Path, name: str) -> None:
    spec = msgspec.structs.replace(plain_net.spec(), name=name)
    report = export(plain_net.model(), spec, ["ptl", "onnx"], output=tmp_path / "out")
    assert report.passed, [outcome.reasons for outcome in report.outcomes]
    assert report.spec.name == name
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 5 and all(path.is_file() for path in files), "two artifacts, their manifests, a golden set"
    assert all(found.passed for found in verify(tmp_path / "out"))


def test_names_that_look_alike_as_files_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for name in ("a/net", "a:net", "a_net"):
        spec = msgspec.structs.replace(plain_net.spec(), name=name)
        assert export(plain_net.model(), spec, ["ptl"], output=tmp_path).passed
    assert len(list(tmp_path.glob("*.ptl"))) == 3
