"""Time to bring an artifact to a device, hash check included: ours against ``adb push`` and ``sha256sum`` by hand.

    python benchmarks/push.py [--megabytes 50] [--rounds 10]

Needs adb and an adbd (``tests/support/adbd/build.sh .adbd``). Both run in turns, over loopback, and every push starts
from an empty directory. Prints one JSON object; times in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from adbd_rig import Adbd, AdbRig, why_not

from runtimes.devices.adb.adb_device import AdbDevice


def timed(act: Callable[[], None]) -> float:
    """Seconds that ``act`` takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def measure(rig: AdbRig, daemon: Adbd, local: Path, rounds: int) -> dict[str, list[float]]:
    """Push in turns: ours, ours again (skipped, as the bytes are there), and by hand."""
    device = AdbDevice(daemon.serial, rig.server)
    target = str(daemon.root / "model.bin")
    times: dict[str, list[float]] = {"push": [], "push_again": [], "adb_push_and_sha256sum": []}

    def by_hand() -> None:
        rig.adb("-s", daemon.serial, "push", str(local), target)
        rig.adb("-s", daemon.serial, "shell", f"sha256sum '{target}'")

    for _ in range(rounds):
        Path(target).unlink(missing_ok=True)
        times["push"].append(timed(lambda: assert_sent(device, local, target, skipped=False)))
        times["push_again"].append(timed(lambda: assert_sent(device, local, target, skipped=True)))
        Path(target).unlink()
        times["adb_push_and_sha256sum"].append(timed(by_hand))
    return times


def assert_sent(device: AdbDevice, local: Path, target: str, *, skipped: bool) -> None:
    """Push, and make sure that it was the kind of push that is being timed."""
    if device.push(local, target) is skipped:
        raise SystemExit(f"expected skipped={skipped}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    if reason := why_not():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory) / "model.bin"
        local.write_bytes(os.urandom(options.megabytes * 1_000_000))
        rig = AdbRig(Path(directory))
        try:
            times = measure(rig, rig.add(), local, options.rounds)
        finally:
            rig.close()
    summary = {
        name: {"median": round(statistics.median(each), 3), "worst": round(max(each), 3)}
        for name, each in times.items()
    }
    print(json.dumps({"megabytes": options.megabytes, "rounds": options.rounds, **summary}, indent=2))


if __name__ == "__main__":
    main()
