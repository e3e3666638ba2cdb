"""Golden sets from elsewhere, in both plain forms, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import conv_net

from edgevit.errors import ArtifactError
from export.golden import make_golden
from export.plain_golden import load_any_golden

X, Y = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.array([[1, 2], [3, 4]], np.float32)


def saved(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_rows_and_single_samples_give_the_same_set(tmp_path: Path) -> None:
    rows = saved(tmp_path / "rows.npz", **{"inputs/x": X, "outputs/y": Y})
    single = {f"inputs/{i}/x": X[i] for i in (1, 0)} | {f"outputs/{i}/y": Y[i] for i in (0, 1)}
    for path in (rows, saved(tmp_path / "single.npz", **single)):
        golden, measured = load_any_golden(path)
        assert not measured
        np.testing.assert_array_equal(golden.inputs["x"], X)
        np.testing.assert_array_equal(golden.outputs["y"], Y)
        assert (golden.labels, golden.yardstick) == (("input-00", "input-01"), {"y": 0.0})
        assert golden.outputs["y"].dtype == np.float64


def test_indices_count_as_numbers(tmp_path: Path) -> None:
    """As text, 10 would come before 2."""
    arrays = {f"inputs/{i}/x": np.float32([i]) for i in range(11)} | {
        f"outputs/{i}/y": np.float32([i]) for i in range(11)
    }
    golden, _ = load_any_golden(saved(tmp_path / "g.npz", **arrays))
    assert golden.inputs["x"].ravel().tolist() == list(range(11))


def test_labels_are_kept_and_our_own_sets_keep_their_yardstick(tmp_path: Path) -> None:
    labelled = {"inputs/x": X, "outputs/y": Y, "labels": np.array(["cat", "dog"])}
    assert load_any_golden(saved(tmp_path / "l.npz", **labelled))[0].labels == ("cat", "dog")
    ours = make_golden(*conv_net())
    ours.save(tmp_path / "ours.npz")
    loaded, measured = load_any_golden(tmp_path / "ours.npz")
    assert measured
    assert (loaded.labels, loaded.yardstick) == (ours.labels, ours.yardstick)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X, "y": Y}, r"expected inputs/NAME and outputs/NAME .* it holds x \(2, 3, 4\), y \(2, 2\)"),
        ({"inputs/x": X, "outputs/y": Y[:1]}, "equally many of each"),
        ({"inputs/x": X[:0], "outputs/y": Y[:0]}, "equally many of each"),
        ({"inputs/x": np.float32(1), "outputs/y": np.float32(1)}, "equally many of each"),
        ({"inputs/0/x": X[0], "inputs/2/x": X[1], "outputs/y": Y}, "inputs/INDEX/x has a gap"),
        ({"inputs/0/x": X[0], "inputs/1/x": X[1, :2], "outputs/y": Y}, "samples of several shapes"),
        ({"inputs/x": X, "outputs/y": np.full((2, 2), np.nan)}, "output 'y' must hold finite numbers"),
        ({"inputs/x": X, "outputs/y": np.array([["a"], ["b"]])}, "output 'y' must hold finite numbers"),
    ],
)
def test_what_is_no_golden_set_is_told(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        load_any_golden(saved(tmp_path / "g.npz", **arrays))


def test_a_file_that_is_no_npz_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ArtifactError, match="run git lfs pull"):
        load_any_golden(tmp_path / "g.npz")
