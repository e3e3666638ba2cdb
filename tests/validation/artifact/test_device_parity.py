"""Answers from a device are judged as a session on this host would be."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sessions import golden_set

from edgevit.errors import SessionError
from edgevit.spec import Layout, TensorSpec
from export.golden import GoldenSet
from validation.artifact.device_parity import feeds_for, judge_answers

WEIGHT = np.random.default_rng(0).normal(size=(3, 5))


def answer(image: np.ndarray) -> dict[str, np.ndarray]:
    return {"logits": (image.mean((2, 3)) @ WEIGHT).astype(np.float32)}


@pytest.fixture
def golden() -> GoldenSet:
    images = np.random.default_rng(1).normal(size=(5, 3, 4, 6)).astype(np.float32)
    return golden_set({"image": images}, {"logits": images.astype(np.float64).mean((2, 3)) @ WEIGHT})


def inputs(batch: int, *, nhwc: bool = False) -> tuple[TensorSpec, ...]:
    shape = (batch, 4, 6, 3) if nhwc else (batch, 3, 4, 6)
    return (TensorSpec(name="image", shape=shape, layout=Layout.NHWC if nhwc else Layout.NCHW),)


@pytest.mark.parametrize(("batch", "runs"), [(1, 5), (2, 3), (-1, 5)])
def test_right_answers_pass_at_any_batch(golden: GoldenSet, batch: int, runs: int) -> None:
    feeds = feeds_for(golden, inputs(batch))
    assert len(feeds) == runs
    answers = [answer(feed["image"]) for feed in feeds]
    report = judge_answers(golden, inputs(batch), answers, runtime="phone")
    assert report.passed, report.reasons
    assert (report.inputs_compared, report.runtime) == (5, "phone")


def test_layouts_are_turned_for_the_device(golden: GoldenSet) -> None:
    feeds = feeds_for(golden, inputs(1, nhwc=True))
    assert feeds[0]["image"].shape == (1, 4, 6, 3)
    answers = [answer(feed["image"].transpose(0, 3, 1, 2)) for feed in feeds]
    assert judge_answers(golden, inputs(1, nhwc=True), answers, runtime="phone").passed


def test_a_tool_that_runs_one_input_is_judged_on_that_one(golden: GoldenSet) -> None:
    (feed, *_) = feeds_for(golden, inputs(1))
    report = judge_answers(golden, inputs(1), [answer(feed["image"])], runtime="tool")
    assert (report.passed, report.inputs_compared) == (True, 1)


@pytest.mark.parametrize("damage", ["value", "shape", "nan", "missing", "order"])
def test_wrong_answers_fail(golden: GoldenSet, damage: str) -> None:
    feeds = feeds_for(golden, inputs(1))
    answers = [answer(feed["image"]) for feed in feeds]
    if damage == "value":
        answers[3]["logits"][0, 2] += 1e-3
    elif damage == "shape":
        answers = [{"logits": each["logits"][:, :4]} for each in answers]
    elif damage == "nan":
        answers[0]["logits"][0, 0] = np.nan
    elif damage == "missing":
        answers = [{"other": each["logits"]} for each in answers]
    else:
        answers.reverse()
    report = judge_answers(golden, inputs(1), answers, runtime="phone")
    assert not report.passed
    assert report.reasons


def test_no_answers_are_no_pass(golden: GoldenSet) -> None:
    with pytest.raises(SessionError, match="no answers"):
        judge_answers(golden, inputs(1), [], runtime="phone")
