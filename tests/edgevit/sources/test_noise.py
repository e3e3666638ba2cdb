"""Noise at every scale: normalised, repeatable, and with the spectrum of photographs rather than of white noise."""

import numpy as np
import torch

from edgevit.sources.noise import noise_images


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
