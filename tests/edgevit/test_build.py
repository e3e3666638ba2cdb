"""The builder: specifications, sizes, names, seeds, and requests that make no sense."""

from __future__ import annotations

import pytest
import torch
from edgevit_tiny import tiny

from edgevit.build import build_model
from edgevit.errors import UsageError
from edgevit.network.describe import standard_preprocessing
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights

SIZE = (64, 64)


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
