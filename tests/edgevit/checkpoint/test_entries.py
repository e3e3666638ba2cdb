"""Whatever a training script wraps around a network, its weights are found, exactly, and the rest is named."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from edgevit_tiny import tiny
from safetensors.torch import save_file
from torch import nn
from training_checkpoints import FORMS, foreign_packages, other, under

from edgevit.build import build_model
from edgevit.checkpoint.entries import find_weights
from edgevit.checkpoint.file import read_content
from edgevit.errors import CheckpointError
from edgevit.network.variants import VariantConfig
from edgevit.rebuild import rebuild_model
from edgevit.spec import Task, Weights

SIZE = (64, 64)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    built, _ = build_model(tiny(), num_classes=3, input_size=SIZE, seed=5)
    return built.requires_grad_(True)


def stored(tmp_path: Path, content: object, *, zipped: bool = True) -> Path:
    path = tmp_path / "w.pth"
    with foreign_packages():
        torch.save(content() if callable(content) else content, path, _use_new_zipfile_serialization=zipped)
    return path


def loaded(path: Path, model: nn.Module, entry: str | None = None, *, moved: float = 0.0) -> Weights:
    """What is said of the weights, when they are those of ``model`` and what they compute with is them."""
    built, spec = build_model(tiny(), checkpoint=path, entry=entry, input_size=SIZE)
    again = rebuild_model(spec, path)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(built.state_dict()[name], tensor + moved), name
            assert torch.equal(again.state_dict()[name], tensor + moved), "the record does not lead back to them"
    return spec.weights


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_weights_of_every_form_are_found_and_the_rest_is_said(
    tmp_path: Path, model: nn.Module, name: str, zipped: bool
) -> None:
    form, entry, prefix, beside = FORMS[name]
    weights = loaded(stored(tmp_path, lambda: form(model), zipped=zipped), model)
    assert (weights.entry, weights.prefix) == (entry, prefix)
    assert set(beside) <= set(weights.beside) and len(weights.beside) <= 13
    assert (f"names without {prefix}" in weights.describe()) == (prefix is not None)


def test_safetensors_below_a_prefix(tmp_path: Path, model: nn.Module) -> None:
    path = tmp_path / "w.safetensors"
    save_file({f"model.{name}": value.clone() for name, value in model.state_dict().items()}, path)
    assert loaded(path, model).prefix == "model."


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_below_a_prefix(tmp_path: Path, model: nn.Module, dtype: torch.dtype) -> None:
    state = {f"module.{n}": v.to(dtype) if v.is_floating_point() else v for n, v in model.state_dict().items()}
    _, spec = build_model(tiny(), checkpoint=stored(tmp_path, state), input_size=SIZE)
    assert (spec.weights.prefix, spec.weights.stored_dtype) == ("module.", str(dtype).removeprefix("torch."))


def test_wrappers_of_parts_are_taken_out_of_the_names(tmp_path: Path, model: nn.Module) -> None:
    state = {n.replace("blocks3.", "blocks3._checkpoint_wrapped_module."): v for n, v in model.state_dict().items()}
    assert loaded(stored(tmp_path, under("module.", state)), model).prefix == "module., _checkpoint_wrapped_module."


@pytest.mark.parametrize("entry", ["model_ema", "best"])
def test_other_weights_are_taken_when_they_are_named(tmp_path: Path, model: nn.Module, entry: str) -> None:
    path = stored(tmp_path, {"model": model.state_dict(), "model_ema": other(model), "best": other(model)})
    weights = loaded(path, model, entry, moved=1.0)
    assert weights.entry == entry and "model (weights)" in weights.beside


STUDENT = {
    "below names": lambda model: under("student.net.", model.state_dict()) | under("teacher.net.", other(model)),
    "as entries": lambda model: {"student": model.state_dict(), "teacher": under("module.", other(model)), "epoch": 1},
    "below names of an entry": lambda model: {
        "state_dict": under("module.student.", model.state_dict()) | under("module.teacher.", other(model))
    },
}  # fmt: skip


@pytest.mark.parametrize("name", STUDENT)
def test_student_and_teacher_are_taken_by_name_and_never_guessed(tmp_path: Path, model: nn.Module, name: str) -> None:
    path = stored(tmp_path, STUDENT[name](model))
    with pytest.raises(CheckpointError, match=r"holds 2 sets of weights: .*student.*, .*teacher") as caught:
        build_model(tiny(), checkpoint=path, input_size=SIZE)
    choices = [word.split()[-1] for word in (caught.value.hint or "").split(" or ")]
    for moved, choice in enumerate(choices):
        weights = loaded(path, model, choice, moved=moved)
        assert weights.entry == choice and f"{choices[1 - moved]} (weights)" in weights.beside
    if name == "below names":
        assert loaded(path, model, "teacher", moved=1.0).entry == choices[1]


def test_of_a_teacher_of_another_width_the_student_is_taken(tmp_path: Path, model: nn.Module) -> None:
    teacher, _ = build_model("xxs", num_classes=3)
    path = stored(tmp_path, under("student.", model.state_dict()) | under("teacher.", teacher.state_dict()))
    weights = loaded(path, model)
    assert weights.prefix == "student." and weights.beside == ("teacher (weights)",)
    _, spec = build_model("xxs", checkpoint=path)
    assert spec.weights.entry == "teacher"


def test_the_head_of_a_bare_backbone_is_missed(tmp_path: Path, model: nn.Module) -> None:
    state = {n: v for n, v in model.state_dict().items() if not n.startswith(("norm.", "head."))}
    path = stored(tmp_path, {"state_dict": under("backbone.", state) | {"bbox_head.weight": torch.ones(3)}})
    with pytest.raises(CheckpointError, match=r"missing: norm\.weight") as caught:
        build_model(tiny(), checkpoint=path, input_size=SIZE)
    assert caught.value.hint == "--task features"
    _, spec = build_model(tiny(), checkpoint=path, task=Task.FEATURES, input_size=SIZE)
    assert spec.weights.beside == ("bbox_head (1 entry)",)


def test_another_network_is_named_by_its_names(tmp_path: Path) -> None:
    path = stored(tmp_path, {"state_dict": under("module.", nn.Sequential(nn.Conv2d(3, 8, 3)).state_dict())})
    with pytest.raises(CheckpointError, match=r"every EdgeViT has patch_embed1\.proj\.weight, this file has 0\.weight"):
        build_model(tiny(), checkpoint=path, input_size=SIZE)
    wide = VariantConfig(name="wide", channels=(16, 24, 32, 40), blocks=(1, 1, 2, 1), heads=(1, 2, 4, 4))
    wider, _ = build_model(wide, num_classes=3, input_size=SIZE)
    with pytest.raises(CheckpointError, match=r"its stages have channels \[16, 24, 32, 40\] and blocks \[1, 1, 2, 1\]"):
        build_model(tiny(), checkpoint=stored(tmp_path, wider.state_dict()), input_size=SIZE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: torch.zeros(1).expand(3_000_000, 32), r"head\.weight of shape .* repeats 1 stored values"),
        (lambda value: torch.empty(0), r"head\.weight of shape \(0,\) is empty: a part of DeepSpeed's ZeRO-3"),
        (lambda value: value.to("meta"), r"head\.weight of shape .* has no values \(device meta\)"),
    ],
)
def test_tensors_without_their_values_are_refused(tmp_path: Path, model: nn.Module, change: object, words: str) -> None:
    state = model.state_dict() | {"head.weight": change(model.state_dict()["head.weight"])}
    with pytest.raises(CheckpointError, match=words):
        build_model(tiny(), checkpoint=stored(tmp_path, state), input_size=SIZE)


def test_keys_that_would_steer_a_terminal_are_escaped_and_long_lists_cut(tmp_path: Path, model: nn.Module) -> None:
    content = {"model": model.state_dict(), "\x1b[31m" + "x" * 200: 1} | {f"key {at}": at for at in range(50)}
    beside = loaded(stored(tmp_path, content), model).beside
    assert len(beside) == 13 and beside[-1] == "39 more" and beside[0].startswith(r"\x1b[31m")
    assert all(len(words) <= 80 for words in beside)


def test_weights_deep_within_entries_are_found_and_what_is_deeper_is_said(tmp_path: Path, model: nn.Module) -> None:
    path, content = tmp_path / "w.pth", {"model": model.state_dict()}
    for depth in range(2, 6):
        torch.save(content := {"model": content}, path)
        if depth < 5:
            assert find_weights(path, read_content(path), None).entry == "/".join(["model"] * depth)
    with pytest.raises(CheckpointError, match="no tensors, nor do 4 levels of dictionaries in it: it has 'model'"):
        find_weights(path, read_content(path), None)


def test_a_dictionary_that_stands_in_many_places_is_entered_once(tmp_path: Path, model: nn.Module) -> None:
    content: dict[str, object] = {"model": model.state_dict()}
    for _ in range(4):
        content = {f"k{at}": content for at in range(60)} | {"model": model.state_dict()}
    start = time.monotonic()
    assert find_weights(tmp_path / "w.pth", content, None).entry == "model"
    assert time.monotonic() - start < 20  # 60 ** 4 places take minutes


@pytest.mark.parametrize("entry", [None, "model"])
def test_arrays_of_numpy_are_told_from_tensors(tmp_path: Path, model: nn.Module, entry: str | None) -> None:
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    torch.save(arrays if entry is None else {entry: arrays}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"an EdgeViT's names, but arrays of numpy .* no tensors") as caught:
        find_weights(tmp_path / "w.pth", read_content(tmp_path / "w.pth"), None)
    assert "torch.from_numpy" in str(caught.value.hint)
