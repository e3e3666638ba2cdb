"""The options of ``--precision`` and int8, made into fields of recipes, and the report on an int8 artifact's layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from edgevit.errors import UsageError, parse_choice
from edgevit_export.commands.export_options import ExportOptions
from edgevit_export.commands.options import split_list
from edgevit_export.console import print_line, print_table, print_text
from export.int8.record import LayerRecord, QuantizationRecord, Scheme
from export.recipe import Precision

if TYPE_CHECKING:
    from edgevit_export.workflows.export import FormatOutcome

LAYER_COLUMNS = ("layer", "kind", "becomes", "SQNR dB", "elements")


class Int8Fields(TypedDict, total=False):
    """The fields of a recipe that int8 alone has."""

    keep_float: tuple[str, ...]
    reach_sqnr_db: float | None
    reach_agreement: float | None


def asked_precisions(options: ExportOptions) -> tuple[Precision, ...]:
    """The precisions of ``--precision``, each once, float32 by default.

    Raises:
        UsageError: An unknown one, or an option of int8 without int8.
    """
    names = split_list(options.precision)
    if options.precision and not names:
        raise UsageError(f"--precision names no precision: choose from {', '.join(Precision)}", hint="--precision int8")
    found = tuple(dict.fromkeys(parse_choice("precision", Precision, name) for name in names)) or (Precision.FP32,)
    given = {
        "--calibration-data": options.calibration_data is not None,
        "--keep-float": bool(options.keep_float),
        "--quantize-report": options.quantize_report,
        "--reach-sqnr": options.reach_sqnr is not None,
        "--reach-agreement": options.reach_agreement is not None,
    }
    idle = [option for option, was_given in given.items() if was_given]
    if idle and Precision.INT8 not in found:
        raise UsageError(
            f"{', '.join(idle)} without int8: {', '.join(found)} has no use for it", hint="add --precision int8"
        )
    return found


def for_int8(options: ExportOptions, precision: Precision) -> Int8Fields:
    """The recipe's fields that only int8 has; none for another precision."""
    if precision is not Precision.INT8:
        return {}
    percent = options.reach_agreement
    return {
        "keep_float": tuple(split_list(options.keep_float)),
        "reach_sqnr_db": options.reach_sqnr,
        "reach_agreement": None if percent is None else percent / 100,
    }


def print_layers(outcomes: Sequence[FormatOutcome]) -> None:
    """What became of each layer of every int8 artifact, those that lose most first."""
    for outcome in outcomes:
        if outcome.quantization is not None:
            print_line()
            print_text(f"{outcome.recipe.title}: {summary(outcome.quantization)}")
            print_layer_table(outcome.quantization.layers)


def print_layer_table(layers: Sequence[LayerRecord]) -> None:
    """A row for each layer, those that lose most first, and why those that have a reason are as they are.

    Several of one module are told by their calls.
    """
    times = Counter(layer.module for layer in layers)
    ordered = sorted(layers, key=_loss)
    rows = [_row(layer, alone=times[layer.module] == 1) for layer in ordered]
    print_table(LAYER_COLUMNS, rows, right=LAYER_COLUMNS[3:])
    if reasons := [(row[0], layer.why) for layer, row in zip(ordered, rows, strict=True) if layer.why]:
        print_line()
        print_table((LAYER_COLUMNS[0], "why"), reasons)


def summary(record: QuantizationRecord) -> str:
    """``41 layers: 35 static, 3 dynamic, 3 float; SQNR of each layer's output over ...``."""
    counts = {scheme: sum(layer.scheme is scheme for layer in record.layers) for scheme in reversed(Scheme)}
    schemes = ", ".join(f"{count} {scheme}" for scheme, count in counts.items() if count)
    return f"{len(record.layers)} layers: {schemes}; SQNR of each one's output alone, over {record.measured_on}"


def _loss(layer: LayerRecord) -> tuple[bool, float]:
    """What layers are sorted by: those in float behind the others."""
    return layer.sqnr_db is None, layer.sqnr_db or 0.0


def _row(layer: LayerRecord, *, alone: bool) -> tuple[str, ...]:
    sqnr = "-" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}"
    name = layer.module if alone else f"{layer.module} ({layer.name})"
    return name, layer.kind, layer.scheme, sqnr, f"{layer.weights:,}"
