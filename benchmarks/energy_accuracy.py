"""How right the energy analysis is on traces with exactly known energy; prints a Markdown table.

    python benchmarks/energy_accuracy.py [SEEDS]

Errors are of the mean energy per inference against the simulator's truth: the median and the largest over the seeds.
"with tails" compares the figure that includes tails with all that the inferences caused. "wrong" counts verified
reports whose figure is more than 3 % (1 % in quiet scenarios) off what an inference itself draws in its window.
"""

from __future__ import annotations

import sys

import numpy as np

from runtimes.power.scenarios import HARD, TABLE, Scenario
from runtimes.power.simulate import simulate
from validation.energy.analysis import analyze_energy

HEADING = (
    "scenario", "regions: exactly 50", "regions: error %", "aligned: error %", "with tails: error %",
    "whole burst: error %", "verified", "wrong",
)  # fmt: skip


def row(scenario: Scenario, seeds: int) -> tuple[str, ...]:
    """One line of the table."""
    exact = verified = wrong = 0
    errors: dict[str, list[float]] = {"regions": [], "aligned": [], "tails": [], "whole": []}
    for seed in range(seeds):
        made = simulate(scenario, seed)
        truth, report = made.truth, analyze_energy(made.trace, stamps=made.stamps)
        assert report.energy_mj and report.energy_with_tail_mj and report.regions and report.whole
        errors["aligned"].append(report.energy_mj / truth.window_mj - 1)
        errors["tails"].append(report.energy_with_tail_mj / truth.total_mj - 1)
        errors["whole"].append(report.whole.energy_mj / truth.total_mj - 1)
        if report.regions.found == scenario.runs:
            exact += 1
            errors["regions"].append(report.regions.energy_mean_mj / truth.window_mj - 1)
        if report.passed:
            verified += 1
            wrong += abs(report.energy_mj / truth.active_mj - 1) > (0.01 if scenario.quiet else 0.03)
    return (
        f"{scenario.name}: {scenario.summary}", f"{exact} of {seeds}", *(_error(errors[key]) for key in errors),
        f"{verified} of {seeds}", str(wrong),
    )  # fmt: skip


def _error(values: list[float]) -> str:
    if not values:
        return "-"
    percent = 100 * np.abs(values)
    return f"{np.median(percent):.2f} / {percent.max():.2f}"


def main() -> None:
    """Print the table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for scenarios in (TABLE, HARD):
        print("| " + " | ".join(HEADING) + " |")
        print("|---" * len(HEADING) + "|")
        for scenario in scenarios:
            print("| " + " | ".join(row(scenario, seeds)) + " |", flush=True)
        print()


if __name__ == "__main__":
    main()
