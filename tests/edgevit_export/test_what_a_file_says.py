"""What a file says of itself inside (class names, preprocessing, descriptions) is held against its manifest."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from small_artifacts import reseal, small_net
from small_exports import small_spec

from edgevit_export import export
from export.recipe import Format
from runtimes.sessions.table import open_session
from validation.artifact.verify import verify_artifact

LABELS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
SWAPPED = "ant\ncat\nbee\ndog\neel\nfox\ngnu"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = replace(small_spec(), labels=LABELS)
    directory = tmp_path_factory.mktemp("labelled")
    report = export(small_net(), spec, [Format.ONNX, Format.TFLITE, Format.PTL], output=directory)
    assert report.passed
    return directory


def swap_in_onnx(path: Path) -> None:
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == "labels").value = SWAPPED
    onnx.save(model, path)


def drop_from_onnx(path: Path) -> None:
    model = onnx.load(path)
    model.metadata_props.remove(next(entry for entry in model.metadata_props if entry.key == "labels"))
    onnx.save(model, path)


def rename_in_onnx(path: Path) -> None:
    model = onnx.load(path)
    model.doc_string = "another network"
    onnx.save(model, path)


def replace_bytes(old: bytes, new: bytes) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        data = path.read_bytes()
        assert data.count(old) == 1 and len(old) == len(new)
        path.write_bytes(data.replace(old, new))

    return edit


def zip_of_tflite(labels: str | None) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            start = archive.infolist()[0].header_offset
        path.write_bytes(path.read_bytes()[:start])
        if labels is not None:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("labels.txt", labels)

    return edit


def extra_of_ptl(name: str, text: bytes) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            records = {info.filename: archive.read(info) for info in archive.infolist()}
        with zipfile.ZipFile(path, "w") as archive:
            for full, data in (records | {f"archive/extra/{name}": text}).items():
                archive.writestr(full, data)

    return edit


@pytest.mark.parametrize(
    ("format", "edit", "words"),
    [
        ("onnx", swap_in_onnx, "'labels' line 1 is 'bee' by the manifest, but 'cat' in the file"),
        ("onnx", drop_from_onnx, "does not carry its 'labels'"),
        ("onnx", rename_in_onnx, "'description' is 'small-net; weights: random, seed 0' by the manifest, but 'another"),
        (
            "tflite",
            zip_of_tflite(SWAPPED + "\n"),
            "'labels.txt' line 1 is 'bee' by the manifest, but 'cat' in the file",
        ),
        ("tflite", zip_of_tflite(None), "does not carry its 'labels.txt'"),
        (
            "tflite",
            replace_bytes(b"bee\ncat\ndog\neel\nfox\ngnu\0", b"cat\nbee\ndog\neel\nfox\ngnu\0"),
            "'labels' line 1",
        ),
        (
            "tflite",
            replace_bytes(np.float32([63.75] * 3).tobytes(), np.float32([1.0] * 3).tobytes()),
            "TFLITE_METADATA",
        ),
        ("ptl", extra_of_ptl("labels", SWAPPED.encode()), "'labels' line 1 is 'bee' by the manifest, but 'cat'"),
        (
            "ptl",
            extra_of_ptl("weights", b"checkpoint"),
            "'weights' is 'random, seed 0' by the manifest, but 'checkpoint'",
        ),
        ("ptl", extra_of_ptl("preprocessing", b'{"mean":[0.1]}'), "the file's 'preprocessing' cannot be read"),
        ("ptl", extra_of_ptl("modules", b"{}"), "modules is"),
    ],
)
def test_what_a_file_says_of_itself_is_compared(
    labelled: Path, tmp_path: Path, format: str, edit: Callable[[Path], None], words: str
) -> None:
    shutil.copytree(labelled, tmp_path / "copy")
    path = tmp_path / "copy" / f"small-net.{format}.json"
    edit(path.with_suffix(""))
    reseal(path)
    report = verify_artifact(path, opener=open_session)
    assert [check.name for check in report.failed_checks] == ["contents"]
    assert any(words in text for text in report.failed_checks[0].details), report.failed_checks
