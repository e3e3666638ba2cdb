"""ExecuTorch's ``executor_runner``: every iteration's latency, the golden input in, the outputs out.

On Android it writes to the system log instead of its standard output; the flow hands that over as ``log``.
"""

from __future__ import annotations

import re

from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, Subject
from runtimes.runners.tools.adapter import MS, NUMBER, Feed, ToolAdapter, ToolCommand, find_number
from runtimes.runners.workload import Workload

ITERATION = re.compile(rf"Iteration ([0-9]+) of ([0-9]+): ({NUMBER}) ms")


class ExecutorRunner(ToolAdapter):
    """Adapter; see ``ToolAdapter``. It does not warm up; the first runs are dropped instead."""

    name = "executor_runner"
    log_tag = "ExecuTorch"
    inputs: Feed = "golden"
    dumps_outputs = True
    how_to_get = (
        "build it from an executorch 1.4 or newer source tree with the Android NDK: cmake --preset "
        "android-arm64-v8a -DEXECUTORCH_BUILD_XNNPACK=ON -DEXECUTORCH_BUILD_EXECUTOR_RUNNER=ON -B cmake-out . && "
        "cmake --build cmake-out --target executor_runner"
    )

    def refusal(self, subject: Subject, workload: Workload) -> str | None:
        """It cannot pause between runs."""
        return "it cannot pause between runs" if workload.gap_ms else None

    def command(self, subject: Subject, workload: Workload) -> ToolCommand:
        """Outputs are written to ``<base>-<index>.bin``."""
        arguments = [
            f"--model_path={subject.remote_name}",
            f"--num_executions={workload.runs + workload.warmup}",
            f"--cpu_threads={workload.threads}",
            f"--output_file={subject.output_name}",
            "--print_output=none",
        ]
        if subject.inputs:
            arguments.append("--inputs=" + ",".join(subject.input_files))
        return ToolCommand(
            arguments=tuple(arguments),
            outputs=tuple(f"{subject.output_name}-{index}.bin" for index in range(len(subject.outputs))),
        )

    def _parse(self, finished: Finished, workload: Workload) -> Measured:
        """Read the ``Iteration`` lines; see ``ToolAdapter.parse``."""
        text = finished.printed
        if "Model executed successfully" not in text:
            raise self.unreadable("no 'Model executed successfully'", finished)
        found = [(int(index), int(total), float(value)) for index, total, value in ITERATION.findall(text)]
        if not found:
            raise self.unreadable("this release does not print single iterations; use 1.4 or newer", finished)
        total = workload.runs + workload.warmup
        if [index for index, _, _ in found] != list(range(1, total + 1)):
            why = f"expected iterations 1 to {total}, got {len(found)} (the system log may have dropped lines)"
            raise self.unreadable(why, finished)
        latencies = tuple(round(value * MS) for _, _, value in found[workload.warmup :])
        return self.measured(
            latencies,
            load_ns=find_number("Model loaded in", text, MS),
            first_ns=found[0][2] * MS,
        )
