"""The network against the published code: names, shapes, order, and recorded outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from edgevit_golden import golden_answers, golden_image, golden_state, published_shapes
from edgevit_tiny import tiny

from edgevit.build import build_model
from edgevit.network.describe import ModelRequest
from edgevit.network.model import EdgeViT, empty_model
from edgevit.network.variants import Delegate, Propagation, find_variant
from edgevit.spec import Task


def request_for(name: str, task: Task = Task.CLASSIFY) -> ModelRequest:
    classes = 1000 if task is Task.CLASSIFY else None
    return ModelRequest(
        config=find_variant(name), task=task, num_classes=classes, in_channels=3, input_size=(224, 224), batch=1
    )


def golden_model(task: Task, dtype: torch.dtype) -> EdgeViT:
    model = empty_model(request_for("xxs", task))
    weights = golden_state(published_shapes("xxs"))
    model.load_state_dict({name: weights[name] for name in model.state_dict()}, assign=True)
    return model.to(dtype).eval()


@pytest.mark.parametrize("variant", ["xxs", "xs", "s"])
def test_state_dict_is_that_of_the_published_code(variant: str) -> None:
    ours = {name: tuple(tensor.shape) for name, tensor in empty_model(request_for(variant)).state_dict().items()}
    assert list(ours.items()) == list(published_shapes(variant).items())


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_logits_are_those_of_the_published_code(dtype: torch.dtype, atol: float) -> None:
    with torch.no_grad():
        logits = golden_model(Task.CLASSIFY, dtype)(golden_image().to(dtype))
    assert logits.dtype == dtype
    np.testing.assert_allclose(logits.numpy(), golden_answers()["logits"], rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 2e-12), (torch.float32, 1e-3)])
def test_stage_outputs_are_those_of_the_published_code(dtype: torch.dtype, atol: float) -> None:
    answers = golden_answers()
    with torch.no_grad():
        stages = golden_model(Task.FEATURES, dtype)(golden_image().to(dtype))
    assert len(stages) == len(answers["feature_shapes"]) == 4
    for index, stage in enumerate(stages):
        values = stage.numpy()
        assert values.shape == tuple(answers["feature_shapes"][index])
        np.testing.assert_allclose(values.mean(), answers["feature_mean"][index], rtol=0, atol=atol)
        np.testing.assert_allclose(values.std(), answers["feature_std"][index], rtol=0, atol=atol)
        sample = answers[f"feature{index + 1}_sample"]
        np.testing.assert_allclose(values[:1, ::8, ::4, ::4], sample, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["norm.running_mean", "blocks3.1.SelfAttn.attn.LocalProp.bias"])
def test_golden_outputs_see_a_changed_tensor(name: str) -> None:
    model = golden_model(Task.CLASSIFY, torch.float64)
    model.state_dict()[name][0] += 1e-3  # one channel: LayerNorm would absorb a shift of all
    with torch.no_grad():
        logits = model(golden_image()[:1].double())
    assert np.abs(logits.numpy() - golden_answers()["logits"][:1]).max() > 1e-6


@pytest.mark.parametrize("size", [(32, 32), (96, 160), (512, 512)])
@pytest.mark.parametrize("in_channels", [1, 4])
def test_features_at_other_sizes_and_channels(size: tuple[int, int], in_channels: int) -> None:
    model, spec = build_model("xxs", task=Task.FEATURES, input_size=size, in_channels=in_channels)
    with torch.no_grad():
        stages = model(torch.zeros(spec.inputs[0].shape))
    assert [tuple(stage.shape) for stage in stages] == [output.shape for output in spec.outputs]
    assert [output.name for output in spec.outputs] == ["stage1", "stage2", "stage3", "stage4"]


@pytest.mark.parametrize("delegate", Delegate)
@pytest.mark.parametrize("propagation", Propagation)
@pytest.mark.parametrize("aggregation", [True, False])
def test_every_ablation_traces_without_warning(delegate: Delegate, propagation: Propagation, aggregation: bool) -> None:
    model, _ = build_model(
        tiny(), input_size=(64, 96), delegate=delegate, propagation=propagation, aggregation=aggregation
    )
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        traced = torch.jit.trace(model, image, check_trace=False)
        torch.testing.assert_close(traced(image), model(image))


@pytest.mark.parametrize(
    ("delegate", "propagation"),
    [
        (Delegate.CENTER, Propagation.TRANSPOSED_CONV),
        (Delegate.AVG, Propagation.BILINEAR),
        (Delegate.MAX, Propagation.NONE),
    ],
)
def test_every_option_goes_through_torch_export(delegate: Delegate, propagation: Propagation) -> None:
    model, _ = build_model(tiny(), task=Task.FEATURES, input_size=(64, 96), delegate=delegate, propagation=propagation)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    exported = torch.export.export(model, (image,)).module()
    with torch.no_grad():
        stages = model(image)
        assert len(stages) == 4
        for ours, theirs in zip(stages, exported(image), strict=True):
            torch.testing.assert_close(theirs, ours)


def test_ablations_change_the_function() -> None:
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    seen = []
    for options in ({}, {"delegate": "avg"}, {"delegate": "max"}, {"propagation": "bilinear"},
                    {"propagation": "none"}, {"aggregation": False}):  # fmt: skip
        model, _ = build_model(tiny(), input_size=(64, 64), **options)
        with torch.no_grad():
            seen.append(model(image))
    for index, first in enumerate(seen):
        assert all(not torch.allclose(first, second, atol=1e-3) for second in seen[:index])


def test_float64_and_a_free_batch() -> None:
    model, _ = build_model(tiny(), input_size=(64, 64))
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = model.double()(images)
        alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
