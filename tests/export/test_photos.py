"""A user's own photos as inputs of a model."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from small_models import conv_net

from edgevit.errors import UsageError
from export.golden import make_golden
from export.photos import load_photos


def test_photos_are_prepared_as_the_spec_says(tmp_path: Path) -> None:
    _, spec = conv_net()
    red = Image.new("RGB", (80, 60), (255, 0, 0))
    exif = red.getexif()
    exif[0x0112] = 6  # the camera was turned: the photo is 60 wide
    red.save(tmp_path / "b.png", exif=exif)
    Image.new("L", (64, 64), 128).save(tmp_path / "a.bmp")
    (tmp_path / "notes.txt").write_text("no image")
    photos = load_photos(tmp_path, spec)
    assert photos.labels == ("a.bmp", "b.png")
    assert photos.arrays["image"].shape == (2, 3, 32, 32)
    np.testing.assert_allclose(photos.arrays["image"][1, :, 16, 16], [(1 - 0.5) / 0.2, -0.4 / 0.25, -1.0], rtol=1e-6)
    model, _ = conv_net()
    golden = make_golden(model, spec, extra_inputs=photos)
    assert golden.labels[-2:] == ("a.bmp", "b.png")
    assert len(golden.outputs["logits"]) == len(golden)


def test_unreadable_photos_are_named(tmp_path: Path) -> None:
    _, spec = conv_net()
    with pytest.raises(UsageError, match="no such directory"):
        load_photos(tmp_path / "nowhere", spec)
    with pytest.raises(UsageError, match="no images in"):
        load_photos(tmp_path, spec)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff but no more")
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        load_photos(tmp_path, spec)
    with pytest.raises(UsageError, match="has no preprocessing"):
        load_photos(tmp_path, msgspec.structs.replace(spec, preprocessing=None))
