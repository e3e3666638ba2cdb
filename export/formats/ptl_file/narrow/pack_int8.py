"""The stored form of int8 weights: quantised tensors, and the state of the objects that the runtime packs."""

from __future__ import annotations

import struct

from export.formats.ptl_file.narrow.quantized import CONV_VERSION, Quantized
from export.formats.ptl_file.rewrite import Called, Named, Stored, Tree

TENSOR, QTENSOR = Named("torch._utils", "_rebuild_tensor_v2"), Named("torch._utils", "_rebuild_qtensor")
NO_HOOKS = Named("collections", "OrderedDict")()


def int8_state(added: dict[str, bytes], layer: Quantized, weight: Tree, scales: Tree, bias: Tree) -> Tree:
    """What ``LinearPackedParamsBase`` or ``Conv2dPackedParamsBase`` is restored from.

    Args:
        added: Records that the file gets besides, by name; those that the state needs are put there.
        layer: What is computed.
        weight: Tensor of int8, channels of the result first.
        scales: One float a channel.
        bias: None where there is none.
    """
    found = quantised_tensor(added, weight, scales)
    if layer.kind != "conv2d":
        return (found, bias)
    sizes = Named("torch.jit._pickle", "build_tensorlist")([_numbers(added, layer.numbers), found])
    optional = Named("torch.jit._pickle", "restore_type_tag")([bias], "List[Optional[Tensor]]")
    return (CONV_VERSION, sizes, optional)


def quantised_tensor(
    added: dict[str, bytes], weight: Tree, scales: Tree, axis: int = 0, zero: str = "zero.storage"
) -> Called:
    """``weight``, a stored tensor of int8, as one that is quantised symmetrically for each index of ``axis``.

    The record ``zero`` holds the zero point of all of them.
    """
    assert isinstance(weight, Called) and isinstance(scales, Called)
    storage, offset, sizes, strides, *_ = weight.arguments
    assert isinstance(storage, Stored)
    kind, _, key, device, count = storage.description
    bytes_of_it = Stored((kind, Named("torch", "QInt8Storage"), key, device, count))
    parameters = (Named("torch", "per_channel_affine"), scales, _zeros(added, scales, zero), axis)
    return QTENSOR(bytes_of_it, offset, sizes, strides, parameters, False, NO_HOOKS)


def tensor(kind: str, key: str, sizes: tuple[int, ...], strides: tuple[int, ...], elements: int) -> Called:
    """A tensor of the file: ``kind`` is its storage's, ``key`` names its record."""
    stored = Stored(("storage", Named("torch", kind), key, "cpu", elements))
    return TENSOR(stored, 0, sizes, strides, False, NO_HOOKS)


def _zeros(added: dict[str, bytes], scales: Called, name: str) -> Called:
    """As many zero points as scales, all of them the one number that is stored."""
    added[name] = struct.pack("<q", 0)
    sizes = scales.arguments[2]
    assert isinstance(sizes, tuple)
    return tensor("LongStorage", name, tuple(int(str(size)) for size in sizes), (0,), 1)


def _numbers(added: dict[str, bytes], numbers: tuple[int, ...]) -> Called:
    """A convolution's numbers as the tensor of int16 that they are stored in."""
    name = f"conv-{'-'.join(map(str, numbers))}.storage"
    added[name] = struct.pack(f"<{len(numbers)}h", *numbers)
    return tensor("ShortStorage", name, (len(numbers),), (1,), len(numbers))
