"""Energy reports as text: no figure without its uncertainty, nothing wider than 80 columns, no broken number."""

from __future__ import annotations

import msgspec
import pytest
from report_records import energy_of

from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from validation.energy.analysis import analyze_energy
from validation.energy.report import Check, EnergyReport, WholeBurst
from validation.energy.tables import (
    CHECK_COLUMNS,
    ENERGY_COLUMNS,
    ENERGY_RIGHT,
    METHOD_COLUMNS,
    check_rows,
    energy_table,
    fact_lines,
    figure_lines,
    half_mj,
    headline,
    method_rows,
    methods_note,
    number,
    verdict_line,
    with_uncertainty,
)

BETWEEN_COLUMNS = 3


@pytest.fixture(scope="module")
def two_lengths() -> EnergyReport:
    made = simulate(scenario_named("two-lengths-tail"), 0)
    return analyze_energy(made.trace, stamps=made.stamps, top1_percent=81.0)


@pytest.fixture(scope="module")
def plain() -> EnergyReport:
    made = simulate(scenario_named("ramp-tail"), 0)
    return analyze_energy(made.trace, stamps=made.stamps)


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (101.904, 0.252, "101.90 ± 0.25"),
        (101.904, 0.354, "101.90 ± 0.35"),
        (101.904, 0.36, "101.9 ± 0.4"),
        (101.904, 0.3, "101.90 ± 0.30"),
        (1701.4, 4.51, "1701 ± 5"),
        (1701.4, 23.0, "1701 ± 23"),
        (-6.23, 2.31, "-6.2 ± 2.3"),
        (0.012345, 0.00021, "0.0123 ± 0.0002"),
        (0.012345, 0.00002, "0.01235 ± 0"),
        (8.5612e8, 1.24e6, "8.6e8 ± 1240000"),
        (8.5612e12, 1.24e10, "8.6e12 ± 1.2e10"),
        (3.0, 120.0, "3 ± 120"),
        (5.0, 0.0, "5 ± 0"),
        (101.904, None, "101.9"),
        (101.904, float("nan"), "101.9"),
        (None, 1.0, "-"),
        (float("nan"), 1.0, "-"),
    ],
)
def test_a_figure_is_rounded_where_its_uncertainty_ends(value: float | None, half: float | None, text: str) -> None:
    assert with_uncertainty(value, half) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (4.4e-10, "0"), (1000.0, "1000"), (1e5, "100000"), (25.682, "25.68"), (5.5, "5.5"),
        (0.0164752, "0.01648"), (-0.0376, "-0.0376"), (280.0, "280"), (1e-5, "0.00001"),
        (8.56e8, "8.6e8"), (-8.56e12, "-8.6e12"), (float("nan"), "-"), (float("inf"), "-"),
    ],
)  # fmt: skip
def test_a_number_has_four_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_every_figure_is_printed_with_its_uncertainty(two_lengths: EnergyReport) -> None:
    report = two_lengths
    energy = with_uncertainty(report.energy_mj, report.uncertainty_mj)
    assert headline(report) == f"energy per inference: {energy} mJ (95 %), {report.verdict}"
    overhead, control, efficiency = figure_lines(report)
    assert with_uncertainty(report.overhead_mj, report.overhead_uncertainty_mj) in overhead
    assert with_uncertainty(report.control_mj, report.control_uncertainty_mj) in control
    assert report.uncertainty_mj is not None and report.energy_mj is not None
    relative = report.uncertainty_mj / report.energy_mj
    assert with_uncertainty(81.0 / report.energy_mj, 81.0 / report.energy_mj * relative) in efficiency
    for row in method_rows(report):
        cells = dict(zip(METHOD_COLUMNS, row, strict=True))
        assert all(" ± " in cells[name] for name in ("energy mJ", "power mW", "time ms"))
    assert " ± " in next(line for line in fact_lines(report) if line.startswith("tail:"))
    assert "overhead shared out" in methods_note(report)


def test_energy_with_its_tail_is_as_uncertain_as_both(plain: EnergyReport) -> None:
    assert plain.tail is not None and plain.tail.tail_uncertainty_mj is not None
    (tail,) = [line for line in fact_lines(plain) if line.startswith("tail:")]
    assert plain.energy_with_tail_mj is not None and plain.uncertainty_mj is not None
    half = (plain.uncertainty_mj**2 + plain.tail.tail_uncertainty_mj**2) ** 0.5
    assert f"{with_uncertainty(plain.energy_with_tail_mj, half)} mJ with it" in tail


def test_the_uncertainty_of_a_tail_covers_what_is_really_in_it(plain: EnergyReport) -> None:
    truth = simulate(scenario_named("ramp-tail"), 0).truth
    assert plain.tail is not None and plain.tail.tail_mj is not None and plain.tail.tail_uncertainty_mj is not None
    assert abs(plain.tail.tail_mj - (truth.total_mj - truth.active_mj)) < 2 * plain.tail.tail_uncertainty_mj


def test_the_figures_own_method_has_the_figures_uncertainty(plain: EnergyReport) -> None:
    alone = msgspec.structs.replace(
        plain, method="regions", aligned=None, energy_mj=plain.regions.energy_mean_mj if plain.regions else None,
        uncertainty_mj=1.1,
    )  # fmt: skip
    for report in (plain, alone):
        (row,) = [row for row in method_rows(report) if row[0] == report.method]
        assert f"energy per inference: {row[2]} mJ" in headline(report)


