"""Records of made-up measurements of the networks of the paper's Table 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from report_records import run_of, save_run

from edgevit.neighbours import neighbours
from edgevit.spec import Network, Task
from export.recipe import Format, Optimize, Recipe
from runtimes.bench.record import DeviceRun
from validation.report.rows import Agreement, Conditions, PaperClaim, PaperComparison, PaperRatio, Ratio

ARCHITECTURES = {
    "Twins-SVT-Tiny*": '{"depths":[2,2,8,2],"embed_dims":[32,64,128,256],"num_heads":[1,2,4,8]}',
    "TNT-Tiny": '{"embed_dim":192,"inner_dim":12,"num_heads_inner":2,"num_heads_outer":3}',
}


def network_of(model: str) -> Network:
    """As an export describes the network that stands for ``model``."""
    neighbour = neighbours()[model]
    options = {"architecture": ARCHITECTURES[model]} if model in ARCHITECTURES else {}
    variant = neighbour.edgevit or f"timm:{neighbour.timm}"
    return Network(variant=variant, task=Task.CLASSIFY, num_classes=1000, options=options, weights="random, seed 0")


def paper_run(
    model: str,
    latency_ms: float,
    *,
    suffix: str = "tflite",
    side: int | None = None,
    sd: float = 0.01,
    optimize: Optimize = Optimize.FULL,
    started: str = "2026-01-01T00:00:00+00:00",
    **options: object,
) -> DeviceRun:
    """A complete run of a network of Table 2; ``options`` go to ``report_records.run_of``."""
    neighbour = neighbours()[model]
    side = side or neighbour.input_size
    run = run_of(f"{neighbour.name}-{side}x{side}.{suffix}", latency_ms, side=side, sd=sd, **options)  # type: ignore[arg-type]
    artifact = msgspec.structs.replace(
        run.artifact, network=network_of(model), recipe=Recipe(format=Format(suffix), optimize=optimize)
    )
    rounds = tuple(msgspec.structs.replace(each, started_utc=started) for each in run.rounds)
    return msgspec.structs.replace(run, artifact=artifact, rounds=rounds)


def save_paper_results(directory: Path, latencies_ms: Mapping[str, float], **options: object) -> Path:
    """Records of several networks in one directory."""
    for model, latency_ms in latencies_ms.items():
        save_run(directory, paper_run(model, latency_ms, **options))  # type: ignore[arg-type]
    return directory


THERE, HERE = Ratio(value=2.0, low=1.9, high=2.1), Ratio(value=0.5, low=0.45, high=0.55)
COMPARISON = PaperComparison(
    slug="table-2-1",
    title="Table 2 on this device: d, onnx",
    notes=("a note",),
    conditions=Conditions(device="d"),
    format="onnx",
    claims=(
        PaperClaim(
            text="A is faster than B", top1_points=5.4, reported=THERE, measured=HERE, agreement=Agreement.FAILS
        ),
        PaperClaim(text="no network is faster", agreement=Agreement.UNDECIDED, reasons=("C is as fast",)),
        PaperClaim(
            text="A is faster than D", reported=THERE, agreement=Agreement.UNMEASURED, reasons=("D: no record",)
        ),
    ),
    rows=(
        PaperRatio(model="A", reported_top1_pct=74.4, reported_ms=32.8, median_ms=5.0, status="valid"),
        PaperRatio(
            model="B", reported_top1_pct=69.0, reported_ms=65.6, reported=THERE, median_ms=2.5, measured=HERE,
            agreement=Agreement.FAILS, reasons=("not measured in turns",),
        ),
        PaperRatio(model="C", median_ms=7.5, measured=Ratio(value=1.5, low=1.4, high=1.6)),
        PaperRatio(model="D", reported=THERE, measured=Ratio(value=2.2, low=2.05, high=2.3), agreement=Agreement.HOLDS),
    ),
)  # fmt: skip
