"""How a sound recording is spoilt: one twist of the load, of the meter, or of what was written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from power_physics import Case, Front, Layout, Load, Setup, build, layout_of, no_front, no_load
from power_sound import describe, draw

Maker = Callable[[int], Case]
After = Callable[[Case, Layout, np.random.Generator], Case]
Draw = Callable[[int], tuple[Setup, np.random.Generator]]


def nothing_after(case: Case, layout: Layout, rng: np.random.Generator) -> Case:
    """The recording stays as it was written."""
    return case


@dataclass(frozen=True, eq=False)
class Twist:
    """A recording and what spoils it.

    Attributes:
        setup: Of the recording.
        detail: How bad it is.
        load: What else draws power.
        front: What the meter's front end does.
        after: What becomes of the recording once it is written.
    """

    setup: Setup
    detail: str
    load: Load = no_load
    front: Front = no_front
    after: After = nothing_after


Twisted = Callable[[Setup, np.random.Generator], Twist]


def maker(twist: Twisted, draw_setup: Draw = draw) -> Maker:
    """The function that makes the case of a seed: the same run for all twists, each as bad as it happens to be."""

    def make(seed: int) -> Case:
        setup, _ = draw_setup(seed)
        made = twist(setup, np.random.default_rng([seed, crc32(twist.__name__.encode())]))
        detail = f"{made.detail}; {describe(made.setup)}"
        case = build(made.setup, seed, load=made.load, front=made.front, name=twist.__name__, detail=detail)
        return made.after(case, layout_of(made.setup, seed), np.random.default_rng([seed, 11]))

    return make


class Kinds(dict[str, Maker]):
    """Makers by their names, filled by decorators."""

    def add(self, draw_setup: Draw = draw) -> Callable[[Twisted], Twisted]:
        """Keep a twist under its name, on recordings that ``draw_setup`` draws."""

        def keep(twist: Twisted) -> Twisted:
            self[twist.__name__] = maker(twist, draw_setup)
            return twist

        return keep


def steady(setup: Setup) -> Setup:
    """The same with rests that do not vary: what is periodic stays in step with it."""
    return replace(setup, gap_spread=0.0, latency_jitter=0.0005)


def windows_of(setup: Setup, share: float, rng: np.random.Generator) -> np.typing.NDArray[np.bool_]:
    """(n,) a random ``share`` of the bursts, at least one and not all unless ``share`` is 1."""
    count = len([members for members in setup.plan if members])
    chosen = np.zeros(count, bool)
    chosen[rng.permutation(count)[: max(1, round(share * count))]] = True
    return chosen
