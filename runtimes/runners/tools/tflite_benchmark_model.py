"""TFLite's ``benchmark_model`` (the Interpreter one). It tells a summary, never single runs.

LiteRT's CompiledModel tool has the same file name and the same flags; which one answered is seen from its output.
"""

from __future__ import annotations

import re

from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, Subject, Summary
from runtimes.runners.tools.adapter import MIB, MS, NUMBER, US, Feed, ToolAdapter, ToolCommand, find_number
from runtimes.runners.workload import Workload

LITERT_BANNER = "BENCHMARK RESULTS"
COUNT_LINE = re.compile(r"\bcount=([0-9]+)\b(.{0,1000})", re.MULTILINE)  # its pairs are searched for each word


class TfliteBenchmarkModel(ToolAdapter):
    """Adapter; see ``ToolAdapter``."""

    name = "benchmark_model"
    title = "TFLite benchmark_model"
    inputs: Feed = "golden"
    dumps_outputs = True
    how_to_get = (
        "download android_aarch64_benchmark_model (or linux_x86-64, linux_aarch64) from the nightly prebuilt tools at "
        "https://ai.google.dev/edge/litert/models/measurement, or build //tflite/tools/benchmark:benchmark_model "
        "with bazel from google-ai-edge/LiteRT"
    )

    def command(self, subject: Subject, workload: Workload) -> ToolCommand:
        """Exactly ``workload.runs`` timed runs: without ``min_secs=0`` a fast model would be run more often."""
        arguments = [
            f"--graph={subject.remote_name}",
            f"--num_runs={workload.runs}",
            "--min_secs=0",
            "--max_secs=86400",
            f"--warmup_runs={workload.warmup}",
            "--warmup_min_secs=0",
            f"--num_threads={workload.threads}",
            f"--run_delay={workload.gap_ms / 1e3:g}" if workload.gap_ms else "--run_delay=-1",
            "--report_peak_memory_footprint=true",
            f"--output_filepath={subject.output_name}",
        ]
        if subject.inputs:
            names = ",".join(tensor.name for tensor in subject.inputs)
            shapes = ":".join(",".join(str(size) for size in tensor.shape) for tensor in subject.inputs)
            files = ",".join(
                f"{tensor.name}:{file}" for tensor, file in zip(subject.inputs, subject.input_files, strict=True)
            )
            arguments += [f"--input_layer={names}", f"--input_layer_shape={shapes}"]
            arguments += [f"--input_layer_value_files={files}"]
        return ToolCommand(arguments=tuple(arguments), outputs=(subject.output_name,))

    def _parse(self, finished: Finished, workload: Workload) -> Measured:
        """Read either tool's output; see ``ToolAdapter.parse``.

        In the Interpreter tool's, the second ``count=`` line is the timed part, the first the warm-up.
        """
        text = finished.printed
        if LITERT_BANNER in text:
            return LitertBenchmarkModel().parse(finished, workload)
        counts = COUNT_LINE.findall(text)
        expected = 2 if workload.warmup else 1
        if "Benchmarking failed" in text or not counts:
            raise self.unreadable("it printed no 'count=' line", finished)
        if len(counts) < expected:
            why = f"expected {expected} 'count=' lines (warm-up and timed), got {len(counts)}"
            raise self.unreadable(why, finished)
        summary = _summary(int(counts[-1][0]), counts[-1][1])
        if summary is None:
            raise self.unreadable(f"no average in 'count={counts[-1][0]}{counts[-1][1]}'", finished)
        self.check_count(summary.count, workload, finished)
        return self.measured(
            summary=summary,
            load_ns=find_number("Init:", text, US),
            first_ns=find_number("First inference:", text, US),
            peak_memory_bytes=find_number(r"Overall peak memory footprint \(MB\) via periodic monitoring:", text, MIB),
        )


class LitertBenchmarkModel(TfliteBenchmarkModel):
    """LiteRT's tool (CompiledModel), when its words came back."""

    title = "LiteRT benchmark_model"

    def _parse(self, finished: Finished, workload: Workload) -> Measured:
        """Read the block after the banner. All times are ms, the deviation too, although it has no unit."""
        text = finished.printed.rpartition(LITERT_BANNER)[2]
        average = re.search(rf"Inference \(avg\):\s*({NUMBER}) ms \(([0-9]+) runs\)", text)
        if average is None:
            raise self.unreadable("no 'Inference (avg): ... ms (... runs)' after the banner", finished)
        self.check_count(int(average[2]), workload, finished)
        return self.measured(
            summary=Summary(
                count=int(average[2]),
                mean_ns=float(average[1]) * MS,
                sd_ns=find_number(r"Inference \(std\):", text, MS),
                min_ns=find_number(r"Inference \(min\):", text, MS),
                max_ns=find_number(r"Inference \(max\):", text, MS),
            ),
            load_ns=find_number("Model initialization:", text, MS),
            first_ns=find_number(r"Warmup \(first\):", text, MS),
            peak_memory_bytes=find_number("Peak memory:", text, MIB),
        )


def _summary(count: int, rest: str) -> Summary | None:
    fields = {key: float(value) * US for key, value in re.findall(rf"(\w+)=({NUMBER})", rest)}
    if "avg" in fields:
        return Summary(
            count=count,
            mean_ns=fields["avg"],
            sd_ns=fields.get("std"),
            min_ns=fields.get("min"),
            max_ns=fields.get("max"),
            median_ns=fields.get("median"),
            p95_ns=fields.get("p95"),
        )
    if "curr" in fields and (count == 1 or "all same" in rest):
        same = fields["curr"]
        return Summary(count=count, mean_ns=same, sd_ns=0.0, min_ns=same, max_ns=same, median_ns=same, p95_ns=same)
    return None
