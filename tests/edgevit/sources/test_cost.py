"""Networks of strangers' manifests: what would cost more than their artifact can is not built, and soon refused."""

from __future__ import annotations

import resource
import time

import torchvision_operators  # noqa: F401

# isort: split
import msgspec
import pytest
import timm
import torch
from edgevit_tiny import tiny

from edgevit.build import build_model
from edgevit.errors import UsageError
from edgevit.rebuild import rebuild_model
from edgevit.sources import cost
from edgevit.sources.cost import refuse_cost
from edgevit.sources.from_timm import build_timm
from edgevit.spec import ModelSpec

SIZE = (64, 64)
SOON_S = 20  # chosen: all are refused in 4 s on an idle core; built, they take minutes and tens of gigabytes


def hostile(name: str, shape: tuple[int, ...] = (1, 3, *SIZE), **options: str) -> ModelSpec:
    """What a stranger's manifest may say: nothing that its fields hold is refused as it is read."""
    _, spec = build_timm("test_vit", weights="random", input_size=SIZE)
    image = msgspec.structs.replace(spec.inputs[0], shape=shape)
    return msgspec.structs.replace(spec, variant=f"timm:{name}", inputs=(image,), options=options)


@pytest.mark.parametrize(
    ("name", "architecture", "words"),
    [
        ("vit_gigantic_patch14_224", "", "weights of"),
        ("resnet18", '{"layers":[300,1,1,1],"channels":[2048,2048,2048,2048]}', "weights of|operators"),
        ("test_vit", '{"embed_dim":65536,"num_heads":1}', "numbers, expected|weights of"),
        ("test_vit", '{"depth":65536}', "more than 100,000 operators"),
        ("test_vit", '{"depth":10000,"embed_dim":60000,"num_heads":1}', "numbers, expected|weights of"),
        ("swin_tiny_patch4_window7_224", '{"window_size":[60000,60000]}', ""),
    ],
)
def test_giants_are_refused_soon_and_without_memory(name: str, architecture: str, words: str) -> None:
    spec = hostile(name, **({"architecture": architecture} if architecture else {}))
    began_s, before_kb = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match=f"is not built.*({words})" if words else None):
        rebuild_model(spec, held_bytes=2_000_000)
    assert time.perf_counter() - began_s < SOON_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 300_000


@pytest.mark.parametrize("shape", [(1, 3, 60_000, 60_000), (60_000, 3, 224, 224), (1, 60_000, 640, 640)])
def test_giant_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"is not built: .* numbers"):
        rebuild_model(hostile("test_vit", shape), held_bytes=2_000_000)


@pytest.mark.parametrize("wrong", [{"blocks": "1,1,1,60000"}, {"channels": "8,16,24,60000", "heads": "1,2,3,1"}])
def test_giants_among_edgevits_are_refused(wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "MOST_OPERATORS", 20_000)  # counting 100,000 takes 4 s
    _, spec = build_model(tiny(), input_size=SIZE)
    assert rebuild_model(spec, held_bytes=1000) is not None
    with pytest.raises(UsageError, match=r"is not built: (it takes more than|a tensor in it|it has weights)"):
        rebuild_model(msgspec.structs.replace(spec, options=spec.options | wrong), held_bytes=1000)


def test_attention_between_all_pixels_is_refused() -> None:
    """No weights are needed for it: what costs is the run."""
    spec = hostile("test_vit", (1, 3, 256, 256), architecture='{"patch_size":1,"img_size":256}')
    with pytest.raises(UsageError, match=r"is not built: (one run of it takes|a tensor in it)"):
        rebuild_model(spec, held_bytes=2_000_000)


def test_what_an_artifact_can_hold_is_built() -> None:
    """VGG-11 as feature maps leaves the largest head behind; formats write 4 bytes a weight."""
    maps = timm.create_model("vgg11", features_only=True)
    held = 4 * sum(parameter.numel() for parameter in maps.parameters())
    refuse_cost(lambda: timm.create_model("vgg11"), (1, 3, 224, 224), held, "vgg11")
    with pytest.raises(UsageError, match=r"weights of 531 MB, and its artifact has 4.6 MB: expected 74 MB"):
        refuse_cost(lambda: timm.create_model("vgg11"), (1, 3, 224, 224), held // 8, "vgg11")


def test_a_run_of_too_many_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "MOST_FLOPS", 2 * 5 * 7 * 3)
    refuse_cost(lambda: torch.nn.Linear(7, 3), (5, 7), 0, "net")
    with pytest.raises(UsageError, match=r"one run of it takes 2.5e.02 operations"):
        refuse_cost(lambda: torch.nn.Linear(7, 3), (6, 7), 0, "net")


def test_what_cannot_be_made_keeps_its_own_words() -> None:
    with pytest.raises(UsageError, match=r"timm cannot make test_vit with .*no_such"):
        rebuild_model(hostile("test_vit", architecture='{"no_such":1}'), held_bytes=2_000_000)
