"""Networks by name in every precision, exported once each and kept: what ``benchmarks/precision.py`` times.

    python benchmarks/precision_exports.py DIR NETWORK FORMAT WAY [CALIBRATION]

exports one artifact with its verification, and leaves a record beside it.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from network_exports import build, folder_of

from edgevit.records import Record
from edgevit.spec import ModelSpec
from export.recipe import Format, Precision, Recipe

if TYPE_CHECKING:
    from edgevit_export.workflows.export import FormatOutcome
    from export.quantization.calibration import CalibrationImages

DRAWN = 64
"""Images that ranges are taken on where the command line names none. Chosen: they settle before that."""


class Way(StrEnum):
    """A precision, and for int8 whether its ranges are fixed."""

    FP32 = "fp32"
    FP16 = "fp16"
    DYNAMIC = "int8-dynamic"
    STATIC = "int8-static"

    @property
    def precision(self) -> Precision:
        return Precision(self.value.partition("-")[0])


class Written(Record):
    """One artifact, or why there is none.

    ``schemes`` counts the layers of each scheme; ``calibration`` is where the images came from, "" for none.
    """

    schema_version: Literal[1] = 1
    network: str
    format: Format
    way: Way
    verdict: str
    calibration: str = ""
    reasons: tuple[str, ...] = ()
    file: str | None = None
    bytes: int = 0
    pieces: str = "-"
    sqnr_db: float | None = None
    schemes: str = ""
    seconds: float = 0.0


def written_of(directory: Path, network: str, format: Format, way: Way, calibration: Path | None) -> Written:
    """The artifact's record, exported now in a process of its own if ``directory`` has none of these images."""
    path = _record_path(directory, network, format, way)
    images = str(calibration.resolve()) if calibration and way is Way.STATIC else ""
    if path.exists() and (found := Written.load(path)).calibration == images:
        return found
    arguments = [str(directory), network, format, way, *([images] if images else [])]
    print(f"exporting: {' '.join(arguments[1:])}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(arguments[1:])}: ended with {done.returncode}; its error stands above")
    return Written.load(path)


def drawn(spec: ModelSpec) -> CalibrationImages:
    """Smooth images with a little noise, from a generator of their own: nothing that is verified on.

    Random weights know no photos; whoever asks for accuracy gives images.
    """
    from torch import from_numpy
    from torch.nn.functional import interpolate

    from export.quantization.calibration import CalibrationImages, digests_of
    from export.stimuli import Samples

    (tensor,) = spec.inputs
    _, channels, height, width = tensor.shape
    generator = np.random.default_rng(20)
    coarse = generator.standard_normal((DRAWN, channels, max(height // 16, 2), max(width // 16, 2)))
    smooth = interpolate(from_numpy(coarse), (height, width), mode="bicubic").numpy()
    noise = generator.standard_normal((DRAWN, channels, height, width))
    samples = Samples(
        tuple(f"drawn {place}" for place in range(DRAWN)), {tensor.name: (smooth + 0.2 * noise).astype(np.float32)}
    )
    return CalibrationImages(samples, digests_of(samples))


def _record_path(directory: Path, network: str, format: Format, way: Way) -> Path:
    return folder_of(directory, network) / f"{format}-{way}.json"


def _export(directory: Path, network: str, format: Format, way: Way, calibration: str) -> Written:
    from edgevit.errors import EdgevitExportError
    from edgevit_export import export

    record = Written(network=network, format=format, way=way, verdict="error", calibration=calibration)
    model, spec = build(network)
    images = (calibration or drawn(spec)) if way is Way.STATIC else None
    files = folder_of(directory, network) / f"{format}-{way}"
    recipe = Recipe(format=format, precision=way.precision)
    try:
        (outcome,) = export(model, spec, [recipe], output=files, calibration_data=images).outcomes
    except EdgevitExportError as error:
        return _changed(record, reasons=(str(error),))
    return _from_outcome(record, outcome)


def _from_outcome(record: Written, outcome: FormatOutcome) -> Written:
    took, plan = outcome.delegation, outcome.quantization
    counted = Counter(str(layer.scheme) for layer in plan.layers) if plan else Counter[str]()
    return _changed(
        record,
        verdict=outcome.verdict,
        reasons=outcome.reasons,
        file=str(Path(outcome.file).resolve()) if outcome.file else None,
        bytes=outcome.bytes or 0,
        pieces=f"{took.delegated}/{took.total} in {took.partitions}" if took else "-",
        sqnr_db=outcome.parity.sqnr_db if outcome.parity else None,
        schemes=", ".join(f"{count} {scheme}" for scheme, count in sorted(counted.items())),
        seconds=outcome.seconds,
    )


def _changed(record: Written, **fields: object) -> Written:
    from msgspec.structs import replace

    return replace(record, **fields)


def main() -> None:
    """Export what the command line names."""
    import torch

    torch.set_num_threads(1)
    directory, network, format, way, *calibration = sys.argv[1:]
    folder_of(Path(directory), network).mkdir(parents=True, exist_ok=True)
    record = _export(Path(directory), network, Format(format), Way(way), "".join(calibration))
    record.save(_record_path(Path(directory), network, record.format, record.way))


if __name__ == "__main__":
    main()
