"""Put objects with packed weights into a lite program in the place of our operators (``prepacked``, ``quantized``).

torch can write those of XNNPACK only where it has XNNPACK, and those of int8 only in the way of the engine that it has;
what it writes then was looked at in files of torch 2.1.0 and 2.13.0: a constant of the program, an object whose state
is its tensors, sizes and limits, from which the runtime makes the packed weights while it loads the file. The half of
the file that only ``torch.jit.load`` reads (``code``, ``constants.pkl``) would still call our operators, so it is left
out. Weights that are stored narrower than they are computed with become attributes of the program (``widen``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgevit.errors import ExportError
from export.formats.ptl_file import prepacked
from export.formats.ptl_file.narrow import quantized
from export.formats.ptl_file.narrow.pack_int8 import int8_state
from export.formats.ptl_file.narrow.widen import Widening
from export.formats.ptl_file.rewrite import Called, Made, Named, Stored, Tree, dump, load

_PROGRAM = "bytecode.pkl"
_FULL_PROGRAM = ("code/", "constants.pkl")
_XNNPACK, _INT8 = "__torch__.torch.classes.xnnpack", "__torch__.torch.classes.quantized"
_JUMPS = {"JF", "JMP", "LOOP"}


def packed(records: dict[str, bytes], widening: Widening | None = None) -> dict[str, bytes]:
    """The records of a lite program with every call of our operators as one of the stock runtime's.

    Args:
        records: By name without the archive's folder, as torch wrote them.
        widening: Says which of the program's tensors are stored narrower, and collects them; None: none.

    Raises:
        ExportError: The program is none that our exporter writes: our operators do not take constants, or one of
            its functions has jumps.
    """
    version, *functions = _tuple(load(records[_PROGRAM]))
    folder = "bytecode/" if any(name.startswith("bytecode/") for name in records) else "constants/"
    added: dict[str, bytes] = {}
    rewritten = [version, *(_function(function, added, widening) for function in functions)]
    kept = {name: data for name, data in records.items() if not name.startswith(_FULL_PROGRAM)}
    kept |= {folder + key: data for key, data in added.items()}
    if widening is not None and widening.state:
        rewritten.append(widening.restoring(int(str(version))))
        kept |= widening.records()
    kept[_PROGRAM] = dump(tuple(rewritten))
    used = _storages(tuple(rewritten))
    return {name: data for name, data in kept.items() if not name.startswith(folder) or name[len(folder) :] in used}


def _function(function: Tree, added: dict[str, bytes], widening: Widening | None) -> Tree:
    name, code, *schema = _tuple(function)
    fields = {str(key): value for key, value in map(_tuple, _tuple(code))}
    tables = _Tables(_tuple(fields["operators"]), _tuple(fields["constants"]), added, widening)
    for step in _tuple(fields["instructions"]):
        tables.add(_tuple(step))
    fields |= {
        "instructions": tuple(tables.with_self()),
        "operators": tuple(tables.operators),
        "constants": tuple(tables.constants),
    }
    return (name, tuple(fields.items()), *schema)


@dataclass
class _Tables:
    """A function being written anew: the tables that it had, and those that it gets, without what nothing uses."""

    old_operators: tuple[Tree, ...]
    old_constants: tuple[Tree, ...]
    added: dict[str, bytes]
    widening: Widening | None = None
    steps: list[Tree] = field(default_factory=list)
    operators: list[Tree] = field(default_factory=list)
    constants: list[Tree] = field(default_factory=list)
    waiting: list[Tree] = field(default_factory=list)
    """Constants on their way to a call: what our operators take is not loaded any more."""
    places: dict[Tree | int, int] = field(default_factory=dict)

    def add(self, step: tuple[Tree, ...]) -> None:
        """Take the next instruction."""
        name, x = str(step[0]), step[1]
        assert isinstance(x, int)
        if name in _JUMPS:
            raise ExportError(f"a program with the instruction {name} cannot have packed weights")
        if name == "LOADC":
            self.waiting.append(x)
        elif name == "OP" and (spelled := _SPELLED.get(str(_tuple(self.old_operators[x])[0]))):
            self._pack(_tuple(self.old_operators[x]), spelled)
        else:
            self._flush()
            self.steps.append((name, self._operator(self.old_operators[x]), *step[2:]) if name == "OP" else step)

    def with_self(self) -> list[Tree]:
        """The instructions; where they read attributes, the object that has them is not dropped before."""
        if self.widening is None or not self.widening.state:
            return self.steps
        first = _tuple(self.steps[0])
        others = [_tuple(step) for step in self.steps[1:]]
        if first[:2] != ("STOREN", 1) or any(step[:2] in (("STORE", 1), ("MOVE", 1)) for step in others):
            raise ExportError("the program does not keep its own object where torch keeps it: nothing can be narrowed")
        return [first, *(step for step in others if step[:2] != ("DROPR", 1))]

    def _pack(self, row: tuple[Tree, ...], spelled: _Spelled) -> None:
        count = spelled.operands
        taken = self.waiting[-count:]
        if len(taken) != count:
            raise ExportError(f"{row[0]} takes what is no constant: its weights cannot be packed")
        del self.waiting[-count:]
        self._flush()
        call = spelled.make(self.added, *(self.old_constants[int(str(place))] for place in taken))
        self._load(call.weights, key=tuple(taken))
        for value in call.behind:
            self._load(value, key=("behind", type(value).__name__, value))
        counted = (2 + len(call.behind),) if len(row) > 2 else ()
        self.steps.append(("OP", self._operator((call.operator, call.overload, *counted)), 0))

    def _flush(self) -> None:
        for place in self.waiting:
            assert isinstance(place, int)
            value = self.old_constants[place]
            narrow = self.widening.attribute(value) if self.widening else None
            if narrow is None:
                self._load(value, key=place)
            else:
                self.steps += [("LOAD", 1, 0), ("GET_ATTR", narrow, 0)]
        self.waiting.clear()

    def _load(self, value: Tree, key: Tree) -> None:
        if key not in self.places:
            self.places[key] = len(self.constants)
            self.constants.append(value)
        self.steps.append(("LOADC", self.places[key], 0))

    def _operator(self, row: Tree) -> int:
        if row not in self.operators:
            self.operators.append(row)
        return self.operators.index(row)


@dataclass(frozen=True)
class _Call:
    """A call of the runtime's: its packed weights, and the plain values that it takes behind them."""

    operator: str
    overload: str
    weights: Made
    behind: tuple[Tree, ...] = ()


