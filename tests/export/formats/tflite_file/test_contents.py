"""The parser of ``.tflite`` files on damaged bytes."""

from __future__ import annotations

import random

from mobile_artifacts import small

from export.formats.flatbuffer import FlatbufferError
from export.formats.tflite_file.contents import parse_bytes
from export.recipe import Format


def test_flipped_bits_never_escape_the_reader() -> None:
    data = small(Format.TFLITE).path.read_bytes()
    generator, refused = random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(4):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            parse_bytes(bytes(damaged))
        except FlatbufferError:
            refused += 1
    assert refused > 10
