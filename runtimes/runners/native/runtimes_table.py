"""The runtimes of the native runner as data: which program opens which format, and where its library comes from."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from export.recipe import Format

RUNNER = "edgevit-runner"
GLIBC = "glibc"
"""The name under which the store keeps glibc itself, for devices that have none."""


@dataclass(frozen=True)
class NativeRow:
    """One format's runtime, for the native runner.

    Attributes:
        format: What it runs.
        runtime: Its name in the store and on the command line of CMake.
        title: Its name in records, before the version.
        program: The program that opens it.
        package: What PyPI calls its wheel.
        python: Version of Python whose wheels are taken; no Python is needed to use what is in them.
        main: Pattern of its library in the wheel.
        beside: Patterns of what must lie beside the library.
        aar_main: File name of its library in an AAR.
        maven: Coordinates of the AAR; None where Maven has none for it.
        linked: Whether the program is linked with the library, and so is built behind the fetch.
    """

    format: Format
    runtime: str
    title: str
    program: str
    package: str
    python: str
    main: str
    beside: tuple[str, ...] = ()
    aar_main: str = ""
    maven: str | None = None
    linked: bool = False

    def measured(self, version: str) -> str:
        """What records say: ``LiteRT 2.3.0``."""
        return f"{self.title} {version}"

    def is_main(self, member: str) -> bool:
        """Whether a member of a wheel is the library."""
        return fnmatchcase(member, self.main)

    def is_beside(self, member: str) -> bool:
        """Whether a member of a wheel must lie beside the library."""
        return any(fnmatchcase(member, pattern) for pattern in self.beside)


NATIVE: dict[Format, NativeRow] = {
    Format.ONNX: NativeRow(
        Format.ONNX, "onnxruntime", "onnxruntime", RUNNER, package="onnxruntime", python="3.11",
        main="onnxruntime/capi/libonnxruntime.so*", beside=("onnxruntime.libs/*.so*",),
        aar_main="libonnxruntime.so", maven="com.microsoft.onnxruntime:onnxruntime-android",
    ),
    Format.TFLITE: NativeRow(
        Format.TFLITE, "litert", "LiteRT", RUNNER, package="ai-edge-litert", python="3.11",
        main="ai_edge_litert/libLiteRt.so", beside=("ai_edge_litert.libs/*.so*",),
        aar_main="libLiteRt.so", maven="com.google.ai.edge.litert:litert",
    ),
    Format.PTE: NativeRow(
        Format.PTE, "executorch", "executorch", f"{RUNNER}-executorch", package="executorch-numpy-runtime",
        python="3.12", main="executorch_numpy_runtime/_core*.so", beside=("executorch_numpy_runtime.libs/*.so*",),
        aar_main="libexecutorch.so", maven="org.pytorch:executorch-android", linked=True,
    ),
    Format.PTL: NativeRow(
        Format.PTL, "torch", "torch", f"{RUNNER}-torch", package="torch", python="3.11",
        main="torch/lib/libtorch_cpu.so",
        beside=("torch/lib/libc10.so", "torch/lib/libgomp*.so*", "torch/lib/lib*openblas*.so*", "torch/lib/libarm_compute*.so*",
                "torch/lib/libgfortran*.so*", "torch.libs/*.so*"),
        linked=True,
    ),
}  # fmt: skip

PROGRAMS: tuple[str, ...] = tuple(dict.fromkeys(row.program for row in NATIVE.values()))
"""All programs, the one that needs no library first."""
