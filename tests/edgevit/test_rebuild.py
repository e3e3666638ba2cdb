"""A network rebuilt from its specification has the same weights, and another file's are refused."""

from pathlib import Path

import msgspec
import pytest
import torch

from edgevit.build import build_model
from edgevit.errors import CheckpointError, UsageError
from edgevit.network.config_file import read_config
from edgevit.rebuild import configuration_of, rebuild_model
from edgevit.sources.from_module import build_module
from edgevit.spec import ModelSpec


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


def test_a_network_of_timm_is_rebuilt_of_names_and_numbers() -> None:
    import torchvision_operators  # noqa: F401

    from edgevit.sources.from_timm import build_timm

    asked = {"architecture": {"depth": 2, "embed_dim": 96, "num_heads": 3}, "num_classes": 5, "in_channels": 1}
    model, spec = build_timm("deit_tiny_patch16_224", weights="random", seed=2, input_size=(64, 48), batch=2, **asked)  # type: ignore[arg-type]
    rebuilt = rebuild_model(ModelSpec.from_json(spec.to_json()))
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.state_dict().values(), rebuilt.state_dict().values(), strict=True)
    )
    weights = msgspec.structs.replace(spec.weights, sha256="0" * 64)
    with pytest.raises(UsageError, match="come out otherwise here: another version of torch"):
        rebuild_model(msgspec.structs.replace(spec, weights=weights))
    for name, words in (("timm:nope", "no network 'nope'"), ("timm:local-dir:/tmp", "unknown source")):
        with pytest.raises(UsageError, match=words):
            rebuild_model(msgspec.structs.replace(spec, variant=name))
    for architecture, words in (('{"depth":99999999}', "holds 1e.08"), ('{"checkpoint_path":"x"}', "none of it")):
        with pytest.raises(UsageError, match=words):
            rebuild_model(msgspec.structs.replace(spec, options={"architecture": architecture}))
    with pytest.raises(UsageError, match="which needs no --module"):
        rebuild_model(spec, module="net.py")


def test_features_and_embeddings_of_timm_are_rebuilt_as_such() -> None:
    import torchvision_operators  # noqa: F401

    from edgevit.sources.from_timm import build_timm

    for name, task in (("mobilenetv3_small_050", "features"), ("vit_small_patch14_dinov2", "classify")):
        _, spec = build_timm(name, task=task, weights="random", input_size=(56, 56))
        assert len(list(rebuild_model(spec).parameters())) > 10


@pytest.fixture
def own_code(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    mark = tmp_path / "ran"
    path.write_text(
        f"from torch import nn\nopen({str(mark)!r}, 'a').close()\n"
        "def make():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    return path


def test_code_runs_only_where_the_user_names_it_and_only_the_file_that_was_exported(own_code: Path) -> None:
    model, spec = build_module(f"{own_code}:make", input_size=(16, 16), seed=5)
    mark = own_code.with_name("ran")
    mark.unlink()
    with pytest.raises(UsageError, match=r"net.py: to compare on photos its code has to run") as caught:
        rebuild_model(spec)
    assert "--module net.py:make, if you trust that file" in str(caught.value.hint)
    stranger = msgspec.structs.replace(spec, options={**spec.options, "file": str(own_code)})
    with pytest.raises(UsageError, match="has to run"):
        rebuild_model(stranger)
    assert not mark.exists()
    for target in (str(own_code), f"{own_code}:make"):
        rebuilt = rebuild_model(spec, module=target)
        assert torch.equal(rebuilt.state_dict()["0.weight"], model.state_dict()["0.weight"])
    with pytest.raises(UsageError, match=r"was made by make\(\) of net\.py, not by other\(\)") as caught:
        rebuild_model(spec, module=f"{own_code}:other")
    assert str(caught.value.hint) == f"--module {own_code}:make"
    own_code.write_text(own_code.read_text() + "# changed\n")
    mark.unlink(missing_ok=True)
    with pytest.raises(UsageError, match="nothing of it was run"):
        rebuild_model(spec, module=str(own_code))
    assert not mark.exists()
    with pytest.raises(UsageError, match="does not say which file"):
        rebuild_model(msgspec.structs.replace(spec, options={}), module=str(own_code))


def test_code_that_makes_something_else_than_was_exported_is_refused(own_code: Path) -> None:
    _, spec = build_module(f"{own_code}:make", input_size=(16, 16))
    other = msgspec.structs.replace(spec, outputs=(msgspec.structs.replace(spec.outputs[0], name="y"),))
    with pytest.raises(UsageError, match="is built otherwise here"):
        rebuild_model(other, module=str(own_code))
    seeded = msgspec.structs.replace(spec, options={**spec.options, "seed": "9"})
    with pytest.raises(UsageError, match="come out otherwise here"):
        rebuild_model(seeded, module=str(own_code))
