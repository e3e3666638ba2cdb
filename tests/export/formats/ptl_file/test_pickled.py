"""Pickles by torch's rules: what torch writes is read, what would hurt a reader or torch is refused."""

from __future__ import annotations

import pickle
import struct
import time

import pytest
from lite_programs import number, pickled, text

from export.formats.ptl_file.pickled import MOST_NESTED, unpickle
from export.formats.ptl_file.values import Items, Object, Opaque, PickleError, Table, Value

FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
HOOKS = b"ccollections\nOrderedDict\n)R"


def read(body: bytes, **records: int) -> Value:
    return unpickle(pickled(body), {key.removeprefix("r"): size for key, size in records.items()}.get)


def storage(count: int, key: str = "0", device: str = "cpu", kind: bytes = FLOATS) -> bytes:
    return b"(" + text("storage") + kind + text(key) + text(device) + number(count) + b"tQ"


def tensor(count: int, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    tuples = (b"(" + b"".join(map(number, values)) + b"t" for values in (sizes, strides))
    return REBUILD + b"(" + storage(count) + number(offset) + b"".join(tuples) + b"\x89" + HOOKS + b"tR"


def test_what_python_writes_is_read_alike() -> None:
    value = (8, "forward", (True, None, -5, 300, 70000, 2**62, 1.5), (("a", 1), ()))
    assert unpickle(pickle.dumps(value, 2), {}.get) == value
    lists = unpickle(pickle.dumps({"a": [1, 2], "b": {}}, 2), {}.get)
    assert isinstance(lists, Table)
    assert isinstance(lists.entries["a"], Items) and lists.entries["a"].items == [1, 2]


def test_one_value_that_many_places_refer_to_stays_one() -> None:
    """``t = (t, t)`` forty times over is forty pairs, not 2^40 values."""
    started = time.monotonic()
    pairs = (b"q" + bytes([place]) + b"h" + bytes([place]) + b"\x86" for place in range(40))
    value = read(b"K\x01" + b"".join(pairs))
    assert isinstance(value, tuple) and value[0] is value[1]
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"K\x01r" + struct.pack("<I", 1 << 28), "memory 268435456 is used before memory 0"),
        (b"h\x05", "memory 5 is read, but never written"),
        (b")" * 1 + b"\x85" * (MOST_NESTED + 5), "nested more than"),
        (b"]" + b"]a" * 1 + b"K\x01", "does not end with one value"),
        (b"]q\x00h\x00a", "no longer open"),
        (b"}q\x00" + text("a") + b"h\x00s", "no longer open"),
        (b"]q\x00h\x00\x85h\x00K\x01a", "no longer open"),
        (b"]q\x00h\x00\x85q\x010h\x00", "opcode 0x30"),
        (b"K\x01\x86", "a tuple takes more values than there are"),
        (b"K\x01(\x85", "a tuple takes more values than there are"),
        (b"t", "needs a mark"),
        (b"}(K\x01u", "a key without a value"),
        (b"}(" + text("a") * 4 + b"u", "a key twice"),
        (b"}()K\x01u", "neither text nor number"),
        (b"\x8a\x09" + bytes(9), "another size than 8 bytes"),
        (b"X\xff\xff\xff\xffab", "a text ends outside of it"),
        (b"X\x02\0\0\0\xff\xfe", "is no UTF-8"),
        (b"cos\nsystem\n", "it names 'os.system'"),
        (b"cos", "a name ends outside of it"),
        (b"c__torch__.torch.classes.dist_rpc\nStore\n", "it names"),
        (b"ctorch\nFloatStorage\n", "does not end with one value"),
        (FLOATS + b")R", "stands for a type of numbers is called"),
        (b"K\x01)R", "what is called is no name"),
        (b"c__torch__\nM\n)\x81K\x05b", "restored by code of its own"),
        (b"c__torch__\nM\nK\x05\x81", "made with arguments"),
        (b"ctorch\ndevice\n(" + text("cuda:0") + b"tR", "another device"),
        (b"ctorch.jit._pickle\nbuild_intlist\n(](\x88etR", "a list holds other than int"),
        (
            b"ctorch.jit._pickle\nrestore_type_tag\n(]" + text("List[__torch__.torch.classes.rpc.X]") + b"tR",
            "in C\\+\\+",
        ),
        (b"", "does not end with one value"),
    ],
)
def test_what_torch_does_not_write_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(PickleError, match=words):
        read(body)


def test_cut_and_trailing_bytes_are_refused() -> None:
    whole = pickle.dumps((1, ("a", 2.5)), 2)
    for length in range(len(whole)):
        with pytest.raises(PickleError):
            unpickle(whole[:length], {}.get)
    with pytest.raises(PickleError, match="something stands behind its end"):
        unpickle(whole + b"x", {}.get)
    with pytest.raises(PickleError, match="protocol 2"):
        unpickle(pickle.dumps(1, 4), {}.get)


def test_a_tensor_must_lie_in_its_storage_and_that_be_its_record() -> None:
    """torch itself checks neither, and would read memory behind the end."""
    assert isinstance(read(tensor(6, 0, (2, 3), (3, 1)), r0=24), Opaque)
    assert isinstance(read(tensor(6, 5, (), ()), r0=24), Opaque)
    assert isinstance(read(tensor(6, 9, (0, 3), (3, 1)), r0=24), Opaque)
    for offset, sizes, strides in ((1, (2, 3), (3, 1)), (0, (2, 3), (4, 1)), (6, (), ()), (0, (1 << 30,), (1,))):
        with pytest.raises(PickleError, match="reaches beyond its storage"):
            read(tensor(6, offset, sizes, strides), r0=24)
    with pytest.raises(PickleError, match="impossible sizes"):
        read(tensor(6, 0, (2,), (-1,)), r0=24)
    with pytest.raises(PickleError, match="one stride for each axis"):
        read(tensor(6, 0, (2, 3), (1,)), r0=24)
    for records in ({"r0": 20}, {"r0": 28}, {}):
        with pytest.raises(PickleError, match=r"must be a record of 24 bytes"):
            read(tensor(6, 0, (2, 3), (3, 1)), **records)
    with pytest.raises(PickleError, match="for the CPU"):
        read(storage(1, device="cuda:0"), r0=4)


def test_objects_have_their_attributes_by_position() -> None:
    body = b"c__torch__\nM\n)\x81}(" + text("a") + number(3) + text("b") + b"Nub"
    found = read(body)
    assert isinstance(found, Object) and (found.kind, found.slots) == ("__torch__.M", (3, None))
    with pytest.raises(PickleError, match="restored by code of its own"):
        read(b"(" + b"c__torch__\nM\n)\x81K\x01\x85bt")
    restored = read(b"c__torch__\nM\n)\x81K\x01\x85b")
    assert isinstance(restored, Object) and (restored.slots, restored.state) == (None, (1,))


def test_time_follows_from_the_size() -> None:
    """Some 2 s on an idle machine; the time of this process alone, since others may be at work."""
    started = time.process_time()
    for body in (b"]" * 300_000, b"(" * 300_000, b"]" + b"(e" * 150_000, b"K\x01q\x00" * 75_000):
        with pytest.raises(PickleError):
            read(body + b"0")
    assert time.process_time() - started < 10
