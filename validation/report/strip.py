"""One artifact as a strip: a bar for each piece in the order of execution, delegated or left outside."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from export.artifact import Delegation, Piece
from validation.report.contents import delegation_words, outside_words
from validation.report.tables import counted

_WIDTH, _HEIGHT = 1000.0, 24.0
_LEAST = 6.0  # of the width for one bar; chosen: 2 px on a phone, so that a single operator is seen
_GAP = 1.5
_INSIDE_HEIGHT = 12.0  # bars outside are twice as high: the two differ without colour, too


def strip_svg(delegation: Delegation) -> str:
    """Inline SVG whose text says the same; empty where the pieces are not known.

    Bars are as wide as their share of the operators, but never so narrow that they vanish.
    """
    if not delegation.pieces:
        return ""
    bars, left = [], 0.0
    for piece, width in zip(delegation.pieces, _widths(delegation.pieces), strict=True):
        bars.append(_bar(piece, left, width))
        left += width + _GAP
    label = quoteattr(delegation_words(delegation))
    return (
        f'<svg class="strip" role="img" aria-label={label} viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
        f'preserveAspectRatio="none">{"".join(bars)}</svg>'
    )


def _widths(pieces: tuple[Piece, ...]) -> list[float]:
    """Of all bars: what the gaps leave, the least for each and the rest by the number of operators."""
    room = _WIDTH - _GAP * (len(pieces) - 1)
    least = min(_LEAST, room / (2 * len(pieces)))
    counts = [max(1, piece.operators) for piece in pieces]  # what a foreign delegate holds is not known
    share = (room - least * len(pieces)) / sum(counts)
    return [least + share * count for count in counts]


def _bar(piece: Piece, left: float, width: float) -> str:
    height = _INSIDE_HEIGHT if piece.delegated else _HEIGHT
    inside = f"{counted(piece.operators, 'operator')} delegated"
    text = inside if piece.delegated else f"outside: {outside_words(piece)}"
    return (
        f'<rect class="{"inside" if piece.delegated else "outside"}" x="{left:.2f}" y="{(_HEIGHT - height) / 2:g}" '
        f'width="{width:.2f}" height="{height:g}"><title>{escape(text)}</title></rect>'
    )
