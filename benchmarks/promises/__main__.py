"""Tries what artifacts promise about other runtimes in those runtimes, and prints the table.

    python -m benchmarks.promises --cache ~/.cache/promises --only tflite --only onnx --output table.md

Old wheels need old Pythons: ``--python 3.8=PATH`` names one, else it is looked for on the path and among pyenv's. What
cannot be had is a row that says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.promises import of_onnx, of_pte, of_ptl, of_tflite
from benchmarks.promises.artifacts import Artifacts
from benchmarks.promises.pythons import Workshop
from benchmarks.promises.table import markdown

FORMATS = {"tflite": of_tflite.rows, "onnx": of_onnx.rows, "pte": of_pte.rows, "ptl": of_ptl.rows}


def main() -> int:
    """Print the table; 1 if a promise does not hold."""
    options = _options()
    options.cache.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(options.cache.resolve(), {version: Path(path) for version, path in options.python})
    artifacts = Artifacts(options.cache / "artifacts", options.variant)
    rows = []
    for format in options.only or FORMATS:
        for row in FORMATS[format](workshop, artifacts):
            print(f"{row.artifact} in {row.tried}: {row.result}", file=sys.stderr, flush=True)
            rows.append(row)
    text = markdown(rows)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return int(any(row.holds is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="where environments and artifacts stay")
    parser.add_argument("--only", action="append", choices=list(FORMATS), help="may be repeated; default: all")
    parser.add_argument("--variant", default="xxs")
    parser.add_argument(
        "--python", action="append", default=[], type=_version_and_path, metavar="VERSION=PATH", help="may be repeated"
    )
    parser.add_argument("--output", type=Path, help="write the table there too")
    return parser.parse_args()


def _version_and_path(text: str) -> tuple[str, str]:
    version, equals, path = text.partition("=")
    if not equals or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"expected VERSION=PATH of an interpreter, got {text!r}")
    return version, path


if __name__ == "__main__":
    sys.exit(main())
