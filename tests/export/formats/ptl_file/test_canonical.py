"""What ``canonical`` makes of torch's own file: equal bytes, no traces of this machine, each tensor once, aligned."""

import os
import zipfile
from pathlib import Path

import pytest
import torch
import torch.jit.mobile
from small_models import conv_net, two_inputs

from export.formats.ptl_file.versions import BYTECODES
from export.formats.ptl_file.write import write
from export.program import capture
from export.recipe import Format, Recipe

RECIPE = Recipe(format=Format.PTL)


@pytest.mark.parametrize("bytecode", [None, 7, 4])
def test_equal_programs_give_equal_bytes(tmp_path: Path, bytecode: int | None) -> None:
    recipe = Recipe(format=Format.PTL, ptl_bytecode=bytecode)
    first, second = tmp_path / "first.ptl", tmp_path / "second-with-another-name.ptl"
    write(capture(*conv_net()), recipe, first)
    write(capture(*two_inputs()), recipe, tmp_path / "between.ptl")
    write(capture(*conv_net()), recipe, second)
    assert first.read_bytes() == second.read_bytes()
    write(capture(*conv_net(seed=5)), recipe, second)
    assert first.read_bytes() != second.read_bytes()


def test_nothing_of_this_machine_is_in_the_file(tmp_path: Path) -> None:
    write(capture(*conv_net()), RECIPE, tmp_path / "model.ptl")
    data = (tmp_path / "model.ptl").read_bytes()
    assert os.fsencode(Path(torch.__file__).parent.parent) not in data
    assert b"torch_mangle" not in data


def test_a_backported_file_holds_each_tensor_once(tmp_path: Path) -> None:
    program = capture(*conv_net())
    sizes = {}
    for bytecode in (None, 7, 4):
        write(program, Recipe(format=Format.PTL, ptl_bytecode=bytecode), tmp_path / "model.ptl")
        with zipfile.ZipFile(tmp_path / "model.ptl") as archive:
            tensors = [info for info in archive.infolist() if info.filename.split("/")[1] in {"constants", "bytecode"}]
            sizes[bytecode] = sum(info.file_size for info in tensors)
            assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    assert sizes[None] == sizes[7] == sizes[4] > 0


@pytest.mark.parametrize("bytecode", BYTECODES)
def test_an_old_bytecode_lies_in_the_archive_of_its_time(tmp_path: Path, bytecode: int) -> None:
    """1.8 reads the record ``version`` up to 5, and tensors below ``bytecode``; it looks for no other version."""
    model = torch.nn.Sequential(conv_net()[0], torch.nn.GELU())  # for gelu torch would write 10
    write(capture(model, conv_net()[1]), Recipe(format=Format.PTL, ptl_bytecode=bytecode), tmp_path / "model.ptl")
    with zipfile.ZipFile(tmp_path / "model.ptl") as archive:
        names = archive.namelist()
        assert 3 <= int(archive.read("archive/version")) <= 5
    assert "archive/.data/version" not in names
    folders = {name.split("/")[1] for name in names if name.rpartition("/")[2].removesuffix(".storage").isdigit()}
    assert folders == {"bytecode" if bytecode == 4 else "constants"}
    assert any(name.startswith("archive/code/") for name in names) == (bytecode > 4)


def test_tensors_are_aligned_for_memory_mapping(tmp_path: Path) -> None:
    path = tmp_path / "model.ptl"
    write(capture(*conv_net()), RECIPE, path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) > 3
        for info in archive.infolist():
            name, extra = (int.from_bytes(data[info.header_offset + at :][:2], "little") for at in (26, 28))
            assert (info.header_offset + 30 + name + extra) % 64 == 0
