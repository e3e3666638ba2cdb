"""The runtimes of the native runner as data: which program opens which format, and where its library comes from."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.errors import UsageError
from export.recipe import Format

RUNNER = "edgevit-runner"
GLIBC = "glibc"
"""The name under which the store keeps glibc itself, for devices that have none."""


@dataclass(frozen=True)
class NativeRow:
    """One format's runtime, for the native runner.

    What must lie beside a library is no column: it is what the library's own headers ask for and its package holds.

    Attributes:
        format: What it runs.
        runtime: Its name in the store.
        title: Its name in records, before the version.
        program: The program that opens it.
        package: What PyPI calls its wheel.
        python: Version of Python whose wheels are taken; no Python is needed to use what is in them.
        wheel_main: Pattern of its library in the wheel.
        followed: Whether without ``--version`` the version is that of ``package`` on this host, so that verify and
            bench speak of one runtime; else it is the newest.
        told_version: How the wheel's metadata tell the runtime's version, where it is not the package's own.
        aar_main: Pattern of its library's file name in an AAR.
        maven: Coordinates of the AAR; None where Maven has none.
        headers: Package of Python whose headers the program is compiled with; it is then linked with the library, and
            so is built behind the fetch. None where it opens the library when it runs.
        elsewhere: Where another build of its package is, for one that needs what devices lack.
    """

    format: Format
    runtime: str
    title: str
    program: str
    package: str
    python: str
    wheel_main: str
    followed: bool = True
    told_version: str | None = None
    aar_main: str | None = None
    maven: str | None = None
    headers: str | None = None
    elsewhere: str | None = None

    @property
    def linked(self) -> bool:
        """Whether the program is linked with the library."""
        return self.headers is not None

    def require_library(self, *, android: bool) -> None:
        """Refuse what has no library for such devices.

        Raises:
            UsageError: The vendor's tool alone runs the format there.
        """
        if android and self.aar_main is None:
            raise UsageError(
                f"{self.title} has no library for Android: .{self.format} runs there in the vendor's tool alone",
                hint=f"edgevit-export bench FILE.{self.format.value} --runner tool says how to get it",
            )

    def measured(self, version: str) -> str:
        """What records say: ``LiteRT 2.3.0``."""
        return f"{self.title} {version}"


NATIVE: dict[Format, NativeRow] = {
    row.format: row
    for row in (
        NativeRow(
            Format.ONNX, "onnxruntime", "onnxruntime", RUNNER, package="onnxruntime", python="3.11",
            wheel_main="onnxruntime/capi/libonnxruntime.so*",
            aar_main="libonnxruntime.so", maven="com.microsoft.onnxruntime:onnxruntime-android",
        ),
        NativeRow(
            Format.TFLITE, "litert", "LiteRT", RUNNER, package="ai-edge-litert", python="3.11",
            wheel_main="ai_edge_litert/libLiteRt.so",
            aar_main="libLiteRt.so", maven="com.google.ai.edge.litert:litert",
        ),
        NativeRow(
            Format.PTE, "executorch", "executorch", f"{RUNNER}-executorch", package="executorch-numpy-runtime",
            python="3.12",  # the oldest that it has wheels for
            wheel_main="executorch_numpy_runtime/_core*.so", followed=False,
            told_version=r"ExecuTorch (\d+\.\d+\.\d+)",  # 1.4.0 of the package holds ExecuTorch 1.3.1
            aar_main="libexecutorch*.so", maven="org.pytorch:executorch-android",
            headers="executorch",
        ),
        NativeRow(
            Format.PTL, "torch", "torch", f"{RUNNER}-torch", package="torch", python="3.11",
            wheel_main="torch/lib/libtorch_cpu.so", headers="torch",
            elsewhere="https://download.pytorch.org/whl/cpu has wheels without CUDA",  # PyPI's need its libraries,
        ),
    )
}  # fmt: skip
