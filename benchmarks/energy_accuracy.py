"""How right the energy analysis is on the simulator's scenarios; prints a Markdown table.

    python benchmarks/energy_accuracy.py [SEEDS]

Errors are of the mean energy per inference against the simulator's truth: the median and the largest over the seeds.
With bursts of two lengths the truth is what one more inference draws. "covered" counts intervals that hold the truth,
"wrong" verified figures that are more than 5 % off. ``energy_verdicts.py`` tries far more, by another generator.
"""

from __future__ import annotations

import sys

import numpy as np

from runtimes.power.scenarios import HARD, TABLE, VARIED, Scenario
from runtimes.power.simulate import simulate
from validation.energy.analysis import analyze_energy

HEADING = ("scenario", "regions: all", "regions: error %", "error %", "printed ± %", "covered", "verified", "wrong")
WRONG = 0.05


def row(scenario: Scenario, seeds: int) -> tuple[str, ...]:
    """One line of the table."""
    exact = verified = wrong = covered = 0
    regions: list[float] = []
    errors: list[float] = []
    printed: list[float] = []
    for seed in range(seeds):
        made = simulate(scenario, seed)
        truth = made.truth.slope_mj if made.stamps.counts else made.truth.active_mj
        report = analyze_energy(made.trace, stamps=made.stamps)
        assert report.energy_mj and report.uncertainty_mj is not None and report.regions
        errors.append(report.energy_mj / truth - 1)
        printed.append(report.uncertainty_mj / truth)
        covered += abs(report.energy_mj - truth) <= report.uncertainty_mj
        if report.regions.found == report.regions.wanted:
            exact += 1
            regions.append(report.regions.energy_mean_mj / made.truth.active_mj - 1)
        verified += report.passed
        wrong += report.passed and abs(errors[-1]) > WRONG
    return (
        f"{scenario.name}: {scenario.summary}", f"{exact} of {seeds}", _error(regions), _error(errors),
        f"{100 * float(np.median(printed)):.2f}", f"{covered} of {seeds}", f"{verified} of {seeds}", str(wrong),
    )  # fmt: skip


def _error(values: list[float]) -> str:
    if not values:
        return "-"
    percent = 100 * np.abs(values)
    return f"{np.median(percent):.2f} / {percent.max():.2f}"


def main() -> None:
    """Print the table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for scenarios in (TABLE, HARD, VARIED):
        print("| " + " | ".join(HEADING) + " |")
        print("|---" * len(HEADING) + "|")
        for scenario in scenarios:
            print("| " + " | ".join(row(scenario, seeds)) + " |", flush=True)
        print()


if __name__ == "__main__":
    main()
