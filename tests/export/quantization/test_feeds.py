"""Samples in the calls and the layout of a program, and its answers put together again."""

from __future__ import annotations

import numpy as np
import torch
from small_artifacts import small_net, small_spec
from small_models import two_inputs

from edgevit.spec import Layout
from export.program import capture, with_input_layout
from export.quantization.feeds import answers_of, feeds_of
from export.stimuli import make_samples


def test_a_last_call_that_is_not_full_repeats_its_last_sample_and_drops_the_answers() -> None:
    model, spec = small_net(), small_spec(batch=4)
    program, samples = capture(model, spec), make_samples(spec)  # 18 samples
    feeds = feeds_of(program, samples)
    assert [feed[0].shape[0] for feed in feeds] == [4] * 5
    assert torch.equal(feeds[-1][0][2], feeds[-1][0][1]) and torch.equal(feeds[-1][0][3], feeds[-1][0][1])
    with torch.no_grad():
        answers = answers_of(program, [model(*feed) for feed in feeds], len(samples.labels))["logits"]
        expected = model(torch.from_numpy(samples.arrays["image"])).double().numpy()
    assert answers.dtype == np.float64
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_only_so_many_samples_are_fed_as_were_asked_for() -> None:
    program = capture(small_net(), small_spec())
    samples = make_samples(small_spec())
    assert len(feeds_of(program, samples, 5)) == 5
    assert len(feeds_of(program, samples, 500)) == len(feeds_of(program, samples)) == 18


def test_images_come_in_the_layout_of_the_program() -> None:
    spec = small_spec()
    samples = make_samples(spec)
    program = with_input_layout(capture(small_net(), spec), Layout.NHWC)
    (first, *_) = feeds_of(program, samples)
    assert first[0].shape == (1, 16, 16, 3) and first[0].is_contiguous()
    np.testing.assert_array_equal(first[0].numpy(), samples.arrays["image"][:1].transpose(0, 2, 3, 1))


def test_every_input_is_fed_in_the_order_of_the_spec() -> None:
    model, spec = two_inputs()
    samples = make_samples(spec)
    program = capture(model, spec)
    feeds = feeds_of(program, samples, 2)
    for row, feed in enumerate(feeds):
        for tensor, given in zip(spec.inputs, feed, strict=True):
            np.testing.assert_array_equal(given.numpy(), samples.arrays[tensor.name][row : row + 1])
    with torch.no_grad():
        answers = answers_of(program, [model(*feed) for feed in feeds], 2)
    assert {name: array.shape for name, array in answers.items()} == {"scores": (2, 6), "shares": (2, 6)}
