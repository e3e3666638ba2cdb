"""From any module to verified artifacts: every format on a network that is no EdgeViT, and what must not be lost."""

import errno
import json
import os
import shutil
import sys
import threading
import time
from collections import namedtuple
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from export_rig import assert_whole
from msgspec.structs import replace
from small_artifacts import SmallNet, small_net
from small_disk import mounted
from small_exports import small_spec
from torch import nn

from edgevit.errors import ExportError, UsageError
from edgevit.spec import Layout, ModelSpec, Task
from edgevit_export import export, verify
from edgevit_export.api import ExportReport
from edgevit_export.workflows import export as workflow
from edgevit_export.workflows.export import _in_turn
from export.build import StagedGolden, stage_golden
from export.golden import GoldenSet, load_golden
from export.manifest import load_manifest, manifest_path, manifests_in
from export.recipe import Format, Optimize, Precision, Recipe
from export.side_process import SideProcess
from runtimes.sessions.table import open_session

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    directory = tmp_path_factory.mktemp("all-formats")
    return export(small_net(), small_spec(), list(Format), output=directory, command=("edgevit-export", "test"))


def test_a_small_network_that_is_no_edgevit_goes_through_all_formats(exported: ExportReport) -> None:
    assert exported.passed, [outcome.reasons for outcome in exported.outcomes]
    assert [outcome.recipe.format for outcome in exported.outcomes] == list(Format)
    for outcome in exported.outcomes:
        assert outcome.parity is not None and outcome.parity.inputs_compared >= 16


def test_manifests_keep_to_the_published_schema(exported: ExportReport) -> None:
    schema = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
    assert exported.outcomes
    for outcome in exported.outcomes:
        assert outcome.file is not None
        text = manifest_path(Path(outcome.file)).read_text()
        jsonschema.validate(json.loads(text), schema)
        manifest = load_manifest(manifest_path(Path(outcome.file)))
        assert manifest.command == ("edgevit-export", "test")
        assert manifest.parity is not None and manifest.parity.passed
        assert manifest.audit.passed


def test_an_app_team_can_test_against_the_golden_set_with_numpy_alone(exported: ExportReport) -> None:
    (outcome,) = (outcome for outcome in exported.outcomes if outcome.recipe.format is Format.ONNX)
    assert outcome.file is not None
    path = Path(outcome.file)
    manifest = json.loads(manifest_path(path).read_text())
    with np.load(path.parent / manifest["golden"]["file"], allow_pickle=False) as golden:
        session = open_session(path, Format.ONNX)
        for i in range(len(golden["labels"])):
            logits = session.run({"image": golden["inputs/image"][i : i + 1]})["logits"]
            assert np.abs(logits - golden["outputs/logits"][i]).max() < 8 * golden["yardstick/logits"]


class OtherWhenExported(SmallNet):
    """Takes another branch while it is captured, as a careless ``is_exporting`` does."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.stem(image)
        if torch.compiler.is_exporting():
            features = features * 1.01
        return self.head(self.blocks(features).mean((2, 3)))


class Random(SmallNet):
    """Answers something else each time."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(image) + 1e-3 * float(np.random.default_rng().uniform(1, 2))


def test_a_model_without_a_steady_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="answers differently"):
        export(Random().eval(), small_spec(), ["onnx"], output=tmp_path)


def test_what_fails_parity_goes_to_rejected_and_the_good_file_stays(tmp_path: Path) -> None:
    good = export(small_net(), small_spec(), ["onnx"], output=tmp_path)
    assert good.passed
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    model = OtherWhenExported()
    model.load_state_dict(small_net().state_dict())
    bad = export(model.eval(), small_spec(), ["onnx"], output=tmp_path)
    assert (bad.exit_code, bad.outcomes[0].verdict) == (1, "failed")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    rejected = tmp_path / "rejected" / "small-net.onnx"
    assert rejected.is_file()
    parity = load_manifest(manifest_path(rejected)).parity
    assert parity is not None and not parity.passed
    assert any("part" in reason for reason in bad.outcomes[0].reasons)
    assert bad.outcomes[0].reasons[-1] == f"kept for inspection as {rejected}; {tmp_path}/small-net.onnx is as it was"