def test_regions_and_windows_have_an_interval_of_their_own(plain: EnergyReport) -> None:
    """That of the regions is as wide as the figure's: both see the same inferences."""
    assert plain.regions is not None and plain.regions.energy_uncertainty_mj is not None
    assert plain.uncertainty_mj is not None
    assert 0.4 < plain.regions.energy_uncertainty_mj / plain.uncertainty_mj < 2.5
    assert plain.regions.power_uncertainty_mw == pytest.approx(plain.regions.power_sd_mw * 2.01 / 50**0.5, rel=0.01)


@pytest.mark.parametrize("name", ["two_lengths", "plain"])
def test_nothing_but_reasons_is_wider_than_80_columns(name: str, request: pytest.FixtureRequest) -> None:
    report: EnergyReport = request.getfixturevalue(name)
    counted = [line for line in fact_lines(report) if line.startswith("counted:")]
    lines = {headline(report), *figure_lines(report), *fact_lines(report), methods_note(report), verdict_line(report)}
    assert [line for line in lines - set(counted) if len(line) > 80] == []
    for columns, rows in ((METHOD_COLUMNS, method_rows(report)), (CHECK_COLUMNS, check_rows(report.checks))):
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        assert sum(widths) + BETWEEN_COLUMNS * (len(widths) - 1) <= 80


def test_checks_are_listed_with_value_limit_and_whether_they_hold() -> None:
    checks = (
        Check(name="drift", value=2.0253, limit=200.0, unit="ppm", passed=True),
        Check(name="slow meter", value=40.6, limit=35.0, unit="%", passed=True),
        Check(name="place", value=3.0, limit=5.5, bound="at least", unit="sigma", passed=False, reason="elsewhere"),
        Check(name="clock", value=None, limit=1.6, unit="ms", passed=False, reason="no step"),
    )
    assert check_rows(checks) == [
        ("drift", "2.025", "at most 200", "ppm", "yes"),
        ("slow meter", "40.6", "at most 35", "%", "yes*"),
        ("place", "3", "at least 5.5", "sigma", "no"),
        ("clock", "unknown", "at most 1.6", "ms", "no"),
    ]
    report = msgspec.structs.replace(energy_of("a.onnx", 1.0, verified=False), checks=checks)
    assert verdict_line(report) == "verdict: unverified, 2 of 4 checks failed"
    assert verdict_line(msgspec.structs.replace(report, verdict="verified", checks=checks[:2])).endswith(
        "all 2 checks passed"
    )


def test_a_report_without_a_figure_says_so(plain: EnergyReport) -> None:
    assert plain.regions is not None
    nothing = msgspec.structs.replace(plain.regions, found=49, energies_mj=(), durations_ms=())
    report = msgspec.structs.replace(
        plain, energy_mj=None, uncertainty_mj=None, interval_mj=None, verdict="unverified", aligned=None,
        regions=nothing,
    )  # fmt: skip
    assert headline(report) == "energy per inference: unknown, unverified"
    assert method_rows(report) == [("regions", "49 of 50", "-", "-", "-", "-")]


def test_a_whole_run_has_the_uncertainty_of_its_interval() -> None:
    whole = WholeBurst(seconds=60.0, energy_mj=100.0, expected_mj=100.0, deviation=0.0)
    report = msgspec.structs.replace(
        energy_of("a.onnx", 100.0, verified=False), method="whole run", interval_mj=(98.0, 102.0), power_mw=2000.0,
        duration_ms=50.0, whole=whole,
    )  # fmt: skip
    assert half_mj(report) == 2.0
    assert method_rows(report) == [("whole run", "-", "100.0 ± 2.0", "-", "2000 ± 40", "50")]


def test_rows_of_several_artifacts_say_what_the_reports_say(two_lengths: EnergyReport) -> None:
    bare = energy_of("a.onnx", 101.904)
    columns, (row,) = energy_table([bare])
    assert columns == ("artifact", "threads", "energy mJ", "verdict")
    assert row == ("a.onnx", "1", "101.9", "verified")
    assert bare.subject is not None
    full = msgspec.structs.replace(two_lengths, subject=msgspec.structs.replace(bare.subject, precision="int8 static"))
    columns, rows = energy_table([full, msgspec.structs.replace(bare, uncertainty_mj=0.252)])
    assert columns == ENERGY_COLUMNS
    cells = dict(zip(columns, rows[0], strict=True))
    assert cells["per burst mJ"] == with_uncertainty(full.overhead_mj, full.overhead_uncertainty_mj)
    assert " ± " in cells["energy mJ"] and " ± " in cells["top-1 %/mJ"]
    assert cells["precision"] == "int8 static"
    assert rows[1] == ("a.onnx", "-", "1", "101.90 ± 0.25", "-", "-", "verified")
    assert set(ENERGY_COLUMNS) - set(ENERGY_RIGHT) == {"artifact", "precision", "verdict"}
    unknown = energy_table([msgspec.structs.replace(bare, energy_mj=None)])[1]
    assert unknown == [("a.onnx", "1", "-", "verified")]
