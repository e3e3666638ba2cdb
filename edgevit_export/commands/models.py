"""``models``: the variants with parameters, multiply-adds and the paper's figures."""

from __future__ import annotations

import json

from edgevit_export.commands.options import parse_size
from edgevit_export.console import print_line, print_note, print_table

_COLUMNS = (
    "variant", "channels", "blocks", "heads", "params", "multiply-adds", "paper: params", "GFLOPs", "top-1", "latency",
    "energy",
)  # fmt: skip


def run(*, input_size: str, as_json: bool) -> None:
    """Print one row per variant, counted at ``input_size``."""
    from edgevit.network.complexity import VariantSummary, summarise

    def row(summary: VariantSummary) -> tuple[str, ...]:
        latency, energy, config = summary.paper_latency, summary.paper_energy, summary.config
        return (
            config.name,
            *(", ".join(str(value) for value in values) for values in (config.channels, config.blocks, config.heads)),
            f"{summary.complexity.parameters / 1e6:.2f} M",
            f"{summary.complexity.multiply_adds / 1e9:.2f} G",
            "" if latency is None else f"{latency.params_m} M",
            "" if latency is None else f"{latency.gflops}",
            "" if latency is None else f"{latency.top1_pct} %",
            "" if latency is None else f"{latency.latency_ms} ± {latency.latency_std_ms} ms",
            "" if energy is None else f"{energy.energy_mj} ± {energy.energy_std_mj} mJ",
        )

    summaries = summarise(input_size=parse_size(input_size))
    if as_json:
        print_line(json.dumps([json.loads(summary.to_json()) for summary in summaries], indent=2))
        return
    print_table(_COLUMNS, [row(summary) for summary in summaries], right=_COLUMNS[4:])
    print_note(
        "\nThe paper measured latency on a Samsung Galaxy S21 and energy on a Snapdragon 888 HDK8350, CPU, fp32,"
    )
    print_note("batch 1, 224x224; its text and the published code differ for S (docs/network.md).")
    print_note("next: edgevit-export --variant s --format ptl,onnx,tflite")
