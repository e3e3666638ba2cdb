"""The search for the fewest float layers, against trying every number of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_artifacts import small_net, small_spec
from torch import Tensor, nn

from edgevit.errors import UsageError
from edgevit.spec import ModelSpec
from export.int8.record import SEARCHED, Scheme
from export.program import Program, capture
from export.quantization.assign import quantized
from export.quantization.search import with_float
from export.quantization.simulate import simulated
from export.recipe import Format, Precision, Recipe
from export.stimuli import Floats, make_samples

PLAIN = Recipe(format=Format.TFLITE, precision=Precision.INT8)


def float_answers(model: nn.Module, spec: ModelSpec) -> Floats:
    with torch.no_grad():
        return model(torch.from_numpy(make_samples(spec).arrays["image"])).double().numpy()


def sqnr_db(seen: Floats, exact: Floats) -> float:
    return float(10 * np.log10((exact**2).sum() / ((seen - exact) ** 2).sum()))


def left_float(program: Program) -> list[str]:
    assert program.quantization is not None
    return [layer.module for layer in program.quantization.layers.values() if layer.why == SEARCHED]


@pytest.fixture(scope="module")
def every_number() -> list[tuple[list[str], float, float]]:
    """For every number of the worst layers in float: their modules, the SQNR in dB and the agreement."""
    model, spec = small_net(), small_spec()
    program = quantized(capture(model, spec), PLAIN, None)
    assert program.quantization is not None
    layers = [layer for layer in program.quantization.layers.values() if layer.scheme is not Scheme.FLOAT]
    worst = sorted(layers, key=lambda layer: layer.sqnr_db or 0.0)
    exact, found = float_answers(model, spec), []
    for count in range(len(worst)):
        tried = with_float(program, [layer.name for layer in worst[:count]])
        seen = simulated(tried, PLAIN, make_samples(spec))["logits"]
        agreement = float(np.mean(seen.argmax(1) == exact.argmax(1)))
        found.append((sorted(layer.module for layer in worst[:count]), sqnr_db(seen, exact), agreement))
    return found


def test_every_target_is_reached_with_the_fewest_of_the_worst_layers(
    every_number: list[tuple[list[str], float, float]],
) -> None:
    program = capture(small_net(), small_spec())
    levels = [db for _, db, _ in every_number]
    assert max(levels) - min(levels) > 3
    for target in (min(levels) - 1, levels[0] - 0.01, *(db + shift for db in levels for shift in (0.01, -0.01))):
        if target > levels[-1]:
            continue
        recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, reach_sqnr_db=target)
        count = len(left := left_float(quantized(program, recipe, None)))
        assert sorted(left) == every_number[count][0], "the worst ones"
        assert levels[count] >= target and (count == 0 or levels[count - 1] < target)
        fewest = next(number for number, db in enumerate(levels) if db >= target)
        assert count == fewest or min(levels[fewest:]) < target, "exact but where one more float layer answers worse"


def test_what_is_out_of_reach_says_how_far_one_gets(every_number: list[tuple[list[str], float, float]]) -> None:
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, reach_sqnr_db=120.0)
    with pytest.raises(UsageError, match="with all but one of its 8 layers float") as caught:
        quantized(capture(small_net(), small_spec()), recipe, None)
    assert f"SQNR {every_number[-1][1]:.1f} dB" in caught.value.message


def test_agreement_is_a_target_of_its_own(every_number: list[tuple[list[str], float, float]]) -> None:
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, reach_agreement=1.0)
    found = quantized(capture(small_net(), small_spec()), recipe, None)
    seen = simulated(found, recipe, make_samples(small_spec()))["logits"]
    exact = float_answers(small_net(), small_spec())
    assert (seen.argmax(1) == exact.argmax(1)).all()
    fewest = next(len(modules) for modules, _, agreement in every_number if agreement == 1.0)
    assert len(left_float(found)) >= fewest


def test_layers_that_the_user_keeps_are_none_of_the_searchs() -> None:
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, reach_sqnr_db=10.0, keep_float=("stem",))
    found = quantized(capture(small_net(), small_spec()), recipe, None)
    assert found.quantization is not None and left_float(found) == []
    assert next(iter(found.quantization.layers.values())).why == "kept by 'stem'"


def test_a_network_whose_weights_want_gradients_is_searched_too() -> None:
    model = small_net().requires_grad_(True)
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, reach_sqnr_db=10.0)
    assert left_float(quantized(capture(model, small_spec()), recipe, None)) == []


class Twice(nn.Module):
    """One layer that is used twice; (1, 3, 16, 16) -> (1, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(16, 16), nn.Linear(16, 7)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.head(self.fc(self.fc(image.mean(1)).relu()).mean(1))
        return scores


def test_weights_of_a_layer_that_is_float_in_one_call_only_count_twice() -> None:
    program = quantized(capture(Twice().eval(), small_spec()), PLAIN, None)
    assert program.quantization is not None
    first, *_ = program.quantization.layers
    assert [layer.weights for layer in program.quantization.layers.values()] == [256, 0, 112]
    plan = with_float(program, [first]).quantization
    assert plan is not None
    assert [(layer.scheme, layer.weights) for layer in plan.layers.values()] == [
        (Scheme.FLOAT, 256), (Scheme.DYNAMIC, 256), (Scheme.DYNAMIC, 112),
    ]  # fmt: skip
