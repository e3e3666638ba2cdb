"""What does not fit a model is named, together with the variant and the options that it fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from edgevit_golden import golden_state, published_shapes
from edgevit_tiny import tiny
from torch import Tensor
from torch.nn.utils import prune

from edgevit.build import build_model
from edgevit.errors import CheckpointError
from edgevit.spec import Task

State = dict[str, Tensor]


SIZE = (64, 64)


@pytest.fixture
def state() -> State:
    """Weights of the small model with 37 classes and 4 input channels."""
    model, _ = build_model(tiny(), num_classes=37, in_channels=4, input_size=SIZE, seed=5)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.pth"


def test_a_head_is_needed_to_classify(path: Path, state: State) -> None:
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith(("norm.", "head."))}, path)
    with pytest.raises(CheckpointError, match=r"6 missing: norm\.weight.*and 1 more") as caught:
        build_model(tiny(), checkpoint=path, input_size=SIZE)
    assert caught.value.hint == "--task features"


def test_a_wrong_file_names_the_variant_that_fits(path: Path) -> None:
    torch.save(golden_state(published_shapes("xs")), path)
    with pytest.raises(CheckpointError) as caught:
        build_model("s", checkpoint=path)
    assert "142 missing: blocks2.1.LocalAgg.pos_embed.weight" in caught.value.message
    assert "and 137 more" in caught.value.message
    assert caught.value.message.endswith("It fits variant xs")
    assert caught.value.hint == "--variant xs"
    with pytest.raises(CheckpointError, match=r"of another shape: patch_embed1\.norm.weight is"):
        build_model("xxs", checkpoint=path)


def test_a_wrong_option_names_the_option_that_fits(path: Path) -> None:
    model, _ = build_model("xxs", propagation="bilinear", aggregation=False)
    torch.save(model.state_dict(), path)
    with pytest.raises(
        CheckpointError, match="It fits variant xxs with propagation bilinear, aggregation off"
    ) as caught:
        build_model("xxs", checkpoint=path)
    assert caught.value.hint == "--propagation bilinear --no-aggregation"
    build_model("xxs", checkpoint=path, propagation="bilinear", aggregation=False)


def test_a_wrong_file_of_other_classes_names_the_variant_that_fits(path: Path) -> None:
    """The classes come from the file's head, or are asked for: neither makes it a file of no variant."""
    model, _ = build_model("xxs", num_classes=37)
    torch.save(model.state_dict(), path)
    for classes in (None, 37):
        with pytest.raises(CheckpointError, match=r"It fits variant xxs$") as caught:
            build_model("s", checkpoint=path, num_classes=classes)
        assert caught.value.hint == "--variant xxs"


def test_features_take_a_file_with_a_head_and_name_the_variant_without_it(path: Path) -> None:
    model, _ = build_model("xxs", num_classes=37)
    torch.save(model.state_dict(), path)
    with pytest.raises(CheckpointError, match=r"It fits variant xxs$") as caught:
        build_model("xs", checkpoint=path, task=Task.FEATURES)
    assert caught.value.hint == "--variant xxs"
    torch.save(build_model("xxs", task=Task.FEATURES)[0].state_dict(), path)
    with pytest.raises(CheckpointError, match=r"It fits variant xxs, task features$") as caught:
        build_model("xs", checkpoint=path)
    assert caught.value.hint == "--variant xxs --task features"


def test_a_file_of_no_variant(path: Path) -> None:
    torch.save(torch.nn.Linear(3, 3).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"2 unexpected: weight, bias\. It fits no known variant"):
        build_model("xxs", checkpoint=path)


def test_misshaped_tensors_are_named_with_both_shapes(path: Path, state: State) -> None:
    state["blocks1.0.LocalAgg.attn.weight"] = torch.zeros(8, 1, 3, 3)
    torch.save(state, path)
    wanted = r"1 of another shape: blocks1\.0\.LocalAgg\.attn\.weight is \(8, 1, 3, 3\), expected \(8, 1, 5, 5\)"
    with pytest.raises(CheckpointError, match=wanted):
        build_model(tiny(), checkpoint=path, input_size=SIZE)


def test_step_counters_may_be_missing(path: Path, state: State) -> None:
    torch.save({name: tensor for name, tensor in state.items() if "num_batches" not in name}, path)
    model, _ = build_model(tiny(), checkpoint=path, input_size=SIZE)
    assert model.norm.num_batches_tracked == 0


def reparametrised(state: State, form: str) -> State:
    """The weights as training code of that form saves them; its names are those that torch itself gives."""
    layer = torch.nn.Linear(*reversed(state["head.weight"].shape))
    if form == "weight_norm":
        torch.nn.utils.weight_norm(layer)
    elif form == "parametrised":
        torch.nn.utils.parametrizations.weight_norm(layer)
    elif form == "pruned":
        prune.l1_unstructured(layer, "weight", 0.5)
    elif form == "spectral_norm":
        torch.nn.utils.spectral_norm(layer)
    head = {f"head.{name}": tensor for name, tensor in layer.state_dict().items()}
    if form == "lora":
        head["head.lora_A"] = torch.zeros(4, layer.in_features)
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.")} | head


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("weight_norm", r"weight normalisation \(head.weight_g, head.weight_v\)"),
        ("parametrised", r"parametrised weights \(head.parametrizations"),
        ("pruned", r"masks of pruning \(head.weight_orig, head.weight_mask\)"),
        ("spectral_norm", r"spectral normalisation \(head.weight_orig, head.weight_u\)"),
        ("lora", r"LoRA beside those that they change \(head.lora_A\)"),
    ],
)
def test_a_changed_form_of_weights_is_said_and_not_that_the_file_fits_without_its_head(
    path: Path, state: State, form: str, words: str
) -> None:
    torch.save(reparametrised(state, form), path)
    with pytest.raises(CheckpointError, match=words) as caught:
        build_model(tiny(), checkpoint=path, input_size=SIZE)
    assert "It fits" not in caught.value.message
    assert "before the state dict is saved" in str(caught.value.hint)
    build_model(tiny(), checkpoint=path, input_size=SIZE, task="features")  # which has no head


def test_another_head_is_named_where_the_rest_fits(path: Path) -> None:
    state = build_model("xxs", seed=3)[0].state_dict()
    torch.save({name.replace("head.", "head.0."): tensor for name, tensor in state.items()}, path)
    with pytest.raises(
        CheckpointError, match=r"task features, which leaves out its head: head\.0\.weight, head\.0\.bias"
    ):
        build_model("xxs", checkpoint=path)
