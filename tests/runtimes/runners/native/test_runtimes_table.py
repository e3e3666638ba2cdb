"""The table of runtimes against what the installed packages hold and say."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from importlib import metadata

import pytest

from export.recipe import Format
from runtimes.runners.native.runtimes_table import NATIVE


def test_every_format_has_a_row() -> None:
    assert list(NATIVE) == [row.format for row in NATIVE.values()] and set(NATIVE) == set(Format)
    assert {row.program for row in NATIVE.values()} == {
        "edgevit-runner",
        "edgevit-runner-executorch",
        "edgevit-runner-torch",
    }
    assert {row.format for row in NATIVE.values() if row.linked} == {Format.PTE, Format.PTL}


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE, Format.PTL])
def test_the_library_is_where_the_row_says_in_the_package(format: Format) -> None:
    row = NATIVE[format]
    files = [str(path) for path in metadata.files(row.package) or []]
    assert len([name for name in files if fnmatchcase(name, row.wheel_main)]) == 1


def test_records_name_runtime_and_version() -> None:
    named = [row.measured("1.2") for row in NATIVE.values()]
    assert sorted(named) == ["LiteRT 1.2", "executorch 1.2", "onnxruntime 1.2", "torch 1.2"]


def test_the_version_of_executorch_is_in_its_packages_summary() -> None:
    """The line that PyPI shows for version 1.4.0."""
    pattern = NATIVE[Format.PTE].told_version
    found = re.search(
        pattern or "", "Summary: Torch-free numpy runtime for ExecuTorch .pte files (ExecuTorch 1.3.1, CPU)"
    )
    assert found is not None and found[1] == "1.3.1"
