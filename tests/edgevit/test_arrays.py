"""Archives of arrays: what numpy writes is read alike, and nothing else takes memory, time or a foreign exception."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgevit.arrays import indexed, parse_arrays, read_arrays
from edgevit.errors import ArtifactError, DeviceError

DTYPES = ["bool", "int8", "uint8", ">i2", "int64", "uint64", "float16", ">f4", "float64", "<U3", ">U2"]


def header_of(descr: str, shape: str, *, length: int | None = None, version: bytes = b"\1\0") -> bytes:
    """The bytes before an array's elements, made by hand."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + version + size + text


def archive_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def declaring(data: bytes, *, size: int) -> bytes:
    """An archive of one member that says in both places that it unpacks to ``size``."""
    patched = bytearray(data)
    at = data.rindex(b"PK\x01\x02")
    patched[at + 24 : at + 28] = patched[22:26] = struct.pack("<I", size)
    return bytes(patched)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_numpy_writes_is_read_alike(data: st.DataObject) -> None:
    shapes = npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    array = data.draw(npst.arrays(np.dtype(data.draw(st.sampled_from(DTYPES))), shapes, fill=st.nothing()))
    if array.dtype.kind == "U" and any(0xD800 <= ord(char) < 0xE000 for text in array.ravel() for char in str(text)):
        return
    array = np.asfortranarray(array) if data.draw(st.booleans()) else array
    buffer = io.BytesIO()
    data.draw(st.sampled_from([np.savez, np.savez_compressed]))(buffer, **{"inputs/x": array, "y": np.arange(3)})
    found = parse_arrays(buffer.getvalue(), origin="x")
    assert list(found) == ["inputs/x", "y"]
    assert found["inputs/x"].dtype == array.dtype.newbyteorder("=") and found["inputs/x"].flags.writeable
    np.testing.assert_array_equal(found["inputs/x"], array)


def test_all_versions_of_the_header_are_read(tmp_path: Path) -> None:
    body = np.arange(6, dtype="<f4").tobytes()
    members = {f"{version[0]}.npy": header_of("<f4", "(2, 3)", version=version) + body
               for version in (b"\1\0", b"\2\0", b"\3\0")}  # fmt: skip
    (tmp_path / "v.npz").write_bytes(archive_of(members))
    found = read_arrays(tmp_path / "v.npz", what="golden set")
    assert all(np.array_equal(array, np.arange(6).reshape(2, 3)) for array in found.values()) and len(found) == 3


ZEROS = bytes(3 << 20)
FLAT = np.zeros(4, np.float32).tobytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "File is not a zip file"),
        (archive_of({"a.npy": header_of("<f4", "(4,)") + FLAT})[:-30], "not a zip file"),
        (archive_of({"a.txt": b"x"}), "member 'a.txt' is no .npy"),
        (archive_of({"a": header_of("<f4", "(4,)") + FLAT}), "member 'a' is no .npy"),
        (archive_of({"a.npy": b"no array"}), "does not begin as an array"),
        (archive_of({"a.npy": header_of("<f4", "(4,)", version=b"\4\0") + FLAT}), "does not begin as an array"),
        (archive_of({"a.npy": header_of("<f4", "(5,)") + FLAT}), r"declares float32 \(5,\) of 20 bytes, but holds 16"),
        (archive_of({"a.npy": header_of("<f4", "(3,)") + FLAT}), "of 12 bytes, but holds 16"),
        (archive_of({"a.npy": header_of("<f4", "(1000000000000, 1000000000000)") + FLAT}), "but holds 16"),
        (archive_of({"a.npy": header_of("|O", "(2,)") + FLAT}), "elements of type '|O', expected numbers"),
        (archive_of({"a.npy": header_of("<U0", "(100000000000,)")}), "elements of type '<U0'"),
        (archive_of({"a.npy": header_of("<f4", "(100000000000, 0)")}), r"has the shape \(100000000000, 0\)"),
        (archive_of({"a.npy": header_of("<M8", "(2,)") + FLAT}), "elements of type '<M8'"),
        (archive_of({"a.npy": header_of("<c8", "(2,)") + FLAT}), "elements of type '<c8'"),
        (archive_of({"a.npy": header_of("|V16", "(1,)") + FLAT}), "elements of type '|V16'"),
        (archive_of({"a.npy": header_of("<f4", "(" + "1, " * 33 + ")") + FLAT[:4]}), "has the shape"),
        (archive_of({"a.npy": header_of("<f4", "(-4,)") + FLAT}), "a header that is not numpy's"),
        (archive_of({"a.npy": header_of("<f4", "(٤,)") + FLAT}), "a header that is not numpy's"),
        (archive_of({"a.npy": header_of("<f4", f"({'9' * 4000},)") + FLAT}), "has the shape"),
        (archive_of({"a.npy": header_of("<f4", "__import__('os').system('true')") + FLAT}), "not numpy's"),
        (archive_of({"a.npy": header_of("<f4", "(4,)", length=60_000) + FLAT}), "a header of 60,000 bytes"),
        (archive_of({"a.npy": header_of("<f4", "(4,)", length=3) + FLAT}), "a header that is not numpy's"),
        (archive_of({"a.npy": header_of("|b1", "(4,)") + b"\0\1\2\3"}), "bools that are neither"),
        (archive_of({"a.npy": header_of("<U1", "(2,)") + b"\xff\xff\xff\xffa\0\0\0"}), "text that is no Unicode"),
        (archive_of({"a.npy": header_of(">U1", "(1,)") + b"\0\0\xd8\0"}), "text that is no Unicode"),
        (archive_of({"a.npy": header_of("<f4", "(4,)") + FLAT}, zipfile.ZIP_BZIP2), "packed by method 12"),
        (archive_of({"a.npy": header_of("<f4", "(4,)") + FLAT}, zipfile.ZIP_LZMA), "packed by method 14"),
        (archive_of({f"{place}.npy": b"" for place in range(5000)}), "lists 5,000 members"),
        (declaring(archive_of({"a.npy": ZEROS}, zipfile.ZIP_DEFLATED), size=60 << 20), "cannot unpack to 62,914,560"),
        (declaring(archive_of({"a.npy": ZEROS}, zipfile.ZIP_DEFLATED), size=3 << 30), "would unpack to 3,221,225,472"),
        (declaring(archive_of({"a.npy": ZEROS[:9999]}), size=50_000), "cannot unpack to 50,000"),
    ],
)  # fmt: skip
def test_what_is_no_archive_of_arrays_is_refused_at_once(data: bytes, words: str) -> None:
    tracemalloc.start()
    began_s = time.perf_counter()
    try:
        with pytest.raises(DeviceError, match=rf"^the outputs: .*{words}"):
            parse_arrays(data, origin="the outputs", failure=DeviceError) or pytest.fail("read")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - began_s < 5


