"""Every step of a run, written down before it starts, so that any runner only has to do one after the other.

What repeats in step with something else cannot be told from it: with gaps of one length a load of that period falls
into the same place of every burst. So gaps vary at random; bursts of two lengths tell what an inference draws (their
difference) from what comes with every burst (the rest); and controls show what comes with the runner alone. Lengths,
gaps and controls are spread evenly over the run, and are random only within that, so that a drift falls on all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from runtimes.runners.workload import Step, Workload


def scheduled(work: Workload) -> Workload:
    """``work`` with its schedule; without one, bursts of ``burst`` with constant gaps (without gaps, one burst)."""
    if work.schedule:
        return work
    gap_ms = work.gap_ms or 0.0
    burst = work.burst or (1 if gap_ms else work.runs)
    steps = (Step(gap_ms=gap_ms, count=min(burst, work.runs - first)) for first in range(0, work.runs, burst))
    return msgspec.structs.replace(work, schedule=tuple(steps))


def draw_schedule(work: Workload, *, bursts: int, latency_s: float) -> tuple[Step, ...]:
    """The same steps for the same arguments.

    Args:
        work: What is random and how, with nothing left open.
        bursts: How many.
        latency_s: Of one forward pass; a control lasts as long as a burst, by turns of each length.
    """
    random = Random(work.seed)
    burst, factors, controls = work.burst or 1, work.burst_factors or (1,), work.controls or 0
    counts = [burst * factor for factor in _in_turns(factors, bursts, random)]
    waits = [burst * factor * latency_s * 1e3 for factor in _in_turns(factors, controls, random)]
    places = [int(1 + (bursts - 1) * place) for place in _strata(controls, random)]  # between the first and the last
    busy: list[tuple[int, float]] = [(count, 0.0) for count in counts]
    for place, wait_ms in sorted(zip(places, waits, strict=True), reverse=True):
        busy.insert(place, (0, round(wait_ms, 3)))
    mean_ms, spread = work.gap_ms or 0.0, work.gap_spread or 0.0
    gaps = [mean_ms * (1 + spread * (2 * place - 1)) for place in _strata(len(busy), random)]
    random.shuffle(gaps)
    pairs = zip(gaps, busy, strict=True)
    return tuple(Step(gap_ms=round(gap_ms, 3), count=count, wait_ms=wait_ms) for gap_ms, (count, wait_ms) in pairs)


def _in_turns(kinds: Sequence[int], number: int, random: Random) -> list[int]:
    """``number`` of ``kinds``: each kind once in random order, then each once more, and so on."""
    drawn: list[int] = []
    while len(drawn) < number:
        drawn += random.sample(kinds, len(kinds))
    return drawn[:number]


def _strata(number: int, random: Random) -> list[float]:
    """Ascending, in [0, 1): one at random in each of ``number`` equal parts, so that their mean is near a half."""
    return [(part + random.random()) / number for part in range(number)]
