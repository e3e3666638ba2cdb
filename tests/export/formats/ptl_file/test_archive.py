"""Archives in which two readers could find different records, or more than the file holds, are not read."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
from lite_programs import archive_of

from edgevit.errors import ArtifactError
from export.formats.ptl_file.archive import read_records

GOOD, EVIL = b"good", b"evil"


def everything(_name: str) -> bool:
    return True


def test_records_are_found_with_their_sizes_and_what_is_kept(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "m.ptl", ("a/data.pkl", GOOD), ("a/constants/0", bytes(100)))
    records = read_records(path, lambda name: name.endswith(".pkl"))
    assert records.sizes == {"data.pkl": 4, "constants/0": 100}
    assert records.kept == {"data.pkl": GOOD}


def test_an_archive_with_the_long_end_that_torch_writes_is_read(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "m.ptl", ("a/data.pkl", GOOD))
    data = path.read_bytes()
    count, size, start = struct.unpack_from("<HII", data, len(data) - 12)
    body, end = data[:-22], data[-22:]
    long_end = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(body), 1)
    path.write_bytes(body + long_end + locator + end)
    assert read_records(path, everything).kept == {"data.pkl": GOOD}
    lie = bytearray(long_end)
    struct.pack_into("<Q", lie, 48, start + 1)
    path.write_bytes(body + bytes(lie) + locator + end)
    with pytest.raises(ArtifactError, match="the two forms of its directory's end differ"):
        read_records(path, everything)
    path.write_bytes(body + long_end + b"PK\x06\x07" + struct.pack("<IQI", 0, 1, 1) + end)
    with pytest.raises(ArtifactError, match="the long form of its directory's end is elsewhere"):
        read_records(path, everything)


@pytest.mark.parametrize(
    ("words", "records", "options"),
    [
        ("one name", [("a/b.pkl", EVIL), ("a/b.pkl", GOOD)], {}),
        ("one name", [("a/B.pkl", EVIL), ("a/b.pkl", GOOD)], {}),
        ("several folders", [("a/b.pkl", GOOD), ("c/b.pkl", EVIL)], {}),
        ("does not begin", [("a/b.pkl", GOOD)], {"prefix": b"\x10\0\0\0PTMF and a program"}),
        ("no records", [("a/b.pkl", GOOD)], {"comment": b"PK\x05\x06" + bytes(18)}),
        ("no records", [], {}),
        ("at nothing", [("b.pkl", GOOD)], {}),
        ("packed", [("a/b.pkl", bytes(10**6))], {"packed": True}),
    ],
)
def test_what_another_reader_may_read_otherwise_is_refused(
    tmp_path: Path, words: str, records: list[tuple[str, bytes]], options: dict[str, bytes]
) -> None:
    with pytest.raises(ArtifactError, match=words):
        read_records(archive_of(tmp_path / "m.ptl", *records, **options), everything)  # type: ignore[arg-type]


def central(data: bytes, number: int = 0) -> int:
    """Where the directory's entry of a record begins."""
    place = -1
    for _ in range(number + 1):
        place = data.index(b"PK\x01\x02", place + 1)
    return place


def test_records_that_share_bytes_or_are_encrypted_are_refused(tmp_path: Path) -> None:
    """A file whose records all lie over each other would hold more than its size."""
    path = archive_of(tmp_path / "m.ptl", ("a/b.pkl", bytes(5000)), ("a/c.pkl", bytes(5000)))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, central(data, 1) + 42, 100)
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="two of its records overlap"):
        read_records(path, everything)
    data = bytearray(archive_of(path, ("a/b.pkl", bytes(50))).read_bytes())
    struct.pack_into("<H", data, central(data) + 8, 1)
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="encrypted or marked"):
        read_records(path, everything)


def test_source_text_may_be_packed_and_debug_tables_but_not_beyond_measure(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "m.ptl", ("a/code/x.py", bytes(10**6)), ("a/code/x.debug_pkl", GOOD), packed=True)
    assert read_records(path, lambda name: name.endswith("_pkl")).kept == {"code/x.debug_pkl": GOOD}
    path = archive_of(tmp_path / "m.ptl", ("a/code/x.debug_pkl", bytes(17 << 20)), packed=True)
    assert path.stat().st_size < 100_000
    with pytest.raises(ArtifactError, match="claim 17825792 bytes"):
        read_records(path, everything)


def test_a_packed_record_that_unpacks_to_more_than_it_claims_is_refused(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "m.ptl", ("a/code/x.debug_pkl", bytes(10**6)), packed=True)
    data = bytearray(path.read_bytes())
    for place in (central(data) + 24, 22):
        struct.pack_into("<I", data, place, 10)
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="cannot read"):
        read_records(path, everything)


def test_any_damaged_record_is_told_whether_it_is_kept_or_not(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "m.ptl", ("a/constants/0", b"weights" * 20))
    data = bytearray(path.read_bytes())
    data[data.index(b"weights") + 3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="Bad CRC-32 for file 'a/constants/0'"):
        read_records(path, lambda _name: False)


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18), bytes(30)])
def test_what_is_no_archive_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.ptl").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"m\.ptl"):
        read_records(tmp_path / "m.ptl", everything)
    assert not zipfile.is_zipfile(tmp_path / "m.ptl") or data.startswith(b"PK")