def test_what_is_said_of_a_rejected_file_is_true_beside_one_that_was_written(tmp_path: Path) -> None:
    """One per cent too much is a fault of float32, and less than int8 rounds by."""
    recipes = [Recipe(format=Format.ONNX, precision=precision) for precision in (Precision.FP32, Precision.INT8)]
    model = OtherWhenExported()
    model.load_state_dict(small_net().state_dict())
    float32, int8 = export(model.eval(), small_spec(), recipes, output=tmp_path).outcomes
    assert (float32.verdict, int8.verdict) == ("failed", "passed")
    written = tmp_path / "small-net.onnx"
    assert float32.reasons[-1].endswith(f"; {written} was not written")
    assert (written.exists(), (tmp_path / "small-net-int8.onnx").exists()) == (False, True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_disk_that_fills_at_any_moment_of_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real file system, with ever more room above earlier files; what is asked for beforehand is left out."""
    monkeypatch.setattr(workflow, "room_needed_bytes", lambda *_: 0)
    recipes = [Recipe(format=Format.ONNX, precision=precision) for precision in (Precision.FP32, Precision.INT8)]
    assert export(small_net(), small_spec(), recipes, output=tmp_path / "earlier").passed
    files, seen = list((tmp_path / "earlier").iterdir()), set()
    taken_kib = sum(-(-path.stat().st_size // 4096) * 4 for path in files)
    for room_kib in (40, 100, 130, 160, 190, 400):
        with mounted(tmp_path / "target", size_kib=taken_kib + room_kib) as target:
            for path in files:
                shutil.copy(path, target)
            outcomes = export(small_net(seed=1), small_spec(), recipes, output=target).outcomes
            for path in manifests_in(target):
                assert_whole(path)
            assert {path.suffix for path in target.iterdir()} == {".onnx", ".json", ".npz"}
            reasons = [each.reasons[0] for each in outcomes if each.verdict != "passed"]
            assert reasons == [f"no room left in {target}; what stands there is whole"] * len(reasons)
            seen.add(tuple(each.verdict for each in outcomes))
    assert {("error", "error"), ("passed", "error"), ("passed", "passed")} <= seen


def test_a_disk_that_fills_beside_a_golden_set_is_that_files_error_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(golden: GoldenSet, spec: ModelSpec, stage: Path) -> StagedGolden:
        if golden.rounded:  # that of int8, which comes second
            raise OSError(errno.ENOSPC, "No space left on device")
        return stage_golden(golden, spec, stage)

    monkeypatch.setattr(workflow, "stage_golden", full)
    recipes = [Recipe(format=Format.ONNX, precision=precision) for precision in (Precision.FP32, Precision.INT8)]
    float32, int8 = export(small_net(), small_spec(), recipes, output=tmp_path).outcomes
    assert (float32.verdict, int8.verdict, int8.exit_code) == ("passed", "error", ExportError.exit_code)
    assert int8.reasons[0] == f"no room left in {tmp_path}; what stands there is whole"


class OnnxCannot(SmallNet):
    """Uses an operator that the ONNX exporter has no symbol for and the lite interpreter has."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = super().forward(image)
        return logits + 0 * torch.special.i1e(logits)


def test_one_format_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    model = OnnxCannot()
    model.load_state_dict(small_net().state_dict())
    report = export(model.eval(), small_spec(), ["onnx", "ptl"], output=tmp_path)
    assert [outcome.verdict for outcome in report.outcomes] == ["error", "passed"]
    assert report.exit_code == ExportError.exit_code
    assert not (tmp_path / "small-net.onnx").exists()
    assert verify(tmp_path)[0].passed


def test_without_verification_nothing_claims_parity(tmp_path: Path) -> None:
    report = export(small_net(), small_spec(), ["ptl"], output=tmp_path, verify=False)
    assert (report.exit_code, report.passed, report.outcomes[0].verdict) == (0, False, "not verified")
    assert load_manifest(tmp_path / "small-net.ptl.json").parity is None


def test_nan_in_the_weights_is_refused_by_name(tmp_path: Path) -> None:
    model = small_net()
    model.blocks[1].expand.bias[2] = float("nan")
    with pytest.raises((ExportError, UsageError), match=r"blocks\.1\.expand\.bias|NaN"):
        export(model, small_spec(), ["onnx"], output=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_spec_that_lies_about_the_output_is_refused(tmp_path: Path) -> None:
    class Other(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.mean((2, 3))

    with pytest.raises(ExportError, match=r"logits|shape"):
        export(Other().eval(), small_spec(), ["onnx"], output=tmp_path)


def test_nhwc_and_dynamic_batch_are_recipes(tmp_path: Path) -> None:
    recipes = [
        Recipe(format=Format.ONNX, dynamic_batch=True, input_layout=Layout.NHWC, optimize=Optimize.BASIC),
        Recipe(format=Format.PTL, ptl_bytecode=5, optimize=Optimize.NONE),
    ]
    report = export(small_net(), small_spec(), recipes, output=tmp_path)
    assert report.passed, [outcome.reasons for outcome in report.outcomes]
    manifest = load_manifest(tmp_path / "small-net-optimize-basic-nhwc-dynamic-batch.onnx.json")
    assert manifest.inputs[0].shape == (-1, 16, 16, 3)
    assert manifest.recipe.opset == 17


def test_photos_join_the_comparison_but_not_the_golden_set(tmp_path: Path) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photos / "one.png")
    report = export(small_net(), small_spec(), ["ptl"], output=tmp_path / "out", images=str(photos))
    assert report.passed
    manifest = load_manifest(tmp_path / "out" / "small-net.ptl.json")
    golden = load_golden(tmp_path / "out" / manifest.golden.file, manifest.golden)
    assert "one.png" not in golden.labels
    with pytest.raises(UsageError, match="no images"):
        export(small_net(), small_spec(), ["ptl"], output=tmp_path / "other", images=tmp_path / "out")


def test_too_little_room_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = namedtuple("usage", "total used free")(100, 99, 1)
    monkeypatch.setattr("export.staging.shutil.disk_usage", lambda _: full)
    with pytest.raises(UsageError, match="not enough room"):
        export(small_net(), small_spec(), ["ptl"], output=tmp_path)
    assert list(tmp_path.iterdir()) == []


class Writes(SmallNet):
    """Writes into a list of tensors."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = self.stem(image)
        branch = self.blocks(stem)
        torch._foreach_mul_([branch], 0.5)
        return self.head((branch + stem).relu().mean((2, 3)))


class Normalised(SmallNet):
    """Ends in a normalisation that no product stands next to."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.BatchNorm1d(7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(super().forward(image).relu())


def exported_with(model: SmallNet, directory: Path, format: str = "onnx") -> ExportReport:
    model.load_state_dict(small_net().state_dict(), strict=False)
    return export(model.eval(), small_spec(), [format], output=directory)


def test_a_graph_that_no_pass_may_touch_says_so_wherever_it_is_told(tmp_path: Path) -> None:
    report = exported_with(Writes(), tmp_path)
    (outcome,) = report.outcomes
    assert (outcome.verdict, outcome.recipe.optimize) == ("passed", Optimize.FULL)
    assert {log.rewrites for log in outcome.passes} == {0}
    assert [log.name for log in outcome.passes if log.not_run is None] == ["functional_form"]
    assert "passes changed anything" in outcome.shortfalls[0]
    assert any("aten::_foreach_mul_ x 1" in line for line in outcome.shortfalls)
    manifest = load_manifest(tmp_path / "small-net.onnx.json")
    assert (manifest.passes, manifest.shortfalls()) == (outcome.passes, outcome.shortfalls)
    assert verify(tmp_path)[0].shortfalls == outcome.shortfalls


def test_a_pass_refused_at_one_place_names_it(tmp_path: Path) -> None:
    (outcome,) = exported_with(Normalised(), tmp_path).outcomes
    assert outcome.verdict == "passed"
    assert outcome.shortfalls == ("fold_batch_norm left aten::batch_norm x 1: no product stands next to it (in last)",)


def test_a_delegate_that_takes_nothing_is_said(tmp_path: Path) -> None:
    class Sums(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.cumsum(1)

    recipe = Recipe(format=Format.PTE, optimize=Optimize.NONE)
    spec = small_spec()
    spec = replace(spec, task=Task.FEATURES, num_classes=None, outputs=(replace(spec.inputs[0], name="sums"),))
    (outcome,) = export(Sums().eval(), spec, [recipe], output=tmp_path).outcomes
    assert outcome.verdict == "passed", outcome.reasons
    assert outcome.delegation is not None and outcome.delegation.delegated == 0
    assert outcome.shortfalls[0] == f"XnnpackBackend took none of the {outcome.delegation.total} operators"


def test_what_went_as_asked_has_no_shortfall(tmp_path: Path) -> None:
    recipes = [Recipe(format=Format.ONNX), Recipe(format=Format.PTL, optimize=Optimize.NONE)]
    report = export(small_net(), small_spec(), recipes, output=tmp_path)
    assert [outcome.shortfalls for outcome in report.outcomes] == [(), ()]


def test_seconds_are_the_time_that_each_format_took(tmp_path: Path) -> None:
    began_s = time.perf_counter()
    report = export(small_net(), small_spec(), ["ptl", "onnx"], output=tmp_path)
    took_s = time.perf_counter() - began_s
    missing = export(OnnxCannot(), small_spec(), ["onnx"], output=tmp_path / "other")
    assert all(0 < each.seconds <= took_s for each in report.outcomes), took_s
    assert missing.outcomes[0].verdict == "error"
    assert 0 < missing.outcomes[0].seconds < time.perf_counter() - began_s - took_s


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_slow_converters_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def convert(name: str) -> str:
        for word in ("begins", "ends"):
            with log.open("a") as file:
                file.write(f"{name} {word}\n")
            time.sleep(0.1)
        return name

    started = [
        SideProcess(partial(_in_turn, tmp_path / "turn", partial(convert, name)), tmp_path / name, name, forked=True)
        for name in ("one", "other")
    ]
    assert [side.result() for side in started] == ["one", "other"]
    lines = log.read_text().splitlines()
    assert [line.split()[0] for line in lines] in (["one"] * 2 + ["other"] * 2, ["other"] * 2 + ["one"] * 2)


def test_exports_of_two_threads_take_turns(tmp_path: Path) -> None:
    passed: dict[int, bool] = {}

    def run(number: int) -> None:
        passed[number] = export(small_net(), small_spec(), ["onnx"], output=tmp_path / str(number)).passed

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == {0: True, 1: True}
