"""``doctor``: what can be done here, and what to install for the rest."""

import json

import pytest

from edgevit.installation import install_extra
from edgevit_export.__main__ import run


def test_doctor_tells_what_can_be_done(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    abilities = {ability["what"]: ability for ability in found["abilities"]}
    assert abilities["export onnx"]["able"] is True
    assert "torch" in found["packages"]
    for ability in abilities.values():
        assert ability["able"] or ability["install"]


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from edgevit_export.commands import doctor as doctor_command

    real = doctor_command.find_spec
    monkeypatch.setattr(doctor_command, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    assert run(["doctor"]) == 0
    out = capfd.readouterr().out.splitlines()
    row, to = (line for line in out if "run and verify onnx" in line)
    assert "no" in row and "onnxruntime not installed" in row
    assert (to, out[out.index(to) + 1]) == ("to run and verify onnx:", f"  {install_extra('verify')}")
