"""What fp16 and int8 cost a trained network, format by format: top-1, agreement and SQNR on held-out images.

    python benchmarks/precision_accuracy.py [--format ptl,onnx,tflite,pte] [--choices 5]
    python benchmarks/precision_accuracy.py --network inverted --train DIRECTORY

The network is the small EdgeViT of the tests (``tests/data/fashion``), or a convolutional one (``small_convolutions``)
that is trained first, on the files of Fashion-MNIST in DIRECTORY. The images are 2,000 of the test set; static int8 is
calibrated on several choices of 100 images of the training set. Every figure is of the file in its own runtime, against
torch in float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]

from fashion import fashion_network, pixels, prepared  # noqa: E402  # behind the path above
from small_convolutions import NETWORKS, prepared_small, trained  # noqa: E402

from edgevit.spec import ModelSpec  # noqa: E402
from edgevit_export import spec_for  # noqa: E402
from export.build import export_artifact  # noqa: E402
from export.formats.table import parse_format  # noqa: E402
from export.program import Program, capture  # noqa: E402
from export.quantization.calibration import CalibrationImages, digests_of  # noqa: E402
from export.recipe import Precision, Recipe  # noqa: E402
from export.stimuli import Samples  # noqa: E402
from runtimes.sessions.table import open_session  # noqa: E402

CALIBRATED_ON = 100


@dataclass(frozen=True)
class Trained:
    """A network, and how it takes ``(N, 28, 28) uint8``."""

    model: torch.nn.Module
    spec: ModelSpec
    prepared: Callable[[np.ndarray], Samples]


def network(name: str, directory: Path | None) -> Trained:
    """``edgevit``, or a convolutional network that is trained on ``directory`` now."""
    if name == "edgevit":
        return Trained(*fashion_network(), prepared)
    if directory is None:
        raise SystemExit(f"error: --network {name} is trained first: give --train DIRECTORY")
    model = trained(name, directory)
    return Trained(model, spec_for(model, torch.zeros(1, 1, 28, 28), name=name), _samples)


def _samples(images: np.ndarray) -> Samples:
    return Samples(tuple(f"image-{row}" for row in range(len(images))), {"input": prepared_small(images).numpy()})


def recipes(network: Trained, format_name: str, choices: int) -> Iterator[tuple[str, Recipe, CalibrationImages | None]]:
    """Every way to write the format: its name in the table, the recipe, and its images."""
    format = parse_format(format_name)
    yield "fp32", Recipe(format=format), None
    yield "fp16", Recipe(format=format, precision=Precision.FP16), None
    yield "int8 dynamic", Recipe(format=format, precision=Precision.INT8), None
    for choice in range(choices):
        samples = network.prepared(pixels("train")[choice * CALIBRATED_ON :][:CALIBRATED_ON])
        images = CalibrationImages(samples, digests_of(samples))
        recipe = Recipe(format=format, precision=Precision.INT8, calibration=images.record)
        yield f"int8 static {choice + 1}", recipe, images


def answers(path: Path, recipe: Recipe, images: Samples) -> np.ndarray:
    """``(2000, 10)`` of the file in its runtime."""
    session = open_session(path, recipe.format, threads=1)
    name = session.inputs[0].name
    array = next(iter(images.arrays.values()))
    rows = [next(iter(session.run({name: array[row : row + 1]}).values())) for row in range(len(array))]
    session.close()
    return np.concatenate(rows).astype(np.float64)


def measure(network: Trained, program: Program, exact: np.ndarray, format_name: str, choices: int) -> None:
    """One line for each file of a format."""
    labels, plain_bytes, held_out = pixels("labels"), 0, network.prepared(pixels("test"))
    right = exact.argmax(1) == labels
    for title, recipe, images in recipes(network, format_name, choices):
        with tempfile.TemporaryDirectory() as stage:
            staged = export_artifact(program, recipe, Path(stage), calibration=images)
            seen, size = answers(staged.path, recipe, held_out), staged.path.stat().st_size
        plain_bytes = plain_bytes or size
        top1 = (seen.argmax(1) == labels).mean() - right.mean()
        agreement = (seen.argmax(1) == exact.argmax(1)).mean()
        noise = np.square(seen - exact).sum()
        sqnr_db = 10 * np.log10(np.square(exact).sum() / noise) if noise else 300.0
        print(
            f"{format_name:7} {title:14} top-1 {100 * top1:+6.2f} points  agreement {agreement:7.2%}  "
            f"SQNR {sqnr_db:5.1f} dB  size {size / plain_bytes:.3f}",
            flush=True,
        )


def main() -> None:
    """Measure the formats that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="ptl,onnx,tflite,pte")
    parser.add_argument("--choices", type=int, default=5)
    parser.add_argument("--network", default="edgevit", choices=("edgevit", *NETWORKS))
    parser.add_argument("--train", type=Path, metavar="DIRECTORY", help="Fashion-MNIST, for --network")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    chosen = network(asked.network, asked.train)
    with torch.no_grad():
        images = torch.from_numpy(next(iter(chosen.prepared(pixels("test")).arrays.values())))
        exact = torch.cat([chosen.model(part) for part in images.split(100)]).double().numpy()
    print(f"float32 in torch: top-1 {(exact.argmax(1) == pixels('labels')).mean():.2%} of {len(exact)} images")
    program = capture(chosen.model, chosen.spec)
    for name in asked.format.split(","):
        measure(chosen, program, exact, name, asked.choices)


if __name__ == "__main__":
    main()
