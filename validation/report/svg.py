"""Make matplotlib's SVG fit for pages: dark mode, a title for those who do not see it, ids that do not collide.

Drawings carry the light colours, so every viewer shows them; where a viewer knows ``prefers-color-scheme``, rules that
select by colour put the dark ones in their place.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

FONT = "DejaVu Sans"
_FONTS = "'DejaVu Sans', Verdana, sans-serif"  # Verdana has the same widths; phones have narrower letters


@dataclass(frozen=True)
class Tone:
    """One colour of the drawings on light and on dark ground."""

    light: str
    dark: str


GROUND = Tone("#fefefe", "#0d1117")
INK = Tone("#24292f", "#e6edf3")
MUTED = Tone("#7b838c", "#8b949e")
GRID = Tone("#dde2e7", "#2d333b")
FRONT = Tone("#0969da", "#58a6ff")
REPORTED = Tone("#b3590a", "#e3a14f")
BAD = Tone("#cf222e", "#ff7b72")
TONES = (GROUND, INK, MUTED, GRID, FRONT, REPORTED, BAD)


def dark_rules() -> str:
    """CSS that turns drawings dark where the reader prefers that.

    The selectors name no ancestor: markers are drawn by ``use``, and rules with one do not reach their copies.
    """
    rules = "".join(
        f'[style*="{what}: {tone.light}"]{{{what}:{tone.dark}!important}}'
        for tone in TONES
        for what in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark){{{rules}}}"


def finish_svg(svg: str, *, name: str, title: str, description: str, standalone: bool) -> str:
    """One drawing, ready for a page or for a file of its own.

    Args:
        svg: As matplotlib writes it.
        name: Prefix of all ids; drawings on one page need different ones.
        title: What the drawing shows.
        description: What it says, in a sentence or two.
        standalone: With the XML declaration and the rules for dark mode, which a page has already.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\1{name}-", body)
    body = body.replace(f"'{FONT}'", _FONTS)
    opening, rest = body.split(">", 1)
    opening = re.sub(r'\s(width|height)="[\d.]+pt"', "", opening)
    words = (
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-description">{html.escape(description)}</desc>'
    )
    style = f"<style>{dark_rules()}</style>" if standalone else ""
    role = f' class="plot" role="img" aria-labelledby="{name}-title {name}-description"'
    head = '<?xml version="1.0" encoding="utf-8"?>\n' if standalone else ""
    return f"{head}{opening}{role}>{words}{style}{rest.strip()}\n"
