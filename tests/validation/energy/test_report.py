"""Energy reports as JSON, those of earlier versions included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport


@pytest.mark.parametrize("scenario", ["buried", "clean", "other-process"])
def test_records_survive_json_without_nan(scenario: str, tmp_path: Path) -> None:
    made = simulate(scenario_named(scenario), 1)
    report = analyze_energy(made.trace, stamps=made.stamps)
    report.save(tmp_path / "r.json")
    assert EnergyReport.load(tmp_path / "r.json") == report
    assert "NaN" not in (tmp_path / "r.json").read_text()


def test_names_in_json_are_those_of_the_first_version() -> None:
    made = simulate(scenario_named("other-process"), 1)
    report = analyze_energy(made.trace, stamps=made.stamps)
    saved = json.loads(report.to_json())
    assert report.aligned is not None and report.background is not None
    assert saved["aligned"]["foreign"] == list(report.aligned.disturbed) != []
    assert saved["aligned"]["void"] == list(report.aligned.incomplete)
    assert saved["background"]["bend_mw"] == report.background.max_off_line_mw
    old = dict(saved, aligned=dict(saved["aligned"], void=[3], foreign=[]))
    read = EnergyReport.from_json(json.dumps(old)).aligned
    assert read is not None and (read.incomplete, read.disturbed) == ((3,), ())
