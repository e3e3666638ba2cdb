"""``Recipe``: everything the user asked for about one artifact."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from edgevit.records import Record
from edgevit.spec import Layout


class Format(StrEnum):
    """An artifact format; the value is its name on the command line and its file suffix."""

    PTL = "ptl"
    ONNX = "onnx"
    TFLITE = "tflite"
    PTE = "pte"


class Precision(StrEnum):
    """Number type of weights and arithmetic in the artifact."""

    FP32 = "fp32"


class Optimize(StrEnum):
    """How far the passes go: ``none`` is the stock converter on the network's own formulation."""

    NONE = "none"
    BASIC = "basic"
    FULL = "full"


class Recipe(Record):
    """One artifact's recipe. Fields that another format owns stay None (``opset``: ONNX, ``ptl_bytecode``: ptl)."""

    schema_version: Literal[1] = 1
    format: Format
    precision: Precision = Precision.FP32
    optimize: Optimize = Optimize.FULL
    input_layout: Layout = Layout.NCHW
    opset: int | None = None
    dynamic_batch: bool = False
    ptl_bytecode: int | None = None
