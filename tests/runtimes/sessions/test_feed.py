"""What may be fed to a runtime: exactly what the artifact takes."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.errors import SessionError
from edgevit.spec import TensorSpec
from runtimes.sessions.feed import check_feed

INPUTS = (TensorSpec(name="image", shape=(-1, 3, 6, 6)), TensorSpec(name="bias", shape=(2,)))
FEED = {"image": np.zeros((5, 3, 6, 6), np.float32), "bias": np.zeros(2, np.float32)}


def test_a_feed_that_fits_is_taken_at_any_free_size() -> None:
    check_feed(INPUTS, FEED, "here")
    check_feed(INPUTS, {**FEED, "image": FEED["image"][:1]}, "here")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": np.zeros(1)}, "here takes inputs 'bias', 'image', but was given 'bias', 'image', 'more'"),
        ({"image": FEED["image"].astype(np.float64)}, "here: input 'image' must be float32, but is float64"),
        ({"image": FEED["image"][:, :2]}, r"must have shape \(\?, 3, 6, 6\), but has \(5, 2, 6, 6\)"),
        ({"image": FEED["image"][:0]}, r"must have shape \(\?, 3, 6, 6\), but has \(0, 3, 6, 6\)"),
        ({"image": FEED["image"][0]}, r"but has \(3, 6, 6\)"),
        ({"bias": np.zeros((2, 1), np.float32)}, "input 'bias' must have shape"),
    ],
)
def test_anything_else_is_refused(change: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(SessionError, match=words):
        check_feed(INPUTS, {**FEED, **change}, "here")


def test_a_missing_input_is_named() -> None:
    with pytest.raises(SessionError, match="takes inputs 'bias', 'image', but was given none"):
        check_feed(INPUTS, {}, "here")
