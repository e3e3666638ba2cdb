"""What the constants of an ONNX file hold: how many elements of which type."""

from __future__ import annotations

from collections import Counter

from export.formats.onnx_file.protobuf import Message, ProtobufError, every
from export.formats.onnx_file.unique import sizes_of_tensor

# TensorProto.DataType, by the names of numpy and ml_dtypes
DTYPES = dict(
    enumerate(
        """
        float32 uint8 int8 uint16 int16 int32 int64 object bool float16 float64 uint32 uint64 complex64 complex128
        bfloat16 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz uint4 int4 float4_e2m1fn float8_e8m0fnu
        uint2 int2 float6_e2m3fn float6_e3m2fn
        """.split(),  # noqa: SIM905
        start=1,
    )
)
_PACKED = 4  # most elements in a byte: those of uint2 and int2


def elements_by_dtype(model: Message) -> dict[str, int]:
    """Elements of all constants with more than one, by dtype, most first; those inside of calls and functions too.

    Raises:
        ProtobufError: A tensor says that it has more elements than its bytes can hold.
    """
    found: Counter[str] = Counter()

    def count(part: Message) -> None:
        if part.kind == "Tensor" and (elements := _elements(part)) > 1:
            code = part.number("data_type") or 0
            found[DTYPES.get(code, f"type {code}")] += elements

    every(model, count)
    return dict(sorted(found.items(), key=lambda row: (-row[1], row[0])))


def _elements(tensor: Message) -> int:
    texts = len(tensor.fields.get("string_data", ()))
    held = sum(
        len(chunk) for name, chunks in tensor.fields.items() if name.endswith("_data") and name != "string_data"
        for chunk in chunks if isinstance(chunk, bytes)
    )  # fmt: skip
    most, elements = max(texts, _PACKED * held), 1
    sizes = sizes_of_tensor(tensor)
    for size in sizes if all(sizes) else (0,):
        elements *= size
        if elements > most:  # before the product of many sizes grows long
            raise ProtobufError(f"the tensor {tensor.text('name')!r:.80} has more elements than its {held} bytes hold")
    return elements
