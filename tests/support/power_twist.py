"""How a sound recording is spoilt: one twist of the load, of the meter, or of what was written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from power_physics import Case, Front, Layout, Load, Setup, build, layout_of, no_front, no_load
from power_sound import describe, draw, draw_two_lengths

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


def own_seed(kind: str, seed: int) -> int:
    """What is drawn for a seed of one kind has nothing to do with that of another."""
    return crc32(f"{kind} {seed}".encode())


def maker(twist: Twisted, kind: str, draw_setup: Draw) -> Maker:
    """The function that makes the case of a seed."""

    def make(seed: int) -> Case:
        own = own_seed(kind, seed)
        made = twist(draw_setup(own)[0], np.random.default_rng([own, 5]))
        detail = f"{made.detail}; {describe(made.setup)}"
        case = build(made.setup, own, load=made.load, front=made.front, name=kind, detail=detail)
        changed = made.after(case, layout_of(made.setup, own), np.random.default_rng([own, 11]))
        return replace(changed, seed=seed)

    return make


class Kinds(dict[str, Maker]):
    """Makers by their names, filled by decorators; ``bases`` are the same recordings unspoilt."""

    def __init__(self) -> None:
        super().__init__()
        self.bases: dict[str, Maker] = {}

    def add(self, draw_setup: Draw = draw, *, both: bool = False) -> Callable[[Twisted], Twisted]:
        """Keep a twist under its name.

        Args:
            draw_setup: Draws the recordings that are spoilt.
            both: Whether to keep it on recordings of two lengths as well, under a name that says so.
        """

        def keep(twist: Twisted) -> Twisted:
            self._keep(twist, twist.__name__, draw_setup)
            if both:
                self._keep(twist, f"{twist.__name__}:two", draw_two_lengths)
            return twist

        return keep

    def _keep(self, twist: Twisted, kind: str, draw_setup: Draw) -> None:
        self[kind] = maker(twist, kind, draw_setup)
        self.bases[kind] = lambda seed: build(draw_setup(own_seed(kind, seed))[0], own_seed(kind, seed))


def steady(setup: Setup) -> Setup:
    """The same with rests that do not vary: what is periodic stays in step with it."""
    return replace(setup, gap_spread=0.0, latency_jitter=0.0005)


def windows_of(setup: Setup, share: float, rng: np.random.Generator) -> np.typing.NDArray[np.bool_]:
    """(n,) a random ``share`` of the bursts, at least one and not all unless ``share`` is 1."""
    count = len([members for members in setup.plan if members])
    chosen = np.zeros(count, bool)
    chosen[rng.permutation(count)[: max(1, round(share * count))]] = True
    return chosen
