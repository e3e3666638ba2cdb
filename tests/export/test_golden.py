"""Golden sets: sixteen and more telling inputs, a float64 reference, and a file that cannot be swapped unseen."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import conv_net, spec_of, two_inputs

from edgevit.errors import ArtifactError, ExportError
from edgevit.spec import ModelSpec, TensorSpec
from export.golden import FLOAT64_LIMIT_BYTES, GoldenSet, load_golden, make_golden
from export.stimuli import Samples


def test_the_reference_is_float64_and_the_yardstick_what_float32_misses() -> None:
    model, spec = conv_net(batch=4)
    model.train()
    golden = make_golden(model, spec)
    assert model.training and next(model.parameters()).dtype == torch.float32
    model.eval()
    inputs = torch.from_numpy(golden.inputs["image"])
    with torch.no_grad():
        single = model(inputs).double().numpy()
        reference = model.double()(inputs.double()).numpy()
    np.testing.assert_allclose(golden.outputs["logits"], reference, rtol=0, atol=1e-13)
    seen = np.abs(single - reference).max()
    assert 0 < golden.yardstick["logits"] < 1e-4
    assert golden.yardstick["logits"] == pytest.approx(seen, rel=1.0)
    assert golden.outputs["logits"].dtype == np.float64


def test_several_inputs_without_preprocessing() -> None:
    model, spec = two_inputs(batch=5)
    golden = make_golden(model, spec)
    assert golden.inputs["context"].shape == (len(golden), 5)
    assert set(golden.yardstick) == {"scores", "shares"}


def test_a_golden_set_survives_its_file(tmp_path: Path) -> None:
    golden = make_golden(*conv_net())
    reference = golden.save(tmp_path / "golden.npz")
    assert reference == golden.save(tmp_path / "golden.npz")
    loaded = load_golden(tmp_path / "golden.npz", reference)
    assert (loaded.labels, loaded.yardstick) == (golden.labels, golden.yardstick)
    np.testing.assert_array_equal(loaded.inputs["image"], golden.inputs["image"])
    np.testing.assert_array_equal(loaded.outputs["logits"], golden.outputs["logits"])
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as file:
        assert {"labels", "inputs/image", "outputs/logits", "yardstick/logits"} <= set(file.files)


def test_large_outputs_are_stored_in_single_precision(tmp_path: Path) -> None:
    count = FLOAT64_LIMIT_BYTES // 8 // 2 + 1
    values = np.linspace(0, 1, 2 * count).reshape(2, count)
    golden = GoldenSet(("a", "b"), {"x": np.zeros((2, 1), np.float32)}, {"y": values}, {"y": 1e-6})
    golden.save(tmp_path / "golden.npz")
    assert (tmp_path / "golden.npz").stat().st_size < FLOAT64_LIMIT_BYTES
    np.testing.assert_allclose(load_golden(tmp_path / "golden.npz").outputs["y"], values, atol=6e-8)


def test_a_damaged_swapped_or_missing_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    reference = make_golden(*conv_net()).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(ArtifactError, match="its manifest says"):
        load_golden(path, reference)
    with pytest.raises(ArtifactError, match="not a readable golden set"):
        load_golden(path)
    make_golden(*conv_net(seed=3)).save(path)
    with pytest.raises(ArtifactError, match="its manifest says"):
        load_golden(path, reference)
    path.unlink()
    with pytest.raises(ArtifactError, match="missing"):
        load_golden(path, reference)
    np.savez(path, labels=np.array(["a", "b"]), **{"inputs/x": np.zeros((2, 1)), "outputs/y": np.zeros((3, 1))})
    with pytest.raises(ArtifactError, match="not a whole golden set"):
        load_golden(path)


def test_equal_names_compress_alike_and_outputs_are_stored_as_they_are(tmp_path: Path) -> None:
    make_golden(*conv_net()).save(tmp_path / "golden.npz")
    with zipfile.ZipFile(tmp_path / "golden.npz") as archive:
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
    assert kinds["inputs/image.npy"] == kinds["labels.npy"] == zipfile.ZIP_DEFLATED
    assert kinds["outputs/logits.npy"] == zipfile.ZIP_STORED


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [(((1, 4), ()), ((1, 2),)), (((1, 4), (2, 4)), ((1, 2),)), (((),), ((1, 2),))],
)
def test_tensors_that_share_no_batch_are_refused(
    inputs: tuple[tuple[int, ...], ...], outputs: tuple[tuple[int, ...], ...]
) -> None:
    spec = spec_of(
        "odd",
        tuple(TensorSpec(name=f"x{i}", shape=shape) for i, shape in enumerate(inputs)),
        tuple(TensorSpec(name=f"y{i}", shape=shape) for i, shape in enumerate(outputs)),
    )
    with pytest.raises(ExportError, match="must share their first axis, the batch"):
        make_golden(torch.nn.Linear(4, 2), spec)


def test_outputs_without_a_batch_axis_are_whole_answers_to_a_batch_of_one(tmp_path: Path) -> None:
    class Several(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return x.flatten(1)[:, :2], x.sum(), torch.arange(6.0).reshape(3, 2)

    def spec(batch: int) -> ModelSpec:
        outputs = {"pair": (batch, 2), "total": (), "table": (3, 2)}
        made = tuple(TensorSpec(name=name, shape=shape) for name, shape in outputs.items())
        return spec_of("several", (TensorSpec(name="x", shape=(batch, 4)),), made)

    golden = make_golden(Several(), spec(1))
    assert golden.whole == ("total", "table")
    assert [golden.outputs[name].shape[1:] for name in ("pair", "total", "table")] == [(2,), (), (3, 2)]
    np.testing.assert_allclose(golden.outputs["total"], golden.inputs["x"].astype(np.float64).sum(1), atol=1e-12)
    assert load_golden(tmp_path / golden.save(tmp_path / "g.npz").file).whole == golden.whole == golden[:2].whole
    with pytest.raises(ExportError, match=r"output 'total' of several is \(\), without the batch axis of 2"):
        make_golden(Several(), spec(2))


def test_what_the_model_itself_says_is_told_by_its_first_line() -> None:
    class Failing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("the window does not divide the image\nand more")

    class Silent(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    _, spec = conv_net()
    with pytest.raises(
        ExportError,
        match=r"fails in float32 eager: the window does not divide the image, at .*test_golden.py:\d+ in forward",
    ):
        make_golden(Failing(), spec)
    with pytest.raises(
        ExportError,
        match=r"fails in float32 eager: AssertionError, at .*test_golden.py:\d+ in forward: raise AssertionError$",
    ):
        make_golden(Silent(), spec)


def test_a_model_that_answers_nan_or_another_shape_is_refused() -> None:
    model, spec = conv_net()
    with pytest.raises(ExportError, match="answers with the shapes"):
        make_golden(torch.nn.Flatten(), spec)
    with torch.no_grad():
        model.head.bias[0] = float("inf")
    with pytest.raises(ExportError, match="NaN or Inf in float64 at output 'logits'"):
        make_golden(model, spec)


def test_a_part_is_measured_by_the_yardstick_of_all() -> None:
    golden = make_golden(*conv_net())
    part = golden[2:4]
    assert part.labels == golden.labels[2:4]
    np.testing.assert_array_equal(part.inputs["image"], golden.inputs["image"][2:4])
    np.testing.assert_array_equal(part.outputs["logits"], golden.outputs["logits"][2:4])
    assert part.yardstick == golden.yardstick


def test_slack_survives_its_file_and_goes_with_its_samples(tmp_path: Path) -> None:
    slack = {"y": np.array([1.0, 30.0, 2.0])}
    whole = GoldenSet(("a", "b", "c"), {"x": np.ones((3, 1))}, {"y": np.ones((3, 1))}, {"y": 1e-6}, slack=slack)
    whole.save(tmp_path / "g.npz")
    np.testing.assert_array_equal(load_golden(tmp_path / "g.npz")[1:].slack["y"], [30.0, 2.0])


def test_outputs_of_exactly_the_limit_stay_in_double_precision(tmp_path: Path) -> None:
    """64 MiB over all outputs; one number more, in whichever of them, and all are rounded."""
    count = FLOAT64_LIMIT_BYTES // 8 // 2
    for more, dtype in ((0, np.float64), (1, np.float32)):
        outputs = {"y": np.zeros((1, count)), "z": np.zeros((1, count + more))}
        GoldenSet(("a",), {"x": np.zeros((1, 1))}, outputs, {"y": 1e-6, "z": 1e-6}).save(tmp_path / "golden.npz")
        with np.load(tmp_path / "golden.npz") as file:
            assert file["outputs/y"].dtype == file["outputs/z"].dtype == dtype


@pytest.mark.parametrize("batch", [1, 3, 7, 40])
def test_every_sample_has_its_own_answer_whatever_the_batch(batch: int) -> None:
    """A last chunk that is not full repeats its last sample and drops the answers."""
    golden, single = make_golden(*conv_net(batch=batch)), make_golden(*conv_net())
    assert golden.outputs["logits"].shape == (len(golden), 10)
    np.testing.assert_array_equal(golden.inputs["image"][: len(single)], single.inputs["image"][: len(golden)])
    shared = min(len(golden), len(single))
    np.testing.assert_allclose(golden.outputs["logits"][:shared], single.outputs["logits"][:shared], rtol=0, atol=1e-12)


def test_more_inputs_stand_behind_and_must_fit() -> None:
    model, spec = conv_net()
    extra = Samples(("mine", "yours"), {"image": np.full((2, 3, 32, 32), 0.25, np.float32)})
    golden = make_golden(model, spec, extra)
    assert golden.labels[-2:] == ("mine", "yours") and len(golden) == len(make_golden(model, spec)) + 2
    np.testing.assert_array_equal(golden.inputs["image"][-2:], extra.arrays["image"])
    wide = Samples(("mine",), {"image": np.zeros((1, 3, 32, 33), np.float32)})
    with pytest.raises(ExportError, match=r"'image' has the shape \(3, 32, 33\) per sample, not \(3, 32, 32\)"):
        make_golden(model, spec, wide)
    with pytest.raises(ExportError, match="'image' has the shape None per sample"):
        make_golden(model, spec, Samples(("mine",), {"photo": np.zeros((1, 3, 32, 32), np.float32)}))


def test_a_model_that_answers_otherwise_each_time_is_refused() -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :10] + torch.rand(x.shape[0], 1)

    with pytest.raises(ExportError, match="answers differently on the same input at output 'logits'") as caught:
        make_golden(Noisy(), conv_net()[1])
    assert caught.value.hint == "remove random operations, or seed them inside forward"


def test_attention_that_computes_otherwise_where_nobody_looks_on_is_steady() -> None:
    """torch's own encoder layers take another path, with other rounding, unless a mode looks on."""

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 16, 4, 4)
            self.layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.head = torch.nn.Linear(16, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.layer(self.conv(x).flatten(2).transpose(1, 2)).mean(1))

    model, spec = Encoder().eval(), conv_net()[1]
    golden = make_golden(model, spec)
    assert golden.outputs["logits"].shape == (len(golden), 10)


