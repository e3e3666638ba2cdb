"""Recordings that an analysis should doubt, by kind: from harmless to hopeless, as the seed has it.

Only a figure that is called verified and is more than 5 % off is wrong: a kind may well be harmless for some seeds.
``UNKNOWABLE`` are those that no analysis of the one trace can tell from sound ones.
"""

from __future__ import annotations

import power_loads
from power_loads import HOSTILE_LOADS
from power_meter_faults import HOSTILE_METERS
from power_stamp_faults import HOSTILE_STAMPS
from power_twist import Maker

HOSTILE: dict[str, Maker] = {**HOSTILE_LOADS, **HOSTILE_METERS, **HOSTILE_STAMPS}
UNKNOWABLE: dict[str, Maker] = dict(power_loads.UNKNOWABLE)
