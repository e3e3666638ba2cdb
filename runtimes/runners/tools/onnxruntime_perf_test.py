"""ONNX Runtime's ``onnxruntime_perf_test``: every run's latency from its result file, on random input."""

from __future__ import annotations

from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, Subject
from runtimes.runners.tools.adapter import MS, SECONDS, Feed, ToolAdapter, ToolCommand, find_number
from runtimes.runners.workload import Workload

RESULT_FILE = "perf_test.csv"


class OnnxruntimePerfTest(ToolAdapter):
    """Adapter; see ``ToolAdapter``. The tool warms up once; more warm-up runs are timed runs that are dropped."""

    name = "onnxruntime_perf_test"
    inputs: Feed = "random"
    dumps_outputs = False
    how_to_get = (
        "build it from an onnxruntime source tree (not 1.22: its Android build ignores every option): "
        "./build.sh --android --android_abi arm64-v8a --android_api 27 --config Release; "
        "put libonnxruntime.so beside it if that is shared"
    )

    def refusal(self, subject: Subject, workload: Workload) -> str | None:
        """It warms up exactly once before all else and cannot pause."""
        if workload.gap_ms:
            return "it cannot pause between runs"
        return "it always warms up once: give --warmup 1 or more" if workload.warmup < 1 else None

    def command(self, subject: Subject, workload: Workload) -> ToolCommand:
        """``-m times`` with a result file, which the tool appends to and which must therefore not exist."""
        return ToolCommand(
            arguments=(
                *("-e", "cpu", "-m", "times", "-r", str(workload.runs + workload.warmup - 1)),
                *("-I", "-S", "1", "-x", str(workload.threads), "-y", "1", "-o", "99"),
                *(subject.remote_name, RESULT_FILE),
            ),
            environment={"LD_LIBRARY_PATH": "{directory}"},
            files=(RESULT_FILE,),
        )

    def _parse(self, finished: Finished, workload: Workload) -> Measured:
        """The result file has ``model,seconds,peak bytes,cpu %,run`` per run; see ``ToolAdapter.parse``."""
        text = finished.printed
        if find_number(r"Average inference time cost(?: total)?:", text) is None:
            raise self.unreadable("no 'Average inference time cost'", finished)
        rows = finished.files.get(RESULT_FILE, b"").decode("utf-8", "replace").splitlines()
        timed = [self._row(row, finished) for row in rows][workload.warmup - 1 :]
        self.check_count(len(timed), workload, finished)
        return self.measured(
            [latency for latency, _ in timed],
            load_ns=find_number("Session creation time cost:", text, SECONDS),
            first_ns=find_number("First inference time cost:", text, MS),
            peak_memory_bytes=max(peak for _, peak in timed),
        )

    def _row(self, row: str, finished: Finished) -> tuple[int, int]:
        try:
            _, seconds, peak, _, _ = row.rsplit(",", 4)
            latency_ns = round(float(seconds) * SECONDS)
            if latency_ns <= 0:
                raise ValueError("the latency is not positive")
            return latency_ns, int(float(peak))
        except (ValueError, OverflowError) as error:
            raise self.unreadable(f"row '{row}' of the result file: {error}", finished) from error
