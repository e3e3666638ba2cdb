"""Power over time as a sum of straight pieces and sines, with its exact integral: what a perfect meter would integrate.

A ``Course`` is a list of corners: at each the power jumps, its slope changes, or both. Sums of courses are lists put
together, so loads, tails and drifts may overlap as they like, and the energy between any two times is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """Piecewise linear power, zero before its first corner.

    Attributes:
        at: (n,) times of the corners in s, in any order.
        jump: (n,) by how much the power jumps there, mW.
        bend: (n,) by how much its slope changes there, mW/s.
    """

    at: Doubles
    jump: Doubles
    bend: Doubles

    def __add__(self, other: Course) -> Course:
        return total((self, other))

    @cached_property
    def _pieces(self) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        """Sorted corners, and power, slope and energy right behind each."""
        order = np.argsort(self.at, kind="stable")
        at, slope = self.at[order], np.cumsum(self.bend[order])
        step = np.diff(at)
        power = np.cumsum(self.jump[order]) + np.concatenate([[0.0], np.cumsum(slope[:-1] * step)])
        energy = np.concatenate([[0.0], np.cumsum(power[:-1] * step + slope[:-1] * step**2 / 2)])
        return at, power, slope, energy

    def _piece_of(self, times: Doubles) -> tuple[NDArray[np.intp], Doubles]:
        """The piece that each time is in (-1 before all), and how far behind its corner."""
        at = self._pieces[0]
        piece = np.searchsorted(at, times, side="right") - 1
        return piece, np.where(piece >= 0, times - at[piece], 0.0)

    def power(self, times: Doubles) -> Doubles:
        """(n,) power in mW at ``times``; behind the jump where there is one."""
        if not len(self.at):
            return np.zeros(len(times))
        piece, behind = self._piece_of(times)
        _, power, slope, _ = self._pieces
        return np.where(piece >= 0, power[piece] + slope[piece] * behind, 0.0)

    def energy(self, times: Doubles) -> Doubles:
        """(n,) energy in mJ from the beginning of time up to ``times``."""
        if not len(self.at):
            return np.zeros(len(times))
        piece, behind = self._piece_of(times)
        _, power, slope, energy = self._pieces
        return np.where(piece >= 0, energy[piece] + power[piece] * behind + slope[piece] * behind**2 / 2, 0.0)


NOTHING = Course(np.zeros(0), np.zeros(0), np.zeros(0))


def total(courses: Iterable[Course]) -> Course:
    """The sum of several courses."""
    parts = list(courses) or [NOTHING]
    return Course(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "jump", "bend")))


def polylines(times: ArrayLike, powers: ArrayLike) -> Course:
    """The sum of lines through corners, each zero before its first and behind its last.

    Args:
        times: (m, v) or (v,) times of the corners in s, ascending along the last axis; equal ones make a jump.
        powers: Power there in mW, broadcast to ``times``.
    """
    at = np.atleast_2d(np.asarray(times, np.float64))
    power = np.broadcast_to(np.asarray(powers, np.float64), at.shape)
    step, rise = np.diff(at, axis=1), np.diff(power, axis=1)
    sloped = step > 1e-12
    slope = np.where(sloped, rise / np.where(sloped, step, 1.0), 0.0)
    none = np.zeros((len(at), 1))
    bend = np.diff(np.concatenate([none, slope, none], axis=1), axis=1)
    jump = np.concatenate([power[:, :1], np.where(sloped, 0.0, rise)], axis=1)
    jump[:, -1] -= power[:, -1]
    return Course(at.ravel(), jump.ravel(), bend.ravel())


def boxes(starts: ArrayLike, ends: ArrayLike, powers: ArrayLike) -> Course:
    """Constant ``powers`` in mW from each of ``starts`` to each of ``ends``."""
    at = np.stack(np.broadcast_arrays(np.atleast_1d(starts), np.atleast_1d(ends)), axis=1)
    return polylines(at, np.broadcast_to(np.asarray(powers, np.float64), len(at))[:, None])


@dataclass(frozen=True)
class Sine:
    """A sine of ``mw`` amplitude: the slow ones are drift, the fast ones a regulator's ripple."""

    mw: float
    hz: float
    phase: float

    def power(self, times: Doubles) -> Doubles:
        """(n,) mW."""
        return self.mw * np.sin(2 * np.pi * self.hz * times + self.phase)

    def energy(self, times: Doubles) -> Doubles:
        """(n,) mJ up to a constant."""
        return -self.mw / (2 * np.pi * self.hz) * np.cos(2 * np.pi * self.hz * times + self.phase)


@dataclass(frozen=True, eq=False)
class Supply:
    """All that is drawn at the supply."""

    course: Course
    sines: tuple[Sine, ...] = ()

    def power(self, times: Doubles) -> Doubles:
        """(n,) mW at ``times``."""
        return self.course.power(times) + sum((sine.power(times) for sine in self.sines), np.zeros(len(times)))

    def mean_power(self, edges: Doubles) -> Doubles:
        """(n - 1,) exact mean power in mW between neighbouring ``edges``."""
        energy = self.course.energy(edges) + sum((sine.energy(edges) for sine in self.sines), np.zeros(len(edges)))
        return np.diff(energy) / np.diff(edges)


