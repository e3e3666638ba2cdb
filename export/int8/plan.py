"""``Quantization``: what a writer must make int8 in a program, and with which ranges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from export.int8.record import LayerRecord, QuantizationRecord, Scheme

if TYPE_CHECKING:
    from torch import Tensor


MEASURED = 32
"""Images that a layer's cost is measured on. Chosen: its energies are sums over all elements and settle early."""


@dataclass(frozen=True)
class Range:
    """Least and largest value of an activation over all images of the calibration; float32, unrounded, without 0."""

    low: float
    high: float


@dataclass(frozen=True)
class Quantization:
    """The layers of one program and what they become, by the name of their call (``Node.name``).

    Attributes:
        layers: Every layer with weights, in the order of execution.
        inputs: Range of the activation that each layer reads; of those with a static scheme.
        outputs: Range of what each of them gives.
        feeds: The images of the calibration as the program takes them, one tuple of inputs a call; none if dynamic.
        digests: Of each image of the calibration.
    """

    layers: dict[str, LayerRecord]
    inputs: dict[str, Range] = field(default_factory=dict)
    outputs: dict[str, Range] = field(default_factory=dict)
    feeds: tuple[tuple[Tensor, ...], ...] = ()
    digests: tuple[str, ...] = ()

    @property
    def record(self) -> QuantizationRecord:
        """What the manifest keeps."""
        on = f"{min(len(self.digests), MEASURED)} images of the calibration" if self.digests else "the golden inputs"
        return QuantizationRecord(layers=tuple(self.layers.values()), measured_on=on, images=self.digests)

    def named(self, scheme: Scheme) -> tuple[LayerRecord, ...]:
        """The layers of one scheme."""
        return tuple(layer for layer in self.layers.values() if layer.scheme is scheme)
