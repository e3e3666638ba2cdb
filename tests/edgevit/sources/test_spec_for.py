"""``spec_for``: names, shapes, layouts, tasks and preprocessing from one run of a module."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from edgevit.errors import ExportError, UsageError
from edgevit.sources.digest import weights_sha256
from edgevit.sources.spec_for import run, spec_for
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights

Pair = namedtuple("Pair", ("near", "far"))


@dataclass
class Answer:
    scores: Tensor
    embedding: Tensor
    loss: Tensor | None = None


class Returns(nn.Module):
    """Returns what ``make`` makes of a pooled image and of two maps."""

    def __init__(self, make: object) -> None:
        super().__init__()
        self.make = make
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)

    def forward(self, pixels: Tensor) -> object:
        x = self.conv(pixels)
        return self.make(x.mean((2, 3)), x, x[:, :, ::2, ::2])  # type: ignore[operator]


IMAGE = torch.zeros(2, 3, 16, 12)


def names_and_shapes(spec: ModelSpec) -> list[tuple[str, tuple[int, ...]]]:
    return [(tensor.name, tensor.shape) for tensor in spec.outputs]


def test_a_plain_classifier() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(576, 5)).train()
    spec = spec_for(model, IMAGE, labels=tuple("abcde"))
    assert spec == ModelSpec(
        name="sequential-16x12",
        variant="Sequential",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="input", shape=(2, 3, 16, 12), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(2, 5)),),
        weights=Weights(source="module", sha256=weights_sha256(model)),
        num_classes=5,
        labels=tuple("abcde"),
    )
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert model.training and model[1].training, "the module stays as it is"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda a, b, c: [a, b], [("output1", (2, 6)), ("output2", (2, 6, 8, 6))]),
        (lambda a, b, c: (b, c), [("stage1", (2, 6, 8, 6)), ("stage2", (2, 6, 4, 3))]),
        (lambda a, b, c: {"out": b, "aux": c}, [("out", (2, 6, 8, 6)), ("aux", (2, 6, 4, 3))]),
        (lambda a, b, c: Pair(b, c), [("near", (2, 6, 8, 6)), ("far", (2, 6, 4, 3))]),
        (lambda a, b, c: Answer(a, b), [("scores", (2, 6)), ("embedding", (2, 6, 8, 6))]),
        (lambda a, b, c: {"m": (b, c), "all": [a]}, [("m_1", (2, 6, 8, 6)), ("m_2", (2, 6, 4, 3)), ("all", (2, 6))]),
        (lambda a, b, c: a.unsqueeze(1), [("output", (2, 1, 6))]),
    ],
)  # fmt: skip
def test_outputs_are_named_by_what_holds_them(make: object, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    spec = spec_for(Returns(make), IMAGE)
    assert names_and_shapes(spec) == expected
    assert spec.task is Task.FEATURES and spec.num_classes is None
    assert [tensor.layout for tensor in spec.outputs] == [Layout.NCHW if len(s) == 4 else None for _, s in expected]


@pytest.mark.parametrize(
    "make", [lambda a, b, c: {"x": b, "y": a}, lambda a, b, c: Answer(a, b), lambda a, b, c: [c, (a, b)]]
)
def test_the_order_is_that_of_capture_and_of_the_reference(make: object) -> None:
    from export.golden import make_golden
    from export.program import capture

    model = Returns(make).eval()
    spec = spec_for(model, IMAGE, name="ordered")
    captured = capture(model, spec)
    assert [tensor.name for tensor in captured.outputs] == [tensor.name for tensor in spec.outputs]
    assert list(make_golden(model, spec).outputs) == [tensor.name for tensor in spec.outputs]


class Several(nn.Module):
    def forward(self, image: Tensor, *rest: Tensor, scale: float = 1.0) -> Tensor:
        return image.float().mean() + sum(tensor.float().mean() for tensor in rest)


def test_inputs_have_the_names_of_parameters_and_their_own_types() -> None:
    spec = spec_for(Several(), (torch.zeros(1, 8, 8, 3, dtype=torch.uint8), torch.zeros(2, 5), torch.ones(3).bool()))
    assert spec.inputs == (
        TensorSpec(name="image", shape=(1, 8, 8, 3), dtype="uint8", layout=Layout.NHWC),
        TensorSpec(name="rest1", shape=(2, 5)),
        TensorSpec(name="rest2", shape=(3,), dtype="bool"),
    )
    assert spec.name == "several-8x8"


def test_preprocessing_is_that_of_the_pretrained_cfg() -> None:
    model = Returns(lambda a, b, c: a)
    assert spec_for(model, IMAGE).preprocessing is None
    model.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop_pct": 0.9, "crop_mode": "squash"}  # type: ignore[assignment]
    expected = Preprocessing(
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), resize_px=(17, 13), crop_px=(16, 12), crop_mode="squash"
    )
    assert spec_for(model, IMAGE).preprocessing == expected
    given = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), resize_px=16, crop_px=(16, 12))
    assert spec_for(model, IMAGE, preprocessing=given).preprocessing == given


def test_names_may_be_given() -> None:
    spec = spec_for(Returns(lambda a, b, c: (a, b)), IMAGE, name="net", input_names=["x"], output_names=["y", "z"])
    assert (spec.name, spec.inputs[0].name, [tensor.name for tensor in spec.outputs]) == ("net", "x", ["y", "z"])


def fails(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return a @ c


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (Returns(fails), {}, r"Returns fails on .* \(2, 3, 16, 12\): RuntimeError: .*test_spec_for.py:\d+, in fails"),
        (Returns(lambda a, b, c: (a, 3)), {}, "forward returns int for 2"),
        (Returns(lambda a, b, c: {"a": a, "b": None}), {}, "forward returns NoneType for b"),
        (Returns(lambda a, b, c: ()), {}, "forward returns nothing"),
        (Returns(lambda a, b, c: a), {"labels": ["cat"]}, "1 labels were given for 6 classes"),
        (Returns(lambda a, b, c: (a, b)), {"output_names": ["one"]}, "1 names for 2 outputs: one"),
        (Returns(lambda a, b, c: (a, b)), {"output_names": ["one", "one"]}, "1 names for 2 outputs"),
        (Returns(lambda a, b, c: a), {"task": "detect"}, "unknown task 'detect'"),
    ],
)  # fmt: skip
def test_what_cannot_be_described(model: nn.Module, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        spec_for(model, IMAGE, **options)  # type: ignore[arg-type]


def test_examples_that_are_none() -> None:
    for example, words in (((), "the example holds nothing"), ((IMAGE, 3), "holds Tensor, int")):
        with pytest.raises(UsageError, match=words):
            spec_for(nn.Flatten(), example)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="takes 1 inputs by position, the example has 2"):
        spec_for(nn.Flatten(), (IMAGE, IMAGE))


def test_modes_are_put_back_even_after_a_failure() -> None:
    model = nn.Sequential(Returns(fails), nn.Dropout()).train()
    model[1].eval()
    with pytest.raises(UsageError):
        run(model, (IMAGE,))
    assert [module.training for module in (model, model[0], model[1])] == [True, True, False]


@pytest.mark.parametrize(
    ("image", "answer", "layout"),
    [
        ((1, 3, 224, 224), (1, 56, 56, 96), Layout.NHWC),  # Swin's maps
        ((1, 3, 224, 224), (1, 96, 56, 56), Layout.NCHW),
        ((1, 3, 64, 64), (1, 16, 16, 16), Layout.NCHW),
        ((1, 3, 65, 97), (1, 8, 5, 7), Layout.NCHW),
        ((1, 64, 96, 3), (1, 8, 12, 40), Layout.NHWC),
        ((1, 3, 64, 64), (1, 4, 49, 7), None),
        ((1, 40), (1, 4, 7, 7), None),
    ],
)
def test_maps_have_the_proportions_of_the_image(
    image: tuple[int, ...], answer: tuple[int, ...], layout: Layout | None
) -> None:
    class Makes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.new_zeros(answer)

    assert spec_for(Makes(), torch.zeros(image)).outputs[0].layout is layout


def test_a_counter_counts_no_run_of_ours() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("written", torch.zeros(1))
            self.register_buffer("replaced", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.written += 1
            self.replaced = self.replaced + 1
            return x.flatten(1) + self.written + self.replaced

    model = Counting()
    buffers = dict(model.named_buffers())
    spec_for(model, torch.zeros(1, 3, 4, 4))
    assert all(model.get_buffer(name) is buffer and buffer == 0 for name, buffer in buffers.items())


def test_what_forward_keeps_and_writes_stays_out_of_the_module_and_the_example() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first: Tensor | None = None
            self.maps: list[Tensor] = []
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            self.first = x if self.first is None else self.first
            self.maps.append(x)
            self.weight.data.mul_(0.5)
            return x.add_(1) * self.weight[0]

    model, image = Keeps(), torch.zeros(1, 3, 4, 4)
    spec_for(model, image)
    assert model.first is None and model.maps == [] and model.training
    assert torch.equal(model.weight, torch.ones(3)) and not image.any()


@pytest.mark.parametrize(
    ("model", "example", "error", "words"),
    [
        (nn.Flatten(), None, UsageError, "the example holds NoneType: expected a tensor, or a sequence of one"),
        (nn.Flatten(), {"x": IMAGE}, UsageError, "the example holds str"),
        (nn.Flatten(), torch.zeros(1, 0, 4), UsageError, r"input 1 has the shape \(1, 0, 4\), which holds no number"),
        (lambda x: x, IMAGE, UsageError, "the network is a function, expected a torch.nn.Module"),
        (Returns(lambda a, b, c: (b, b[:, :0])), IMAGE, UsageError, r"output 'stage2' has the shape \(2, 0, 8, 6\)"),
        (
            nn.Linear(4, 4, device="meta"),
            torch.zeros(1, 4),
            ExportError,
            "without values, on the device 'meta'",
        ),
        (nn.LazyLinear(4), torch.zeros(1, 4), ExportError, "parameters without a shape: weight, bias"),
    ],
)
def test_what_no_file_could_be_made_of(model: nn.Module, example: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        spec_for(model, example)  # type: ignore[arg-type]


def test_outputs_never_have_the_name_of_an_input() -> None:
    spec = spec_for(Returns(lambda a, b, c: {"pixels": a, "pixels_": b, "a b\n": c}), IMAGE)
    assert [tensor.name for tensor in spec.outputs] == ["pixels__", "pixels_", "a_b_"]
    with pytest.raises(UsageError, match="'pixels' is the name of two tensors: expected one for each input and output"):
        spec_for(Returns(lambda a, b, c: a), IMAGE, output_names=["pixels"])
    with pytest.raises(UsageError, match=r"'x y\\n' is no name of a tensor"):
        spec_for(Returns(lambda a, b, c: a), IMAGE, input_names=["x y\n"])
