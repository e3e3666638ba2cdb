"""Verification end to end on real artifacts; every kind of damage must fail, at the check that should see it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from small_artifacts import (
    corrupt_weight,
    edit_manifest,
    reference_of,
    reseal,
    small_net,
    small_spec,
    write_artifact,
    write_hostile,
)

from edgevit.errors import MissingDependencyError, SessionError
from edgevit.spec import Layout
from export.artifact import Manifest
from export.formats.table import read_artifact
from export.golden import load_golden, make_golden
from export.manifest import load_manifest
from export.recipe import Format, Precision
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session
from validation.artifact.checks import CheckStatus, VerifyReport, exit_code
from validation.artifact.limits import AllowedError, Limits
from validation.artifact.verify import KnownArtifact, verify_artifact

STEPS = ["manifest", "file", "checksum", "golden", "contents", "audit", "load", "parity", "record"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("built")
    for format in (Format.ONNX, Format.PTL, Format.TFLITE):
        write_artifact(directory / format, format)
    write_artifact(directory / "other", Format.ONNX, seed=1)
    write_artifact(directory / "dynamic", Format.ONNX, dynamic=True)
    write_artifact(directory / "nhwc", Format.PTL, batch=3, layout=Layout.NHWC)
    return directory


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of everything that may be damaged."""
    shutil.copytree(built, tmp_path / "artifacts")
    return tmp_path / "artifacts"


def manifest_in(directory: Path) -> Path:
    (path,) = directory.glob("*.json")
    return path


def verified(directory: Path, limits: Limits | None = None) -> VerifyReport:
    return verify_artifact(manifest_in(directory), opener=open_session, limits=limits)


def failed_at(report: VerifyReport) -> list[str]:
    assert not report.passed
    assert report.exit_code == 1
    assert all(check.details for check in report.failed_checks)
    return [check.name for check in report.failed_checks]


@pytest.mark.parametrize("name", ["onnx", "ptl", "tflite", "other", "dynamic", "nhwc"])
def test_sound_artifacts_pass_every_check(built: Path, name: str) -> None:
    report = verified(built / name)
    assert [(check.name, check.status) for check in report.checks] == [(step, "passed") for step in STEPS]
    assert (report.passed, report.exit_code) == (True, 0)
    assert report.parity is not None
    assert report.parity.inputs_compared == 18
    assert report.parity.summary().multiple < 8
    assert VerifyReport.from_json(report.to_json()) == report


