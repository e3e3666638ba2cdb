"""What became of each layer of a quantised artifact, as its manifest keeps it."""

from __future__ import annotations

from enum import StrEnum

from edgevit.records import Record


class Scheme(StrEnum):
    """How one layer with weights is computed."""

    FLOAT = "float"
    WEIGHTS = "weights"  # int8 weights, widened before the product, which is taken in float32
    DYNAMIC = "dynamic"  # int8 product, the range of the activation taken in every call
    STATIC = "static"  # int8 product, the ranges of the activations fixed by calibration


class LayerKind(StrEnum):
    """What a layer with weights computes, as far as runtimes treat it differently in int8."""

    LINEAR = "linear"
    CONV = "conv"  # one group
    DEPTHWISE = "depthwise"  # as many groups as channels
    GROUPED = "grouped"
    TRANSPOSED = "transposed"


KEPT, SEARCHED = "kept by ", "the search left it float"
"""Beginning and whole of why a layer is float that was to be."""


class LayerRecord(Record):
    """One layer with weights of an optimised program, and what became of it.

    Attributes:
        name: Of its call in the program.
        module: The module of the network that it came from, e.g. ``stages.1.blocks.0.mlp.fc1``.
        kind: What it computes.
        weights: Number of its weights, without the bias; 0 where an earlier layer has equal ones and is int8, or float,
            as this one.
        scheme: How the artifact computes it.
        why: Why not as the recipe's other layers of this kind; "" where it is.
        sqnr_db: Signal to quantisation noise of the layer's own output under that scheme, its input being float, over
            the images of calibration, else the golden inputs; None for float.
    """

    name: str
    module: str
    kind: LayerKind
    weights: int
    scheme: Scheme
    why: str = ""
    sqnr_db: float | None = None

    @property
    def asked_for(self) -> bool:
        """Whether the user wanted it so."""
        return self.why.startswith(KEPT) or self.why == SEARCHED


class QuantizationRecord(Record):
    """All layers with weights of an int8 artifact, in order; ``measured_on`` says what the layers' SQNR is over.

    ``images`` has the first digits of the SHA-256 of each image of the calibration, as the network saw it.
    """

    layers: tuple[LayerRecord, ...]
    measured_on: str
    images: tuple[str, ...] = ()

    def named(self, scheme: Scheme) -> tuple[LayerRecord, ...]:
        """The layers of one scheme."""
        return tuple(layer for layer in self.layers if layer.scheme is scheme)
