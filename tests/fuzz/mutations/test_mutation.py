"""Inputs are the same on every machine, differ from each other, and reach what they are made for."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from random import Random

import fuzz_images
import fuzz_zips
import pytest
from fuzz_mutation import Kind, input_for

SEEDS = {
    Kind.BINARY: [bytes(range(64)), b"other" * 9],
    Kind.TEXT: [b"a 1\nb 2\n", b"x;1,5\n"],
    Kind.JSON: [b'{"a": [1, 2.5, "x"], "b": {"c": null}}'],
    Kind.JSON_LINES: [b'{"a": 1}\n{"b": 2}\n'],
    Kind.ZIP: [fuzz_zips.put_together([fuzz_zips.plain(b"a.npy", b"\x93NUMPY\1\0\x08\0{'a':1}\nxx"),
    fuzz_zips.plain(b"b.pkl", b"\x80\2N.")])],
    Kind.PICKLE: [b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s."],
    Kind.IMAGE: [fuzz_images._joined([(b"IHDR", bytes(13)), (b"IDAT", b"x"), (b"IEND", b"")])],
}  # fmt: skip
DIGESTS = {
    Kind.BINARY: "1d38a24b09fadadc", Kind.TEXT: "1bde56ed70fd8af5", Kind.JSON: "cc07229d8c30bff5",
    Kind.JSON_LINES: "172c36944b5d8665", Kind.ZIP: "e15545450e12e649", Kind.PICKLE: "2709bb5dfb22ff7e",
    Kind.IMAGE: "79f43a55dedcf13a",
}  # fmt: skip


def made(kind: Kind, count: int, seed: int = 3) -> list[bytes]:
    return [input_for("r", SEEDS[kind], kind, (b"token",), seed=seed, number=number) for number in range(count)]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_seed_gives_the_same_inputs_everywhere(kind: Kind) -> None:
    assert hashlib.sha256(b"|".join(made(kind, 60))).hexdigest()[:16] == DIGESTS[kind]


@pytest.mark.parametrize("kind", list(Kind))
def test_inputs_differ_from_each_other_and_between_seeds(kind: Kind) -> None:
    inputs = made(kind, 300)
    assert len(set(inputs)) > 200
    assert len(set(inputs) & set(made(kind, 300, seed=4))) < 150


def test_archives_put_together_are_read_with_their_checksums_right() -> None:
    whole = inputs = 0
    for number in range(200):
        data = fuzz_zips.change_member(SEEDS[Kind.ZIP][0], Random(number))
        inputs += 1
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            whole += archive.testzip() is None
    assert whole == inputs


def test_the_bomb_unpacks_to_two_gibibytes() -> None:
    unpack, size, left = zlib.decompressobj(-15), 0, fuzz_zips.bomb()
    assert len(left) < 3 << 20
    while left and size < 64 << 20:  # as far as it takes to see how much comes of how little
        piece = unpack.decompress(left[: 4 << 10], 16 << 20)
        size, left = size + len(piece), left[4 << 10 :]
        assert not piece.strip(b"\0")
    used = len(fuzz_zips.bomb()) - len(left)
    assert size / used > 900
    assert len(fuzz_zips.bomb()) * 258 * 4 > fuzz_zips.BOMB_BYTES


def test_most_changed_json_is_json_still() -> None:
    def reads(data: bytes) -> bool:
        try:
            json.loads(data)
        except (ValueError, RecursionError):
            return False
        return True

    inputs = made(Kind.JSON, 300)
    assert sum(map(reads, inputs)) > 100
