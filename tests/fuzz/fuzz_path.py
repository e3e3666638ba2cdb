"""Imported first by what runs without pytest: makes the project and the rooms of the harness importable."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("support", "fuzz", "fuzz/mutations", "fuzz/readers")

sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / room) for room in ROOMS)]
