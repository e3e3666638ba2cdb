"""``doctor``: what can be done here, and what to install for the rest."""

import json
from pathlib import Path

import pytest
from broken_runtime import install_for_another_numpy

from edgevit.errors import MissingDependencyError
from edgevit.installation import install_extra, install_packages
from edgevit.sources import timm_installed
from edgevit_export.__main__ import run
from runtimes.sessions import table


def test_doctor_tells_what_can_be_done(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    abilities = {ability["what"]: ability for ability in found["abilities"]}
    assert abilities["export onnx"]["able"] is True
    assert "torch" in found["packages"]
    for ability in abilities.values():
        assert ability["able"] or ability["install"]


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    real = table.find_spec
    monkeypatch.setattr(table, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    assert run(["doctor"]) == 0
    out = capfd.readouterr().out.splitlines()
    row, to = (line for line in out if "run and verify onnx" in line)
    assert "no" in row and "onnxruntime is not installed" in row
    assert (to, out[out.index(to) + 1]) == ("to run and verify onnx:", f"  {install_extra('verify')}")


def test_a_runtime_that_can_only_be_imported_is_no_ability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install_for_another_numpy(tmp_path, monkeypatch)
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    (ability,) = (row for row in found["abilities"] if row["what"] == "run and verify tflite")
    assert ability["able"] is False
    assert ability["reason"] == (
        "tflite-runtime is installed, but cannot be used: it was built for an older numpy: "
        "ImportError: numpy.core.multiarray failed to import"
    )
    assert ability["install"] == install_packages("numpy<2")


def test_timm_is_there_where_its_torchvision_fits(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def row() -> dict[str, object]:
        assert run(["doctor", "--json"]) == 0
        found = json.loads(capfd.readouterr().out)
        (ability,) = (row for row in found["abilities"] if row["what"] == "build timm's networks")
        return dict(ability)

    def missing() -> None:
        raise MissingDependencyError("cannot use timm's networks: torchvision is not installed", extra="timm")

    def broken() -> None:
        raise KeyError("half an update")

    for stands_in, able, reason in (
        (lambda: None, True, ""),
        (missing, False, "torchvision is not installed"),
        (broken, False, "timm is broken: KeyError: 'half an update'"),
    ):
        monkeypatch.setattr(timm_installed, "timm_module", stands_in)
        found = row()
        assert (found["able"], found["reason"], bool(found["install"])) == (able, reason, not able)
