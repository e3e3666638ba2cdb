"""A real .ptl that writes a file when it is run, and one that does so when it is loaded: through every door."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_artifacts import Restored, reseal, small_net, small_spec, write_artifact, write_hostile
from typer.testing import CliRunner, Result

from edgevit.errors import ArtifactError, EdgevitExportError, SessionError
from edgevit_export import export
from edgevit_export.app import app
from export.formats.ptl_file import write as ptl_writer
from export.formats.table import read_artifact
from export.recipe import Format, Recipe
from runtimes.sessions.table import open_session
from validation.artifact.audit import audit

ZEROS = bytes(16)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a sound artifact, its golden set and manifest."""
    return write_artifact(tmp_path_factory.mktemp("sound"), Format.PTL).parent


def when_run(manifest: Path, victim: Path) -> None:
    write_hostile(manifest, victim)


def when_loaded(manifest: Path, victim: Path) -> None:
    """The manifest lists what the sound file had: the file cannot even be read."""
    restored = torch.jit.script(Restored(str(victim)).eval())
    restored._save_for_lite_interpreter(str(manifest.with_suffix("")))
    reseal(manifest)


@pytest.fixture(params=[when_run, when_loaded])
def hostile(
    request: pytest.FixtureRequest, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """The hostile file beside its manifest, and the file that it writes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(ZEROS)
    manifest = next(Path(shutil.copytree(sound, tmp_path / "artifacts")).glob("*.ptl.json"))
    attack: Callable[[Path, Path], None] = request.param
    attack(manifest, victim)
    victim.write_bytes(ZEROS)
    return manifest.with_suffix(""), victim


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_attack_is_one(hostile: tuple[Path, Path]) -> None:
    """torch itself loads and runs the file, and the victim is written."""
    from torch.jit.mobile import _load_for_lite_interpreter

    artifact, victim = hostile
    _load_for_lite_interpreter(str(artifact))(torch.zeros(1, 3, 16, 16))
    assert victim.read_bytes() != ZEROS


def test_verify_fails(hostile: tuple[Path, Path]) -> None:
    artifact, victim = hostile
    for target in (artifact, artifact.parent):
        result = invoke("verify", target)
        assert result.exit_code == 1, result.output
        assert "aten::from_file" in result.output or "would run while the file is being loaded" in result.output
    assert victim.read_bytes() == ZEROS


def test_verify_against_a_reference_fails(hostile: tuple[Path, Path], sound: Path) -> None:
    artifact, victim = hostile
    result = invoke("verify", artifact, "--reference", next(sound.glob("*.ptl")))
    assert result.exit_code == 1, result.output
    assert victim.read_bytes() == ZEROS


def test_inspect_opens_nothing(hostile: tuple[Path, Path]) -> None:
    artifact, victim = hostile
    result = invoke("inspect", artifact)
    if result.exit_code:
        assert isinstance(result.exception, ArtifactError)
    else:
        assert "aten::from_file" in result.output
    assert victim.read_bytes() == ZEROS


@pytest.mark.parametrize("lonely", [False, True])
@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--energy", "simulated")])
def test_bench_and_energy_refuse_it_before_any_device(
    hostile: tuple[Path, Path], lonely: bool, options: tuple[str, ...]
) -> None:
    """With and without a manifest that agrees with it."""
    artifact, victim = hostile
    if lonely:
        artifact = artifact.rename(artifact.parent.parent / artifact.name)
    result = invoke("bench", artifact, "--device", "host", "--runs", "2", "--rounds", "1", *options)
    assert isinstance(result.exception, EdgevitExportError), result.output
    assert isinstance(result.exception, ArtifactError) or "simulated" in str(result.exception)
    assert victim.read_bytes() == ZEROS


def test_a_session_refuses_it_itself_as_on_a_device(hostile: tuple[Path, Path]) -> None:
    """The runner for devices opens files by this very function."""
    artifact, victim = hostile
    with pytest.raises(SessionError):
        open_session(artifact, Format.PTL)
    with pytest.raises(SessionError):
        open_session(artifact, Format.PTL, inputs=small_spec().inputs)
    assert victim.read_bytes() == ZEROS


def test_no_export_commits_it(hostile: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the converter had been tampered with."""
    artifact, victim = hostile
    data = artifact.read_bytes()
    monkeypatch.setattr(ptl_writer, "write", lambda _program, _recipe, path: path.write_bytes(data))
    report = export(small_net(), small_spec(), [Format.PTL], output=tmp_path / "out", side_by_side=False)
    assert not report.passed
    assert not list((tmp_path / "out").glob("*.ptl"))
    assert victim.read_bytes() == ZEROS


def test_the_audit_names_it(sound: Path, tmp_path: Path) -> None:
    manifest = next(Path(shutil.copytree(sound, tmp_path / "artifacts")).glob("*.ptl.json"))
    write_hostile(manifest, tmp_path / "victim")
    found = audit(read_artifact(manifest.with_suffix(""), Format.PTL), Recipe(format=Format.PTL))
    assert any("aten::from_file" in violation and "it opens files" in violation for violation in found.violations)


class Counts(torch.nn.Module):
    """A sound network until its fourth call."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_net().eval()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return self.net(image) + torch.relu(self.calls - 3) * 1000


def counting_ptl(path: Path) -> None:
    torch.jit.script(Counts().eval())._save_for_lite_interpreter(str(path))


def counting_pte(path: Path) -> None:
    from executorch.exir import to_edge

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of buffers that change
        exported = torch.export.export(Counts().eval(), (torch.zeros(1, 3, 16, 16),))
        path.write_bytes(to_edge(exported).to_executorch().buffer)


@pytest.mark.parametrize("make", [counting_ptl, counting_pte])
def test_a_file_that_keeps_a_state_fails_and_is_not_run(
    make: Callable[[Path], None], sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / f"counts.{make.__name__[-3:]}"
    make(path)
    result = invoke("verify", path, "--reference", next(sound.glob("*.ptl")), "--json")
    assert result.exit_code == 1, result.output
    (artifact,) = json.loads(result.stdout)["artifacts"]
    found = {check["name"]: check for check in artifact["checks"]}
    assert "a second call" in str(found["contents"]) or "a state from call to call" in str(found["contents"])
    assert found["contents"]["status"] == "failed"
    assert all(found[name]["status"] == "skipped" for name in ("load", "parity") if name in found)