@pytest.mark.parametrize("name", ["onnx", "ptl", "tflite"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove"])
def test_damaged_files_fail_and_are_never_opened(copy: Path, name: str, damage: str) -> None:
    path = manifest_in(copy / name)
    artifact = path.parent / Manifest.load(path).file
    data = bytearray(artifact.read_bytes())
    data[len(data) // 3] ^= 0x40
    {
        "truncate": lambda: artifact.write_bytes(data[: len(data) // 2]),
        "flip": lambda: artifact.write_bytes(data),
        "empty": lambda: artifact.write_bytes(b""),
        "remove": artifact.unlink,
    }[damage]()

    def refuse(*_: object, **__: object) -> Session:
        raise AssertionError("a damaged file was opened")

    report = verify_artifact(path, opener=refuse)
    assert failed_at(report) == ["checksum" if damage == "flip" else "file"]
    assert report.checks[-2].status is CheckStatus.SKIPPED


def test_a_swapped_file_fails(copy: Path) -> None:
    shutil.copy(copy / "other" / "small1.onnx", copy / "onnx" / "small0.onnx")
    assert failed_at(verified(copy / "onnx"))[0] in ("file", "checksum")


def test_a_swapped_file_with_a_mended_checksum_fails(copy: Path) -> None:
    shutil.copy(copy / "other" / "small1.onnx", copy / "onnx" / "small0.onnx")
    reseal(manifest_in(copy / "onnx"))
    report = verified(copy / "onnx")
    assert failed_at(report) == ["contents"]
    assert any("spec.name is 'small0' in the manifest, but 'small1'" in text for text in report.checks[4].details)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_changed_weight_with_a_mended_checksum_fails_at_its_layer(copy: Path, name: str) -> None:
    path = manifest_in(copy / name)
    weight = small_net().state_dict()["blocks.1.expand.bias"].numpy()
    corrupt_weight(path.parent / Manifest.load(path).file, weight, 3, 0.5)
    reseal(path)
    report = verified(copy / name)
    assert failed_at(report) == ["parity"]
    assert report.divergence is not None
    assert report.divergence.module == "blocks.1.expand"
    text = "\n".join(report.failed_checks[0].details)
    assert "worst input: " in text
    assert "where they part: on natural-" in text


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"sha256": "0" * 64}, "checksum"),
        ({"bytes": 5}, "file"),
        ({"file": "../onnx/small0.onnx"}, "manifest"),
        ({"schema_version": 99}, "manifest"),
        ({"golden__sha256": "0" * 64}, "golden"),
        ({"golden__yardstick": {"logits": 1.0}}, "golden"),
        ({"golden__inputs": 16}, "golden"),
        ({"operators": []}, "contents"),
        ({"requires": "ONNX Runtime >= 1.0 (opset 17, IR 8)"}, "contents"),
        ({"spec__labels": ["a"] * 7}, "contents"),
        ({"audit": {"passed": False, "violations": ["x"]}}, "record"),
        ({"spec__variant": "large"}, "contents"),
        ({"recipe__optimize": "none"}, "contents"),
        ({"recipe__opset": 16}, "contents"),
        ({"recipe__format": "tflite"}, "contents"),
    ],
)
def test_an_edited_manifest_fails_at_the_check_that_sees_it(copy: Path, changes: dict[str, object], check: str) -> None:
    edit_manifest(manifest_in(copy / "onnx"), **changes)
    assert failed_at(verified(copy / "onnx"))[0] == check


def test_a_delegation_without_a_recorded_comparison_fails_in_words(copy: Path) -> None:
    path = manifest_in(copy / "tflite")
    total = sum(operator.count for operator in load_manifest(path).operators)
    recorded = {"delegate": "XNNPACK of x", "delegated": 1, "total": total, "partitions": 1, "left": ["y"]}
    edit_manifest(path, parity=None, delegation=recorded)
    report = verified(copy / "tflite")
    assert failed_at(report) == ["record"]
    assert "'XNNPACK of x', but parity in ''" in report.failed_checks[0].details[0]


def test_inputs_renamed_in_the_manifest_fail_in_reader_and_runtime(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    inputs = json.loads(path.read_text())["inputs"]
    inputs[0]["name"] = "photo"
    edit_manifest(path, inputs=inputs)
    report = verified(copy / "onnx")
    assert failed_at(report) == ["contents"]
    assert "photo" in report.failed_checks[0].details[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', "\x00"])
def test_an_unreadable_manifest_fails(tmp_path: Path, text: str) -> None:
    path = tmp_path / "small.json"
    path.write_text(text)
    report = verify_artifact(path, opener=open_session)
    assert failed_at(report) == ["manifest"]
    assert report.file == "small.json"
    missing = verify_artifact(tmp_path / "none.json", opener=open_session)
    assert failed_at(missing) == ["manifest"]


def test_a_golden_set_with_a_yardstick_that_cannot_be_fails(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    golden_path = path.parent / "small0.npz"
    dataclasses.replace(load_golden(golden_path), yardstick={"logits": 10.0}).save(golden_path)
    reseal(path)
    edit_manifest(path, golden__yardstick={"logits": 10.0})
    report = verified(copy / "onnx")
    assert failed_at(report) == ["golden"]
    assert "cannot be the error of float32" in report.failed_checks[0].details[0]


def test_a_golden_set_of_another_model_fails(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    golden = make_golden(small_net(1), small_spec())
    golden.save(path.parent / "small0.npz")
    reseal(path)
    edit_manifest(path, golden__yardstick=dict(golden.yardstick))
    assert failed_at(verified(copy / "onnx")) == ["parity"]


def test_a_broken_golden_file_fails_and_the_rest_is_still_checked(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    (path.parent / "small0.npz").write_bytes(b"PK nothing")
    reseal(path)
    report = verified(copy / "onnx")
    assert failed_at(report) == ["golden"]
    assert [check.status.value for check in report.checks] == [
        *["passed"] * 3, "failed", *["passed"] * 3, "skipped", "passed"
    ]  # fmt: skip


def test_extra_inputs_are_compared_against_the_reference_itself(copy: Path) -> None:
    """Artifact, golden set and manifest of another network that agree with each other: only the reference tells."""
    images = np.random.default_rng(5).normal(size=(2, 3, 16, 16)).astype(np.float32)
    path = manifest_in(copy / "onnx")
    honest = reference_of(small_net(0), images)
    report = verify_artifact(path, opener=open_session, extra=honest)
    assert report.passed
    assert report.parity_extra is not None
    assert report.parity_extra.inputs_compared == 2
    forged = verify_artifact(manifest_in(copy / "other"), opener=open_session, extra=honest)
    assert failed_at(forged) == ["parity-extra"]
    assert forged.parity is not None
    assert forged.parity.passed


def test_the_extra_yardstick_is_never_smaller_than_the_golden_one(copy: Path) -> None:
    images = np.random.default_rng(5).normal(size=(1, 3, 16, 16)).astype(np.float32)
    lucky = dataclasses.replace(reference_of(small_net(0), images), yardstick={"logits": 1e-12})
    report = verify_artifact(manifest_in(copy / "onnx"), opener=open_session, extra=lucky)
    assert report.passed


def test_a_missing_runtime_is_not_a_pass(built: Path) -> None:
    def absent(path: Path, format: Format, *, threads: int = 1) -> Session:
        raise MissingDependencyError("cannot run onnx: onnxruntime is not installed", hint="pip install onnxruntime")

    report = verify_artifact(manifest_in(built / "onnx"), opener=absent)
    assert (report.passed, report.exit_code) == (False, 3)
    (missing,) = [check for check in report.checks if check.status is CheckStatus.MISSING]
    assert missing.name == "load"
    assert "pip install onnxruntime" in missing.details[0]
    assert exit_code([report, verified(built / "ptl")]) == 3


def test_a_runtime_that_refuses_fails_and_one_that_crashes_raises(built: Path) -> None:
    def refusing(path: Path, format: Format, *, threads: int = 1) -> Session:
        raise SessionError("cannot load")

    def crashing(path: Path, format: Format, *, threads: int = 1) -> Session:
        raise ZeroDivisionError

    path = manifest_in(built / "onnx")
    assert failed_at(verify_artifact(path, opener=refusing)) == ["load"]
    with pytest.raises(ZeroDivisionError):
        verify_artifact(path, opener=crashing)


def test_impossible_limits_fail(built: Path) -> None:
    assert failed_at(verified(built / "ptl", Limits(atol=0.0))) == ["parity"]
    assert verified(built / "ptl", Limits(strict=True)).passed


def test_one_that_fails_does_not_stop_the_others(copy: Path) -> None:
    edit_manifest(manifest_in(copy / "onnx"), bytes=1)
    paths = [manifest_in(copy / name) for name in ("onnx", "ptl", "tflite")]
    reports = [verify_artifact(path, opener=open_session) for path in paths]
    assert [report.passed for report in reports] == [False, True, True]
    assert exit_code(reports) == 1
    assert exit_code(reports[1:]) == 0
    assert exit_code([]) == 1


def verified_without(modules: tuple[str, ...], manifest: Path) -> VerifyReport:
    code = (
        "import sys\n"
        f"for name in {modules!r}: sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from runtimes.sessions.table import open_session\n"
        "from validation.artifact.verify import verify_artifact\n"
        f"report = verify_artifact(Path({str(manifest)!r}), opener=open_session)\n"
        "print(report.to_json())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return VerifyReport.from_json(done.stdout)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_it_works_without_torch_and_converters(built: Path, name: str) -> None:
    report = verified_without(("torch", "onnx", "onnxsim", "onnxscript", "litert_torch"), manifest_in(built / name))
    assert report.passed
    assert all(check.status is CheckStatus.PASSED for check in report.checks)


def test_a_hostile_file_is_never_run(copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "victim"
    target.write_bytes(bytes(16))
    path = manifest_in(copy / "ptl")
    write_hostile(path, target)
    report = verify_artifact(path, opener=open_session)
    assert failed_at(report) == ["audit"]
    assert "aten::from_file" in report.failed_checks[0].details[0]
    assert [check.status for check in report.checks[-3:-1]] == [CheckStatus.SKIPPED] * 2
    with pytest.raises(SessionError, match=r"aten::from_file.*opens files"):
        open_session(path.parent / Manifest.load(path).file, Format.PTL)
    assert target.read_bytes() == bytes(16)


def known(path: Path) -> KnownArtifact:
    manifest = load_manifest(path)
    facts = read_artifact(path.parent / manifest.file, manifest.recipe.format)
    return KnownArtifact(manifest, facts, load_golden(path.parent / manifest.golden.file))


def same(report: VerifyReport) -> VerifyReport:
    """The report without the times."""
    checks = tuple(replace(check, seconds=0.0) for check in report.checks)
    return replace(report, checks=checks, started_utc="")


def test_what_is_known_in_memory_is_judged_alike_and_read_from_no_file(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from validation.artifact import verify

    path = manifest_in(copy / "onnx")
    from_disk = verify_artifact(path, opener=open_session)
    in_memory = known(path)
    path.unlink()
    (path.parent / in_memory.manifest.golden.file).unlink()
    for reader in ("load_manifest", "sha256_file", "load_golden", "read_artifact"):
        monkeypatch.setattr(verify, reader, None)
    assert same(verify_artifact(path, opener=open_session, known=in_memory)) == same(from_disk)


def test_an_artifact_in_memory_whose_audit_fails_is_never_opened(copy: Path, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> Session:
        raise AssertionError("a file whose audit failed was opened")

    path = manifest_in(copy / "ptl")
    write_hostile(path, tmp_path / "victim")
    assert failed_at(verify_artifact(path, opener=refuse, known=known(path))) == ["audit"]


def test_the_limits_are_those_of_the_recipes_precision(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = manifest_in(copy / "onnx")
    monkeypatch.setattr("validation.artifact.limits.ALLOWED", AllowedError(default=0.0, strict=0.0))
    report = verify_artifact(path, opener=open_session)
    assert failed_at(report) == ["parity"]
    assert report.parity is not None and report.parity.limits.precision is Precision.FP32


def test_seconds_are_the_time_that_each_check_took(copy: Path) -> None:
    began_s = time.perf_counter()
    report = verify_artifact(manifest_in(copy / "onnx"), opener=open_session)
    took_s = time.perf_counter() - began_s
    seconds = [check.seconds for check in report.checks]
    assert min(seconds) > 0
    assert sum(seconds) <= took_s


def test_a_golden_set_of_one_black_input_fails(copy: Path) -> None:
    path = manifest_in(copy / "onnx")
    golden = load_golden(path.parent / "small0.npz")
    golden[12:13].save(path.parent / "small0.npz")
    reseal(path)
    edit_manifest(path, golden__inputs=1)
    report = verified(copy / "onnx")
    assert failed_at(report) == ["golden"]
    assert report.parity is None


def test_what_contradicts_its_manifest_is_not_opened(copy: Path) -> None:
    def refuse(*_: object, **__: object) -> Session:
        raise AssertionError("a file that contradicts its manifest was opened")

    path = manifest_in(copy / "ptl")
    edit_manifest(path, requires="PyTorch Mobile >= 1.0")
    assert failed_at(verify_artifact(path, opener=refuse)) == ["contents"]
