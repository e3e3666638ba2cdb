"""Whether a written ``.pte`` file computes in the precision that was asked for, layer by layer, read from its bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from edgevit.errors import ExportError
from export.formats.pte_file.contents import PteFile
from export.formats.pte_file.delegate import DYNAMIC
from export.formats.pte_file.read import Outside
from export.int8.record import Scheme
from export.program import Program
from export.recipe import Precision

_ROUNDING = "quantized_decomposed::"
_ACTIVATION = {Scheme.DYNAMIC: DYNAMIC, Scheme.STATIC: "int8"}


def require_precision(program: Program, precision: Precision, file: PteFile) -> None:
    """Refuse a file that is not what its name will say.

    Args:
        program: What was written, with its quantisation.
        precision: What was asked for.
        file: What was written.

    Raises:
        ExportError: Layers that were to be int8 are not, or nothing is in half precision.
    """
    if precision is Precision.FP16 and not file.weights["float16"]:
        raise ExportError(
            f"XNNPACK has no weight of {program.spec.name} in half precision: that takes linear layers or convolutions",
            hint="--precision fp32",
        )
    if precision is Precision.INT8 and (wrong := tuple(_missing(program, file))):
        raise ExportError(f"{program.spec.name} as pte is not int8 as asked for: {', '.join(wrong)}")


def require_inside(model: str, outside: Sequence[Outside]) -> None:
    """Refuse a graph in which XNNPACK left an int8 layer outside: the stock kernels round nothing.

    Args:
        model: Its name.
        outside: The kernels that the lowered graph calls itself.

    Raises:
        ExportError: Names the modules, and why they were left.
    """
    left = [row for row in outside if row.name.startswith(_ROUNDING)]
    modules = list(dict.fromkeys(module for row in left for module in row.modules))
    whys = dict.fromkeys(row.why for row in outside if row not in left and set(row.modules) & set(modules))
    if left:
        raise ExportError(
            f"XNNPACK leaves layers of {model} that were to be int8 outside (in {', '.join(modules) or 'no module'})"
            + (f": {'; '.join(whys)}" if whys else ""),
            hint="leave them out with --keep-float",
        )


def _missing(program: Program, file: PteFile) -> Iterator[str]:
    plan = program.quantization
    assert plan is not None
    found: Counter[str] = Counter()
    for product, count in file.products.items():
        if product.weights == "int8":
            found[product.activation] += count
    for scheme, activation in _ACTIVATION.items():
        asked = plan.named(scheme)
        if len(asked) != found[activation]:
            names = ", ".join(dict.fromkeys(layer.module for layer in asked))
            yield f"of {len(asked)} {scheme} layers the delegate has {found[activation]} (in {names})"
