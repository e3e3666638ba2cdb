"""timm's networks by name: what is built, with which weights, and how it is described."""

from __future__ import annotations

import torchvision_operators  # noqa: F401

# isort: split
from pathlib import Path

import pytest
import timm
import torch

from edgevit.errors import CheckpointError, UsageError
from edgevit.sources.digest import weights_sha256
from edgevit.sources.from_timm import build_timm
from edgevit.sources.noise import noise_images
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec

SIZE = (64, 64)


def test_a_random_network_is_whole_and_described() -> None:
    model, spec = build_timm("resnet18.a1_in1k", weights="random", seed=3, input_size=SIZE, batch=2)
    assert spec == ModelSpec(
        name="resnet18.a1_in1k-batch2-64x64",
        variant="timm:resnet18.a1_in1k",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(2, 3, 64, 64), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(2, 1000)),),
        weights=spec.weights,
        num_classes=1000,
        preprocessing=Preprocessing(
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize_px=64, crop_px=SIZE, interpolation="bicubic"
        ),
    )
    assert (spec.weights.source, spec.weights.seed, spec.weights.sha256) == ("random", 3, weights_sha256(model))
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    last_norms = [model.get_parameter(f"layer{stage}.1.bn2.weight") for stage in range(1, 5)]
    assert all(float(scale.min()) > 0.2 for scale in last_norms), "timm has zeros there"


def test_the_size_is_that_of_timms_validation() -> None:
    _, tested = build_timm("mobilenetv4_conv_small.e2400_r224_in1k", weights="random")
    assert tested.inputs[0].shape == (1, 3, 256, 256)
    assert tested.preprocessing is not None and tested.preprocessing.resize_px == 269  # floor(256 / 0.95)


def test_a_seed_is_the_same_network_and_no_global_state_moves() -> None:
    state = torch.random.get_rng_state()
    (one, _), (same, _), (other, _) = (
        build_timm("mobilenetv3_small_050", weights="random", seed=seed, input_size=SIZE) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert weights_sha256(one) == weights_sha256(same) != weights_sha256(other)


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "levit_128s", "convnext_atto", "swin_tiny_patch4_window7_224"]
)
def test_answers_are_finite_and_depend_on_the_image(name: str) -> None:
    size = (224, 224) if "224" in name or "levit" in name else SIZE
    model, spec = build_timm(name, weights="random", input_size=size)
    with torch.no_grad():
        answers = model(noise_images((4, 3, *size), 7))
    assert torch.isfinite(answers).all() and 0.01 < float(answers.std()) < 100
    assert float(answers.std(0).mean()) > 0.01 * float(answers.std())
    assert spec.options == ({"reparameterised": "yes"} if name == "levit_128s" else {})


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0", "fastvit_t8", "repvit_m0_9"])
def test_branches_of_training_are_joined_and_it_is_said(name: str) -> None:
    model, spec = build_timm(name, weights="random", input_size=SIZE)
    assert spec.options["reparameterised"] == "yes"
    plain = timm.create_model(name)
    assert len(list(model.parameters())) < 0.8 * len(list(plain.parameters()))


def test_features_have_the_weights_of_the_classifier() -> None:
    whole, _ = build_timm("resnet18", weights="random", input_size=SIZE)
    model, spec = build_timm("resnet18", task="features", weights="random", input_size=SIZE)
    assert spec.task is Task.FEATURES and spec.name == "resnet18-features-64x64"
    assert [(t.name, t.shape) for t in spec.outputs] == [
        ("stage1", (1, 64, 32, 32)), ("stage2", (1, 64, 16, 16)), ("stage3", (1, 128, 8, 8)),
        ("stage4", (1, 256, 4, 4)), ("stage5", (1, 512, 2, 2)),
    ]  # fmt: skip
    image = noise_images((1, 3, *SIZE))
    with torch.no_grad():
        torch.testing.assert_close(model(image)[-1], whole.forward_features(image))


def test_other_sizes_classes_and_channels() -> None:
    _, spec = build_timm("vit_tiny_patch16_224", weights="random", input_size=(96, 64), num_classes=7, in_channels=1)
    assert spec.name == "vit_tiny_patch16_224-7classes-1ch-96x64"
    assert (spec.inputs[0].shape, spec.outputs[0].shape) == ((1, 1, 96, 64), (1, 7))
    assert spec.preprocessing is None, "nothing is known of one channel's mean"


