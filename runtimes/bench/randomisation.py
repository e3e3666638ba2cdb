"""What of a run under a meter varies, so that other activity can be told from the model: asked for, or by default.

A meter that measures whole runs has no place for it, and neither has a tool that decides itself when it runs.
"""

from __future__ import annotations

import msgspec

from edgevit.errors import UsageError
from runtimes.runners.workload import Workload

# By simulation, of a load whose period is the cycle's: 14.9 % median error with constant gaps, 1.3 % with these.
GAP_SPREAD = 0.6
MOST_SPREAD = 0.9  # chosen, because the mean gap has to be ten times the shortest one then
# By simulation, of loads that come with every burst: the difference of these two is 0.54 % off at most, bursts of one
# length 12 to 30 %. Longer ones would take the longer for little.
BURST_FACTORS = (1, 3)
CONTROLS = 10  # by simulation: a load that comes with the runner was found in 30 of 30 runs
BURSTS_PER_CONTROL = 2  # chosen, because a short run must not consist of controls


def filled_in(asked: Workload) -> Workload:
    """``asked`` with factors, controls and seed for what is left open; the spread comes with the gap.

    Without a gap there is nothing to vary: bursts that follow each other are one, and so all of it is off.
    """
    on = asked.gap_ms != 0
    factors = BURST_FACTORS if on and asked.runs >= len(BURST_FACTORS) else (1,)
    controls = min(CONTROLS, asked.runs // BURSTS_PER_CONTROL) if on else 0
    return msgspec.structs.replace(
        asked,
        burst_factors=factors if asked.burst_factors is None else asked.burst_factors,
        controls=controls if asked.controls is None else asked.controls,
        seed=asked.seed or 0,
    )


def switched_off(asked: Workload) -> Workload:
    """``asked`` with gaps of one length, bursts of one length and no controls."""
    return msgspec.structs.replace(asked, gap_spread=0.0, burst_factors=(1,), controls=0, seed=None)


def require_none(asked: Workload, reason: str) -> None:
    """Refuse what was asked of it, for ``reason``; what was asked to be off is off.

    Raises:
        UsageError: Something was asked for.
    """
    if given := _given(asked):
        raise UsageError(f"{', '.join(given)}: {reason}", hint=f"leave out {' and '.join(given)}")


def require_sound(asked: Workload) -> None:
    """Refuse what no meter and no latency could make sense of.

    Raises:
        UsageError: Impossible values, or what contradicts the rest.
    """
    spread, factors, controls = asked.gap_spread or 0.0, asked.burst_factors, asked.controls or 0
    if not 0 <= spread <= MOST_SPREAD:
        raise UsageError(f"--gap-spread {spread:g}: expected a share of the gap from 0 to {MOST_SPREAD:g}")
    if factors is not None and (not factors or min(factors) < 1 or len(set(factors)) < len(factors)):
        raise UsageError(
            f"--burst-factors {_listed(factors)}: expected different whole numbers from 1 on",
            hint="--burst-factors 1,3",
        )
    if controls < 0:
        raise UsageError(f"--controls {controls}: expected 0 or more")
    if factors is not None and asked.runs < len(factors):
        raise UsageError(f"--burst-factors {_listed(factors)}: {asked.runs} bursts cannot be of {len(factors)} lengths")
    if controls and asked.runs < 2:
        raise UsageError(f"--controls {controls}: they stand between bursts, and there is only one")
    if controls > (most := asked.runs // BURSTS_PER_CONTROL):
        raise UsageError(
            f"--controls {controls} in a run of {asked.runs} bursts: more than {most} would leave too few bursts to "
            "compare them with",
            hint=f"--controls {most}, or --runs {controls * BURSTS_PER_CONTROL}",
        )
    if asked.gap_ms == 0:
        require_none(asked, "without gaps (--gap 0) bursts cannot be told apart, and nothing varies")
    all_off = spread == 0 and asked.gap_spread is not None and factors is not None and len(factors) == 1
    if asked.seed is not None and all_off and asked.controls == 0:
        raise UsageError(f"--schedule-seed {asked.seed}: nothing is random in this run", hint="leave it out")


def _given(asked: Workload) -> list[str]:
    given = {
        "--gap-spread": bool(asked.gap_spread),
        "--burst-factors": asked.burst_factors not in (None, (1,)),
        "--controls": bool(asked.controls),
        "--schedule-seed": asked.seed is not None,
    }
    return [option for option, asks in given.items() if asks]


def _listed(factors: tuple[int, ...]) -> str:
    return ",".join(map(str, factors))
