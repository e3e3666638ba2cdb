"""What the writer puts into a ``.pte`` file beside the program."""

from __future__ import annotations

from pathlib import Path

import msgspec
from mobile_artifacts import LABELS, small, small_program

from edgevit.spec import ModelSpec
from export.formats.pte_file.read import read
from export.formats.pte_file.write import write
from export.quiet import quiet
from export.recipe import Format, Recipe


def test_metadata_is_inside_the_file() -> None:
    built = small(Format.PTE)
    metadata = read(built.path).metadata
    assert msgspec.json.decode(metadata["spec"], type=ModelSpec) == built.program.spec
    assert msgspec.json.decode(metadata["recipe"], type=Recipe) == built.recipe
    assert tuple(metadata["labels"].splitlines()) == LABELS


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    built = small(Format.PTE)
    with quiet():
        write(small_program(), built.recipe, tmp_path / "again.pte")
    assert (tmp_path / "again.pte").read_bytes() == built.path.read_bytes()
