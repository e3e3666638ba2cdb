"""Networks by name, exported once each and kept: what ``benchmarks/networks.py`` times.

    python benchmarks/network_exports.py DIR NETWORK [FORMAT LEVEL]

exports one artifact with its verification, or without a format counts the network's multiply-adds; both leave a record.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec.structs import replace

from edgevit.names import file_name
from edgevit.records import Record
from edgevit.spec import ModelSpec
from export.recipe import Format, Optimize, Recipe

if TYPE_CHECKING:
    from torch import nn

EDGEVIT = "edgevit-"


class Facts(Record):
    """What a network takes: multiply-adds of one run, and its dominant product as rows, inputs, outputs."""

    schema_version: Literal[1] = 1
    network: str
    multiply_adds: int
    product: tuple[int, int, int]
    parameters: int


class Exported(Record):
    """One artifact, or why there is none. ``parity`` is the worst output's error in yardsticks; ``file`` absolute.

    ``deviation`` is the standard deviation of the reference outputs: none of a network whose branches are dead.
    ``idle`` counts the passes that did not run.
    """

    schema_version: Literal[1] = 1
    network: str
    format: Format
    level: Optimize
    verdict: str
    reasons: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()
    file: str | None = None
    operators: int | None = None
    pieces: str = "-"
    parity: float | None = None
    idle: int = 0
    seconds: float = 0.0


def folder_of(directory: Path, network: str) -> Path:
    """Where all that belongs to ``network`` is kept."""
    return directory / file_name(network.partition("=")[0])


def facts_of(directory: Path, network: str) -> Facts:
    """The network's record, counted now in a process of its own if ``directory`` has none."""
    path = folder_of(directory, network) / "facts.json"
    if not path.exists():
        _run(str(directory), network)
    return Facts.load(path)


def exported_of(directory: Path, network: str, format: Format, level: Optimize) -> Exported:
    """The artifact's record, exported now in a process of its own if ``directory`` has none."""
    path = _record_path(directory, network, format, level)
    if not path.exists():
        _run(str(directory), network, format, level)
    return Exported.load(path)


def _record_path(directory: Path, network: str, format: Format, level: Optimize) -> Path:
    return folder_of(directory, network) / f"{format}-{level}.json"


def _run(*arguments: str) -> None:
    print(f"exporting: {' '.join(arguments[1:])}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(arguments[1:])}: ended with {done.returncode}; its error stands above")


def build(network: str) -> tuple[nn.Module, ModelSpec]:
    """``edgevit-VARIANT``, a name that timm has, or ``NAME=TIMM(ARGUMENT=VALUE, ...)``; random weights."""
    if network.startswith(EDGEVIT):
        from edgevit.build import build_model

        return build_model(network.removeprefix(EDGEVIT))
    from edgevit.sources.from_timm import build_timm

    name, _, call = network.partition("=")
    base, architecture = _called(call) if call else (name, {})
    model, spec = build_timm(base, architecture=architecture, weights="random")
    return model, replace(spec, name=file_name(name))


def _called(text: str) -> tuple[str, dict[str, object]]:
    """The name and the arguments of ``TIMM(ARGUMENT=VALUE, ...)``."""
    expression = ast.parse(text, mode="eval").body
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name) or expression.args:
        raise SystemExit(f"error: {text}: expected TIMM(ARGUMENT=VALUE, ...)")
    return expression.func.id, {str(one.arg): ast.literal_eval(one.value) for one in expression.keywords}


def _count(directory: Path, network: str) -> None:
    from floor import dominant_product

    from export.multiply_adds import multiply_adds
    from export.program import capture

    model, spec = build(network)
    program = capture(model, spec)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    facts = Facts(
        network=network,
        multiply_adds=multiply_adds(program),
        product=dominant_product(program),
        parameters=parameters,
    )
    facts.save(folder_of(directory, network) / "facts.json")


def _export(directory: Path, network: str, format: Format, level: Optimize) -> None:
    from edgevit.errors import EdgevitExportError
    from edgevit_export import export

    model, spec = build(network)
    files = folder_of(directory, network) / f"{format}-{level}"
    try:
        (outcome,) = export(model, spec, [Recipe(format=format, optimize=level)], output=files).outcomes
    except EdgevitExportError as error:
        _save(directory, Exported(network=network, format=format, level=level, verdict="error", reasons=(str(error),)))
        return
    took = outcome.delegation
    record = Exported(
        network=network,
        format=format,
        level=level,
        verdict=outcome.verdict,
        reasons=outcome.reasons,
        shortfalls=outcome.shortfalls,
        file=str(Path(outcome.file).resolve()) if outcome.file else None,
        operators=outcome.operators,
        pieces=f"{took.delegated}/{took.total} in {took.partitions}" if took else "-",
        parity=outcome.parity.multiple if outcome.parity else None,
        idle=sum(log.not_run is not None for log in outcome.passes),
        seconds=outcome.seconds,
    )
    _save(directory, record)


def _save(directory: Path, record: Exported) -> None:
    record.save(_record_path(directory, record.network, record.format, record.level))


def main() -> None:
    """Export or count what the command line names."""
    import torch

    torch.set_num_threads(1)
    directory, network, *recipe = sys.argv[1:]
    folder_of(Path(directory), network).mkdir(parents=True, exist_ok=True)
    if recipe:
        _export(Path(directory), network, Format(recipe[0]), Optimize(recipe[1]))
    else:
        _count(Path(directory), network)


if __name__ == "__main__":
    main()
