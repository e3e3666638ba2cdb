"""What varies in a run under a meter: defaults, and what contradicts itself."""

from __future__ import annotations

import pytest

from edgevit.errors import UsageError
from runtimes.bench.randomisation import filled_in, require_none, require_sound, switched_off
from runtimes.runners.workload import Workload


def varied(work: Workload) -> tuple[object, ...]:
    return work.burst_factors, work.controls, work.seed


def test_what_is_left_open_is_filled_in_and_the_rest_is_kept() -> None:
    assert varied(filled_in(Workload())) == ((1, 3), 10, 0)
    assert varied(filled_in(Workload(burst_factors=(2,), controls=0, seed=5))) == ((2,), 0, 5)
    assert varied(filled_in(Workload(runs=6))) == ((1, 3), 3, 0), "a short run does not consist of controls"
    assert varied(filled_in(Workload(runs=1))) == ((1,), 0, 0)
    assert varied(filled_in(Workload(gap_ms=0.0))) == ((1,), 0, 0), "back to back there is nothing to vary"
    off = switched_off(Workload(gap_spread=0.3, controls=4, seed=1))
    assert (off.gap_spread, *varied(off)) == (0.0, (1,), 0, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gap_spread": 1.0}, "--gap-spread 1: expected a share"),
        ({"gap_spread": -0.1}, "--gap-spread -0.1"),
        ({"gap_spread": float("nan")}, "--gap-spread nan"),
        ({"burst_factors": ()}, "--burst-factors : expected"),
        ({"burst_factors": (0, 3)}, "--burst-factors 0,3: expected"),
        ({"burst_factors": (3, 3)}, "--burst-factors 3,3: expected different"),
        ({"controls": -1}, "--controls -1"),
        ({"runs": 2, "burst_factors": (1, 2, 3)}, "2 bursts cannot be of 3 lengths"),
        ({"runs": 1, "controls": 1}, "there is only one"),
        ({"gap_ms": 0.0, "controls": 1}, "--controls: without gaps"),
        ({"gap_ms": 0.0, "burst_factors": (1, 3), "gap_spread": 0.5}, "--gap-spread, --burst-factors: without gaps"),
        ({"gap_ms": 0.0, "seed": 1}, "--schedule-seed: without gaps"),
        ({"gap_spread": 0.0, "burst_factors": (1,), "controls": 0, "seed": 1}, "nothing is random"),
        ({"runs": 9, "controls": 5}, "--controls 5 in a run of 9 bursts: more than 4 would leave too few"),
    ],
)
def test_contradictions_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        require_sound(Workload(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"gap_spread": 0.9, "burst_factors": (1, 2, 5), "controls": 3, "seed": 9},
        {"runs": 9, "controls": 4},
        {"gap_spread": 0.0, "burst_factors": (1,), "controls": 0},
        {"gap_spread": 0.0, "burst_factors": (1,), "seed": 1},
        {"gap_ms": 0.0, "gap_spread": 0.0, "burst_factors": (1,), "controls": 0},
    ],
)
def test_what_makes_sense_is_not(given: dict[str, object]) -> None:
    require_sound(Workload(**given))  # type: ignore[arg-type]


def test_who_has_no_place_for_it_names_every_option_that_asks_for_something() -> None:
    require_none(Workload(gap_spread=0.0, burst_factors=(1,), controls=0), "a tool decides itself")
    asked = Workload(gap_spread=0.3, burst_factors=(1, 2), controls=4, seed=0)
    with pytest.raises(UsageError) as refused:
        require_none(asked, "a tool decides itself")
    assert refused.value.message == (
        "--gap-spread, --burst-factors, --controls, --schedule-seed: a tool decides itself"
    )
