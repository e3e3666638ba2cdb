"""Which ONNX Runtime runs which file: the table of ONNX Runtime's own compatibility page."""

from __future__ import annotations

from collections.abc import Iterable

# The opsets that we write: what the TorchScript-based exporter of torch 2.13 knows, from Resize with scales upwards.
OPSETS = range(11, 21)
STATIC_OPSETS = range(13, 21)
"""Those whose QuantizeLinear and DequantizeLinear know a scale for each output, as static int8 needs."""

# (highest opset, highest IR version, first ONNX Runtime that has both), oldest first.
RUNTIMES = (
    (9, 4, "0.3"),
    (10, 5, "0.4"),
    (11, 6, "1.0"),
    (12, 7, "1.3"),
    (13, 7, "1.6"),
    (14, 7, "1.8"),
    (15, 8, "1.9"),
    (16, 8, "1.11"),
    (17, 8, "1.12"),
    (18, 8, "1.14"),
    (19, 9, "1.16"),  # the page says 1.15, which has no kernel for its Reshape
    (20, 9, "1.17"),
    (21, 10, "1.18"),
    (22, 10, "1.20"),
    (23, 11, "1.23"),
)

BY_OPERATOR = {"MatMulInteger": "1.8", "DequantizeLinear": "1.7"}
"""From which release on int8 with a scale for each output runs, whatever the opset: as tried with each of them.

1.6 and 1.7 make one call of a dynamic product and then refuse its scales; 1.6 has no ``DequantizeLinear`` of a bias.
"""


def lowest_runtime(opset: int, ir_version: int = 0, operators: Iterable[str] = ()) -> str:
    """The first ONNX Runtime that reads files of this opset and IR version; without one, that has the operators.

    ``operators``: the names of those in the file, some of which run later than their opset says.
    """
    later = [BY_OPERATOR[name] for name in operators if name in BY_OPERATOR]
    for highest_opset, highest_ir, version in RUNTIMES:
        if opset <= highest_opset and ir_version <= highest_ir:
            return max(version, *later, key=lambda text: tuple(map(int, text.split(".")))) if later else version
    return f"that of opset {opset}, newer than {RUNTIMES[-1][2]}"
