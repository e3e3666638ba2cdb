"""A golden set is refused where it cannot be a reference: other inputs, impossible yardsticks, flat answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_sessions import golden_set
from msgspec.structs import replace
from small_artifacts import small_net, small_spec

from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights
from export.artifact import AuditResult, GoldenReference, Manifest, Operator
from export.golden import GoldenSet, make_golden
from export.recipe import Format, Recipe
from export.stimuli import make_samples
from validation.artifact.golden_checks import golden_problems, stimuli_problems, widest_yardstick

IMAGE, LOGITS = TensorSpec(name="image", shape=(1, 3, 4, 4)), TensorSpec(name="logits", shape=(1, 7))
SPEC = ModelSpec(
    name="small", variant="small", task=Task.CLASSIFY, inputs=(IMAGE,), outputs=(LOGITS,),
    weights=Weights(source="random", seed=0), num_classes=7,
)  # fmt: skip
MANIFEST = Manifest(
    file="small.onnx", sha256="", bytes=1, created_utc="", spec=SPEC, recipe=Recipe(format=Format.ONNX, opset=17),
    inputs=(IMAGE,), outputs=(LOGITS,), operators=(Operator(name="Conv", count=3, version=11),), requires="",
    audit=AuditResult(passed=True), tools={}, command=(),
    golden=GoldenReference(file="g.npz", sha256="", inputs=2, yardstick={"logits": 1e-6}),
)  # fmt: skip


def golden() -> GoldenSet:
    answers = np.random.default_rng(0).normal(size=(2, 7))
    return golden_set({"image": np.zeros((2, 3, 4, 4), np.float32)}, {"logits": answers}, 1e-6)


def with_outputs(values: np.ndarray) -> GoldenSet:
    return dataclasses.replace(golden(), outputs={"logits": values})


def test_what_agrees_has_no_problems() -> None:
    assert golden_problems(golden(), MANIFEST) == []
    assert golden_problems(dataclasses.replace(golden(), slack={"logits": np.array([1.0, 50.0])}), MANIFEST) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (dataclasses.replace(golden(), inputs={"x": np.zeros((2, 3))}), "inputs image, but the golden set has x"),
        (with_outputs(np.ones((2, 8))), "one 'logits' is (7,) in the model, but (8,) in the golden set"),
        (golden()[:1], "the manifest says 2 golden inputs, but there are 1"),
        (dataclasses.replace(golden(), yardstick={"logits": 2e-6}), "the yardstick of 'logits' is 1e-06 in the"),
        (dataclasses.replace(golden(), yardstick={"x": 1e-6}), "yardsticks for logits, the golden set for x"),
        (with_outputs(np.full((2, 7), np.nan)), "holds values that are not finite"),
        (with_outputs(np.full((2, 7), 1e-5)), "cannot be the error of float32 on outputs up to 1e-05"),
        (dataclasses.replace(golden(), slack={"logits": np.array([3.0, 1.5])}), "above 1 on 2 of 2 inputs, up to 3"),
        (dataclasses.replace(golden(), slack={"logits": np.array([1.0, 0.5])}), "none less than 1"),
        (dataclasses.replace(golden(), slack={"logits": np.array([np.inf, 1.0])}), "up to inf"),
        (with_outputs(np.ones((2, 7))), "answers all 2 inputs alike"),
        (with_outputs(np.add(np.ones((2, 7)), [[0], [7.9e-6]])), "answers all 2 inputs alike"),
    ],
)
def test_a_golden_set_that_is_no_reference(changed: GoldenSet, words: str) -> None:
    assert any(words in problem for problem in golden_problems(changed, MANIFEST))


def test_one_output_may_be_constant_where_another_is_not() -> None:
    """As the anchors of a detector, which depend on nothing."""
    spec = replace(SPEC, outputs=(LOGITS, TensorSpec(name="anchors", shape=(1, 2))))
    reference = replace(MANIFEST.golden, yardstick={"logits": 1e-6, "anchors": 1e-6})
    both = dataclasses.replace(
        golden(),
        outputs=golden().outputs | {"anchors": np.ones((2, 2))},
        yardstick={"logits": 1e-6, "anchors": 1e-6},
    )
    assert golden_problems(both, replace(MANIFEST, spec=spec, golden=reference)) == []


def test_a_yardstick_that_hides_half_a_percent_is_none() -> None:
    """An error of 0.5 % passes from a yardstick of 0.5 % / 8 upwards: 6.25e-4 of the largest output."""
    assert widest_yardstick(1.0, 10) * 8 < 0.0003
    assert widest_yardstick(1.0, 1000) * 8 < 0.001
    assert widest_yardstick(8.8, 400) > 5.8e-6 * 7  # XXS at 64 pixels, of all that were measured the nearest


@pytest.mark.parametrize("seed", [0, 1])
def test_sound_references_are_far_from_the_bounds(seed: int) -> None:
    sound = make_golden(small_net(seed), small_spec())
    reference = GoldenReference(file="", sha256="", inputs=len(sound), yardstick=sound.yardstick)
    spec = small_spec()
    manifest = replace(MANIFEST, spec=spec, inputs=spec.inputs, outputs=spec.outputs, golden=reference)
    assert golden_problems(sound, manifest) == [] == stimuli_problems(sound, spec)
    thousandfold = {"logits": 1000 * sound.yardstick["logits"]}
    bad = dataclasses.replace(sound, yardstick=thousandfold)
    said = replace(manifest, golden=replace(reference, yardstick=thousandfold))
    assert "cannot be the error of float32" in golden_problems(bad, said)[0]


IMAGES = replace(
    SPEC,
    inputs=(TensorSpec(name="image", shape=(1, 3, 16, 16), layout=Layout.NCHW), TensorSpec(name="scale", shape=(1, 2))),
    preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, resize_px=18, crop_px=(16, 16)),
)


def drawn(spec: ModelSpec = IMAGES) -> GoldenSet:
    samples = make_samples(spec)
    answers = np.random.default_rng(0).normal(size=(len(samples.labels), 7))
    return GoldenSet(samples.labels, dict(samples.arrays), {"logits": answers}, {"logits": 1e-6})


def test_the_inputs_are_drawn_again_and_others_may_stand_behind_them() -> None:
    assert stimuli_problems(drawn(), IMAGES) == []
    photo = {name: np.concatenate([array, array[:1]]) for name, array in drawn().inputs.items()}
    outputs = {"logits": np.concatenate([drawn().outputs["logits"]] * 2)[: len(drawn()) + 1]}
    longer = GoldenSet((*drawn().labels, "cat.jpg"), photo, outputs, drawn().yardstick)
    assert stimuli_problems(longer, IMAGES) == []


def test_another_machines_rounding_is_no_difference() -> None:
    changed = drawn()
    changed.inputs["image"] = changed.inputs["image"] + np.float32(1 / 255 / 0.25)
    changed.inputs["scale"] = changed.inputs["scale"] * np.float32(1 + 2e-7)
    assert stimuli_problems(changed, IMAGES) == []


@pytest.mark.parametrize("row", [0, 8, 12, 17])
@pytest.mark.parametrize(("name", "change"), [("image", 2 / 255 / 0.25), ("scale", 1e-3)])
def test_one_changed_value_of_one_input_is_seen(row: int, name: str, change: float) -> None:
    changed = drawn()
    changed.inputs[name] = changed.inputs[name].copy()
    changed.inputs[name][row].flat[-1] += change
    (problem,) = stimuli_problems(changed, IMAGES)
    assert f"'{changed.labels[row]}' is not the '{name}'" in problem


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64"])
def test_inputs_of_other_types_are_compared_too(dtype: str) -> None:
    layout = Layout.NHWC if dtype == "uint8" else None
    spec = replace(SPEC, inputs=(TensorSpec(name="image", shape=(1, 8, 8, 3), dtype=dtype, layout=layout),))
    changed = drawn(spec)
    assert stimuli_problems(changed, spec) == []
    changed.inputs["image"] = changed.inputs["image"].astype(np.float32)
    assert len(stimuli_problems(changed, spec)) == len(changed)
    changed = drawn(spec)
    changed.inputs["image"][3].flat[0] ^= 255 if dtype == "uint8" else 1
    assert len(stimuli_problems(changed, spec)) == 1


def test_a_set_that_was_cut_or_sorted_anew_is_none() -> None:
    black = drawn()[12:13]
    (problem,) = stimuli_problems(black, IMAGES)
    assert "begins with 18 inputs that anybody can draw again, but natural-00, natural-01, natural-02" in problem
    backwards = dataclasses.replace(drawn(), labels=drawn().labels[::-1])
    (problem,) = stimuli_problems(backwards, IMAGES)
    assert "another order" in problem


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"std": (0.0,) * 3}, "is not the 'image' that is drawn"),
        ({"mean": (float("nan"),) * 3}, "is not the 'image' that is drawn"),
        ({"mean": (0.5,) * 2}, "no inputs can be drawn for small"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_normalisation_that_cannot_be_is_told(changes: dict[str, tuple[float, ...]], words: str) -> None:
    assert IMAGES.preprocessing is not None
    spec = replace(IMAGES, preprocessing=replace(IMAGES.preprocessing, **changes))
    assert words in stimuli_problems(drawn(), spec)[0]


def test_a_layout_and_a_type_that_cannot_be_are_told() -> None:
    image, scale = IMAGES.inputs
    for inputs in ((replace(image, layout=Layout.NHWC), scale), (image, replace(scale, dtype="float33"))):
        assert "no inputs can be drawn for small" in stimuli_problems(drawn(), replace(IMAGES, inputs=inputs))[0]


def test_one_large_input_does_not_cost_as_many_as_should_be_there() -> None:
    large = replace(SPEC, inputs=(replace(IMAGE, shape=(1, 3, 100_000, 100_000), layout=Layout.NCHW),))
    (problem,) = stimuli_problems(GoldenSet(("black",), {}, {}, {}), large)
    assert "natural-00" in problem
