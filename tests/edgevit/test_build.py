"""The builder: specifications, sizes, names, seeds, and requests that make no sense."""

from __future__ import annotations

import pytest
import torch
from edgevit_tiny import tiny
from hypothesis import given
from hypothesis import strategies as st

from edgevit.build import build_model
from edgevit.errors import UsageError
from edgevit.network.describe import nearest_sizes, standard_preprocessing
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights

SIZE = (64, 64)
HEAD_BIAS = [0.10360713, -0.12029309, -0.23158556]
RUNNING_VAR = [1.92071462, 1.38486576, 1.64308250]


def test_the_plain_classifier() -> None:
    model, spec = build_model("xxs")
    assert spec == ModelSpec(
        name="edgevit-xxs-224x224",
        variant="xxs",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(1, 3, 224, 224), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(1, 1000)),),
        weights=Weights(source="random", seed=0),
        num_classes=1000,
        preprocessing=Preprocessing(
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize_px=256, crop_px=(224, 224)
        ),
    )
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert spec.weights.describe() == "random, seed 0"
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("request_options", "name"),
    [
        ({"input_size": (64, 96)}, "edgevit-tiny-64x96"),
        ({"task": "features"}, "edgevit-tiny-features-64x64"),
        ({"num_classes": 37, "batch": 8}, "edgevit-tiny-37classes-batch8-64x64"),
        ({"in_channels": 1}, "edgevit-tiny-1ch-64x64"),
        ({"delegate": "avg", "propagation": "bilinear"}, "edgevit-tiny-avg-delegates-bilinear-propagation-64x64"),
        ({"propagation": "none", "aggregation": False}, "edgevit-tiny-no-propagation-no-aggregation-64x64"),
    ],
)
def test_names_tell_models_apart(request_options: dict[str, object], name: str) -> None:
    _, spec = build_model(tiny(), **({"input_size": SIZE} | request_options))  # type: ignore[arg-type]
    assert spec.name == name


def test_preprocessing_only_where_it_is_known() -> None:
    assert build_model(tiny(), input_size=SIZE, in_channels=1)[1].preprocessing is None
    given_gray = standard_preprocessing(SIZE, mean=(0.5,), std=(0.25,))
    assert given_gray.color_order == "gray"
    spec = build_model(tiny(), input_size=SIZE, in_channels=1, preprocessing=given_gray)[1]
    assert spec.preprocessing == given_gray


def test_the_crop_fits_into_the_resized_photo() -> None:
    for size in ((224, 224), (256, 512), (800, 640), (32, 32)):
        ready = standard_preprocessing(size)
        assert ready.crop_px == size
        assert ready.resize_px >= max(size)


@pytest.mark.parametrize(
    ("size", "words", "hint"),
    [
        ((225, 224), "nearest valid sizes are 224x224, 256x224", "--input-size 256x224"),
        ((230, 300), "224x288, 224x320, 256x288, 256x320", "--input-size 256x320"),
        ((0, 64), "nearest valid sizes are 32x64", "--input-size 32x64"),
        ((-5, 64), "nearest valid sizes are 32x64", "--input-size 32x64"),
        ((31, 33), "32x32, 32x64", "--input-size 32x64"),
    ],
)
def test_sizes_that_do_not_fit(size: tuple[int, int], words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"both must be multiples of 32.*{words}") as caught:
        build_model("xxs", input_size=size)
    assert caught.value.hint == hint


@given(side=st.integers(-1000, 100000), multiple=st.integers(1, 256))
def test_nearest_sizes_are_valid_and_near(side: int, multiple: int) -> None:
    near = nearest_sizes(side, multiple)
    assert all(size > 0 and size % multiple == 0 for size in near)
    if side > 0:
        assert all(abs(size - side) < multiple for size in near)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 0}, "number of classes is 0, expected at least 1"),
        ({"in_channels": -1}, "number of input channels is -1"),
        ({"batch": 0}, "the batch is 0"),
        ({"seed": -1}, "the seed is -1"),
        ({"task": "detect"}, "unknown task 'detect': choose from classify, features"),
        ({"task": "features", "num_classes": 10}, "10 classes were asked for, but the features task has no classes"),
        ({"task": "features", "labels": ["a"]}, "features task has no classes to name"),
        ({"num_classes": 3, "labels": ["a", "b"]}, "2 labels were given for 3 classes"),
        ({"propagation": "linear"}, "unknown propagation 'linear'"),
        ({"preprocessing": standard_preprocessing(SIZE, mean=(0.5,), std=(0.5,))}, "1 means and 1 deviations for 3"),
        ({"preprocessing": standard_preprocessing(SIZE, std=(0.2, 0.0, 0.2))}, "standard deviation of 0"),
        ({"preprocessing": standard_preprocessing((96, 96))}, r"crops to \(96, 96\)"),
    ],
)
def test_requests_that_make_no_sense(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_model(tiny(), **({"input_size": SIZE} | options))  # type: ignore[arg-type]


def test_labels_stand_in_the_spec() -> None:
    _, spec = build_model(tiny(), input_size=SIZE, num_classes=2, labels=["cat", "dog"])
    assert spec.labels == ("cat", "dog")


def test_a_seed_gives_the_same_weights_and_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, _ = build_model(tiny(), input_size=SIZE, seed=3)
    assert torch.equal(torch.rand(3), expected)
    second, _ = build_model(tiny(), input_size=SIZE, seed=3)
    other, _ = build_model(tiny(), input_size=SIZE, seed=4)
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
    assert not torch.equal(first.head.weight, other.head.weight)


def test_features_carry_the_classifiers_weights() -> None:
    classify, _ = build_model(tiny(), input_size=SIZE)
    features, _ = build_model(tiny(), task=Task.FEATURES, input_size=SIZE)
    assert all(torch.equal(tensor, classify.state_dict()[name]) for name, tensor in features.state_dict().items())


def test_random_weights_are_recorded_for_good() -> None:
    """A manifest says only "seed 0": another version of this code must give the same weights."""
    model, _ = build_model(tiny(), input_size=SIZE, num_classes=3)
    torch.testing.assert_close(model.head.bias, torch.tensor(HEAD_BIAS), rtol=0, atol=1e-7)
    torch.testing.assert_close(model.norm.running_var[:3], torch.tensor(RUNNING_VAR), rtol=0, atol=1e-7)


@pytest.mark.parametrize("variant", ["xxs", "s"])
def test_random_weights_are_busy_and_bounded(variant: str) -> None:
    model, spec = build_model(variant)
    for name, tensor in model.state_dict().items():
        assert tensor.numel() == 1 or tensor.float().std() > 1e-3, name
    image = torch.randn(spec.inputs[0].shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(image)
    assert 0.3 < logits.std() < 10
