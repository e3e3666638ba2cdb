"""Energy reports as rows of a table."""

from __future__ import annotations

from validation.energy.report import EnergyReport

ENERGY_COLUMNS = (
    "artifact",
    "threads",
    "runs",
    "energy mJ",
    "± sd",
    "with tail",
    "power mW",
    "time ms",
    "top-1/mJ",
    "verdict",
)
ENERGY_RIGHT = ENERGY_COLUMNS[1:-1]


def energy_row(report: EnergyReport) -> tuple[str, ...]:
    """One row of the table; a dash where there is no figure."""
    subject = report.subject

    def text(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    return (
        subject.artifact if subject else "-",
        str(subject.threads) if subject else "-",
        str(report.inferences),
        text(report.energy_mj, 2),
        text(report.energy_sd_mj, 2),
        text(report.energy_with_tail_mj, 2),
        text(report.power_mw, 0),
        text(report.duration_ms, 2),
        text(report.efficiency_percent_per_mj, 3),
        report.verdict,
    )
