"""Fingerprints: statistics that axis order does not move, and names for every layer of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_artifacts import small_net
from torch import nn

from edgevit.errors import ArtifactError
from export.eager.reference_mode import reference_mode
from export.fingerprint import PREFIX, QUANTILES, TraceFingerprint, Traces, fingerprint, marginals, statistics

arrays = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-9, 9))


@given(arrays, st.data())
def test_statistics_forget_axis_order_and_repetition(array: np.ndarray, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(array.ndim)))
    repeats = data.draw(st.integers(1, 3))
    moved = np.repeat(array.transpose(order)[None], repeats, axis=0)
    np.testing.assert_allclose(statistics(moved), statistics(array), atol=1e-9)


@given(arrays, st.floats(0, 1e-2), st.integers(0, 99))
def test_statistics_and_marginals_move_no_more_than_the_elements(array: np.ndarray, size: float, seed: int) -> None:
    moved = array + np.random.default_rng(seed).uniform(-size, size, array.shape)
    assert np.abs(statistics(moved) - statistics(array)).max() <= size + 1e-9
    assert np.abs(marginals(moved, 1) - marginals(array, 1)).max() <= size + 1e-9


def prints_of(model: nn.Module) -> TraceFingerprint:
    return fingerprint(model, [np.random.default_rng(7).normal(size=(3, 3, 16, 16)).astype(np.float32)], [0, 2])


def test_fingerprints_cover_leaves_and_blocks_once_and_survive_storage(tmp_path: Path) -> None:
    prints = prints_of(small_net())
    modules = list(prints.modules)
    assert modules[0] == "stem"
    assert {"blocks.1", "blocks.1.norm", "blocks.2.act", "head"} <= set(modules)
    assert "blocks" not in modules, "equal to blocks.2"
    assert prints.channels[modules.index("blocks.1.expand")] == 24
    np.savez(tmp_path / "prints.npz", **prints.to_arrays())
    with np.load(tmp_path / "prints.npz", allow_pickle=False) as stored:
        again = TraceFingerprint.from_arrays(stored)
    assert again is not None
    for name, array in prints.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array)


def test_traces_of_other_peoples_runs_give_the_same_fingerprint() -> None:
    images = np.random.default_rng(7).normal(size=(3, 3, 16, 16)).astype(np.float32)
    exact, rounded = Traces([0, 2]), Traces([0, 2])
    for traces, network in ((exact, small_net().double()), (rounded, small_net())):
        for index in range(3):
            image = torch.from_numpy(images[[index]])
            with reference_mode(double=traces is exact), traces.taken(network, index):
                network(image.double() if traces is exact else image)
        assert not any(module._forward_hooks for module in network.modules())
    expected = prints_of(small_net()).to_arrays()
    for name, array in exact.beside(rounded).to_arrays().items():
        np.testing.assert_array_equal(array, expected[name])


def test_damaged_fingerprints_are_refused() -> None:
    arrays = prints_of(small_net()).to_arrays()
    assert TraceFingerprint.from_arrays({}) is None
    with pytest.raises(ArtifactError, match="fingerprint_noise"):
        TraceFingerprint.from_arrays({key: value for key, value in arrays.items() if key != PREFIX + "noise"})
    with pytest.raises(ArtifactError, match="fingerprint_counts"):
        TraceFingerprint.from_arrays({**arrays, PREFIX + "counts": arrays[PREFIX + "counts"][1:]})


def test_the_model_is_left_as_it_was() -> None:
    model = small_net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prints_of(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


class Twice(nn.Module):
    """Calls one module twice and hands out a tuple from another."""

    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x * 2, x * 3

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 1)
        self.pair = self.Pair()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        a, b = self.pair(self.shared(self.shared(image)))
        return a + b


def test_repeated_calls_and_tuples_have_names() -> None:
    torch.manual_seed(0)
    modules = list(prints_of(Twice().eval()).modules)
    assert modules == ["shared", "shared#2", "pair", "pair[1]", "(output)"]


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 40, 1000])
def test_quantiles_are_those_of_the_inverted_distribution(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = np.quantile(values, QUANTILES, method="inverted_cdf")
    assert np.array_equal(statistics(values)[-len(QUANTILES) :], expected)
    values[0] = np.nan
    assert np.isnan(statistics(values)[-len(QUANTILES) :]).all()
