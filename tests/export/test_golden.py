"""Golden sets: sixteen and more telling inputs, a float64 reference, and a file that cannot be swapped unseen."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from small_models import conv_net, two_inputs

from edgevit.errors import ArtifactError, ExportError, UsageError
from export.golden import FLOAT64_LIMIT_BYTES, GoldenSet, load_golden, make_golden
from export.photos import load_photos
from export.stimuli import images, make_samples


def test_images_are_as_promised_and_repeat() -> None:
    first, second = dict(images(64, 48, 3)), dict(images(64, 48, 3))
    assert all(np.array_equal(first[label], second[label]) for label in first)
    assert len(first) >= 16
    natural = [image for label, image in first.items() if label.startswith("natural")]
    assert len(natural) >= 10
    assert all(image.shape == (64, 48, 3) and image.dtype == np.uint8 for image in first.values())
    assert not first["black"].any()
    assert (first["white"] == 255).all()
    assert set(np.unique(first["saturated"])) == {0, 255}
    assert len({tuple(colour) for colour in first["saturated"].reshape(-1, 3)}) == 8
    assert len({image.tobytes() for image in first.values()}) == len(first)


def test_natural_images_have_natural_statistics() -> None:
    """Power falls with frequency by about 1/f**2, and the channels are correlated, unlike in noise."""
    found = dict(images(128, 128, 3))

    def slope(image: np.ndarray) -> float:
        power = np.abs(np.fft.fft2(image.mean(axis=-1))) ** 2
        frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
        inside = (frequency > 0.02) & (frequency < 0.4)
        return float(np.polyfit(np.log(frequency[inside]), np.log(power[inside] + 1e-9), 1)[0])

    def correlation(image: np.ndarray) -> float:
        return float(np.corrcoef(image.reshape(-1, 3).T.astype(float))[0, 1])

    for label, image in found.items():
        if label.startswith("natural"):
            assert -3.2 < slope(image) < -1.2, label
            assert correlation(image) > 0.5, label
    assert abs(slope(found["noise"])) < 0.5


def test_the_reference_is_float64_and_the_yardstick_what_float32_misses() -> None:
    model, spec = conv_net(batch=4)
    model.train()
    golden = make_golden(model, spec)
    assert model.training and next(model.parameters()).dtype == torch.float32
    model.eval()
    inputs = torch.from_numpy(golden.inputs["image"])
    with torch.no_grad():
        single = model(inputs).double().numpy()
        reference = model.double()(inputs.double()).numpy()
    np.testing.assert_allclose(golden.outputs["logits"], reference, rtol=0, atol=1e-13)
    seen = np.abs(single - reference).max()
    assert 0 < golden.yardstick["logits"] < 1e-4
    assert golden.yardstick["logits"] == pytest.approx(seen, rel=1.0)
    assert golden.outputs["logits"].dtype == np.float64


def test_several_inputs_without_preprocessing() -> None:
    model, spec = two_inputs(batch=5)
    golden = make_golden(model, spec)
    assert golden.inputs["context"].shape == (len(golden), 5)
    assert set(golden.yardstick) == {"scores", "shares"}
    flat = msgspec.structs.replace(spec, inputs=spec.inputs[1:])
    assert len(make_samples(flat).labels) >= 16


def test_a_golden_set_survives_its_file(tmp_path: Path) -> None:
    golden = make_golden(*conv_net())
    reference = golden.save(tmp_path / "golden.npz")
    assert reference == golden.save(tmp_path / "golden.npz")
    loaded = load_golden(tmp_path / "golden.npz", reference)
    assert (loaded.labels, loaded.yardstick) == (golden.labels, golden.yardstick)
    np.testing.assert_array_equal(loaded.inputs["image"], golden.inputs["image"])
    np.testing.assert_array_equal(loaded.outputs["logits"], golden.outputs["logits"])
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as file:
        assert {"labels", "inputs/image", "outputs/logits", "yardstick/logits"} <= set(file.files)


def test_large_outputs_are_stored_in_single_precision(tmp_path: Path) -> None:
    count = FLOAT64_LIMIT_BYTES // 8 // 2 + 1
    values = np.linspace(0, 1, 2 * count).reshape(2, count)
    golden = GoldenSet(("a", "b"), {"x": np.zeros((2, 1), np.float32)}, {"y": values}, {"y": 1e-6})
    golden.save(tmp_path / "golden.npz")
    assert (tmp_path / "golden.npz").stat().st_size < FLOAT64_LIMIT_BYTES
    np.testing.assert_allclose(load_golden(tmp_path / "golden.npz").outputs["y"], values, atol=6e-8)


def test_a_damaged_swapped_or_missing_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    reference = make_golden(*conv_net()).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(ArtifactError, match="its manifest says"):
        load_golden(path, reference)
    with pytest.raises(ArtifactError, match="not a readable golden set"):
        load_golden(path)
    make_golden(*conv_net(seed=3)).save(path)
    with pytest.raises(ArtifactError, match="its manifest says"):
        load_golden(path, reference)
    path.unlink()
    with pytest.raises(ArtifactError, match="missing"):
        load_golden(path, reference)
    np.savez(path, labels=np.array(["a", "b"]), **{"inputs/x": np.zeros((2, 1)), "outputs/y": np.zeros((3, 1))})
    with pytest.raises(ArtifactError, match="not a whole golden set"):
        load_golden(path)


def test_a_model_that_answers_nan_or_another_shape_is_refused() -> None:
    model, spec = conv_net()
    with pytest.raises(ExportError, match="answers with the shapes"):
        make_golden(torch.nn.Flatten(), spec)
    with torch.no_grad():
        model.head.bias[0] = float("inf")
    with pytest.raises(ExportError, match="NaN or Inf in float64 at output 'logits'"):
        make_golden(model, spec)


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
