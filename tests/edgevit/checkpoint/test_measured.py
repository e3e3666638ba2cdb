"""What a file claims to hold is never asked for when it does not hold it."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import pytest
import torch

from edgevit.checkpoint.file import read_content
from edgevit.checkpoint.measured import MeasuredFile
from edgevit.errors import CheckpointError


def test_it_reads_as_a_file_does(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 400)
    whole = path.read_bytes()
    with MeasuredFile(path) as file, path.open("rb") as plain:
        for size in (1, 3, 8192, 50_000, 2**40, 1):
            asked = min(size, len(whole))
            assert file.read(size) == plain.read(asked)
            assert file.tell() == plain.tell()
        file.seek(0)
        assert file.read() == whole
        file.seek(0)
        assert (file.read(None), file.seek(len(whole) + 9), file.read(2**40)) == (whole, len(whole) + 9, b"")


@pytest.mark.parametrize("where", ["in the weights", "in the magic number"])
def test_a_claim_of_gigabytes_takes_no_memory(tmp_path: Path, where: str) -> None:
    """Python's ``open`` takes the 4 GiB first, and a MemoryError ended the command where they cannot be had."""
    path = tmp_path / "w.pth"
    if where == "in the weights":
        torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
        data = path.read_bytes()
        place = data.index(b"X\x01\x00\x00\x00a")
        path.write_bytes(data[: place + 1] + b"\xff" * 4 + data[place + 5 :])
    else:
        path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2)[:-1] + b"X\xff\xff\xff\xff.")
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="truncated or not a checkpoint"):
            read_content(path)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()
