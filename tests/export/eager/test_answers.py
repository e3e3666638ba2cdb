"""Eager's answers on samples: every sample has its own, in the precision that was asked for."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from small_models import conv_net, two_inputs

from export.eager.answers import answers, batch_of, whole_outputs
from export.eager.copies import independent_copy
from export.stimuli import Samples, make_samples


def test_the_last_batch_is_filled_up_and_the_filling_dropped() -> None:
    model, spec = conv_net(batch=4)
    images = np.random.default_rng(0).random((6, 3, 32, 32), np.float32)
    samples = Samples(tuple("abcdef"), {"image": images})
    starts = []
    found = answers(
        independent_copy(model).double(), spec, samples, double=True,
        watch=lambda network, start: starts.append(start) or nullcontext(),
    )  # fmt: skip
    with torch.no_grad():
        wanted = model.double()(torch.from_numpy(images).double()).numpy()
    np.testing.assert_allclose(found["logits"], wanted, rtol=0, atol=1e-13)
    assert starts == [0, 4] and batch_of(spec) == 4 and whole_outputs(spec) == ()


def test_outputs_have_the_names_of_the_spec_in_its_order() -> None:
    model, spec = two_inputs()
    found = answers(independent_copy(model), spec, make_samples(spec), double=False)
    assert list(found) == ["scores", "shares"]
    np.testing.assert_allclose(found["shares"].sum(1), 1, atol=1e-6)