@dataclass(frozen=True)
class _Spelled:
    """One of our operators: how many constants it takes, and the call that they become.

    ``make`` takes the table of records that the file gets besides, and the constants.
    """

    operands: int
    make: Callable[..., _Call]


def _for_xnnpack(_added: dict[str, bytes], weight: Tree, bias: Tree, product: Tree) -> _Call:
    packed = prepacked.Packed.from_json(str(product), origin="a packed product")
    kind = prepacked.KINDS[packed.kind]
    sizes = (getattr(packed, name) for name in kind.fields)
    state = (weight, bias, *map(_argument, sizes), packed.least, packed.most)
    return _Call(kind.operator, "", Made(Named(_XNNPACK, kind.name), state))


def _for_int8(added: dict[str, bytes], weight: Tree, scales: Tree, bias: Tree, layer: Tree) -> _Call:
    found = quantized.Quantized.from_json(str(layer), origin="a quantised layer")
    kind = quantized.KINDS[found.kind]
    # A dynamic range of seven bits would be for engines whose products overflow; QNNPACK's do not.
    behind: tuple[Tree, ...] = (False,) if found.kind == "linear_dynamic" else (found.scale, found.zero_point)
    state = int8_state(added, found, weight, scales, bias)
    return _Call(kind.operator, kind.overload, Made(Named(_INT8, kind.name), state), behind)


_SPELLED: Mapping[str, _Spelled] = {
    prepacked.OPERATOR: _Spelled(3, _for_xnnpack),
    quantized.OPERATOR: _Spelled(4, _for_int8),
}


def _argument(value: int | tuple[int, int]) -> Tree:
    return value if isinstance(value, int) else Named("torch.jit._pickle", "build_intlist")([*value])


def _storages(value: Tree) -> set[str]:
    """The names of all records that ``value`` takes tensors from."""
    if isinstance(value, Stored):
        return {value.key}
    inner: Tree = ()
    if isinstance(value, Called):
        inner = value.arguments
    elif isinstance(value, Made):
        inner = value.state
    elif isinstance(value, tuple | list):
        inner = value
    return set().union(*map(_storages, inner)) if isinstance(inner, tuple | list) else _storages(inner)


def _tuple(value: Tree) -> tuple[Tree, ...]:
    assert isinstance(value, tuple), f"expected a tuple, but found {value!r:.80}"
    return value
