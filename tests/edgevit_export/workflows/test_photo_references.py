"""The network behind an artifact, rebuilt to answer the user's own photos."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from edgevit_tiny import tiny
from PIL import Image

from edgevit.build import build_model
from edgevit.errors import CheckpointError, UsageError
from edgevit.network.describe import standard_preprocessing
from edgevit.sources.from_module import build_module
from edgevit_export.workflows import photo_references
from edgevit_export.workflows.photo_references import PhotoReferences

SIZE = (64, 64)
HELD = 100_000  # bytes of an artifact, about


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    directory = tmp_path / "photos"
    directory.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(directory / f"{number}.png")
    return directory


def test_the_photos_are_answered_by_the_network_and_only_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, spec = build_model(tiny(), num_classes=3, input_size=SIZE, seed=4)
    references = PhotoReferences(photos, None)
    found = references.of(spec, HELD)
    assert found.labels == ("0.png", "1.png")
    exact = model.double()(torch.from_numpy(found.inputs["image"]).double())
    np.testing.assert_allclose(found.outputs["logits"], exact.numpy(), atol=1e-12)
    monkeypatch.setattr(photo_references, "make_golden", None)
    assert references.of(spec, HELD) is found


def test_weights_from_a_file_need_that_file(photos: Path, tmp_path: Path) -> None:
    trained, _ = build_model(tiny(), num_classes=3, input_size=SIZE, seed=1)
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    torch.save(trained.state_dict() | {"head.bias": torch.zeros(3)}, tmp_path / "other.pth")
    _, spec = build_model(tiny(), checkpoint=tmp_path / "w.pth", input_size=SIZE)
    assert len(PhotoReferences(photos, tmp_path / "w.pth").of(spec, HELD)) == 2
    with pytest.raises(UsageError, match=r"exported from w\.pth: comparing on photos needs that file"):
        PhotoReferences(photos, None).of(spec, HELD)
    with pytest.raises(CheckpointError, match=r"other\.pth has SHA-256"):
        PhotoReferences(photos, tmp_path / "other.pth").of(spec, HELD)


def test_code_of_ones_own_answers_where_it_is_named(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\ndef get_model():\n    return nn.Sequential(nn.Conv2d(3, 2, 9), nn.Flatten())\n"
    )
    model, plain = build_module(str(file), input_size=SIZE)
    spec = msgspec.structs.replace(plain, preprocessing=standard_preprocessing(SIZE))
    found = PhotoReferences(photos, None, module=str(file)).of(spec, HELD)
    exact = model.double()(torch.from_numpy(found.inputs["input"]).double())
    np.testing.assert_allclose(found.outputs["logits"], exact.numpy(), atol=1e-12)
    with pytest.raises(UsageError, match="its code has to run"):
        PhotoReferences(photos, None).of(spec, HELD)
