"""What became of each layer (``export.int8.record``, which manifests need without the rest of this folder)."""

from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme

__all__ = ["LayerKind", "LayerRecord", "QuantizationRecord", "Scheme"]
