"""What stands where a file should, told from its first bytes; real files of every format are none of the strangers."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mobile_artifacts import small
from small_artifacts import write_artifact

from export.identify import stranger, told, what_it_is
from export.recipe import Format


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model"))
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n", "run git lfs pull"),
        (b"/annex/objects/SHA256E-s12--ab.onnx\n", "run git annex get"),
        (b"\n<!DOCTYPE html>\n<html>", "is an HTML page"),
        (b"<html><head>", "is an HTML page"),
        (b'<?xml version="1.0"?><!-- a --><HTML>', "is an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "is an XML text"),
        (b'{"error": "not found"}', "is JSON"),
        (bytes(100), "nothing but zeros"),
        (gzip.compress(b"abc", mtime=0), "packed by gzip"),
        (tarred(), "is a tar archive"),
        (zipped("model.onnx"), "is a zip archive"),
        (b"\x10\0\0\0\0\0\0\0" + b'{"w":{"dtype"', "is a safetensors file"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    ],
)
def test_strangers_are_told_whatever_the_suffix(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert words in (what_it_is(path) or "")
    assert stranger(path, Format.ONNX) == what_it_is(path)
    assert words in told("it fails", path)


@pytest.mark.parametrize("format", [Format.ONNX, Format.PTL, Format.TFLITE, Format.PTE])
def test_every_format_is_known_and_a_stranger_to_the_others(tmp_path: Path, format: Format) -> None:
    mobile = format in (Format.TFLITE, Format.PTE)
    path = small(format).path if mobile else write_artifact(tmp_path, format).with_suffix("")
    assert stranger(path, format) is None
    assert all(stranger(path, other) == what_it_is(path) for other in Format if other is not format)


def test_a_zip_may_be_a_lite_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.ptl"
    path.write_bytes(zipped("model/version"))
    assert stranger(path, Format.PTL) is None
    assert stranger(path, Format.ONNX) == "is a zip archive"


def test_what_is_not_there_is_told_as_what_it_is_instead(tmp_path: Path) -> None:
    assert what_it_is(tmp_path / "a.onnx") == "does not exist"
    assert what_it_is(tmp_path) == "is a directory"
    (tmp_path / "gone").symlink_to("elsewhere/x.onnx")
    assert what_it_is(tmp_path / "gone") == "is a symbolic link to elsewhere/x.onnx, which is not there"
    (tmp_path / "annexed").symlink_to("../.git/annex/objects/ab/x.onnx")
    assert (what_it_is(tmp_path / "annexed") or "").endswith("which is not there: run git annex get")


def test_an_npz_is_known_and_what_nobody_knows_is_left_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", x=np.zeros(2))
    assert "golden set" in (what_it_is(tmp_path / "g.npz") or "")
    (tmp_path / "x").write_bytes(b"\x01")
    assert what_it_is(tmp_path / "x") is None
    (tmp_path / "x").write_bytes(b"anything")
    assert (what_it_is(tmp_path / "x"), told("it fails", tmp_path / "x")) == (None, "it fails")
