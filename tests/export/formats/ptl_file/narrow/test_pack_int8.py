"""int8 weights as they are stored: torch makes the tensors of them that went in; hostile ones are refused."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lite_programs import archive_of
from ptl_layers import static, written

from edgevit.errors import ArtifactError
from export.formats.ptl_file.narrow.pack_int8 import int8_state, quantised_tensor, tensor
from export.formats.ptl_file.narrow.quantized import Quantized
from export.formats.ptl_file.read import read, read_archive
from export.formats.ptl_file.rewrite import Called
from export.recipe import Precision

WEIGHT, SCALES = tensor("CharStorage", "w", (4, 6), (6, 1), 24), tensor("FloatStorage", "s", (4,), (1,), 4)


def test_a_tensor_says_its_type_and_the_scales_of_its_channels() -> None:
    added: dict[str, bytes] = {}
    found = quantised_tensor(added, WEIGHT, SCALES)
    storage, offset, sizes, strides, how, *_ = found.arguments
    assert storage.description[1].name == "QInt8Storage" and storage.key == "w"  # type: ignore[union-attr]
    assert (offset, sizes, strides) == (0, (4, 6), (6, 1))
    kind, scales, zeros, axis = how  # type: ignore[misc]
    assert (kind.name, scales, axis) == ("per_channel_affine", SCALES, 0)  # type: ignore[union-attr]
    assert isinstance(zeros, Called) and zeros.arguments[2:4] == ((4,), (0,))  # four times the one zero
    assert added == {"zero.storage": bytes(8)}


def test_a_convolution_stores_its_numbers() -> None:
    added: dict[str, bytes] = {}
    version, sizes, bias = int8_state(added, Quantized(kind="conv2d", groups=2), WEIGHT, SCALES, None)  # type: ignore[misc]
    assert version == "2" and isinstance(sizes, Called) and isinstance(bias, Called)
    assert bias.arguments == ([None], "List[Optional[Tensor]]")
    (name,) = (name for name in added if name != "zero.storage")
    assert struct.unpack("<11h", added[name]) == (2, 1, 1, 0, 0, 1, 1, 0, 0, 2, 0)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = written(tmp_path_factory.mktemp("static") / "static.ptl", Precision.INT8, static)
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def numbers_of(records: dict[str, bytes]) -> str:
    return next(name for name, data in records.items() if len(data) == 22 and data[:2] == b"\2\0")


@pytest.mark.parametrize(
    ("place", "number", "why"),
    [(1, 0, "a step"), (9, 0, "groups"), (9, 3, "groups"), (0, 3, "two axes"), (3, -1, "padding")],
)
def test_numbers_that_torch_would_divide_by_are_refused(
    tmp_path: Path, records: dict[str, bytes], place: int, number: int, why: str
) -> None:
    name = numbers_of(records)
    numbers = [*struct.unpack("<11h", records[name])]
    numbers[place] = number
    path = archive_of(tmp_path / "m.ptl", *(records | {name: struct.pack("<11h", *numbers)}).items())
    with pytest.raises(ArtifactError, match=why):
        read_archive(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.replace(b"QInt8Storage", b"CharStorage", 1), "no scale|another type|two types"),
        (lambda data: data.replace(b"per_channel_affine", b"per_tensor_affine", 1), "scale and zero point"),
        (lambda data: data.replace(b"LinearPackedParamsBase", b"Conv2dPackedParamsBase", 1), "second form"),
        (lambda data: data.replace(b"Conv2dPackedParamsBase", b"Conv3dPackedParamsBase", 1), "not read here"),
    ],
)  # fmt: skip
def test_other_objects_are_refused(
    tmp_path: Path, records: dict[str, bytes], change: Callable[[bytes], bytes], why: str
) -> None:
    name = "archive/bytecode.pkl"
    changed = change(records[name])
    assert changed != records[name]
    with pytest.raises(ArtifactError, match=why):
        read(archive_of(tmp_path / "m.ptl", *(records | {name: changed}).items()))
