"""A weights file into any module: prefixes on either side, and every misfit refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgevit.errors import CheckpointError
from edgevit.sources.weights_into import fill, read_weights


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.backbone.register_buffer("index", torch.arange(4))


def stored(tmp_path: Path, tensors: object) -> Path:
    torch.save(tensors, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_wrappers_are_taken_off_and_a_prefix_of_ones_own_is_kept(tmp_path: Path, prefix: str) -> None:
    trained, model = Net(), Net()
    trained.backbone[1].running_mean.fill_(3)
    state = {f"{prefix}{name}": tensor.half() if tensor.is_floating_point() else tensor
             for name, tensor in trained.state_dict().items() if not name.endswith("tracked")}  # fmt: skip
    path = stored(
        tmp_path, {"epoch": 3, "model_ema": state, "model": {**state, f"{prefix}backbone.0.bias": torch.ones(4)}}
    )
    weights = fill(model, read_weights(path, "model_ema"), "net")
    assert (weights.source, weights.entry, weights.stored_dtype) == ("checkpoint", "model_ema", "float16")
    assert float(model.backbone[1].running_mean.mean()) == 3
    assert model.backbone[0].weight.dtype is torch.float32
    torch.testing.assert_close(model.backbone[0].bias, trained.backbone[0].bias, atol=1e-3, rtol=1e-3)
    fill(model, read_weights(path, None), "net")
    assert model.backbone[0].bias.mean().item() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("backbone.0.bias"), "does not fit net: .*missing.*backbone.0.bias"),
        (lambda state: state.update({"backbone.9": torch.zeros(1)}), "unexpected.*backbone.9"),
        (lambda state: state.update({"backbone.0.bias": torch.zeros(5)}), "backbone.0.bias"),
        (lambda state: state.update({"backbone.0.bias": torch.full((4,), torch.nan)}), "holds NaN or Inf in 4 of 4"),
        (lambda state: state.update({"backbone.1.running_var": -torch.ones(4)}), "a variance is never negative"),
        (lambda state: state.update({"backbone.index": torch.arange(4.0)}), "torch.float32, expected torch.int64"),
        (lambda state: state.update(dict.fromkeys(("x_orig", "x_mask"), torch.ones(1))), "masks of pruning"),
    ],
)  # fmt: skip
def test_what_does_not_fit(tmp_path: Path, change: object, words: str) -> None:
    model = Net()
    state = dict(model.state_dict())
    change(state)  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=words):
        fill(model, read_weights(stored(tmp_path, state), None), "net")
