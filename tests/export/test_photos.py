"""A user's own photos as inputs of a model."""

import re
import struct
import time
import tracemalloc
import zlib
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
    exif[0x0112] = 6  # the camera was turned, which changes no pixel
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
    with pytest.raises(UsageError, match="has no preprocessing") as caught:
        load_photos(tmp_path, msgspec.structs.replace(spec, preprocessing=None))
    assert str(caught.value.hint).startswith("export it with --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5, or")
    wide = msgspec.structs.replace(spec.inputs[0], shape=(1, 5, 32, 32), layout=None)
    with pytest.raises(UsageError, match=r"its input image is \(1, 5, 32, 32\), expected an image of 1 or 3 channels"):
        load_photos(tmp_path, msgspec.structs.replace(spec, inputs=(wide,)))
    with pytest.raises(UsageError, match="it has the inputs image, image, not a single image"):
        load_photos(tmp_path, msgspec.structs.replace(spec, inputs=spec.inputs * 2))


def _bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few hundred bytes that says it is so large; its pixels are absent."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def _centre(tmp_path: Path, image: Image.Image, name: str, **saved: object) -> np.ndarray:
    """What the model gets of the middle of a picture, in units of 8 bits."""
    _, spec = conv_net()
    image.save(tmp_path / name, **saved)
    (values,) = load_photos(tmp_path, spec).arrays["image"]
    assert spec.preprocessing is not None
    (tmp_path / name).unlink()
    return (values[:, 16, 16] * spec.preprocessing.std + spec.preprocessing.mean) * 255


def test_an_orientation_in_exif_turns_nothing(tmp_path: Path) -> None:
    _, spec = conv_net()
    halves = Image.new("RGB", (64, 64), (255, 255, 255))
    halves.paste((0, 0, 0), (0, 0, 32, 64))  # black at the left
    exif = halves.getexif()
    exif[0x0112] = 6
    halves.save(tmp_path / "turned.png", exif=exif)
    (values,) = load_photos(tmp_path, spec).arrays["image"]
    assert values[0, 4, 2] == values[0, 28, 2] < values[0, 4, 29] == values[0, 28, 29]


@pytest.mark.parametrize(("seen", "expected"), [(0, 0), (128, 0), (129, 1), (32896, 128), (65535, 255)])
def test_grey_images_of_16_bits_are_scaled(tmp_path: Path, seen: int, expected: int) -> None:
    wide = Image.fromarray(np.full((40, 40), seen, np.uint16))
    np.testing.assert_allclose(_centre(tmp_path, wide, "wide.png"), expected, atol=0.01)
    np.testing.assert_allclose(_centre(tmp_path, wide, "wide.tif"), expected, atol=0.01)


def test_palettes_alpha_and_inks_are_as_pillow_shows_them(tmp_path: Path) -> None:
    red = Image.new("RGB", (40, 40), (200, 16, 32))
    palette = red.convert("P", dither=Image.Dither.NONE)
    np.testing.assert_allclose(
        _centre(tmp_path, palette, "p.png", transparency=bytes([0] * 256)), palette.convert("RGB").getpixel((20, 20)),
        atol=0.01,
    )  # fmt: skip
    red.putalpha(0)
    np.testing.assert_allclose(_centre(tmp_path, red, "a.png"), (200, 16, 32), atol=0.01)
    inks = Image.new("CMYK", (40, 40), (0, 200, 200, 0))
    np.testing.assert_allclose(_centre(tmp_path, inks, "k.tif"), inks.convert("RGB").getpixel((20, 20)), atol=0.01)


def test_what_cannot_be_used_is_left_out_with_a_note_each(tmp_path: Path) -> None:
    _, spec = conv_net()
    Image.new("RGB", (64, 64)).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "._good.png").write_bytes(b"\0\5\x16\7 Mac OS X")
    (tmp_path / ".hidden.png").write_bytes(whole)
    (tmp_path / "cut.png").write_bytes(whole[:-40])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "escape\x1b[2J.jpg").write_bytes(b"none")
    (tmp_path / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n")
    Image.fromarray(np.full((40, 40), 0.5, np.float32)).save(tmp_path / "float.tif")
    Image.new("RGB", (64, 20)).save(tmp_path / "wide.bmp")
    _bomb(tmp_path / "bomb.png", 60_000, 60_000)
    _bomb(tmp_path / "line.png", 1, 60_000)
    _bomb(tmp_path / "large.png", 12_000, 12_000)
    notes: list[str] = []
    began_s = time.perf_counter()
    tracemalloc.start()
    photos = load_photos(tmp_path, spec, notes.append)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert photos.labels == ("good.png", "wide.bmp")
    told = "\n".join(notes)
    for name, why in (
        ("._good.png", "is hidden"), (".hidden.png", "is hidden"), ("cut.png", "truncated|incomplete|too short"),
        ("empty.jpg", "cannot identify"),
        (r"escape\\x1b\[2J.jpg", "cannot identify"), ("program.png", "cannot identify"),
        ("float.tif", "pixels of 32 bits"), ("bomb.png", "3600000000 pixels"),
        ("large.png", "12000x12000 pixels, expected 128,000,000 at most"),
        ("line.png", "1x60000 pixels, expected sides of 1 to 50"),
    ):  # fmt: skip
        assert re.search(rf"left out: .*{name}.*{why}", told), name
    assert len(notes) == 10 and "\x1b" not in told
    assert time.perf_counter() - began_s < 5 and peak_bytes < 50 << 20


def test_a_preprocessing_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    _, spec = conv_net()
    Image.new("RGB", (64, 64)).save(tmp_path / "good.png")
    assert spec.preprocessing is not None
    for resize_px in (10**6, 10**12, 0, -5):
        huge = msgspec.structs.replace(spec.preprocessing, resize_px=resize_px)
        with pytest.raises(UsageError, match=r"cannot resize .*good\.png to|cannot crop"):
            load_photos(tmp_path, msgspec.structs.replace(spec, preprocessing=huge))
