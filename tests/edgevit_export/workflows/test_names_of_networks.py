"""Networks are called as their authors like: the files get names that a file system takes, and that differ."""

from __future__ import annotations

from pathlib import Path

import msgspec
import plain_net
import pytest
from edgevit_tiny import tiny

from edgevit.build import build_model
from edgevit.names import file_name
from edgevit.sources.from_module import build_module
from edgevit_export import export, verify
from edgevit_export.console import Progress
from export.manifest import load_manifest


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


@pytest.mark.parametrize("stem", ["nét_wörk_网", "ne\u0301t", "my net", "net"])
def test_a_users_file_lends_its_name_with_one_hash_at_most(tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def get_model():\n    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2))\n"
        "def get_args():\n    return (torch.zeros(1, 3, 8, 8),)\n"
    )
    model, spec = build_module(str(tmp_path / f"{stem}.py"))
    assert spec.name == f"{stem}-8x8"
    (outcome,) = export(model, spec, "ptl", output=tmp_path / "out").outcomes
    name = Path(outcome.file or "").name
    assert name.count("-x") == (0 if file_name(stem) == stem else 1)
    assert name == f"{file_name(spec.name)}.ptl"


def test_an_artifact_of_other_weights_is_replaced_with_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed, told in ((0, False), (0, False), (1, True)):
        model, spec = build_model(tiny(), input_size=(64, 64), seed=seed)
        assert export(model, spec, "ptl", output=tmp_path, progress=Progress(), verify=False).exit_code == 0
        seen = capfd.readouterr().err
        assert (f"{tmp_path / spec.name}.ptl replaces that of tiny with weights random, seed 0" in seen) == told
    assert load_manifest(tmp_path / f"{spec.name}.ptl.json").spec.weights.seed == 1
