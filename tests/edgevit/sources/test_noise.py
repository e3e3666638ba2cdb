"""Noise at every scale: normalised, repeatable, and with the spectrum of photographs rather than of white noise."""

import copy

import numpy as np
import pytest
import torch
import torchvision_operators  # noqa: F401  # before timm

from edgevit.sources.from_timm import build_timm
from edgevit.sources.noise import noise_images, varied_images


def test_it_is_normalised_repeatable_and_of_any_size() -> None:
    images = noise_images((2, 3, 37, 50), seed=5)
    assert images.shape == (2, 3, 37, 50) and images.dtype is torch.float32
    assert abs(float(images.mean())) < 1e-3 and abs(float(images.std()) - 1) < 1e-2
    assert torch.equal(images, noise_images((2, 3, 37, 50), seed=5))
    assert not torch.equal(images, noise_images((2, 3, 37, 50), seed=6))
    assert noise_images((1, 1, 1, 1)).isfinite().all()


def test_low_frequencies_hold_most_of_it() -> None:
    power = np.abs(np.fft.fft2(noise_images((4, 1, 64, 64)).numpy())) ** 2
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
    low, high = (power[..., chosen].sum() for chosen in (frequency < 0.125, frequency >= 0.125))
    assert low > high, "of white noise these are 5 % of all frequencies"


def test_images_to_measure_by_are_dark_bright_flat_steep_and_fine() -> None:
    images = varied_images(3, (32, 48), seed=5)
    assert images.shape == (8, 3, 32, 48) and images.dtype is torch.float32
    assert torch.equal(images, varied_images(3, (32, 48), seed=5))
    levels, contrasts = images.mean((1, 2, 3)), images.std((1, 2, 3))
    assert levels.min() < -1.9 and levels.max() > 2.2
    assert contrasts.min() < 0.2 and contrasts.max() > 1.8
    steps = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean((1, 2, 3))
    assert bool((steps[-2:] > 1.5).all())


@pytest.mark.parametrize("name", ["mobilenetv3_large_075", "efficientnet_b0"])
def test_float32_computes_a_random_network_on_any_image(name: str) -> None:
    """Black, white and checked images are of the golden set; statistics of noise alone failed this."""
    model, _ = build_timm(name, weights="random", input_size=(64, 64))
    flat = torch.full((1, 3, 64, 64), -2.0)
    checked = torch.where((torch.arange(64)[:, None] // 16 + torch.arange(64) // 16) % 2 == 0, 2.2, -2.0)
    for image in (flat, -flat, checked.expand(1, 3, 64, 64)):
        single = model(image)
        exact = copy.deepcopy(model).double()(image.double())
        error, largest = (single - exact).abs().max(), exact.abs().max()
        assert float(error) < 256 * 2**-23 * float(largest)
        assert float(largest) < 200
