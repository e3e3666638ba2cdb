"""``models``: the variants with parameters, multiply-adds and the paper's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit_export.commands.options import AsJson, Quiet, parse_size
from edgevit_export.console import print_next, print_note, print_records, print_table

if TYPE_CHECKING:
    from edgevit.network.complexity import VariantSummary

_COLUMNS = (
    "variant", "channels", "blocks", "heads", "params", "multiply-adds", "paper:\nparams", "paper:\nGFLOPs",
    "paper:\ntop-1", "paper:\nlatency", "paper:\nenergy",
)  # fmt: skip
_NOTE = (
    "The paper measured latency on a Samsung Galaxy S21 and energy on a Snapdragon 888 HDK8350, CPU, fp32, batch 1, "
    "224x224; its text and the published code differ for S (docs/network.md)."
)


@dataclass(frozen=True)
class ModelsOptions:
    """The options of ``models``."""

    input_size: Annotated[str, typer.Option(help="Height, or HxW, in pixels, to count multiply-adds at.")] = "224"
    as_json: AsJson = False
    quiet: Quiet = False


def models(options: ModelsOptions) -> None:
    """List the variants and their cost."""
    from edgevit.network.complexity import summarise
    from edgevit.network.variants import variants

    input_size = parse_size(options.input_size)
    summaries = [summarise(config, input_size) for config in variants().values()]
    if options.as_json:
        print_records(variants=summaries)
        return
    print_table(_COLUMNS, [_row(summary) for summary in summaries], right=_COLUMNS[4:])
    print_note(_NOTE)
    print_next("edgevit-export --variant s --format ptl,onnx,tflite")


def _row(summary: VariantSummary) -> tuple[str, ...]:
    latency, energy, config = summary.paper_latency, summary.paper_energy, summary.config
    return (
        config.name,
        *(", ".join(str(value) for value in values) for values in (config.channels, config.blocks, config.heads)),
        f"{summary.complexity.parameters / 1e6:.2f} M",
        f"{summary.complexity.multiply_adds / 1e9:.2f} G",
        "-" if latency is None else f"{latency.params_m} M",
        "-" if latency is None else f"{latency.gflops}",
        "-" if latency is None else f"{latency.top1_pct} %",
        "-" if latency is None else f"{latency.latency_ms} ± {latency.latency_std_ms} ms",
        "-" if energy is None else f"{energy.energy_mj} ± {energy.energy_std_mj} mJ",
    )
