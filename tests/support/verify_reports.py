"""Reports of verification as records: one that passed, one that failed, one that lacked a runtime."""

from __future__ import annotations

import numpy as np
from fake_sessions import FunctionSession, golden_set

from export.recipe import Format
from validation.artifact.checks import Check, CheckStatus, VerifyReport
from validation.artifact.parity import ParityReport, compare


def parity(error: float = 0.0) -> ParityReport:
    reference = np.array([[3.0, 1.0, 0.5]])
    session = FunctionSession({"x": (1, 1)}, ("y",), lambda _: {"y": (reference + error).astype(np.float32)})
    return compare(session, golden_set({"x": np.zeros((1, 1), np.float32)}, {"y": reference}))


def report(*checks: Check, compared: ParityReport | None = None, file: str = "s.onnx") -> VerifyReport:
    return VerifyReport(
        file=file,
        manifest=f"artifacts/{file}.json",
        started_utc="2026-01-02T03:04:05Z",
        format=Format.ONNX,
        checks=checks,
        parity=compared,
    )


def check(name: str, status: CheckStatus, *details: str, seconds: float = 0.25) -> Check:
    return Check(name=name, status=status, details=details, seconds=seconds)


PASSED = report(
    check("checksum", CheckStatus.PASSED), check("parity", CheckStatus.PASSED, "a remark"), compared=parity()
)


FAILED = report(
    check("checksum", CheckStatus.PASSED),
    check("parity", CheckStatus.FAILED, "error 1 on <input>", "worst & last", seconds=1.5),
    check("parity-extra", CheckStatus.SKIPPED, "not run"),
    compared=parity(0.5),
)


MISSING = report(check("load", CheckStatus.MISSING, "not verified: no runtime"))
