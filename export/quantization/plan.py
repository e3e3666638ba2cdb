"""What a writer must make int8 (``export.int8.plan``, which programs hold without the rest of this folder)."""

from export.int8.plan import MEASURED, Quantization, Range

__all__ = ["MEASURED", "Quantization", "Range"]
