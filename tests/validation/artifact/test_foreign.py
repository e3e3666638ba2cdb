"""Files from elsewhere against the golden set of one of our artifacts: other names, layouts, formats, networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from small_artifacts import small_net, write_artifact, write_hostile
from torch import nn

from edgevit.errors import UsageError
from edgevit.spec import TensorSpec
from export.manifest import load_manifest
from export.recipe import Format
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session
from validation.artifact.checks import CheckStatus, VerifyReport
from validation.artifact.foreign import verify_foreign
from validation.artifact.limits import Limits
from validation.artifact.reference import Reference, load_reference


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFLite artifact with manifest and golden set."""
    return write_artifact(tmp_path_factory.mktemp("ours"), Format.TFLITE)


@pytest.fixture(scope="module")
def reference(ours: Path) -> Reference:
    return load_reference(ours)


class Theirs(nn.Module):
    """The network as somebody else's app has it: channels last, a second output, scores with axes of 1."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.network = small_net(seed)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.network(pixels.permute(0, 3, 1, 2))
        return scores[:, :, None, None], scores.softmax(1)[:, :5]


def theirs(path: Path, *, seed: int = 0, names: tuple[str, str] = ("Identity", "best")) -> Path:
    module = Theirs(seed).eval()
    torch.onnx.export(
        module, (torch.zeros(1, 16, 16, 3),), str(path), dynamo=False, opset_version=17, input_names=["pixels"],
        output_names=list(names), dynamic_axes={"pixels": {0: "n"}},
    )  # fmt: skip
    return path


def held(path: Path, format: Format, reference: Reference, names: dict[str, str] | None = None) -> VerifyReport:
    return verify_foreign(path, format, reference, opener=open_session, limits=Limits(), names=names)


def details(report: VerifyReport, name: str) -> str:
    return "\n".join(next(check for check in report.checks if check.name == name).details)


def test_another_converters_file_passes_under_its_own_names_and_layout(tmp_path: Path, reference: Reference) -> None:
    report = held(theirs(tmp_path / "t.onnx"), Format.ONNX, reference)
    assert report.passed, report.failed_checks
    assert (report.file, report.manifest, report.reference) == ("t.onnx", "", "small0.tflite")
    assert details(report, "tensors").splitlines() == [
        "'pixels' is the reference's 'image'",
        "'Identity' is the reference's 'logits'",
        "output 'best' is not judged: none of the reference's is left for it",
    ]
    assert report.parity is not None
    assert (report.parity.batches, report.parity.inputs_compared) == ((1, 3), 18)
    assert report.parity.summary().top1_agreement == 1.0
    assert VerifyReport.from_json(report.to_json()) == report


def test_another_network_fails_with_the_place_where_they_part(tmp_path: Path, reference: Reference) -> None:
    report = held(theirs(tmp_path / "t.onnx", seed=1), Format.ONNX, reference)
    assert [check.name for check in report.failed_checks] == ["parity"]
    assert report.exit_code == 1
    assert "where they part: " in details(report, "parity")
    assert report.divergence is not None


def test_a_network_that_is_right_on_other_channels_fails(tmp_path: Path, reference: Reference) -> None:
    """BGR: images have the shape of the reference's, and only the answers tell."""

    class Swapped(Theirs):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return super().forward(pixels.flip(3))

    torch.onnx.export(
        Swapped().eval(), (torch.zeros(1, 16, 16, 3),), str(tmp_path / "t.onnx"), dynamo=False, opset_version=17
    )
    assert [check.name for check in held(tmp_path / "t.onnx", Format.ONNX, reference).failed_checks] == ["parity"]


