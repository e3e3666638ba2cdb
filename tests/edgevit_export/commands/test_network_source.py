"""Which network the options name, and what contradicts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.errors import UsageError
from edgevit.spec import Preprocessing
from edgevit_export.commands.export_options import ExportOptions
from edgevit_export.commands.network_source import build, check_source

NET = """
import torch
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
def vectors():
    return nn.Linear(3, 2)
def get_model():
    return nn.Linear(3, 2)
def get_args():
    return (torch.zeros(1, 3),)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "net.py"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ExportOptions(), "nothing to export: --variant, --config, --model or --module is missing"),
        (ExportOptions(variant="s", model="timm:x"), "--variant and --model both name a model"),
        (ExportOptions(variant="s", module="net.py"), "--variant and --module both name a model"),
        (ExportOptions(model="timm:x", delegate="avg"), "--delegate belongs to --variant and --config, not to --model"),
        (ExportOptions(module="net.py", aggregation=False), "--aggregation belongs to --variant and --config, not to"),
        (ExportOptions(module="net.py", propagation="none"), "--propagation belongs"),
        (ExportOptions(module="net.py", num_classes=3), "--num-classes belongs to --variant, --config and --model"),
        (ExportOptions(module="net.py", weights="random"), "--weights belongs to --variant, --config and --model"),
        (ExportOptions(model="timm:x", weights="zero"), "unknown weights 'zero': choose from hub, random"),
        (
            ExportOptions(model="timm:x", weights="random", checkpoint=Path("w")),
            "--weights random and --checkpoint both",
        ),
        (ExportOptions(variant="s", weights="hub"), "authors of EdgeViT have no weights on a hub"),
        (ExportOptions(model="timm:x", checkpoint_entry="ema"), "--checkpoint-entry without --checkpoint"),
    ],
)
def test_contradictions_are_refused_before_any_work(options: ExportOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_source(options)


@pytest.mark.parametrize("source", [{"variant": "s"}, {"model": "timm:x"}, {"module": "x.py"}, {"config": Path("x")}])
def test_one_source_is_enough(source: dict[str, object]) -> None:
    assert check_source(ExportOptions(**source)) == next(iter(source))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet18", "--model timm:resnet18"),
        ("TIMM:resnet18", "--model timm:resnet18"),
        ("hub:resnet18", "--model timm:resnet18"),
        ("hf-hub:a/b", "--model timm:hf-hub:a/b"),
        ("xxs", "--variant xxs"),
    ],
)
def test_a_name_without_a_source(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"--model '{name}' does not say whose it is") as caught:
        build(ExportOptions(model=name))
    assert caught.value.hint == hint


def test_the_hint_for_a_normalisation_has_a_number_for_each_channel() -> None:
    with pytest.raises(UsageError, match="belong together") as caught:
        build(ExportOptions(variant="s", in_channels=4, mean="0.5,0.5,0.5"))
    assert caught.value.hint == "--mean 0.5,0.5,0.5,0.5 --std 0.5,0.5,0.5,0.5"


def test_a_network_of_timm() -> None:
    import torchvision_operators  # noqa: F401

    options = ExportOptions(
        model="timm:mobilenetv3_small_050", weights="random", input_size="64x96", num_classes=7, seed=4, batch=2,
        mean="0.1,0.2,0.3", std="1,2,3",
    )  # fmt: skip
    _, spec = build(options)
    assert spec.name == "mobilenetv3_small_050-7classes-batch2-64x96"
    assert spec.weights.seed == 4 and spec.outputs[0].shape == (2, 7)
    assert spec.preprocessing == Preprocessing(
        mean=(0.1, 0.2, 0.3), std=(1, 2, 3), resize_px=(73, 109), crop_px=(64, 96), interpolation="bicubic"
    )


def test_ones_own_code(file: Path) -> None:
    (file.parent / "labels.txt").write_text("a\nb\nc\nd\n")
    options = ExportOptions(
        module=f"{file}:make", input_size="32", labels=file.parent / "labels.txt", mean="0,0,0", std="1,1,1"
    )
    _, spec = build(options)
    assert (spec.name, spec.labels) == ("net-make-32x32", ("a", "b", "c", "d"))
    assert spec.preprocessing is not None and spec.preprocessing.crop_px == (32, 32)


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ("0", "1", "have 1 and 1 values: expected 3"),
        ("0,0,0", "1,0,1", "more than 0"),
        ("0,0,0", None, "belong together"),
        ("123.6,116,103", "58,57,57", "123.6 is no mean of pixels from 0 to 1|takes no single image"),
    ],
)
def test_normalisations_that_do_not_fit(file: Path, mean: str, std: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build(ExportOptions(module=f"{file}:make", input_size="32", mean=mean, std=std))
    with pytest.raises(UsageError, match=r"takes no single image|belong together|from 0 to 1"):
        build(ExportOptions(module=str(file), mean=mean, std=std))
