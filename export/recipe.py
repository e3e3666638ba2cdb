"""``Recipe``: everything the user asked for about one artifact."""

from __future__ import annotations

import hashlib
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
    """Number type of the weights, and with int8 of the products' arithmetic; inputs and outputs are float32 in all."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Optimize(StrEnum):
    """How far the passes go: ``none`` is the stock converter on the network's own formulation."""

    NONE = "none"
    BASIC = "basic"
    FULL = "full"


class Calibration(Record):
    """The images that static ranges were taken on: how many, and their SHA-256 as the network saw them."""

    count: int
    sha256: str


# Chosen: ONNX Runtime 1.12 (July 2022) and everything since runs it, and it is the first with LayerNormalization.
DEFAULT_OPSET = 17


class Recipe(Record):
    """One artifact's recipe. Fields that another format owns stay None (``opset``: ONNX, ``ptl_bytecode``: ptl).

    ``ptl_prepacked`` asks for weights that PyTorch Mobile packs when it loads the file (``ptl_file.prepacked``).
    ``calibration`` makes int8 static, without it the ranges of activations are taken in every call (dynamic).
    ``keep_float``: patterns of the layers that int8 leaves alone, as ``--keep-float`` takes them. ``reach_sqnr_db``
    (dB) and ``reach_agreement`` (0 to 1, on the top class): leave as many of the worst layers float as that needs.
    """

    schema_version: Literal[1] = 1
    format: Format
    precision: Precision = Precision.FP32
    optimize: Optimize = Optimize.FULL
    input_layout: Layout = Layout.NCHW
    opset: int | None = None
    dynamic_batch: bool = False
    ptl_bytecode: int | None = None
    ptl_prepacked: bool = False
    calibration: Calibration | None = None
    keep_float: tuple[str, ...] = ()
    reach_sqnr_db: float | None = None
    reach_agreement: float | None = None

    @property
    def title(self) -> str:
        """What tells it from the others of one command: ``tflite``, ``tflite int8``."""
        return self.format if self.precision is Precision.FP32 else f"{self.format} {self.precision}"

    @property
    def precision_words(self) -> str:
        """As tables tell it: ``fp32``, ``fp16``, ``int8 dynamic`` or ``int8 static``."""
        if self.precision is not Precision.INT8:
            return self.precision
        return f"{self.precision} {'dynamic' if self.calibration is None else 'static'}"

    @property
    def tells_of_int8(self) -> bool:
        """Whether it holds what only int8 has a use for."""
        return bool(self.calibration or self.keep_float or self.reach_sqnr_db or self.reach_agreement)

    def file_name(self, model: str) -> str:
        """File name of the artifact: ``edgevit-s-224x224.ptl``, ``edgevit-s-224x224-nhwc-opset18.onnx``.

        Whatever differs from the default stands in it, so that two recipes never overwrite each other's files.
        """
        parts = {
            self.precision_part: bool(self.precision_part),
            f"float-{_digest(self.keep_float)}": bool(self.keep_float),
            f"sqnr{self.reach_sqnr_db or 0:g}": self.reach_sqnr_db is not None,
            f"agree{100 * (self.reach_agreement or 0):g}": self.reach_agreement is not None,
            f"optimize-{self.optimize}": self.optimize is not Optimize.FULL,
            str(self.input_layout): self.input_layout is not Layout.NCHW,
            f"opset{self.opset}": self.opset not in {None, DEFAULT_OPSET},
            f"bytecode{self.ptl_bytecode}": self.ptl_bytecode is not None,
            "prepacked": self.ptl_prepacked,
            "dynamic-batch": self.dynamic_batch,
        }
        return "-".join([model, *(part for part, differs in parts.items() if differs)]) + f".{self.format}"

    @property
    def precision_part(self) -> str:
        """What a file's name has for the precision: ``int8-static-100-1a2b3c4d``; nothing for float32."""
        found = self.calibration
        parts = ["" if self.precision is Precision.FP32 else str(self.precision)]
        parts += [] if found is None else [f"static-{found.count}-{found.sha256[:8]}"]
        return "-".join(filter(None, parts))


def _digest(texts: tuple[str, ...]) -> str:
    """Eight digits that tell one tuple of texts from another."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