def test_another_architecture_of_a_name() -> None:
    model, spec = build_timm(
        "tnt_s_patch16_224", architecture={"embed_dim": 192, "inner_dim": 12, "depth": 2}, weights="random"
    )
    assert spec.options["architecture"] == '{"depth":2,"embed_dim":192,"inner_dim":12}'
    assert len(model.blocks) == 2 and spec.name.startswith("tnt_s_patch16_224-a")


def test_a_network_without_a_head_hands_out_an_embedding() -> None:
    _, spec = build_timm("vit_small_patch14_dinov2", weights="random", input_size=(56, 56))
    assert (spec.task, spec.num_classes) == (Task.FEATURES, None)
    assert spec.outputs == (TensorSpec(name="embedding", shape=(1, 384)),)


def test_a_checkpoint_of_ones_own(tmp_path: Path) -> None:
    trained = timm.create_model("mobilenetv3_small_050", num_classes=9, in_chans=1)
    path = tmp_path / "best.pth"
    weights = {f"module.{name}": tensor for name, tensor in trained.state_dict().items()}
    torch.save({"state_dict": weights, "state_dict_ema": weights, "epoch": 3}, path)
    model, spec = build_timm("mobilenetv3_small_050", checkpoint=path, input_size=SIZE)
    assert (spec.num_classes, spec.inputs[0].shape) == (9, (1, 1, 64, 64))
    assert (spec.weights.source, spec.weights.entry, spec.weights.prefix) == ("checkpoint", "state_dict", "module.")
    assert torch.equal(model.state_dict()["conv_stem.weight"], trained.state_dict()["conv_stem.weight"])
    maps, spec = build_timm("mobilenetv3_small_050", task="features", checkpoint=path, input_size=SIZE)
    assert "9classes" not in spec.name
    assert torch.equal(maps.state_dict()["conv_stem.weight"], trained.state_dict()["conv_stem.weight"])
    with pytest.raises(CheckpointError, match=r"best.pth does not fit mobilenetv3_large_100: .*missing"):
        build_timm("mobilenetv3_large_100", checkpoint=path, input_size=SIZE)


def test_a_checkpoint_at_another_size_keeps_its_head(tmp_path: Path) -> None:
    """Its positions are fitted by timm, which drops a head of another length than the name's."""
    small = {"embed_dim": 48, "depth": 3, "num_heads": 2}
    trained = timm.create_model("deit_tiny_patch16_224", num_classes=7, **small)
    torch.save(trained.state_dict(), tmp_path / "d.pth")
    model, _ = build_timm("deit_tiny_patch16_224", architecture=small, checkpoint=tmp_path / "d.pth", input_size=SIZE)
    assert model.state_dict()["pos_embed"].shape == (1, 17, 48)
    assert torch.equal(model.state_dict()["head.weight"], trained.head.weight)
    torch.save({k: v for k, v in trained.state_dict().items() if "head" not in k}, tmp_path / "h.pth")
    maps, _ = build_timm("deit_tiny_patch16_224", task="features", architecture=small, checkpoint=tmp_path / "h.pth")
    assert torch.equal(maps.state_dict()["model.cls_token"], trained.cls_token)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet19", {}, "timm has no network 'resnet19'"),
        ("resnet18.nope", {}, "timm's resnet18 has no weights 'nope': it has .*a1_in1k"),
        ("gs:resnet18", {}, "unknown source of networks"),
        ("resnet18", {"weights": "random", "checkpoint": "x.pth"}, "weights random and the checkpoint x.pth"),
        ("resnet18", {"weights": "none"}, "unknown weights 'none'"),
        ("resnet18", {"entry": "ema"}, "checkpoint entry 'ema' was asked for, but no checkpoint"),
        ("resnet18", {"num_classes": 7}, "hub's weights of resnet18 have 1000 classes, 7 were asked for"),
        ("resnet18", {"in_channels": 1}, "have 3 input channels, 1 were asked for"),
        ("resnet18", {"weights": "random", "seed": -1}, "the seed is -1"),
        ("resnet18", {"weights": "random", "architecture": {"nope": 1}}, "timm cannot make resnet18 .*nope"),
        ("vit_tiny_patch16_224", {"weights": "random", "task": "features", "labels": ["a"]}, "no classes to name"),
        (
            "vit_tiny_patch16_224",
            {"weights": "random", "input_size": (8, 8)},
            r"img_size \(8, 8\)|fails on inputs of shape",
        ),
        (
            "swin_tiny_patch4_window7_224",
            {"weights": "random", "architecture": {"x": object()}},
            "cannot be written down",
        ),
    ],
)
def test_requests_that_make_no_sense(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        build_timm(name, **options)  # type: ignore[arg-type]
    if name == "resnet19":
        assert "timm:resnet18" in str(caught.value.hint)
