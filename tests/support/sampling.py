"""Files that stand for a kernel's, and a short recording with a meter."""

from __future__ import annotations

import time
from pathlib import Path

from runtimes.power.meter import PowerMeter
from runtimes.power.trace import PowerTrace


def write_files(root: Path, files: dict[str, object]) -> Path:
    """Write each text below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def sampled(meter: PowerMeter, seconds: float = 0.15) -> PowerTrace:
    """What the meter records in this time."""
    with meter:
        meter.prepare()
        meter.start()
        time.sleep(seconds)
        meter.check()
        return meter.stop()
