"""PyTorch's ``speed_benchmark_torch``: every run's latency, on an input of ones, without a thread option."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from edgevit.errors import DeviceError, first_line
from edgevit.records import read_json
from edgevit.text import printable
from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, Subject
from runtimes.runners.tools.adapter import US, Feed, ToolAdapter, ToolCommand, find_number
from runtimes.runners.workload import Workload

OBSERVER = re.compile(r"PyTorchObserver (\{[^}\n]{0,1000}\})")
INPUT_TYPES = {"float32": "float", "uint8": "uint8_t", "int64": "int64"}


class _Observed(msgspec.Struct):
    """A latency in microseconds; what else stands in its line does not matter."""

    type: Literal["NET"]
    unit: Literal["us"]
    metric: Literal["latency"]
    value: str | float


class SpeedBenchmarkTorch(ToolAdapter):
    """Adapter; see ``ToolAdapter``."""

    name = "speed_benchmark_torch"
    inputs: Feed = "ones"
    dumps_outputs = False
    how_to_get = (
        "build it from a pytorch 1.9 to 2.x source tree: "
        "BUILD_LITE_INTERPRETER=1 ./scripts/build_android.sh -DBUILD_BINARY=ON -DANDROID_ABI=arm64-v8a"
    )

    def refusal(self, subject: Subject, workload: Workload) -> str | None:
        """Threads follow the cores that it may use, so they must be given as a CPU mask; there are no gaps."""
        if workload.gap_ms:
            return "it cannot pause between runs"
        threads = workload.threads
        if workload.affinity is None or int(workload.affinity, 16).bit_count() != threads:
            return (
                f"it has no option for threads; give --affinity exactly {threads} core{'s' if threads > 1 else ''}, "
                f"e.g. --affinity {','.join(map(str, range(threads)))}"
            )
        unknown = [tensor.dtype for tensor in subject.inputs if tensor.dtype not in INPUT_TYPES]
        return f"it cannot make inputs of type {', '.join(unknown)}" if unknown else None

    def command(self, subject: Subject, workload: Workload) -> ToolCommand:
        """Dimensions and types of several inputs are separated by semicolons."""
        dims = ";".join(",".join(str(size) for size in tensor.shape) for tensor in subject.inputs)
        types = ";".join(INPUT_TYPES[tensor.dtype] for tensor in subject.inputs)
        return ToolCommand(
            arguments=(
                f"--model={subject.remote_name}",
                f"--input_dims={dims}",
                f"--input_type={types}",
                f"--warmup={workload.warmup}",
                f"--iter={workload.runs}",
                "--report_pep=true",
            )
        )

    def _parse(self, finished: Finished, workload: Workload) -> Measured:
        """One ``PyTorchObserver`` line per run, in microseconds; see ``ToolAdapter.parse``."""
        if find_number("Main run finished. Microseconds per iter:", finished.printed) is None:
            raise self.unreadable("no 'Main run finished. Microseconds per iter: ...'", finished)
        latencies = tuple(self._latency_ns(line, finished) for line in OBSERVER.findall(finished.printed))
        self.check_count(len(latencies), workload, finished)
        return self.measured(latencies)

    def _latency_ns(self, text: str, finished: Finished) -> int:
        try:
            line = read_json(text, _Observed, what="observation", origin="it", failure=DeviceError)
            return round(float(line.value) * US)
        except (DeviceError, ValueError, OverflowError) as error:
            raise self.unreadable(f"line '{printable(text)}': {first_line(error)}", finished) from error
