"""Many recordings of known energy: sound ones are verified and right, spoilt ones never verified and wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from power_hostile import HOSTILE
from power_physics import Case
from power_sound import sound, sound_loaded, sound_two_lengths, sound_two_lengths_loaded

from edgevit.errors import EdgevitExportError
from validation.energy.analysis import analyze_energy

WRONG = 0.05
SEEDS = range(40)
KINDS = sorted(HOSTILE)
PARTS = 4  # of the kinds, so that a failure says where


@dataclass(frozen=True)
class Judged:
    """What was said of one recording.

    Attributes:
        name: Kind and seed.
        passed: Whether it is verified.
        off: How far the figure is off the truth; infinite where there is none.
        covered: Whether its interval holds the truth.
    """

    name: str
    passed: bool
    off: float
    covered: bool


def _judged(make: Callable[[int], Case], seed: int) -> Judged:
    case = make(seed)
    name = f"{case.name} {seed}: {case.detail}"
    try:
        report = analyze_energy(case.trace, stamps=case.stamps)
    except EdgevitExportError:
        return Judged(name, False, float("inf"), False)
    if report.energy_mj is None or report.interval_mj is None:
        return Judged(name, report.passed, float("inf"), False)
    low, high = report.interval_mj
    return Judged(name, report.passed, abs(report.energy_mj / case.truth_mj - 1), low <= case.truth_mj <= high)


@pytest.mark.parametrize("make", [sound, sound_two_lengths])
def test_sound_recordings_are_verified_and_right_within_their_intervals(
    make: Callable[[int], Case],
) -> None:
    judged = [_judged(make, seed) for seed in SEEDS]
    assert [each.name for each in judged if each.off > WRONG] == []
    assert sum(each.covered for each in judged) >= 0.9 * len(judged)
    refused = [each.name for each in judged if not each.passed]
    assert len(refused) <= 0.1 * len(judged), refused


@pytest.mark.parametrize("make", [sound_loaded, sound_two_lengths_loaded])
def test_loads_that_know_nothing_of_the_run_make_no_figure_wrong(make: Callable[[int], Case]) -> None:
    judged = [_judged(make, seed) for seed in range(15)]
    assert [each.name for each in judged if each.passed and each.off > WRONG] == []
    assert sum(each.covered for each in judged) >= 0.85 * len(judged)
    assert sum(each.passed for each in judged) >= 0.6 * len(judged)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_spoilt_recording_is_verified_and_wrong(part: int) -> None:
    kinds = KINDS[part::PARTS]
    judged = [_judged(HOSTILE[kind], len(kind)) for kind in kinds]  # the seed: any, but not chosen by its verdict
    severe = [each for each in judged if each.off > WRONG]
    assert len(severe) >= 0.2 * len(kinds), "too few that would have been wrong"
    assert [each.name for each in severe if each.passed] == []
    assert any(each.passed for each in judged), "what is spoilt without effect is not refused for its own sake"
