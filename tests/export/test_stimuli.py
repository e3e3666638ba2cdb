"""The deterministic inputs: images with natural statistics, extremes and patterns."""

import msgspec
import numpy as np
from small_models import conv_net, two_inputs

from export.stimuli import images, make_samples, sample_labels


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


def test_flat_inputs_get_normal_and_edge_values() -> None:
    _, spec = two_inputs(batch=5)
    samples = make_samples(msgspec.structs.replace(spec, inputs=spec.inputs[1:]))
    assert len(samples.labels) >= 16
    rows = dict(zip(samples.labels, samples.arrays["context"], strict=True))
    assert (rows["zeros"] == 0).all() and (rows["minus-ones"] == -1).all()
    np.testing.assert_allclose(rows["ramp"], np.linspace(-1, 1, 5))
    assert np.abs(rows["tiny"]).max() < 1e-5
    assert np.abs(rows["large"]).max() > 10


def test_the_labels_are_known_without_drawing() -> None:
    for _, spec in (conv_net(), two_inputs()):
        assert sample_labels(spec) == make_samples(spec).labels and len(sample_labels(spec)) >= 16


def test_images_without_preprocessing_are_of_0_to_1_and_of_both_signs() -> None:
    _, spec = conv_net()
    samples = make_samples(msgspec.structs.replace(spec, preprocessing=None))
    found = dict(zip(samples.labels, samples.arrays[spec.inputs[0].name], strict=True))
    for label, image in found.items():
        assert np.abs(image).max() > 0.5 or label == "black"
    signed = [label for label, image in found.items() if image.min() < -1]
    assert {"natural-01", "natural-11", "noise"} <= {*signed} and "natural-00" not in signed
    assert found["noise"].max() > 2 and found["noise"].min() < -2 and (found["black"] == 0).all()