def test_an_empty_archive_holds_nothing() -> None:
    assert parse_arrays(archive_of({}), origin="x") == {}


def test_members_that_stand_twice_are_encrypted_or_damaged_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for _ in range(2):
                archive.writestr("a.npy", header_of("<f4", "(4,)") + FLAT)
    with pytest.raises(ArtifactError, match=r"'a\.npy' stands twice"):
        parse_arrays(buffer.getvalue(), origin="x")
    whole = archive_of({"a.npy": header_of("<f4", "(4,)") + FLAT}, zipfile.ZIP_DEFLATED)
    at = whole.rindex(b"PK\x01\x02") + 8
    with pytest.raises(ArtifactError, match=r"'a\.npy' is encrypted"):
        parse_arrays(whole[:at] + b"\1" + whole[at + 1 :], origin="x")
    damaged = bytearray(whole)
    damaged[50] ^= 0xFF
    with pytest.raises(ArtifactError, match=r"Bad CRC|decompressing|does not begin|not numpy's|holds"):
        parse_arrays(bytes(damaged), origin="x")


def test_a_member_that_goes_on_behind_its_size_or_ends_before_is_refused() -> None:
    body = header_of("<f4", "(4,)") + FLAT
    packed = zlib.compressobj(wbits=-15)
    data = packed.compress(body + bytes(10_000)) + packed.flush()
    whole = bytearray(archive_of({"a.npy": body + bytes(10_000)}, zipfile.ZIP_DEFLATED))
    assert data in whole
    for size in (len(body), len(body) + 20_000):
        with pytest.raises(ArtifactError, match="x: "):
            parse_arrays(declaring(bytes(whole), size=size), origin="x")


def test_no_more_is_unpacked_than_is_expected() -> None:
    data = archive_of({"0/y.npy": header_of("<f4", "(1000,)") + bytes(4000)}, zipfile.ZIP_DEFLATED)
    assert parse_arrays(data, origin="x", limit_bytes=5000)["0/y"].shape == (1000,)
    with pytest.raises(ArtifactError, match="would unpack to 4,128, more than 4,000"):
        parse_arrays(data, origin="x", limit_bytes=4000)


def test_what_a_file_says_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    path.write_bytes(archive_of({"\x1b[2J": b""}))
    with pytest.raises(ArtifactError) as error:
        read_arrays(path, what="golden set")
    assert error.value.message.isprintable() and r"\x1b[2J" in error.value.message


@pytest.mark.parametrize(
    ("key", "place"),
    [("0/y", (0, "y")), ("12/a/b", (12, "a/b")), ("01/y", None), ("-1/y", None), ("²/y", None), ("٣/y", None),
     ("9" * 5000 + "/y", None), ("y", None), ("0/", None), ("/y", None)],
)  # fmt: skip
def test_keys_of_samples(key: str, place: tuple[int, str] | None) -> None:
    assert indexed(key) == place


@pytest.mark.parametrize(
    ("before", "behind", "words"), [(b"x" * 9, b"", "9 bytes stand before"), (b"", b"x", "behind")]
)
def test_nothing_stands_around_the_archive(before: bytes, behind: bytes, words: str) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    with pytest.raises(ArtifactError, match=words):
        parse_arrays(before + buffer.getvalue() + behind, origin="g.npz")
