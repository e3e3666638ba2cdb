"""Golden inputs in every batch and layout that an artifact may take."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sessions import FunctionSession, golden_set
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edgevit.errors import ArtifactError, SessionError
from edgevit.spec import Layout, TensorSpec
from validation.artifact.feeding import (
    FREE_BATCHES,
    batch_sizes,
    feed_of,
    feeds,
    joined_answers,
    require_feedable,
    widened,
)
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare

REFERENCE = np.random.default_rng(0).normal(size=(5, 10))


INPUT = np.arange(5, dtype=np.float32)[:, None]


def answering(answer: np.ndarray, batch: int = 1) -> FunctionSession:
    """A session that gives row i of ``answer`` for the input value i."""
    return FunctionSession({"x": (batch, 1)}, ("y",), lambda feed: {"y": answer[feed["x"][:, 0].astype(int)]})


def judged(answer: np.ndarray, limits: Limits | None = None, *, yardstick: float = 1e-6) -> ParityReport:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE}, yardstick)
    return compare(answering(answer.astype(np.float32)), golden, limits)


def with_error(size: float) -> np.ndarray:
    answer = REFERENCE.copy()
    answer[3, 7] += size
    return answer


def test_an_input_that_the_golden_set_lacks_is_an_error() -> None:
    session = FunctionSession({"photo": (1, 1)}, ("y",), lambda _: {})
    with pytest.raises(SessionError, match=r"'photo'.*'x'"):
        compare(session, golden_set({"x": INPUT}, {"y": REFERENCE}))


@given(st.integers(1, 7))
@settings(max_examples=7)
def test_any_batch_gives_the_rows_of_batch_one(batch: int) -> None:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE})
    session = answering(with_error(1e-3).astype(np.float32), batch)
    report, single = compare(session, golden), judged(with_error(1e-3))
    assert session.fed == [batch] * -(-5 // batch)
    assert [row.max_abs_error for row in report.rows] == [row.max_abs_error for row in single.rows]
    assert report.inputs_compared == 5


def test_a_free_batch_runs_at_one_and_three_and_a_difference_fails() -> None:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE})
    good = answering(REFERENCE.astype(np.float32), -1)
    assert compare(good, golden).batches == (1, 3)
    assert good.fed == [1] * 5 + [3] * 2

    def leaking(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = feed["x"][:, 0].astype(int)
        return {"y": REFERENCE[rows if len(rows) == 1 else rows[:1].repeat(len(rows))].astype(np.float32)}

    report = compare(FunctionSession({"x": (-1, 1)}, ("y",), leaking), golden)
    assert not report.passed
    assert report.worst.batch == 3


def test_nhwc_inputs_are_transposed_and_only_those() -> None:
    images = np.random.default_rng(1).normal(size=(4, 3, 5, 7)).astype(np.float32)
    extra = np.arange(4, dtype=np.float32)[:, None]
    golden = golden_set({"image": images, "extra": extra}, {"y": images[:, :, 1, 2] + extra})

    def function(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": feed["image"][:, 1, 2, :] + feed["extra"]}

    session = FunctionSession({"image": (2, 5, 7, 3), "extra": (2, 1)}, ("y",), function)
    assert compare(session, golden, inputs=(replace(session.inputs[0], layout=Layout.NHWC), session.inputs[1])).passed


def specs(*shapes: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=f"x{number}", shape=shape) for number, shape in enumerate(shapes))


@pytest.mark.parametrize(("shapes", "sizes"), [([(4, 3)], (4,)), ([(-1, 3), (-1,)], FREE_BATCHES)])
def test_the_artifact_decides_the_batch(shapes: list[tuple[int, ...]], sizes: tuple[int, ...]) -> None:
    assert batch_sizes(specs(*shapes)) == sizes


@pytest.mark.parametrize("shapes", [[(1, 3), (2, 3)], [(1, 3), ()], [()], []])
def test_inputs_without_a_common_batch_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(SessionError, match="one common batch"):
        batch_sizes(specs(*shapes))


def test_a_group_is_filled_by_its_last_input_and_what_that_gives_is_dropped() -> None:
    golden = golden_set({"x0": INPUT}, {"y": REFERENCE})
    given = list(feeds(specs((3, 1)), golden, 3))
    assert [feed["x0"][:, 0].tolist() for feed in given] == [[0, 1, 2], [3, 4, 4]]
    answers = [{"y": feed["x0"] * 2} for feed in given]
    assert joined_answers(answers, 5, 3)["y"][:, 0].tolist() == [0, 2, 4, 6, 8]
    assert joined_answers(answers[:1], 5, 3)["y"].shape == (3, 1)
    odd = joined_answers([{"y": np.zeros((3, 1))}, {"y": np.zeros((3, 2))}], 5, 3)["y"]
    assert odd.shape == (3, 1), "answers that do not fit stay as the first"


def test_half_precision_is_fed_as_declared() -> None:
    (half,) = specs((1, 1))
    feed = feed_of((replace(half, dtype="float16"),), golden_set({"x0": INPUT}, {"y": REFERENCE}), range(1), 1)
    assert feed["x0"].dtype == np.float16


def test_the_larger_yardstick_counts() -> None:
    few, many = (golden_set({"x": INPUT}, {"y": REFERENCE}, size) for size in (1e-9, 1e-6))
    assert widened(few, many).yardstick == {"y": 1e-6}
    assert widened(many, few).yardstick == {"y": 1e-6}


def test_only_floats_are_cast_and_only_to_what_is_declared() -> None:
    ids = np.arange(5)[:, None]
    golden = golden_set({"x0": INPUT, "x1": ids}, {"y": REFERENCE})
    first, second = specs((2, 1), (2, 1))
    for dtype, fed in (("float16", "float16"), ("float64", "float64"), ("float32", "float32"), ("int64", "float32")):
        feed = feed_of((replace(first, dtype=dtype), replace(second, dtype=dtype)), golden, range(2), 2)
        assert (feed["x0"].dtype, feed["x1"].dtype) == (fed, ids.dtype)
        assert feed["x0"].flags.c_contiguous and feed["x0"].shape == (2, 1)


def test_images_are_turned_as_contiguous_arrays() -> None:
    images = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    (spec,) = specs((2, 4, 5, 3))
    (feed,) = feeds((replace(spec, layout=Layout.NHWC),), golden_set({"x0": images}, {"y": REFERENCE[:2]}), 2)
    assert feed["x0"].flags.c_contiguous
    assert feed["x0"][1, 2, 3].tolist() == images[1, :, 2, 3].tolist()


def test_answers_are_cut_where_the_inputs_end_and_scalars_stay() -> None:
    answers = [{"y": np.arange(2) + 2 * at, "z": np.float32(at), "w": np.zeros((1, 2))} for at in range(3)]
    joined = joined_answers(answers, 5, 2)
    assert joined["y"].tolist() == [0, 1, 2, 3, 4]
    assert joined["z"] == 0.0 and joined["z"].ndim == 0
    assert joined["w"].shape == (3, 2), "no batch axis: nothing is cut off, so that the shape tells"
    assert joined_answers([], 5, 2) == {}


def test_a_yardstick_that_the_other_set_lacks_stays() -> None:
    few = golden_set({"x": INPUT}, {"y": REFERENCE, "z": REFERENCE}, {"y": 1e-6, "z": 1e-7})
    many = golden_set({"x": INPUT}, {"y": REFERENCE}, 1e-3)
    assert widened(few, many).yardstick == {"y": 1e-3, "z": 1e-7}


@pytest.mark.parametrize("layout", [Layout.NCHW, None])
def test_images_in_the_golden_sets_own_layout_stay(layout: Layout | None) -> None:
    images = np.arange(3 * 4 * 5, dtype=np.float32).reshape(1, 3, 4, 5)
    tokens = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    image, token = specs((1, 3, 4, 5), (1, 4, 5))
    golden = golden_set({"x0": images, "x1": tokens}, {"y": REFERENCE[:1]})
    (feed,) = feeds((replace(image, layout=layout), replace(token, layout=Layout.NHWC)), golden, 1)
    assert np.array_equal(feed["x0"], images)
    assert np.array_equal(feed["x1"], tokens)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("float32", (2**31, 3)), ("float32", (1, 3, 100_000, 100_000)), ("type 5", (1,)), ("unknown", (1,)), ("|O", (1,))],
)
def test_tensors_of_which_no_array_can_be_made_are_refused(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ArtifactError, match="tensor 'x' is"):
        batch_sizes((TensorSpec(name="x", shape=shape, dtype=dtype),))
    require_feedable((TensorSpec(name="x", shape=(-1, 3, 1024, 1024), dtype="uint8"),))


@pytest.mark.parametrize("batch", [0, -2, 4097, 2**27])
def test_batches_that_nobody_runs_are_refused(batch: int) -> None:
    with pytest.raises(SessionError, match=f"a batch of {batch}: expected 1 to 4096"):
        batch_sizes((TensorSpec(name="x", shape=(batch, 1)),))


@pytest.mark.parametrize("native", [(3, 8, 6), (8, 6, 3)])
@pytest.mark.parametrize(
    ("layout", "shape"), [(Layout.NCHW, (1, 3, 8, 6)), (Layout.NHWC, (1, 8, 6, 3)), (Layout.NCHW, (1, 3, -1, -1))]
)
def test_an_image_is_laid_out_for_the_artifact_whatever_the_models_own_layout(
    native: tuple[int, ...], layout: Layout, shape: tuple[int, ...]
) -> None:
    pixels = np.arange(144, dtype=np.float32).reshape(1, 3, 8, 6)
    own = pixels if native[0] == 3 else pixels.transpose(0, 2, 3, 1)
    golden = golden_set({"x": own}, {"y": np.zeros((1, 1))})
    fed = feed_of((TensorSpec(name="x", shape=shape, layout=layout),), golden, range(1), 1)["x"]
    np.testing.assert_array_equal(fed, pixels if layout is Layout.NCHW else pixels.transpose(0, 2, 3, 1))
