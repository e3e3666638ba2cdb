"""Recordings that an analysis should doubt, by kind: from harmless to hopeless, as the seed has it.

Only a figure that is called verified and is more than 5 % off is wrong: a kind may well be harmless for some seeds.
``UNKNOWABLE`` are those that no analysis of the one trace can tell from sound ones. ``BASES`` has, for every kind, the
same recordings before they were spoilt.
"""

from __future__ import annotations

from power_front_faults import HOSTILE_METERS, UNKNOWABLE_METERS
from power_loads import HOSTILE_LOADS, UNKNOWABLE_LOADS
from power_row_faults import HOSTILE_ROWS
from power_stamp_faults import HOSTILE_STAMPS
from power_twist import Maker

HOSTILE: dict[str, Maker] = {**HOSTILE_LOADS, **HOSTILE_METERS, **HOSTILE_ROWS, **HOSTILE_STAMPS}
UNKNOWABLE: dict[str, Maker] = {**UNKNOWABLE_LOADS, **UNKNOWABLE_METERS}
BASES: dict[str, Maker] = {
    kind: base
    for kinds in (HOSTILE_LOADS, UNKNOWABLE_LOADS, HOSTILE_METERS, UNKNOWABLE_METERS, HOSTILE_ROWS, HOSTILE_STAMPS)
    for kind, base in kinds.bases.items()
}
