"""What fp16 and int8 cost a trained network, format by format: top-1, agreement and SQNR on held-out images.

    python benchmarks/precision_accuracy.py [--format ptl,onnx,tflite,pte] [--choices 5]

The network is the small EdgeViT of the tests (``tests/data/fashion``), the images are 2,000 of the test set;
static int8 is calibrated on several choices of 100 images of its training set. Every figure is of the file in its own
runtime, against torch in float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]

from fashion import fashion_network, pixels, prepared  # noqa: E402  # behind the path above

from export.build import export_artifact  # noqa: E402
from export.formats.table import parse_format  # noqa: E402
from export.program import Program, capture  # noqa: E402
from export.quantization.calibration import CalibrationImages, digests_of  # noqa: E402
from export.recipe import Precision, Recipe  # noqa: E402
from runtimes.sessions.table import open_session  # noqa: E402

CALIBRATED_ON = 100


def recipes(format_name: str, choices: int) -> Iterator[tuple[str, Recipe, CalibrationImages | None]]:
    """Every way to write the format: its name in the table, the recipe, and its images."""
    format = parse_format(format_name)
    yield "fp32", Recipe(format=format), None
    yield "fp16", Recipe(format=format, precision=Precision.FP16), None
    yield "int8 dynamic", Recipe(format=format, precision=Precision.INT8), None
    for choice in range(choices):
        samples = prepared(pixels("train")[choice * CALIBRATED_ON :][:CALIBRATED_ON])
        images = CalibrationImages(samples, digests_of(samples))
        recipe = Recipe(format=format, precision=Precision.INT8, calibration=images.record)
        yield f"int8 static {choice + 1}", recipe, images


def answers(path: Path, recipe: Recipe) -> np.ndarray:
    """``(2000, 10)`` of the file in its runtime."""
    session = open_session(path, recipe.format, threads=1)
    name, images = session.inputs[0].name, prepared(pixels("test"))
    array = next(iter(images.arrays.values()))
    rows = [next(iter(session.run({name: array[row : row + 1]}).values())) for row in range(len(array))]
    session.close()
    return np.concatenate(rows).astype(np.float64)


def measure(program: Program, exact: np.ndarray, format_name: str, choices: int) -> None:
    """One line for each file of a format."""
    labels, plain_bytes = pixels("labels"), 0
    right = exact.argmax(1) == labels
    for title, recipe, images in recipes(format_name, choices):
        with tempfile.TemporaryDirectory() as stage:
            staged = export_artifact(program, recipe, Path(stage), calibration=images)
            seen, size = answers(staged.path, recipe), staged.path.stat().st_size
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
    asked = parser.parse_args()
    import torch

    model, spec = fashion_network()
    with torch.no_grad():
        images = torch.from_numpy(next(iter(prepared(pixels("test")).arrays.values())))
        exact = torch.cat([model(part) for part in images.split(100)]).double().numpy()
    print(f"float32 in torch: top-1 {(exact.argmax(1) == pixels('labels')).mean():.2%} of {len(exact)} images")
    program = capture(model, spec)
    for name in asked.format.split(","):
        measure(program, exact, name, asked.choices)


if __name__ == "__main__":
    main()
