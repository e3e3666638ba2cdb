"""Place the labels of a scatter plot beside their points without overlaps. Pure geometry, in any one unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Chosen by looking at the plots of the paper's tables, in which no label may cover another.
_DIRECTIONS = 16  # places on a ring around a point
_RINGS = 7
_RINGS_OPTIONAL = 2  # an optional label far from its point says less than none
_OUTSIDE = 1e6  # more than any overlap
_TEXT_ON_TEXT = 1e3  # times as bad as text on a marker or a line


@dataclass(frozen=True)
class Box:
    """A rectangle with sides along the axes."""

    x0: float
    y0: float
    x1: float
    y1: float

    def common_area(self, other: Box) -> float:
        """Area that both cover."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return width * height if width > 0 and height > 0 else 0.0

    def holds(self, other: Box) -> bool:
        """Whether ``other`` lies inside."""
        return self.x0 <= other.x0 and self.y0 <= other.y0 and self.x1 >= other.x1 and self.y1 >= other.y1


@dataclass(frozen=True)
class Label:
    """A label to place: its point, its size, and whether it must appear even where nothing is free."""

    x: float
    y: float
    width: float
    height: float
    required: bool


def place_labels(labels: Sequence[Label], obstacles: Sequence[Box], bounds: Box, *, gap: float) -> list[Box | None]:
    """A place for each label; None where an optional one finds none that is free and near.

    Required labels are placed first; where nothing is free they take the place that covers least.

    Args:
        labels: What to place.
        obstacles: What labels should not cover: markers, error bars.
        bounds: Where labels must lie.
        gap: Smallest distance between a point and its label.
    """
    placed: list[Box | None] = [None] * len(labels)
    for index in sorted(range(len(labels)), key=lambda i: not labels[i].required):
        taken = [box for box in placed if box is not None]
        scored = [
            (_overlap(box, taken, obstacles, bounds), distance, number, box)
            for number, (distance, box) in enumerate(_candidates(labels[index], gap))
        ]
        cover, _, _, best = min(scored)
        if cover == 0 or (labels[index].required and cover < _OUTSIDE):
            placed[index] = best
    return placed


def _candidates(label: Label, gap: float) -> Iterator[tuple[float, Box]]:
    """(distance from the point, box): rings of places around the point, right and left first."""
    for ring in range(_RINGS if label.required else _RINGS_OPTIONAL):
        distance = gap + ring * label.height * 0.7
        for step in range(_DIRECTIONS):
            angle = 2 * math.pi * step / _DIRECTIONS
            yield distance + 0.3 * gap * _reading_effort(step), _box_beside(label, angle, distance)


def _reading_effort(step: int) -> float:
    """In shares of the gap: straight right is read most easily, then left, above and below, then the diagonals."""
    if step % (_DIRECTIONS // 4) == 0:
        return step / _DIRECTIONS
    return 1.0 + step / _DIRECTIONS


def _box_beside(label: Label, angle: float, distance: float) -> Box:
    """The box whose nearest edge or corner lies ``distance`` from the point in the direction ``angle``."""
    cosine, sine = math.cos(angle), math.sin(angle)
    centre_x = label.x + cosine * distance + _reach(cosine) * label.width / 2
    centre_y = label.y + sine * distance + _reach(sine) * label.height / 2
    half_width, half_height = label.width / 2, label.height / 2
    return Box(centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)


def _reach(part: float) -> float:
    """How far the box is pushed out along one axis: fully from 45 degrees on, not at all straight across."""
    return max(-1.0, min(1.0, part / math.sqrt(0.5)))


def _overlap(box: Box, taken: Sequence[Box], obstacles: Sequence[Box], bounds: Box) -> float:
    """How bad a place is: 0 when free, at least ``_OUTSIDE`` when not wholly within the bounds."""
    if not bounds.holds(box):
        return _OUTSIDE
    on_text = sum(box.common_area(other) for other in taken)
    return _TEXT_ON_TEXT * on_text + sum(box.common_area(other) for other in obstacles)
