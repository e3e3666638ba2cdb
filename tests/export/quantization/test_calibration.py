"""Images of a calibration: what is taken, and every kind of bad input by the name of its file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from small_exports import small_spec
from small_models import two_inputs

from edgevit.errors import UsageError
from edgevit.spec import ModelSpec
from export.photos import load_photos
from export.quantization.calibration import (
    FEWEST,
    MOST,
    CalibrationImages,
    calibration_of,
    load_calibration,
    refuse_calibrated_on,
)

SPEC = small_spec()
PIXELS = np.random.default_rng(11).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
FLOATS = np.random.default_rng(12).normal(size=(20, 3, 16, 16)).astype(np.float32)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def photos(directory: Path, count: int = 20, *, size: int = 24, seed: int = 0) -> Path:
    directory.mkdir()
    for row in range(count):
        pixels = np.random.default_rng([seed, row]).integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(directory / f"photo-{row:02}.png")
    return directory


def test_prepared_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    found = load_calibration(npz(tmp_path / "set.npz", image=FLOATS), SPEC)
    np.testing.assert_array_equal(found.samples.arrays["image"], FLOATS)
    assert found.samples.labels[3] == "set.npz[3]"
    assert found.digests[3] == hashlib.sha256(FLOATS[3].tobytes()).hexdigest()[:16]


def test_pixels_are_scaled_and_normalised(tmp_path: Path) -> None:
    found = load_calibration(npz(tmp_path / "set.npz", image=PIXELS), SPEC)
    expected = (PIXELS / 255.0 - 0.5) / 0.25
    np.testing.assert_allclose(found.samples.arrays["image"], expected.transpose(0, 3, 1, 2), atol=1e-6)
    assert found.samples.arrays["image"].dtype == np.float32


def test_photos_are_prepared_as_for_verification(tmp_path: Path) -> None:
    directory = photos(tmp_path / "photos")
    found, expected = load_calibration(directory, SPEC), load_photos(directory, SPEC)
    np.testing.assert_array_equal(found.samples.arrays["image"], expected.arrays["image"])
    assert found.samples.labels == expected.labels


def test_the_order_of_images_does_not_matter_to_the_record(tmp_path: Path) -> None:
    forth = load_calibration(npz(tmp_path / "a.npz", image=FLOATS), SPEC)
    back = load_calibration(npz(tmp_path / "b.npz", image=FLOATS[::-1]), SPEC)
    other = load_calibration(npz(tmp_path / "c.npz", image=FLOATS + 1), SPEC)
    assert forth.record == back.record == calibration_of(forth.digests)
    assert forth.record.count == 20 and forth.record != other.record


def test_equal_images_count_once_and_are_told(tmp_path: Path) -> None:
    notes: list[str] = []
    double = np.concatenate([FLOATS, FLOATS[4:6]])
    found = load_calibration(npz(tmp_path / "set.npz", image=double), SPEC, notes.append)
    np.testing.assert_array_equal(found.samples.arrays["image"], FLOATS)
    assert len(notes) == 1 and "2 images are there twice" in notes[0] and "set.npz[20]" in notes[0]
    with pytest.raises(UsageError, match="has 1 different images, expected 16 to 512"):
        load_calibration(npz(tmp_path / "same.npz", image=np.repeat(FLOATS[:1], 30, 0)), SPEC, notes.append)


def with_value(value: float) -> np.ndarray:
    changed = FLOATS.copy()
    changed[7, 1, 2, 3] = value
    return changed


def flat(value: int) -> np.ndarray:
    changed = PIXELS.copy()
    changed[5] = value
    return changed


BAD_ARRAYS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "too few": ({"image": FLOATS[: FEWEST - 1]}, r"bad\.npz has 15 different images, expected 16 to 512"),
    "none": ({"image": FLOATS[:0]}, r"bad\.npz has 0 different images"),
    "another name": ({"x": FLOATS}, r"bad\.npz has the arrays x, expected image"),
    "one array more": ({"image": FLOATS, "labels": np.zeros(20)}, r"has the arrays image, labels, expected image"),
    "no array": ({}, r"has the arrays none, expected image"),
    "float64": ({"image": FLOATS.astype(np.float64)}, r"'image' holds float64 \(3, 16, 16\).*expected float32"),
    "int64": ({"image": PIXELS.transpose(0, 3, 1, 2).astype(np.int64)}, "'image' holds int64"),
    "another size": (
        {"image": FLOATS[..., :15]},
        r"'image' holds float32 \(3, 16, 15\).*expected float32 \(3, 16, 16\)",
    ),
    "another layout": ({"image": FLOATS.transpose(0, 2, 3, 1)}, r"\(16, 16, 3\).*expected float32 \(3, 16, 16\)"),
    "one channel": ({"image": PIXELS[..., :1]}, r"uint8 images of the shape \(16, 16, 1\), expected \(16, 16, 3\)"),
    "pixels of another size": ({"image": PIXELS[:, :8]}, r"uint8 images of the shape \(8, 16, 3\)"),
    "one image alone": ({"image": FLOATS[0]}, r"'image' holds float32 \(16, 16\)"),
    "a number": ({"image": np.float32(3)}, r"'image' holds float32 \(\)"),
    "NaN": ({"image": with_value(np.nan)}, r"bad\.npz: 'image' holds NaN or Inf in sample 7"),
    "infinity": ({"image": with_value(-np.inf)}, r"NaN or Inf in sample 7"),
    "black": ({"image": flat(0)}, r"bad\.npz\[5\] in .*bad\.npz is all of one colour"),
    "white": ({"image": flat(255)}, r"bad\.npz\[5\] in .* is all of one colour"),
    "text": ({"image": np.array(["a"] * 20)}, "'image' holds <U1"),
}


@pytest.mark.parametrize("what", BAD_ARRAYS)
def test_a_set_that_cannot_be_used_names_the_file_and_what_is_wrong(tmp_path: Path, what: str) -> None:
    arrays, words = BAD_ARRAYS[what]
    with pytest.raises(UsageError, match=words) as caught:
        load_calibration(npz(tmp_path / "bad.npz", **arrays), SPEC)
    assert "bad.npz" in caught.value.message


def test_a_red_image_is_of_one_colour_too(tmp_path: Path) -> None:
    red = PIXELS.copy()
    red[2] = (200, 0, 0)
    with pytest.raises(UsageError, match=r"\[2\].*one colour"):
        load_calibration(npz(tmp_path / "bad.npz", image=red), SPEC)


def test_every_input_needs_as_many_samples(tmp_path: Path) -> None:
    spec = two_inputs()[1]
    arrays = {tensor.name: np.random.default_rng(0).normal(size=(20, *tensor.shape[1:])).astype(np.float32)
              for tensor in spec.inputs}  # fmt: skip
    assert len(load_calibration(npz(tmp_path / "set.npz", **arrays), spec).digests) == 20
    arrays["context"] = arrays["context"][:19]
    with pytest.raises(UsageError, match=r"bad\.npz has another number of samples for each input"):
        load_calibration(npz(tmp_path / "bad.npz", **arrays), spec)


def damage_bytes(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    return path


BROKEN_FILES: dict[str, Callable[[Path], Path]] = {
    "cut off": lambda path: (path.write_bytes(path.read_bytes()[:-200]), path)[1],
    "damaged": damage_bytes,
    "text": lambda path: (path.write_text("no archive"), path)[1],
    "empty": lambda path: (path.write_bytes(b""), path)[1],
}


@pytest.mark.parametrize("what", BROKEN_FILES)
def test_a_broken_archive_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = BROKEN_FILES[what](npz(tmp_path / "broken.npz", image=FLOATS))
    with pytest.raises(UsageError, match=r"broken\.npz"):
        load_calibration(path, SPEC)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bad\.npz"):
        load_calibration(npz(tmp_path / "bad.npz", image=np.array([object()] * 20)), SPEC)


def test_what_is_not_there_or_no_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone does not exist"):
        load_calibration(tmp_path / "gone", SPEC)
    (tmp_path / "one.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"one\.png is neither a directory of images nor an \.npz"):
        load_calibration(tmp_path / "one.png", SPEC)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"--calibration-data: no images in .*empty"):
        load_calibration(tmp_path / "empty", SPEC)


def test_one_photo_that_cannot_be_read_is_an_error_and_no_less(tmp_path: Path) -> None:
    directory = photos(tmp_path / "photos")
    (directory / "torn is hidden.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises(UsageError, match=r"--calibration-data: .*torn is hidden\.jpg") as caught:
        load_calibration(directory, SPEC)
    assert caught.value.hint == "mend it or take it out of the directory"
    (directory / "torn is hidden.jpg").unlink()
    (directory / "._photo-00.png").write_bytes(b"what macOS puts beside files")
    assert len(load_calibration(directory, SPEC).digests) == 20, "a hidden file is none of the user's"


def test_black_photos_are_refused_by_name(tmp_path: Path) -> None:
    directory = photos(tmp_path / "photos")
    Image.new("RGB", (24, 24)).save(directory / "black.png")
    with pytest.raises(UsageError, match=r"black\.png in .*photos is all of one colour") as caught:
        load_calibration(directory, SPEC)
    assert caught.value.hint is not None and "photos" in caught.value.hint


def test_too_few_photos_and_too_many_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="few has 15 different images"):
        load_calibration(photos(tmp_path / "few", 15), SPEC)
    many = tmp_path / "many"
    many.mkdir()
    for row in range(MOST + 1):
        (many / f"{row}.png").write_bytes(b"nothing was read of it")
    with pytest.raises(UsageError, match="many has 513 images, expected 16 to 512"):
        load_calibration(many, SPEC)


def loaded(tmp_path: Path, spec: ModelSpec = SPEC) -> CalibrationImages:
    return load_calibration(photos(tmp_path / "photos"), spec)


def test_photos_of_the_calibration_are_known_again_whatever_they_are_called(tmp_path: Path) -> None:
    calibration = loaded(tmp_path)
    other = photos(tmp_path / "other", 6, seed=1)
    refuse_calibrated_on(calibration.digests, load_photos(other, SPEC), "--images other")
    (other / "renamed.png").write_bytes((tmp_path / "photos" / "photo-03.png").read_bytes())
    with pytest.raises(UsageError, match=r"--images other: 1 of its 7 images .*renamed\.png"):
        refuse_calibrated_on(calibration.digests, load_photos(other, SPEC), "--images other")


def test_a_network_of_another_preprocessing_knows_its_own_images(tmp_path: Path) -> None:
    assert SPEC.preprocessing is not None
    dark = msgspec.structs.replace(SPEC.preprocessing, mean=(0.1, 0.1, 0.1))
    calibration = loaded(tmp_path, msgspec.structs.replace(SPEC, preprocessing=dark))
    refuse_calibrated_on(calibration.digests, load_photos(tmp_path / "photos", SPEC), "other numbers")


@pytest.mark.parametrize("factor", [255.0, 20.0])
def test_pixels_that_nobody_normalised_are_refused(tmp_path: Path, factor: float) -> None:
    side = SPEC.inputs[0].shape[-1]
    raw = np.random.default_rng(0).uniform(0, factor, (20, 3, side, side)).astype(np.float32)
    with pytest.raises(UsageError, match=r"holds values from .* but pixels of this network are -2 to 2 when"):
        load_calibration(npz(tmp_path / "raw.npz", image=raw), SPEC)
