"""Wall time, CPU time and memory of one ``edgevit-export`` command against the bare converters on the same model.

The bare side is one process that does what a user would otherwise write: build the model, then torch.jit trace +
freeze + save for the lite interpreter, torch.onnx export + onnxsim, litert_torch convert, and where asked for
executorch's to_edge_transform_and_lower for XNNPACK; no verification, no manifest. Both sides run in turn (A B A B ...)
as whole processes; the operating system's accounting gives CPU time and the peak of the largest process. On Linux the
proportional set sizes of all processes of a side, sampled four times a second, give the peak of their sum. Prints a
Markdown table with the medians and the ratio of each pair.

    python benchmarks/export_time.py --variant s --rounds 3
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BARE = {
    "": """
import sys
import torch
from edgevit.build import build_model
variant, directory = sys.argv[1:]
model, spec = build_model(variant)
image = torch.randn(spec.inputs[0].shape)
""",
    "ptl": """
traced = torch.jit.freeze(torch.jit.trace(model, image, check_trace=False))
traced._save_for_lite_interpreter(f"{directory}/bare.ptl")
""",
    "onnx": """
import onnx, onnxsim
torch.onnx.export(model, (image,), f"{directory}/bare.onnx", opset_version=17, dynamo=False,
                  input_names=["image"], output_names=["logits"])
simplified, ok = onnxsim.simplify(onnx.load(f"{directory}/bare.onnx"))
assert ok
onnx.save(simplified, f"{directory}/bare.onnx")
""",
    "tflite": """
import litert_torch
litert_torch.convert(model, (image,)).export(f"{directory}/bare.tflite")
""",
    "pte": """
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
lowered = to_edge_transform_and_lower(torch.export.export(model, (image,)), partitioner=[XnnpackPartitioner()])
with open(f"{directory}/bare.pte", "wb") as file:
    lowered.to_executorch().write_to_file(file)
""",
}
"""What a user would write, by format; "" comes first whatever is asked for."""
INTERVAL_S = 0.25  # chosen: reading a gigabyte's page tables takes milliseconds, and converters work for seconds


@dataclass(frozen=True)
class Cost:
    """One side: wall and CPU seconds, peak resident bytes of its largest process, peak of the sum over all (Linux)."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    sum_bytes: float


class Memory(threading.Thread):
    """Samples what a process and its descendants hold: their proportional set sizes. NaN where this is not Linux."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.ended = pid, threading.Event()
        self.peak_bytes = 0.0 if sys.platform == "linux" else math.nan

    def run(self) -> None:
        while sys.platform == "linux" and not self.ended.wait(INTERVAL_S):
            self.peak_bytes = max(self.peak_bytes, sum(pss_bytes(pid) for pid in family(self.pid)))


def family(pid: int) -> list[int]:
    """``pid`` and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # no process, or one that has just ended
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found.extend(children.get(each, ()))
    return found


def pss_bytes(pid: int) -> int:
    """The proportional set size; 0 of a process that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def run(command: list[str]) -> Cost:
    """Run one command to its end with its output thrown away.

    Raises:
        SystemExit: The command failed.
    """
    start_s = time.perf_counter()
    with open(os.devnull, "w") as nothing:  # noqa: PTH123
        pid = os.posix_spawn(
            command[0], command, os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1), (os.POSIX_SPAWN_DUP2, nothing.fileno(), 2)],
        )  # fmt: skip
        memory = Memory(pid)
        memory.start()
        _, status, usage = os.wait4(pid, 0)
        memory.ended.set()
        memory.join()
    wall_s = time.perf_counter() - start_s
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command[:4])} ... ended with {code}")
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit_bytes, memory.peak_bytes)


def measure(variant: str, formats: str, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Interleaved runs: (ours, bare)."""
    script = "".join(BARE[name] for name in ("", *formats.split(",")))
    ours, bare = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            out = str(Path(directory) / "artifacts")
            command = ["-m", "edgevit_export", "--variant", variant, "--format", formats, "--output", out]
            ours.append(run([sys.executable, *command]))
            bare.append(run([sys.executable, "-c", script, variant, directory]))
    return ours, bare


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--variant", default="s")
    parser.add_argument("--formats", default="ptl,onnx,tflite")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, bare = measure(arguments.variant, arguments.formats, arguments.rounds)
    print(f"EdgeViT-{arguments.variant.upper()}, {arguments.formats}, {arguments.rounds} interleaved rounds\n")
    print("| | edgevit-export, verified | bare converters | ratio (min..max of the pairs) |\n|---|---|---|---|")
    rows = (
        ("wall, s", "wall_s", 1.0), ("CPU, s", "cpu_s", 1.0), ("peak of the largest process, MB", "peak_bytes", 1e-6),
        ("peak of all processes, MB", "sum_bytes", 1e-6),
    )  # fmt: skip
    for name, field, scale in rows:
        left = [getattr(cost, field) * scale for cost in ours]
        right = [getattr(cost, field) * scale for cost in bare]
        ratios = [a / b for a, b in zip(left, right, strict=True)]
        print(
            f"| {name} | {statistics.median(left):.1f} | {statistics.median(right):.1f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) |"
        )


if __name__ == "__main__":
    main()
