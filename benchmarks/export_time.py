"""Wall time and peak memory of one ``edgevit-export`` command against the bare converters on the same model.

The bare side is one process that does what a user would otherwise write: build the model, then torch.jit trace +
freeze + save for the lite interpreter, torch.onnx export + onnxsim, and litert_torch convert; no verification, no
manifest. Both sides run in turn (A B A B ...) as whole processes; the operating system's accounting gives CPU time
and peak memory. Prints a Markdown table with the medians and the ratio of each pair.

    python benchmarks/export_time.py --variant s --rounds 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BARE = """
import sys
import torch
from edgevit.build import build_model
variant, directory = sys.argv[1:]
model, spec = build_model(variant)
image = torch.randn(spec.inputs[0].shape)

traced = torch.jit.freeze(torch.jit.trace(model, image, check_trace=False))
traced._save_for_lite_interpreter(f"{directory}/bare.ptl")

import onnx, onnxsim
torch.onnx.export(model, (image,), f"{directory}/bare.onnx", opset_version=17, dynamo=False,
                  input_names=["image"], output_names=["logits"])
simplified, ok = onnxsim.simplify(onnx.load(f"{directory}/bare.onnx"))
assert ok
onnx.save(simplified, f"{directory}/bare.onnx")

import litert_torch
litert_torch.convert(model, (image,)).export(f"{directory}/bare.tflite")
"""


@dataclass(frozen=True)
class Cost:
    """One process: wall and CPU seconds, peak resident bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


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
        _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - start_s
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command[:4])} ... ended with {code}")
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit_bytes)


def measure(variant: str, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Interleaved runs: (ours, bare)."""
    ours, bare = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            out = str(Path(directory) / "artifacts")
            command = ["-m", "edgevit_export", "--variant", variant, "--format", "ptl,onnx,tflite", "--output", out]
            ours.append(run([sys.executable, *command]))
            bare.append(run([sys.executable, "-c", BARE, variant, directory]))
    return ours, bare


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--variant", default="s")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, bare = measure(arguments.variant, arguments.rounds)
    print(f"EdgeViT-{arguments.variant.upper()}, ptl + onnx + tflite, {arguments.rounds} interleaved rounds\n")
    print("| | edgevit-export, verified | bare converters | ratio (min..max of the pairs) |\n|---|---|---|---|")
    for name, field, scale in (("wall, s", "wall_s", 1.0), ("CPU, s", "cpu_s", 1.0), ("peak, MB", "peak_bytes", 1e-6)):
        left = [getattr(cost, field) * scale for cost in ours]
        right = [getattr(cost, field) * scale for cost in bare]
        ratios = [a / b for a, b in zip(left, right, strict=True)]
        print(
            f"| {name} | {statistics.median(left):.1f} | {statistics.median(right):.1f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) |"
        )


if __name__ == "__main__":
    main()