def low_pass(supply: Supply, edges: Doubles, seconds: float) -> Doubles:
    """(n - 1,) power behind a first-order low-pass of time constant ``seconds``, averaged between ``edges``.

    The input is averaged over a grid of at least 4 points a time constant first, and exact from there on.
    """
    period = edges[1] - edges[0]
    fine = max(1, int(np.ceil(4 * period / seconds)))
    grid = np.linspace(edges[0], edges[-1], (len(edges) - 1) * fine + 1)
    power = supply.mean_power(grid)
    step = period / fine
    keep = float(np.exp(-step / seconds))
    at_edges = np.concatenate([[0.0], (1 - keep) * leaky_sum(power - power[0], keep)])
    passed = power - seconds / step * np.diff(at_edges)  # since seconds * y' = x - y
    return passed.reshape(-1, fine).mean(axis=1)


def leaky_sum(values: Doubles, keep: float, block: int = 64) -> Doubles:
    """(n,) y with y[i] = keep * y[i - 1] + values[i]: within blocks by a matrix, and over their ends the same way."""
    count = len(values)
    if count == 1:
        return values.copy()
    rows = np.zeros(-(-count // block) * block)
    rows[:count] = values
    lag = np.subtract.outer(np.arange(block), np.arange(block))
    inner = rows.reshape(-1, block) @ np.where(lag >= 0, keep ** np.maximum(lag, 0), 0.0).T
    before = np.concatenate([[0.0], leaky_sum(inner[:, -1], keep**block)[:-1]])
    return (inner + before[:, None] * keep ** np.arange(1, block + 1)).ravel()[:count]


@dataclass(frozen=True, eq=False)
class Shape:
    """A relative form: corners at ``x`` with heights ``y``, stretched and scaled by who uses it."""

    x: Doubles
    y: Doubles

    def at(self, starts: Doubles, lengths: ArrayLike, heights: ArrayLike) -> Course:
        """The form at every one of ``starts``, (m,), stretched by ``lengths`` (s) and ``heights`` (mW)."""
        long, high = (np.broadcast_to(np.asarray(value, np.float64), starts.shape) for value in (lengths, heights))
        return polylines(starts[:, None] + long[:, None] * self.x, high[:, None] * self.y)

    @property
    def area(self) -> float:
        """Integral of ``y`` over ``x``."""
        return float(np.sum(np.diff(self.x) * (self.y[1:] + self.y[:-1]) / 2))


def exponential_tail(first: float = 1.0, ratio: float = 3.0) -> Shape:
    """Two exponentials: ``first`` of the height falls with length 1, the rest ``ratio`` times as slowly; over at 6."""
    x = np.concatenate([np.linspace(0, 2, 17), np.linspace(2.25, 6, 16)]) * (1.0 if first == 1.0 else ratio)
    y = first * np.exp(-x) + (1 - first) * np.exp(-x / ratio)
    return Shape(x, y - y[-1] * x / x[-1])


def linear_tail() -> Shape:
    """Falls in a straight line within length 1."""
    return Shape(np.array([0.0, 1.0]), np.array([1.0, 0.0]))


def inference_shape(shares: ArrayLike, levels: ArrayLike, rise: float, foot: float, bowed: bool) -> Shape:
    """Power within an inference: phases of ``levels``, climbing from ``foot`` over the first ``rise`` of the time.

    Args:
        shares: (p,) how long the phases are, relative to each other.
        levels: (p,) their power, relative.
        rise: Share of the inference in which clocks and rails come up; 0 for none.
        foot: Relative power at the very start.
        bowed: Whether it comes up like an exponential rather than in a straight line.
    """
    bounds = np.concatenate([[0.0], np.cumsum(shares) / np.sum(shares)])
    level = np.asarray(levels, np.float64)
    knots = np.linspace(0, rise, 13 if bowed else 2) if rise else np.zeros(1)
    x = np.sort(np.concatenate([bounds[:-1], bounds[1:], knots, knots]))
    phase = np.searchsorted(bounds, (x[1:] + x[:-1]) / 2, side="right") - 1  # of each piece between two corners
    come_up = _climb(x, rise, foot, bowed)
    pieces = np.clip(phase, 0, len(level) - 1)
    corners = np.stack([x[:-1], x[1:]], axis=1).ravel()
    heights = np.stack([level[pieces] * come_up[:-1], level[pieces] * come_up[1:]], axis=1).ravel()
    real = np.repeat(np.diff(x) > 1e-12, 2)
    return Shape(corners[real], heights[real])


def _climb(x: Doubles, rise: float, foot: float, bowed: bool) -> Doubles:
    if not rise:
        return np.ones(len(x))
    part = np.clip(x / rise, 0, 1)
    return foot + (1 - foot) * ((1 - np.exp(-4 * part)) / (1 - np.exp(-4)) if bowed else part)