def test_a_sample_that_float32_cannot_compute_well_has_slack_and_the_others_stay_tight() -> None:
    """A difference of two large numbers on one image alone, whose error would hide any fault on the others."""

    class Cancelling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(3, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            means = x.mean((2, 3))
            large = torch.relu(means.sum(1, keepdim=True) - 2.5) * 1e6
            return self.head(means) + ((large + 0.3 * means[:, :1]) - large)

    torch.manual_seed(0)
    golden = make_golden(Cancelling().eval(), conv_net()[1])
    loose = {label for label, factor in zip(golden.labels, golden.slack["logits"], strict=True) if factor > 1}
    assert "white" in loose and len(loose) <= 3
    assert golden.slack["logits"].max() > 1000
    assert golden.yardstick["logits"] < 2e-6


def test_a_model_that_fails_in_float64_alone_is_told_apart() -> None:
    class Single(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.dtype == torch.float64:
                raise TypeError("single precision only")
            return x.flatten(1)[:, :10]

    with pytest.raises(
        ExportError, match=r"fails in float64 eager: single precision only, at .*test_golden.py:\d+ in forward: raise"
    ):
        make_golden(Single(), conv_net()[1])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"outputs/z": np.array([[0.0], [np.nan]])}, "NaN or Inf in the reference outputs"),
        ({"outputs/y": np.array([[0.0], [np.inf]])}, "NaN or Inf in the reference outputs"),
        ({"yardstick/z": None}, r"outputs \['y', 'z'\], yardsticks for \['y'\]"),
        ({"inputs/x": None}, "2 labels"),
        ({"inputs/x": np.zeros((3, 1))}, r"2 labels, arrays of \[2, 3\] samples"),
        ({"labels": np.array(["a", "b", "c"])}, r"3 labels, arrays of \[2\] samples"),
        ({"slack/y": np.array([1.0, 2.0, 1.0])}, "slack for y, which is no output, or not of 2 samples"),
        ({"slack/w": np.array([1.0, 2.0])}, "slack for w, which is no output"),
        ({"outputs/y": None, "outputs/z": None, "yardstick/y": None, "yardstick/z": None}, "2 labels"),
    ],
)
def test_a_set_that_is_not_whole_says_what_is_wrong(
    tmp_path: Path, changes: dict[str, np.ndarray | None], problem: str
) -> None:
    whole = {
        "labels": np.array(["a", "b"]),
        "inputs/x": np.zeros((2, 1)),
        "outputs/y": np.zeros((2, 1)),
        "outputs/z": np.zeros((2, 1)),
        "yardstick/y": np.array(1e-6),
        "yardstick/z": np.array(1e-6),
    }
    np.savez(tmp_path / "golden.npz", **whole)
    assert load_golden(tmp_path / "golden.npz").yardstick == {"y": 1e-6, "z": 1e-6}
    np.savez(tmp_path / "golden.npz", **{k: v for k, v in (whole | changes).items() if v is not None})
    with pytest.raises(ArtifactError, match=f"is not a whole golden set: {problem}"):
        load_golden(tmp_path / "golden.npz")