class Twice(nn.Module):
    """Two outputs of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.network = small_net()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.network(image)
        return 2 * scores, scores


@pytest.mark.parametrize(
    ("names", "failed", "words"),
    [
        (None, ["tensors"], "'a' and 'b' could be 'logits'; the file has 'a' 7, 'b' 7, the reference 'logits' 7; say"),
        ({"b": "logits"}, [], "'b' is the reference's 'logits'"),
        ({"a": "logits"}, ["parity"], "'a' is the reference's 'logits'"),
        ({"b": "scores"}, ["tensors"], "'b' cannot be 'scores'"),
        ({"b": "logits", "c": "image"}, ["tensors"], "the file has no 'c': it takes image and gives a, b"),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    tmp_path: Path, reference: Reference, names: dict[str, str] | None, failed: list[str], words: str
) -> None:
    torch.onnx.export(
        Twice().eval(), (torch.zeros(1, 3, 16, 16),), str(tmp_path / "t.onnx"), dynamo=False, opset_version=17,
        input_names=["image"], output_names=["a", "b"],
    )  # fmt: skip
    report = held(tmp_path / "t.onnx", Format.ONNX, reference, names)
    assert [check.name for check in report.failed_checks] == failed
    assert words in details(report, "tensors")


def test_a_lite_file_without_names_is_taken_by_position(tmp_path: Path, reference: Reference) -> None:
    traced = torch.jit.trace(small_net(), torch.zeros(1, 3, 16, 16))
    torch.jit.freeze(traced)._save_for_lite_interpreter(str(tmp_path / "t.ptl"))
    report = held(tmp_path / "t.ptl", Format.PTL, reference)
    assert report.passed, report.failed_checks
    assert "'output_0' is the reference's 'logits'" in details(report, "tensors")


def test_a_tflite_file_without_signature_is_taken_by_its_tensors(
    tmp_path: Path, ours: Path, reference: Reference
) -> None:
    model = schema.ModelT.InitFromPackedBuf((ours.parent / "small0.tflite").read_bytes(), 0)
    model.signatureDefs, model.metadata = [], []
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].name = b"x"
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    (tmp_path / "t.tflite").write_bytes(bytes(builder.Output()))
    report = held(tmp_path / "t.tflite", Format.TFLITE, reference)
    assert report.passed, report.failed_checks
    assert "'x' is the reference's 'image'" in details(report, "tensors")


def typed(path: Path, kind: int) -> Path:
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = kind
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["pixels"], ["cast"], to=onnx.TensorProto.FLOAT))
    for node in model.graph.node[1:]:
        node.input[:] = ["cast" if name == "pixels" else name for name in node.input]
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("kind", "name"), [(onnx.TensorProto.UINT8, "uint8"), (onnx.TensorProto.FLOAT16, "float16")])
def test_other_types_of_input_are_refused_in_words(tmp_path: Path, reference: Reference, kind: int, name: str) -> None:
    report = held(typed(theirs(tmp_path / "t.onnx"), kind), Format.ONNX, reference)
    assert [check.name for check in report.failed_checks] == ["tensors"]
    assert f"input 'pixels' is {name}, but the reference's 'image' is float32" in details(report, "tensors")


def refuse(path: Path, format: Format, *, threads: int = 1, inputs: tuple[TensorSpec, ...] = ()) -> Session:
    raise AssertionError("a file whose audit failed was opened")


def test_a_hostile_file_is_never_run(tmp_path: Path, reference: Reference) -> None:
    manifest = write_artifact(tmp_path, Format.PTL)
    write_hostile(manifest, tmp_path / "victim")
    path = tmp_path / load_manifest(manifest).file
    report = verify_foreign(path, Format.PTL, reference, opener=refuse, limits=Limits())
    assert [check.name for check in report.failed_checks] == ["audit"]
    assert not (tmp_path / "victim").exists()
    assert {check.status for check in report.checks[3:]} == {CheckStatus.SKIPPED}


@pytest.mark.parametrize(
    ("data", "check", "words"),
    [
        (b"", "file", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "contents", "is no onnx file: it is a git LFS pointer"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "contents", "is no onnx file: it is a TFLite file"),
        (b"\x08\x08\x12\x07rubbish", "contents", "ONNX"),
    ],
)
def test_what_is_no_file_of_its_format_is_told_and_not_opened(
    tmp_path: Path, reference: Reference, data: bytes, check: str, words: str
) -> None:
    (tmp_path / "t.onnx").write_bytes(data)
    report = verify_foreign(tmp_path / "t.onnx", Format.ONNX, reference, opener=refuse, limits=Limits())
    assert [failed.name for failed in report.failed_checks] == [check]
    assert words in details(report, check)


def test_a_file_that_takes_or_gives_something_else_lists_both(tmp_path: Path, reference: Reference) -> None:
    linear = nn.Linear(4, 7).eval()
    torch.onnx.export(linear, (torch.zeros(1, 4),), str(tmp_path / "t.onnx"), dynamo=False, input_names=["x"])
    words = details(held(tmp_path / "t.onnx", Format.ONNX, reference), "tensors")
    assert words == "no input of the reference fits 'x': the file takes 'x' 4, the reference has 'image' 3x16x16"
    stem = small_net().stem.eval()
    torch.onnx.export(stem, (torch.zeros(1, 3, 16, 16),), str(tmp_path / "t.onnx"), dynamo=False, output_names=["y"])
    words = details(held(tmp_path / "t.onnx", Format.ONNX, reference), "tensors")
    assert "it gives 'y' 12x8x8, the reference 'logits' 7" in words


def test_a_plain_set_of_inputs_and_answers_needs_an_absolute_error(tmp_path: Path, reference: Reference) -> None:
    images = reference.golden.inputs["image"][:4].transpose(0, 2, 3, 1)
    np.savez(tmp_path / "g.npz", **{"inputs/x": images, "outputs/y": reference.golden.outputs["logits"][:4]})
    plain = load_reference(tmp_path / "g.npz")
    path = theirs(tmp_path / "t.onnx")
    with pytest.raises(UsageError, match=r"g\.npz has no yardstick"):
        held(path, Format.ONNX, plain)
    for atol, passed in ((1e-5, True), (1e-9, False)):
        report = verify_foreign(path, Format.ONNX, plain, opener=open_session, limits=Limits(atol=atol))
        assert report.passed is passed
