"""An interpreter in which an inference of ONNX Runtime takes a known time, whatever else the processor has to do."""

from __future__ import annotations

import sys
from pathlib import Path

_STEADY = """
import time

import onnxruntime

compute = onnxruntime.InferenceSession.run


def run(session, *arguments, **named):
    start_s = time.monotonic()
    results = compute(session, *arguments, **named)
    time.sleep(max(0.0, start_s + {seconds} - time.monotonic()))
    return results


onnxruntime.InferenceSession.run = run
"""


def steady_python(directory: Path, seconds: float) -> str:
    """A program that is this interpreter, but for inferences: they compute, and rest until ``seconds`` have passed."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "sitecustomize.py").write_text(_STEADY.format(seconds=seconds), encoding="utf-8")
    program = directory / "python3"
    program.write_text(f"#!/bin/sh\nPYTHONPATH='{directory}' exec '{sys.executable}' \"$@\"\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)