@pytest.mark.parametrize("key", ["Outputs/logits", "../../x", "evil", "fingerprint_x", "labels/x", "inputs/"])
def test_an_array_that_no_golden_set_has_is_refused(key: str, tmp_path: Path) -> None:
    arrays = {"labels": np.array(["a"]), "inputs/x": np.zeros((1, 2)), "outputs/y": np.zeros((1, 2))}
    np.savez(tmp_path / "g.npz", **arrays, **{"yardstick/y": np.array(0.0)})  # type: ignore[arg-type]
    assert load_golden(tmp_path / "g.npz").labels == ("a",)
    np.savez(tmp_path / "g.npz", **arrays, **{"yardstick/y": np.array(0.0), key: np.zeros(1)})  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="is none of its arrays, expected labels"):
        load_golden(tmp_path / "g.npz")


def test_what_torch_answers_in_another_precision_survives_its_file_and_goes_with_its_samples(tmp_path: Path) -> None:
    golden = make_golden(*conv_net())
    rounded = {"logits": np.round(golden.outputs["logits"], 2)}
    plain = golden.save(tmp_path / "plain.npz")
    with_rounded = dataclasses.replace(golden, rounded=rounded)
    saved = with_rounded.save(tmp_path / "rounded.npz")
    assert saved.sha256 != plain.sha256 and with_rounded.save(tmp_path / "again.npz").sha256 == saved.sha256
    found = load_golden(tmp_path / "rounded.npz", saved)
    assert found.rounded["logits"].dtype == np.float64
    np.testing.assert_allclose(found.rounded["logits"], rounded["logits"], rtol=1e-6)
    np.testing.assert_array_equal(found[3:5].rounded["logits"], found.rounded["logits"][3:5])
    np.testing.assert_array_equal(found.outputs["logits"], golden.outputs["logits"])
    assert load_golden(tmp_path / "plain.npz").rounded == {}, "sets of float32, and of earlier versions, have none"


