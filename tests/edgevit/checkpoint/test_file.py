"""Containers: every accepted form gives the same tensors, and nothing that wants to run code is loaded."""

from __future__ import annotations

import argparse
import builtins
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgevit.checkpoint.entries import ENTRIES, find_weights
from edgevit.checkpoint.file import read_content
from edgevit.errors import CheckpointError

State = dict[str, Tensor]


def read_tensors(path: Path, entry: str | None) -> tuple[State, str | None]:
    found = find_weights(path, read_content(path), entry)
    return found.tensors, found.entry


@pytest.fixture
def state() -> State:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}


def same(seen: State, expected: State) -> bool:
    return list(seen) == list(expected) and all(torch.equal(seen[name], expected[name]) for name in expected)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_bare_state_dict(tmp_path: Path, state: State, suffix: str, prefix: str) -> None:
    path = tmp_path / f"w{suffix}"
    torch.save({prefix + name: tensor for name, tensor in state.items()}, path)
    tensors, entry = read_tensors(path, None)
    assert same(tensors, state)
    assert entry is None


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_of_a_training_checkpoint(tmp_path: Path, state: State, entry: str) -> None:
    path = tmp_path / "w.pth"
    options = argparse.Namespace(lr=1e-3, data="images")
    torch.save({"epoch": 3, "args": options, "optimizer": {"state": {}}, entry: state}, path)
    tensors, taken = read_tensors(path, None)
    assert same(tensors, state)
    assert taken == entry


def test_old_container_without_zip(tmp_path: Path, state: State) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model": state}, path, _use_new_zipfile_serialization=False)
    assert same(read_tensors(path, None)[0], state)


def test_several_entries_the_first_known_one_or_the_one_asked_for(tmp_path: Path, state: State) -> None:
    path = tmp_path / "w.pth"
    averaged = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"model_ema": averaged, "model": state, "best": averaged}, path)
    assert read_tensors(path, None)[1] == "model"
    assert same(read_tensors(path, "model_ema")[0], averaged)
    assert same(read_tensors(path, "best")[0], averaged)
    with pytest.raises(CheckpointError, match="choose from best, model, model_ema") as caught:
        read_tensors(path, "model_emma")
    assert caught.value.hint == "did you mean 'model_ema'?"


def test_an_empty_entry_is_passed_over(tmp_path: Path, state: State) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model": None, "model_ema": state}, path)
    assert read_tensors(path, None)[1] == "model_ema"


def test_tensors_under_an_unknown_entry(tmp_path: Path, state: State) -> None:
    path = tmp_path / "w.pth"
    torch.save({"net": state, "epoch": 1}, path)
    with pytest.raises(CheckpointError, match="has tensors under net"):
        read_tensors(path, None)
    assert read_tensors(path, "net")[1] == "net"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_safetensors_by_content_whatever_the_name(tmp_path: Path, state: State, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    save_file(state, path, metadata={"format": "pt"})
    tensors, entry = read_tensors(path, None)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        name: tensor.tolist() for name, tensor in state.items()
    }
    assert entry is None


class Bomb:
    """Its pickle calls ``open`` and leaves a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return builtins.open, (str(self.target), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_never_runs(tmp_path: Path, state: State, zipped: bool) -> None:
    path, target = tmp_path / "w.pth", tmp_path / "was-run"
    torch.save({"model": state, "extra": Bomb(target)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"refused: loading it would run or import 'io\.open'"):
        read_tensors(path, None)
    assert not target.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(CheckpointError, match=r"'torch\.nn\.modules\.linear\.Linear'") as caught:
        read_tensors(path, None)
    assert "state_dict()" in (caught.value.hint or "")


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        read_tensors(path, None)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "old.pth"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    tensors = {"a": torch.zeros(2000)}
    if path.suffix == ".pth":
        torch.save(tensors, path, _use_new_zipfile_serialization=path.stem != "old")
    else:
        save_file(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match=r"is empty|is truncated"):
        read_tensors(path, None)


def test_a_flipped_bit_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(2000)}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"'w/data/0' inside it does not have its recorded CRC-32"):
        read_tensors(path, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello, I am no checkpoint", "not a checkpoint"),
        (b"PK\x03\x04 and no zip", "not a checkpoint"),
        (b"\x80\x04\x95garbage", "not a checkpoint"),
        (b"channels = [8, 16, 24, 32]\nblocks = [1, 1, 1, 1]\n", "not a checkpoint"),
        (b"<!doctype html><html></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_tensors(path, None)


@pytest.mark.parametrize(
    ("stored", "words"),
    [([1, 2], "holds a list"), ({"epoch": 3}, "dictionaries in it: it has 'epoch'"), ({}, "holds no tensors"),
     ({"a": torch.ones(1), "b": 3}, "no tensors: 'b'"), (torch.ones(3), "holds a Tensor")],
)  # fmt: skip
def test_stored_things_that_are_no_state_dict(tmp_path: Path, stored: object, words: str) -> None:
    path = tmp_path / "w.pth"
    torch.save(stored, path)
    with pytest.raises(CheckpointError, match=words):
        read_tensors(path, None)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_tensors(tmp_path / "none.pth", None)
    with pytest.raises(CheckpointError, match="directory"):
        read_tensors(tmp_path, None)


ZIP_DAMAGE = [(b"w/version", b"w/versi\xe4n"), (b"PK\x01\x02", b"PK\x01\x02\xff\xff\xff\xff\xff")]


@pytest.mark.parametrize("damage", ZIP_DAMAGE)
def test_a_directory_of_a_zip_that_is_damaged(tmp_path: Path, state: State, damage: tuple[bytes, bytes]) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path)
    path.write_bytes(path.read_bytes().replace(*damage))
    with pytest.raises(CheckpointError, match=r"truncated or not a checkpoint|is damaged"):
        read_tensors(path, None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model-00001-of-00002.safetensors", "part 1 of 2"),
        ("model.safetensors.index.json", "a JSON text, not weights"),
        ("__0_0.distcp", "a sharded checkpoint of torch.distributed"),
    ],
)
def test_parts_of_more_are_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_text('{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(CheckpointError, match=words):
        read_tensors(tmp_path / name, None)


@pytest.mark.parametrize(("marker", "words"), [(".metadata", "FSDP"), ("zero_to_fp32.py", "DeepSpeed")])
def test_directories_of_shards_are_named(tmp_path: Path, marker: str, words: str) -> None:
    (tmp_path / marker).touch()
    with pytest.raises(CheckpointError, match=words):
        read_tensors(tmp_path, None)


def test_another_pickle_protocol_is_named(tmp_path: Path, state: State) -> None:
    torch.save(state, tmp_path / "w.pth", pickle_protocol=4)
    with pytest.raises(CheckpointError, match=r"another protocol than torch\.save's") as caught:
        read_tensors(tmp_path / "w.pth", None)
    assert "without pickle_protocol" in (caught.value.hint or "")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="it is a pipe"):
        read_tensors(tmp_path / "w.pth", None)
