"""The runtimes' own benchmark tools; one file per tool. A new one costs its file and a row in ``TOOLS``."""

from __future__ import annotations

from export.recipe import Format
from runtimes.runners.tools.adapter import ToolAdapter
from runtimes.runners.tools.executor_runner import ExecutorRunner
from runtimes.runners.tools.onnxruntime_perf_test import OnnxruntimePerfTest
from runtimes.runners.tools.speed_benchmark_torch import SpeedBenchmarkTorch
from runtimes.runners.tools.tflite_benchmark_model import TfliteBenchmarkModel

TOOLS: dict[Format, ToolAdapter] = {
    Format.PTL: SpeedBenchmarkTorch(),
    Format.ONNX: OnnxruntimePerfTest(),
    Format.TFLITE: TfliteBenchmarkModel(),
    Format.PTE: ExecutorRunner(),
}