HOSTILE_ROUNDED: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "NaN": ({"rounded/y": np.full((2, 1), np.nan), "rounded/z": np.zeros((2, 1))}, "NaN or Inf"),
    "infinity": ({"rounded/y": np.zeros((2, 1)), "rounded/z": np.full((2, 1), np.inf)}, "NaN or Inf"),
    "an output missing": ({"rounded/y": np.zeros((2, 1))}, r"rounded answers \['y'\], which are not of the outputs"),
    "one too many": (
        {"rounded/y": np.zeros((2, 1)), "rounded/z": np.zeros((2, 1)), "rounded/w": np.zeros((2, 1))},
        r"rounded answers \['w', 'y', 'z'\]",
    ),
    "another count": ({"rounded/y": np.zeros((3, 1)), "rounded/z": np.zeros((2, 1))}, "rounded answers"),
    "another shape": ({"rounded/y": np.zeros((2, 2)), "rounded/z": np.zeros((2, 1))}, "rounded answers"),
    "one axis": ({"rounded/y": np.zeros(2), "rounded/z": np.zeros((2, 1))}, "rounded answers"),
    "no axis": ({"rounded/y": np.array(0.0), "rounded/z": np.zeros((2, 1))}, "'rounded/y' holds float64"),
    "integers": ({"rounded/y": np.zeros((2, 1), np.int8), "rounded/z": np.zeros((2, 1))}, "'rounded/y' holds int8"),
    "complex": (
        {"rounded/y": np.zeros((2, 1), complex), "rounded/z": np.zeros((2, 1))},
        "member 'rounded/y.npy' holds elements of type",
    ),
    "no name": ({"rounded/": np.zeros((2, 1))}, "'rounded/' is none of its arrays"),
}


@pytest.mark.parametrize("what", HOSTILE_ROUNDED)
def test_rounded_answers_that_are_none_are_refused(tmp_path: Path, what: str) -> None:
    arrays, problem = HOSTILE_ROUNDED[what]
    whole = {
        "labels": np.array(["a", "b"]),
        "inputs/x": np.zeros((2, 1)),
        "outputs/y": np.zeros((2, 1)),
        "outputs/z": np.zeros((2, 1)),
        "yardstick/y": np.array(1e-6),
        "yardstick/z": np.array(1e-6),
    }
    sound = {"rounded/y": np.ones((2, 1)), "rounded/z": np.ones((2, 1))}
    np.savez(tmp_path / "golden.npz", **whole, **sound)
    assert set(load_golden(tmp_path / "golden.npz").rounded) == {"y", "z"}
    np.savez(tmp_path / "golden.npz", **whole, **arrays)
    with pytest.raises(ArtifactError, match=problem):
        load_golden(tmp_path / "golden.npz")
