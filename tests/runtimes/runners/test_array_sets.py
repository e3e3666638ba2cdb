"""Arrays that travel: in order, with odd names, and nothing that is packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtimes.runners.array_sets import read_sets, write_sets


def test_arrays_come_back_in_order_and_with_odd_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sets = [{"a/b": rng.normal(size=(2, 3)).astype(np.float32), "n": np.array(index)} for index in range(12)]
    write_sets(tmp_path / "x.npz", sets)
    back = read_sets(tmp_path / "x.npz")
    assert len(back) == 12
    for there, here in zip(back, sets, strict=True):
        assert there.keys() == here.keys()
        assert all(np.array_equal(there[name], here[name]) and there[name].dtype == here[name].dtype for name in here)


def test_inputs_that_are_packed_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    write_sets(tmp_path / "plain.npz", [{"x": np.zeros((2, 3), np.float32)}])
    assert read_sets(tmp_path / "plain.npz")[0]["x"].shape == (2, 3)
    np.savez_compressed(tmp_path / "packed.npz", **{"0/x": np.zeros(10**6)})
    with pytest.raises(ValueError, match="arrays that are packed"):
        read_sets(tmp_path / "packed.npz")


def test_values_lie_in_c_order_whatever_theirs_is(tmp_path: Path) -> None:
    """The native runner reads no other order."""
    turned = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose()
    write_sets(tmp_path / "t.npz", [{"x": turned, "n": np.float32(3)}])
    assert b"'fortran_order': True" not in (tmp_path / "t.npz").read_bytes()
    back = read_sets(tmp_path / "t.npz")[0]
    assert np.array_equal(back["x"], turned) and back["n"].shape == ()
