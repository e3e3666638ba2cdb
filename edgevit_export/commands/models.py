"""``models``: the variants with parameters, multiply-adds and the paper's figures; or timm's networks by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError
from edgevit.shell import quoted
from edgevit_export.commands.options import AsJson, Quiet, parse_size
from edgevit_export.console import print_next, print_note, print_records, print_table

if TYPE_CHECKING:
    from edgevit.network.complexity import VariantSummary
    from edgevit.sources.timm_listing import ListedNetwork

_COLUMNS = (
    "variant", "channels", "blocks", "heads", "params", "multiply-adds", "paper:\nparams", "paper:\nGFLOPs",
    "paper:\ntop-1", "paper:\nlatency", "paper:\nenergy",
)  # fmt: skip
_NOTE = (
    "The paper measured latency on a Samsung Galaxy S21 and energy on a Snapdragon 888 HDK8350, CPU, fp32, batch 1, "
    "224x224; its text and the published code differ for S (docs/network.md)."
)


# fmt: off
@dataclass(frozen=True)
class ModelsOptions:
    """The options of ``models``."""

    input_size: Annotated[str | None, typer.Option(
        help="Height, or HxW, in pixels, to count multiply-adds at.  [default: 224]")] = None
    timm: Annotated[str | None, typer.Option(
        help="List timm's networks of these names instead, e.g. 'mobilevit*'.")] = None
    as_json: AsJson = False
    quiet: Quiet = False
# fmt: on


def models(options: ModelsOptions) -> None:
    """List the variants and their cost, or timm's networks."""
    if options.timm is not None:
        _list_timm(options.timm, options)
        return
    from edgevit.network.complexity import summarise
    from edgevit.network.variants import variants

    input_size = parse_size(options.input_size or "224")
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


_TIMM_COLUMNS = ("name", "params", "input", "weights on a hub")


def _list_timm(pattern: str, options: ModelsOptions) -> None:
    from edgevit.sources.timm_listing import list_timm

    if options.input_size is not None:
        raise UsageError("--input-size counts the cost of variants, which --timm does not list", hint="leave it out")
    networks = list_timm(pattern)
    if options.as_json:
        print_records(networks=networks)
        return
    print_table(_TIMM_COLUMNS, [_timm_row(network) for network in networks], right=_TIMM_COLUMNS[1:3])
    print_note("weights: the tags, the first is taken where none is named; input: channels, height, width")
    if all(network.parameters is None for network in networks):
        print_note(f"{len(networks)} networks: parameters are counted where fewer are listed")
    print_next(f"edgevit-export --model {quoted(f'timm:{networks[0].name}')} --format ptl,onnx,tflite")


def _timm_row(network: ListedNetwork) -> tuple[str, ...]:
    parameters = "-" if network.parameters is None else f"{network.parameters / 1e6:.2f} M"
    return (network.name, parameters, "x".join(map(str, network.input)), ", ".join(network.weights) or "-")
