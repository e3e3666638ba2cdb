"""A network rebuilt from its specification has the same weights, and another file's are refused."""

from pathlib import Path

import msgspec
import pytest
import torch

from edgevit.build import build_model
from edgevit.errors import CheckpointError, UsageError
from edgevit.network.config_file import read_config
from edgevit.rebuild import configuration_of, rebuild_model


def test_only_the_weights_file_of_the_specification_is_taken(tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text("channels = [8, 16, 24, 32]\nblocks = [1, 1, 1, 1]\nhead_dim = 8\n")
    trained, _ = build_model(read_config(config), num_classes=7, seed=1)
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "trained.pth")
    torch.save(trained.state_dict(), tmp_path / "other.pth")
    _, spec = build_model(read_config(config), checkpoint=tmp_path / "trained.pth")

    rebuilt = rebuild_model(spec, tmp_path / "trained.pth")
    assert all(torch.equal(rebuilt.state_dict()[name], value) for name, value in trained.state_dict().items())
    with pytest.raises(CheckpointError, match=r"other\.pth has SHA-256 .* came from trained\.pth"):
        rebuild_model(spec, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        rebuild_model(spec, tmp_path / "gone.pth")


@pytest.mark.parametrize(
    "options",
    [{"delegate": "none"}, {"propagation": "x"}, {"channels": " "}, {"channels": "1e999"}, {"channels": "8", "a": "1"}],
)
def test_options_that_make_no_network_are_refused(options: dict[str, str]) -> None:
    _, spec = build_model("xxs")
    with pytest.raises(UsageError, match="is no EdgeViT that can be rebuilt"):
        configuration_of(msgspec.structs.replace(spec, options=options))


@pytest.mark.parametrize("shapes", [(), ((1, 3, 64),), ((1, 3, 64, 64), (1, 3, 64, 64))])
def test_other_inputs_than_one_image_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    _, spec = build_model("xxs")
    inputs = tuple(msgspec.structs.replace(spec.inputs[0], shape=shape) for shape in shapes)
    with pytest.raises(UsageError, match="expected one image"):
        rebuild_model(msgspec.structs.replace(spec, inputs=inputs))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"blocks": "1,1,1,1000000000"}, "'blocks' holds 1e.09, expected more than 0"),
        ({"sample_rates": "0,2,2,1"}, "'sample_rates' holds 0"),
        ({"heads": "3,2,3,4"}, "cannot be divided by 3 heads"),
    ],
)
def test_numbers_of_no_network_are_refused(tmp_path: Path, options: dict[str, str], told: str) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text("channels = [8, 16, 24, 32]\nblocks = [1, 1, 1, 1]\nhead_dim = 8\n")
    _, spec = build_model(read_config(config), num_classes=7)
    assert configuration_of(spec).channels == (8, 16, 24, 32)
    with pytest.raises(UsageError, match=told):
        configuration_of(msgspec.structs.replace(spec, options=spec.options | options))
