"""Whether every name and value in an ONNX file stands there once: two readers could take another one of two."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from export.formats.onnx_file.protobuf import Message, ProtobufError

_DATA = ("float_data", "int32_data", "string_data", "int64_data", "raw_data", "double_data", "uint64_data")
_VALUES = (
    "f", "i", "s", "t", "g", "tp", "sparse_tensor", "floats", "ints", "strings", "tensors", "graphs", "type_protos",
    "sparse_tensors",
)  # fmt: skip
_Kind: TypeAlias = "tuple[int, list[int | None] | None]"
_APART = 4  # the IR version from which initializers need not be inputs as well: there, one may be replaced in a call


def require_once(part: Message, ir_version: int) -> None:
    """Refuse what stands twice in one message of a model.

    Raises:
        ProtobufError: Names it.
    """
    if part.kind == "Tensor":
        _tensor(part)
    elif part.kind == "Attribute":
        _one_of(part, _VALUES, "attribute")
    elif part.kind == "Node":
        _once([attribute.text("name") for attribute in part.messages("attribute")], "an attribute's name in one node")
    elif part.kind == "Function":
        _once([*part.texts("input"), *_results(part)], f"a tensor's name in the function {part.text('name')!r:.80}")
    elif part.kind == "Graph":
        _graph(part, ir_version)


def _tensor(tensor: Message) -> None:
    if tensor.messages("segment"):
        raise ProtobufError(f"the tensor {tensor.text('name')!r:.80} is only a segment of one")
    _one_of(tensor, _DATA, "tensor")


def _one_of(part: Message, names: tuple[str, ...], what: str) -> None:
    held = [name for name in names if any(value != b"" for value in part.fields.get(name, ()))]
    if len(held) > 1:
        raise ProtobufError(f"the {what} {part.text('name')!r:.80} has its value {len(held)} times: {', '.join(held)}")


def _results(owner: Message) -> list[str]:
    return [name for node in owner.messages("node") for name in node.texts("output")]


def _once(names: list[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise ProtobufError(f"{what} stands more than once: {', '.join(map(repr, twice))[:200]}")


def _graph(graph: Message, ir_version: int) -> None:
    held = graph.messages("initializer")
    sparse = [values for each in graph.messages("sparse_initializer") if (values := each.message("values"))]
    constants = [tensor.text("name") for tensor in (*held, *sparse)]
    inputs = [value.text("name") for value in graph.messages("input")]
    given = inputs if ir_version >= _APART else [name for name in inputs if name not in set(constants)]
    _once([*constants, *given, *_results(graph)], "a tensor's name")
    for field in ("input", "output", "value_info"):
        _once([value.text("name") for value in graph.messages(field)], f"a name in {field}")
    known: dict[str, _Kind] = {
        tensor.text("name"): (tensor.number("data_type") or 0, list(sizes_of_tensor(tensor))) for tensor in held
    }
    for value in (*graph.messages("input"), *graph.messages("output"), *graph.messages("value_info")):
        name, told = value.text("name"), _told(value)
        if told is not None and not _agree(known.setdefault(name, told), told):
            raise ProtobufError(f"the tensor {name!r:.80} has two types or shapes: {known[name]} and {told}")


def _told(value: Message) -> _Kind | None:
    """Type and sizes that a graph tells of a tensor; None for an axis or a shape that it leaves open."""
    kind = (value.message("type") or Message("Type")).message("tensor_type")
    if kind is None:
        return None
    shape = kind.message("shape")
    sizes = None if shape is None else [axis.number("dim_value") for axis in shape.messages("dim")]
    return kind.number("elem_type") or 0, sizes


def sizes_of_tensor(tensor: Message) -> list[int]:
    """The sizes of a constant: varints, packed or one by one."""
    found: list[int] = []
    value, shift = 0, 0
    for byte in b"".join(chunk for chunk in tensor.fields.get("dims", ()) if isinstance(chunk, bytes)):
        value, shift = value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            found.append(value)
            value, shift = 0, 0
    return found


def _agree(one: _Kind, other: _Kind) -> bool:
    if 0 not in {one[0], other[0]} and one[0] != other[0]:
        return False
    if one[1] is None or other[1] is None:
        return True
    return len(one[1]) == len(other[1]) and all(
        mine == its or None in (mine, its) for mine, its in zip(one[1], other[1], strict=True)
    )
